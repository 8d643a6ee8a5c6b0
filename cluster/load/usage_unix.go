//go:build unix

package load

import (
	"runtime"
	"syscall"
	"time"
)

// usage is what this process has used so far.
func usage() (u Usage) {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return u
	}
	span := func(t syscall.Timeval) time.Duration { return time.Duration(t.Nano()) }
	unit := int64(1024) // Linux counts kilobytes, macOS bytes
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return Usage{
		User: span(r.Utime), System: span(r.Stime), Memory: int64(r.Maxrss) * unit,
		MinorFaults: int64(r.Minflt), MajorFaults: int64(r.Majflt), Swaps: int64(r.Nswap),
		BlocksIn: int64(r.Inblock), BlocksOut: int64(r.Oublock),
		MessagesSent: int64(r.Msgsnd), MessagesReceived: int64(r.Msgrcv),
		Signals: int64(r.Nsignals), Switches: int64(r.Nvcsw), ForcedSwitches: int64(r.Nivcsw),
		SharedText: int64(r.Ixrss), UnsharedData: int64(r.Idrss), UnsharedStack: int64(r.Isrss),
	}
}
