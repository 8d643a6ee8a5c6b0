//go:build unix

package real

import (
	"os"
	"os/exec"
	"syscall"
)

// separate puts a process into a group of its own, so that Ctrl-C at the terminal reaches only this process, which ends the
// others in order.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// An error of these functions says that the process is gone.
func pause(p *os.Process) error     { return p.Signal(syscall.SIGSTOP) }
func resume(p *os.Process) error    { return p.Signal(syscall.SIGCONT) }
func interrupt(p *os.Process) error { return p.Signal(syscall.SIGINT) }
func drain(p *os.Process) error     { return p.Signal(syscall.SIGTERM) }
func reload(p *os.Process) error    { return p.Signal(syscall.SIGHUP) }
