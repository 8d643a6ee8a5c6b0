//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// hangups are the signals beside the usual ones at which the demonstration ends: the terminal is gone.
var hangups = []os.Signal{syscall.SIGHUP}

// separate puts a child into a process group of its own, so that Ctrl-C at the terminal reaches only the demonstration,
// which ends its children in order. A group whose last connection to its session dies gets SIGHUP and SIGCONT from the
// system if it is stopped (POSIX, 3.264 and _Exit), so that even a paused child does not outlive a killed parent.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// terminate asks a process to end, and wakes it up for that. Errors mean that it is gone.
func terminate(p *os.Process) {
	_ = p.Signal(syscall.SIGTERM)
	_ = p.Signal(syscall.SIGCONT)
}

// breakers are the commands by which a person disturbs a node.
func breakers(pid int) []string {
	return []string{fmt.Sprintf("kill -9 %d", pid), fmt.Sprintf("kill -STOP %d", pid), fmt.Sprintf("kill -CONT %d", pid)}
}
