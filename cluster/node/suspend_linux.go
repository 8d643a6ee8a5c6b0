package node

import (
	"time"

	"golang.org/x/sys/unix"
)

// machineSuspended compares the clock that goes on in a suspend with the one that stands still.
func machineSuspended() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}
