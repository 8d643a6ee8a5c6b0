package node

import (
	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/follower"
	"weir/cluster/identity"
	"weir/cluster/trust"
	"weir/protocols/api"
)

// A World is what joins a node to other nodes and to its sources where that is not the machine's network: the
// simulator's. Such a node has the actors below streams, peers and control, and neither sessions nor listeners; it
// opens no socket, starts no goroutine, and derives no key.
type World struct {
	System   *actor.ActorSystem
	Env      act.Env
	Cluster  *cluster.Cluster
	Provider *identity.Provider
	Fetcher  follower.Fetcher

	// Source makes the source of a configured input; it is not asked for publish://.
	Source func(stream string, in conf.Input) input.Source

	// Relay makes the source of a stream that another node has.
	Relay func(stream string) input.Source

	// Release asks the owner of a stream to let go of it, and sends self [control.Released] once it has.
	Release func(self *actor.PID, e control.AskRelease)

	// Stepped is told of every step of the control plane before its effects are applied.
	Stepped func(now control.Instant, ev control.Event, out []control.Effect)

	Hub hub.Config
}

// startIn starts a node in a world of its own.
func startIn(cfg Config) (*Node, error) {
	w := cfg.Outside.World
	n := &Node{
		cfg: cfg, log: cfg.Log, failed: make(chan error, 1),
		streams: stream.NewRegistry(), sessions: session.NewRegistry(),
		group: newGroup(cfg, trust.NewKeyring("", nil)), sys: w.System, env: w.Env,
		fetcher: w.Fetcher, relay: w.Relay, release: w.Release, stepped: w.Stepped, hub: w.Hub,
	}
	n.group.cluster, n.group.provider = w.Cluster, w.Provider
	n.load, n.drain = n.newLoad(), n.newDrain(nil)
	n.instances = n.newInstances()
	n.current.read.Store(cfg.File)
	n.current.p.Store(cfg.File)
	n.metrics = api.NewMetrics(cfg.Build, func() api.Totals { return api.Totals{} })
	specs, err := n.specs(cfg.File)
	if err != nil {
		return nil, err
	}
	if n.root, err = n.spawn(specs, &sockets{}); err != nil {
		return nil, err
	}
	return n, nil
}

// sockets are those that the node listens at.
func (n *Node) sockets() *sockets {
	if n.servers == nil {
		return &sockets{}
	}
	return n.servers.sockets
}

// View is what the control plane knows now; nil before its first step.
func (n *Node) View() *control.View { return n.group.view.Load() }

// Control and Streams are the actors to which [control.Event]s, and the messages of package stream, are sent.
func (n *Node) Control() *actor.PID { return n.pid("control") }

// Streams is the supervisor of all streams.
func (n *Node) Streams() *actor.PID { return n.pid("streams") }

// AskState puts a peer's question to the control plane. It is what the HTTP handler of peers does.
func (n *Node) AskState(from string, seen control.Seen, want []string, reply *act.Reply[*control.State]) {
	n.controller().AskState(from, seen, want, reply)
}

// WantPublish asks the control plane whether a publisher may have a stream here. It is what a session's claim does.
func (n *Node) WantPublish(name, free string, reply *act.Reply[control.PublishAnswer]) {
	n.controller().WantPublish(name, free, reply)
}
