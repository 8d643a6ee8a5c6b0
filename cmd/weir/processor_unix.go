//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime is the time that this process has had of all processors so far; zero if the system does not say. What other
// processes do is not in it.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
