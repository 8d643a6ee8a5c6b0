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

// Machine is what a node takes from the machine that it runs on. The zero value is that machine.
type Machine struct {
	// Wall reads the wall clock. It is asked when something begins, never to measure.
	Wall func() time.Time

	// Clock paces linear channels: what is read from files and made by formula.
	Clock pull.Clock

	// Instance names this run of the process, so that its answers can be told from those of an earlier run.
	Instance func() string

	// Suspended is for how long the machine has been suspended since it was booted, as far as the system tells.
	Suspended func() time.Duration

	// Env, if not nil, is given the environment of the node's actors and returns the one that they get.
	Env func(act.Env) act.Env

	// Burden measures what the machine carries. It is asked every two seconds, by one goroutine at a time.
	Burden func() load.Burden
}

func (m Machine) complete() Machine {
	if m.Wall == nil {
		m.Wall = time.Now
	}
	if m.Clock == nil {
		m.Clock = pull.SystemClock()
	}
	if m.Instance == nil {
		m.Instance = func() string {
			b := make([]byte, 8)
			_, _ = rand.Read(b) // never fails
			return hex.EncodeToString(b)
		}
	}
	if m.Suspended == nil {
		m.Suspended = load.Suspended
	}
	if m.Env == nil {
		m.Env = func(e act.Env) act.Env { return e }
	}
	if m.Burden == nil {
		is := load.NewMachine()
		m.Burden = func() load.Burden { return is.Measure(time.Now()) }
	}
	return m
}

// A Network is what joins a node's actors to other nodes and to sources.
type Network struct {
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

// newNetwork is the network of this machine. What joins the node to the cluster is filled in when its remote listens.
func (n *Node) newNetwork() *Network {
	sys := act.NewSystem(n.log)
	send := func(to *actor.PID, m any) { sys.Root.Send(to, m) }
	w := &Network{
		System: sys, Env: n.cfg.Machine.Env(act.NewReal(sys, n.reporter.event)),
		Fetcher: &follower.HTTP{Self: n.group.name, URL: n.stateURL, Client: n.group.keys.Client, Send: send},
		Source:  n.newOpener().Open,
		Relay:   func(stream string) input.Source { return n.servers.relays.Follow(stream) },
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
