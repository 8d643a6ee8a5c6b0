//go:build unix

package load

import "syscall"

// Descriptors is the most files and sockets that this process may have open at a time; 0 if the system does not say.
func Descriptors() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	const plenty = 1 << 30 // what stands for no limit differs
	return int(min(l.Cur, plenty))
}
