// Package soaktest holds no code of the program: its test has a node pull streams of all kinds from servers that misbehave at random, and
// compares what viewers get with what the servers have sent by their own record.
//
// A run of some seconds is part of all tests. A longer one, of as many sources and with a seed as wanted:
//
//	go test ./cmd/weir/soaktest -run Soak -v -timeout 30m -args -for 10m -seed 7 -sources 40
package soaktest
