// Package owner holds both sides of what nodes ask each other about one stream: the questions to the node that owns it,
// and the answers for the streams that this node captures.
//
// It decides nothing about who owns a stream; that is the control plane's. It opens no connection and starts no
// goroutine: package identity carries questions and answers between nodes.
package owner
