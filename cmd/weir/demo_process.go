package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"weir/protocols"
	"weir/sim/child"
)

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

// A demoProcess is a node that the demonstration has started.
type demoProcess struct {
	*child.Process

	node demoNode
}

// startDemoProcess starts a node as a process that lives no longer than this one.
func startDemoProcess(program, config, level string, n demoNode) (*demoProcess, error) {
	p, err := child.Start(program, append(n.args(config), "--log", level), n.log)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", n.name, err)
	}
	return &demoProcess{p, n}, nil
}

// untilClosed gives a context that ends when standard input does: the other end of the pipe belongs to the process
// whose child this is. If the node has not ended by itself a while later, exit ends the process.
func untilClosed(ctx context.Context, in io.Reader, exit func()) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in) // an error is an end, too
		cancel()
		time.AfterFunc(child.Grace, exit)
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
