package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/cluster/control"
	"weir/cluster/follower"
	"weir/cluster/identity"
	"weir/cluster/load"
	"weir/cluster/source"
	"weir/protocols/pull"
)

// Outside is what a node takes from the machine that it runs on, besides its actors' environment. The zero value is
// that machine.
type Outside struct {
	// Wall reads the wall clock. It is asked when something begins, never to measure.
	Wall func() time.Time

	// Clock paces what is read from files and made by formula.
	Clock pull.Clock

	// Instance names this run of the process, so that a restart is known from an old answer.
	Instance func() string

	// Suspended is for how long the machine has been suspended since it was booted, as far as the system tells.
	Suspended func() time.Duration

	// Env, if not nil, is given the environment of the node's actors and returns the one that they get.
	Env func(act.Env) act.Env

	// Burden measures what the machine carries. It is asked every two seconds, by one goroutine at a time.
	Burden func() load.Burden

	// World, if not nil, takes the place of the network: it is the simulator's. Such a node has the actors below streams,
	// peers and control, and no clients; it opens no file and no socket, starts no goroutine, and derives no key.
	World *World
}

func (o Outside) complete() Outside {
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Clock == nil {
		o.Clock = pull.SystemClock()
	}
	if o.Instance == nil {
		o.Instance = func() string {
			b := make([]byte, 8)
			_, _ = rand.Read(b) // never fails
			return hex.EncodeToString(b)
		}
	}
	if o.Suspended == nil {
		o.Suspended = load.Suspended
	}
	if o.Env == nil {
		o.Env = func(e act.Env) act.Env { return e }
	}
	if o.Burden == nil {
		m := load.NewMachine()
		o.Burden = func() load.Burden { return m.Measure(time.Now()) }
	}
	return o
}

// A World is what joins a node to other nodes and to its sources.
type World struct {
	System   *actor.ActorSystem
	Env      act.Env
	Cluster  *cluster.Cluster   // nil without a cluster key
	Provider *identity.Provider // nil without a cluster key

	// Fetcher asks peers, and servers of balancers, for their state.
	Fetcher follower.Fetcher

	// Source makes the source of an input.
	Source func(source.Input) (input.Source, error)

	// Relay makes the source of a stream that another node has.
	Relay func(stream string) input.Source

	// Release asks the owner of a stream to let go of it, and sends self [control.Released] once it has.
	Release func(self *actor.PID, e control.AskRelease)

	// Stepped, if not nil, is told of every step of the control plane before its effects are applied.
	Stepped func(now control.Instant, ev control.Event, out []control.Effect)

	Hub hub.Config
}

// machine is the world of a node on this machine. What joins it to the cluster is filled in when its remote listens.
func (n *Node) machine() *World {
	sys := act.NewSystem(n.log)
	send := func(to *actor.PID, m any) { sys.Root.Send(to, m) }
	w := &World{
		System: sys, Env: n.cfg.Outside.Env(act.NewReal(sys, n.reporter.event)),
		Fetcher: &follower.HTTP{Self: n.group.name, URL: n.stateURL, Client: n.group.keys.Client, Send: send},
		Source:  n.newOpener().Open,
		Relay:   func(stream string) input.Source { return n.clients.relays.Follow(stream) },
	}
	w.Release = func(self *actor.PID, e control.AskRelease) {
		w.Env.Go(self, func(ctx context.Context) error {
			if err := n.asker().Release(ctx, e.Stream); err != nil {
				return err // the control plane starts without an answer, later
			}
			send(self, control.Released(e))
			return nil
		})
	}
	return w
}
