//go:build !unix

package main

import "os"

// reloadSignals are those at which a node reads its file again: one that never comes, since an empty list would mean all
// signals.
var reloadSignals = []os.Signal{noSignal{}}

type noSignal struct{}

// String implements [os.Signal].
func (noSignal) String() string { return "none" }

// Signal implements [os.Signal].
func (noSignal) Signal() {}
