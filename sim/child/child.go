// Package child starts runs of the program as child processes, pauses them, and ends them.
//
// It does not know what the program does, but for two things: with --parent-pipe it ends when its standard input does, and
// it takes settings from variables of the environment whose names begin with WEIR_.
package child

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Grace is how long a process that was asked to end may take before it is killed.
const Grace = 5 * time.Second

// A Process is one run of the program. It ends with this process, because its standard input does. Any goroutine may call
// its methods.
type Process struct {
	cmd   *exec.Cmd
	pipe  io.Closer     // its standard input
	ended chan struct{} // closed when it has ended and cmd.ProcessState says how
}

// Start runs the program with its output appended to a file, and without the settings of this process's environment.
func Start(program string, args []string, output string) (_ *Process, err error) {
	log, err := os.OpenFile(output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of a process: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }() // the process has a descriptor of its own
	cmd := exec.Command(program, append(slices.Clone(args), "--parent-pipe")...)
	cmd.Env = withoutSettings(os.Environ())
	cmd.Stdout, cmd.Stderr = log, log
	separate(cmd)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making the standard input of %s: %w", program, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", program, err), pipe.Close())
	}
	p := &Process{cmd: cmd, pipe: pipe, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the process state tells the same
		close(p.ended)
	}()
	return p, nil
}

// withoutSettings leaves out the variables that would change what the program is told to be.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "WEIR_") })
}

// PID is the number by which the system knows the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended returns a channel that is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Alive says whether the process has not ended yet; a paused one has not.
func (p *Process) Alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// How says how the process has ended, such as "exit status 1". It waits for that.
func (p *Process) How() string {
	<-p.ended
	return p.cmd.ProcessState.String()
}

// ExitCode is the exit code of the process; -1 if a signal has ended it. It waits for that.
func (p *Process) ExitCode() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// Kill ends the process at once, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error means that it is gone
	<-p.ended
	_ = p.pipe.Close()
}

// Stop asks the process to end, paused or not, and kills it after [Grace]. It returns when the process is gone.
func (p *Process) Stop() {
	_ = p.pipe.Close() // asks, also where there are no signals
	interrupt(p.cmd.Process)
	late := time.NewTimer(Grace)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		p.Kill()
	}
}
