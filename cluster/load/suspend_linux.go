package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// Suspended is for how long the machine has been suspended since it was booted. It is the difference of two clocks: BOOTTIME goes on
// while the machine is suspended, and MONOTONIC stands still.
func Suspended() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}
