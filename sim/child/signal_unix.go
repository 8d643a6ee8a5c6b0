//go:build unix

package child

import (
	"os"
	"os/exec"
	"syscall"
)

// separate puts a process into a group of its own, so that Ctrl-C at the terminal reaches only this process, which ends the
// others in order. A group whose last connection to its session dies gets SIGHUP and SIGCONT from the system if it is
// stopped (POSIX, 3.264 and _Exit), so that even a paused process does not outlive a killed parent.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// interrupt asks a process to end, and wakes it up for that. Errors mean that it is gone.
func interrupt(p *os.Process) {
	_ = p.Signal(syscall.SIGINT)
	_ = p.Signal(syscall.SIGCONT)
}

// The errors of these methods say that the process is gone.

// Pause stops the process until it is resumed.
func (p *Process) Pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// Drain asks a node to hand over its streams and to end.
func (p *Process) Drain() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

// Reload asks a node to read its file again.
func (p *Process) Reload() error { return p.cmd.Process.Signal(syscall.SIGHUP) }
