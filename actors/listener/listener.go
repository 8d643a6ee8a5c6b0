// Package listener holds the actor that accepts connections at one address. When accepting fails it starts afresh, with
// back-off; the connections that it has accepted are sessions and go on.
//
// It knows no protocol: a function that it is given serves the socket.
package listener

import (
	"context"
	"fmt"
	"net"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
)

// Config says where to listen and what to do with what arrives.
type Config struct {
	Name string // unique among the listeners, e.g. "http:8080"

	// Open makes the socket. The first one may have been made before the actor was, so that a port in use is found out
	// before anything runs.
	Open func() (net.Listener, error)

	// Serve accepts on it until the context ends, and closes it.
	Serve func(ctx context.Context, l net.Listener) error
}

// Props describes a listener.
func Props(env act.Env, c Config) *actor.Props {
	served := &address{}
	return act.Props(env, "listener", func() actor.Actor { return &listener{env: env, cfg: c, address: served} })
}

// An address is what outlives the failures of a listener: the goroutine that last listened at the address.
type address struct{ done <-chan struct{} }

type listener struct {
	env     act.Env
	cfg     Config
	address *address
	task    *act.Task
}

// Receive implements [actor.Actor].
func (l *listener) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		cfg, before, id := l.cfg, l.address.done, ctx.Self().Id
		l.task = l.env.Go(ctx.Self(), func(c context.Context) error {
			if before != nil { // the socket of the failed incarnation is open until then
				select {
				case <-before:
				case <-c.Done():
					return c.Err()
				}
			}
			ln, err := cfg.Open()
			if err != nil {
				return err
			}
			l.env.Tree().Note(id, "listening on "+cfg.Name)
			return cfg.Serve(c, ln)
		})
		l.address.done = l.task.Done
	case act.Ended:
		if m.Task == l.task {
			panic(fmt.Errorf("listener %s: %w", l.cfg.Name, ended(m.Err)))
		}
	case *actor.Stopping, *actor.Restarting:
		l.task.Stop()
	}
}

func ended(err error) error {
	if err == nil {
		return net.ErrClosed
	}
	return err
}
