//go:build unix

package main

import (
	"os"
	"syscall"
)

// reloadSignals are the signals at which a node reads its file again.
var reloadSignals = []os.Signal{syscall.SIGHUP}
