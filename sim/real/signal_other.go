//go:build !unix

package real

import (
	"errors"
	"os"
	"os/exec"
)

var errNoSignals = errors.New("this system has no such signals")

func separate(*exec.Cmd) {}

func pause(*os.Process) error       { return errNoSignals }
func resume(*os.Process) error      { return errNoSignals }
func interrupt(p *os.Process) error { return p.Kill() }
func drain(*os.Process) error       { return errNoSignals }
func reload(*os.Process) error      { return errNoSignals }
