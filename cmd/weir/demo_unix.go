//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// hangups are the signals beside the usual ones at which the demonstration ends: the terminal is gone.
var hangups = []os.Signal{syscall.SIGHUP}

// breakers are the commands by which a person disturbs a node.
func breakers(pid int) []string {
	return []string{fmt.Sprintf("kill -9 %d", pid), fmt.Sprintf("kill -STOP %d", pid), fmt.Sprintf("kill -CONT %d", pid)}
}
