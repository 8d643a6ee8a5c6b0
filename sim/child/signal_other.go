//go:build !unix

package child

import (
	"errors"
	"os"
	"os/exec"
)

var errNoSignals = errors.New("this system has no such signals")

// separate does nothing here: the pipe alone ties a process to its parent.
func separate(*exec.Cmd) {}

// interrupt does nothing here: closing the pipe asks a process to end.
func interrupt(*os.Process) {}

// Pause fails here.
func (p *Process) Pause() error { return errNoSignals }

// Resume fails here.
func (p *Process) Resume() error { return errNoSignals }

// Drain fails here.
func (p *Process) Drain() error { return errNoSignals }

// Reload fails here.
func (p *Process) Reload() error { return errNoSignals }
