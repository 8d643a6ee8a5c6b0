package real

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

// stopGrace is how long a process that was asked to end may take before it is killed.
const stopGrace = 3 * time.Second

// A process is one run of the program as a node. It ends with this process, because its standard input does.
type process struct {
	cmd   *exec.Cmd
	pipe  io.Closer
	ended chan struct{} // closed when it has ended
}

// start runs the program with its output appended to a file.
func start(program string, args []string, output string) (_ *process, err error) {
	log, err := os.OpenFile(output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of a node: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }() // the process has a descriptor of its own
	cmd := exec.Command(program, append(args, "--parent-pipe")...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEIR_") })
	cmd.Stdout, cmd.Stderr = log, log
	separate(cmd)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a node: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a node: %w", err), pipe.Close())
	}
	p := &process{cmd: cmd, pipe: pipe, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// over says whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends the process at once, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that it is gone
	<-p.ended
	_ = p.pipe.Close()
}

// stop ends the process in order, and returns when it is gone. A paused one is woken.
func (p *process) stop() {
	_ = p.pipe.Close()
	_ = resume(p.cmd.Process)
	_ = interrupt(p.cmd.Process)
	late := time.NewTimer(stopGrace)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		p.kill()
	}
}
