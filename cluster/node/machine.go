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

// Machine holds the functions of the machine that a node uses, so that tests can replace them. A nil field means the function of
// this machine.
type Machine struct {
	// Wall reads the wall clock. It tells when something began; durations are never measured with it.
	Wall func() time.Time

	// Clock is the clock by which linear channels, that is files and the test pattern, are played.
	Clock pull.Clock

	// Instance makes an identifier for this run of the process. Peers use it to recognise answers of an earlier run.
	Instance func() string

	// Suspended is for how long the machine has been suspended since it was booted; zero if the system does not tell.
	Suspended func() time.Duration

	// Env takes the environment of this machine for actors and returns the environment that the node's actors get.
	Env func(act.Env) act.Env

	// Burden measures the load of the machine. It is called every two seconds, by one goroutine at a time.
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
		meter := load.NewMachine()
		m.Burden = func() load.Burden { return meter.Measure(time.Now()) }
	}
	return m
}

// A Network connects the actors of a node with other nodes and with the sources of media.
type Network struct {
	System   *actor.ActorSystem
	Env      act.Env
	Cluster  *cluster.Cluster   // nil without a cluster key
	Provider *identity.Provider // nil without a cluster key

	// Fetcher fetches the state of peers and of the servers of balancers.
	Fetcher follower.Fetcher

	// Source makes the source of an input.
	Source func(source.Input) (input.Source, error)

	// Relay makes the source of a stream that another node captures.
	Relay func(stream string) input.Source

	// Release asks the owner of a stream to stop capturing it. Once the owner has stopped, it sends [control.Released] to self.
	Release func(self *actor.PID, e control.AskRelease)

	// Stepped, if not nil, is called after each step of the control plane, before the effects of the step are applied.
	Stepped func(now control.Instant, ev control.Event, out []control.Effect)

	Hub hub.Config
}

// newNetwork makes the network of this machine. Its Cluster and Provider stay nil: startRemote makes those of the group.
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
				return err // without an answer, the control plane starts its capture later
			}
			send(self, control.Released(e))
			return nil
		})
	}
	return w
}
