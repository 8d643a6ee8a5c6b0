package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// Suspended is for how long the machine has been suspended since it was booted: the difference of the clock that goes on
// meanwhile and the one that stands still.
func Suspended() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}
