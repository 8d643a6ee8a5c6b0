//go:build !unix

package main

import (
	"fmt"
	"os"
)

// hangups are the signals beside the usual ones at which the demonstration ends: there are none here.
var hangups []os.Signal

// breakers are the commands by which a person disturbs a node.
func breakers(pid int) []string { return []string{fmt.Sprintf("taskkill /F /PID %d", pid)} }
