package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"weir/cluster/drain"
)

const (
	// startPatience is how long a node that is still starting has to end.
	startPatience = time.Second

	// stopPatience is how long a node has to stop: longer than its actors have.
	stopPatience = 15 * time.Second
)

// mustEnd ends the process a while after ctx has ended, whatever blocks: a disk, a name server, or the reader of standard error,
// so that it says nothing. By release, the process has ended by itself, or is to have another time.
func mustEnd(ctx context.Context, patience func(why error) time.Duration) (release func()) {
	released := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-released:
			return
		}
		select {
		case <-time.After(patience(context.Cause(ctx))):
			os.Exit(exitFailure)
		case <-released:
		}
	}()
	return sync.OnceFunc(func() { close(released) })
}

// starting is the patience with a node that is starting.
func starting(error) time.Duration { return startPatience }

// running is the patience with a node that runs. One that was terminated may drain.
func running(why error) time.Duration {
	if errors.Is(why, errTerminated) {
		return drain.Limit + stopPatience
	}
	return stopPatience
}

// stopping is the patience with a node that stops.
func stopping(error) time.Duration { return stopPatience }
