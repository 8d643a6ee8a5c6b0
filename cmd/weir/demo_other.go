//go:build !unix

package main

import (
	"fmt"
	"os"
	"os/exec"
)

// hangups are the signals beside the usual ones at which the demonstration ends: there are none here.
var hangups []os.Signal

// separate does nothing here: the pipe alone ties a child to its parent.
func separate(*exec.Cmd) {}

// terminate does nothing here: closing the pipe asks a child to end.
func terminate(*os.Process) {}

// breakers are the commands by which a person disturbs a node.
func breakers(pid int) []string { return []string{fmt.Sprintf("taskkill /F /PID %d", pid)} }
