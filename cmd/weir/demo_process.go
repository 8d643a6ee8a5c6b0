package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"weir/protocols"
)

// stopGrace is how long a node that was asked to end may take before it is killed. An orphaned one gives itself as long.
const stopGrace = 5 * time.Second

// A demoNode is what one node of the demonstration is started with.
type demoNode struct {
	name  string
	ports protocols.Ports
	log   string // file that gets the node's log
}

// addr is where a listener of the node listens.
func (n demoNode) addr(listener protocols.Protocol) string {
	return loopbackAddr(*n.ports.At(listener))
}

// url is where the node answers over HTTP.
func (n demoNode) url() string { return "http://" + n.addr(protocols.HTTP) }

// streamURL is where a protocol plays a stream at the node.
func (n demoNode) streamURL(d protocols.Descriptor, stream string) string {
	return d.URL(n.addr(d.Listener), stream)
}

// args is the command line of the node, without the program.
func (n demoNode) args(config string) []string {
	args := []string{"node", "--config", config, "--name", n.name}
	for _, d := range demoListeners() {
		args = append(args, d.Flag(), n.addr(d.Protocol))
	}
	return args
}

// A child is a process that the demonstration has started.
type child struct {
	node  demoNode
	cmd   *exec.Cmd
	pipe  io.Closer     // its standard input; the child ends when this is closed, so also when nobody is left to hold it
	ended chan struct{} // closed when the process has ended and cmd.ProcessState says how
}

// startChild starts a node as a process that lives no longer than this one.
func startChild(program, config, level string, n demoNode) (_ *child, err error) {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", n.name, err)
	}
	defer func() { err = errors.Join(err, log.Close()) }() // the child has its own descriptor

	cmd := exec.Command(program, append(n.args(config), "--log", level, "--parent-pipe")...)
	cmd.Env = withoutSettings(os.Environ())
	cmd.Stdout, cmd.Stderr = log, log
	separate(cmd)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", n.name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", n.name, err), pipe.Close())
	}
	c := &child{node: n, cmd: cmd, pipe: pipe, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the process state tells the same
		close(c.ended)
	}()
	return c, nil
}

// withoutSettings leaves out the variables that would change what a node is told to be.
func withoutSettings(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "WEIR_") })
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// alive says whether the process has not ended yet; a paused one has not.
func (c *child) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// how says how the process has ended, such as "exit status 1".
func (c *child) how() string { return c.cmd.ProcessState.String() }

// stop ends the process, paused or not, and returns when it is gone.
func (c *child) stop() {
	terminate(c.cmd.Process)
	_ = c.pipe.Close() // asks the same, where there are no signals
	late := time.NewTimer(stopGrace)
	defer late.Stop()
	select {
	case <-c.ended:
	case <-late.C:
		_ = c.cmd.Process.Kill() // an error means that it is gone
		<-c.ended
	}
}

// untilClosed gives a context that ends when standard input does: the other end of the pipe belongs to the process
// whose child this is. If the node has not ended by itself a while later, exit ends the process.
func untilClosed(ctx context.Context, in io.Reader, exit func()) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in) // an error is an end, too
		cancel()
		time.AfterFunc(stopGrace, exit)
	}()
	return ctx, cancel
}

// poll calls look at once and then at each interval, until it returns true or the context ends, whose error it gives.
func poll(ctx context.Context, interval time.Duration, look func() bool) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if look() {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
