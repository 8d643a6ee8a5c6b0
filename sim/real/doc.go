// Package real runs scenarios of the simulator with real processes on loopback: nodes as processes of the program, a fault
// proxy on each directed link between two of them, sources that count who captures, publishers and viewers of all
// protocols. It compares what happened with what the simulator predicts.
//
// It decides nothing about the cluster and reads no state of it but what the API shows. The nodes do not know that they
// are watched: their file differs from an operator's in nothing but addresses. It needs Linux, where all of 127.0.0.0/8 is
// loopback and the kernel says which process has opened a connection.
package real
