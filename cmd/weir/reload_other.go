//go:build !unix

package main

import "os"

// reloadSignals are the signals at which a node reads its file again. This system has none, and an empty list would mean all
// signals, so the list holds a signal that never comes.
var reloadSignals = []os.Signal{noSignal{}}

type noSignal struct{}

// String implements [os.Signal].
func (noSignal) String() string { return "none" }

// Signal implements [os.Signal].
func (noSignal) Signal() {}
