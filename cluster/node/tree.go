package node

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors"
	"weir/actors/act"
	"weir/actors/packager"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/follower"
	"weir/cluster/handover"
	"weir/cluster/identity"
)

// A tree is the tree of the node's actors.
type tree struct {
	sys    *actor.ActorSystem
	env    act.Env
	root   *actor.PID
	failed chan error // gets an error when the root has failed
}

func newTree(w *Network) *tree { return &tree{sys: w.System, env: w.Env, failed: make(chan error, 1)} }

// pid is the address of a child of the root.
func (t *tree) pid(name string) *actor.PID {
	return actor.NewPID(t.sys.Address(), actors.RootName+"/"+name)
}

func (t *tree) streams() *actor.PID { return t.pid(actors.Streams) }

// send sends a message to a child of the root.
func (t *tree) send(name string, m any) { t.sys.Root.Send(t.pid(name), m) }

// control is a client of the control actor.
func (t *tree) control() controller.Client {
	return controller.Client{Send: func(m any) { t.send(actors.Control, m) }}
}

// beside runs a function beside the actors. The control actor gets the message that the function has ended, and ignores it.
func (t *tree) beside(run func(context.Context) error) *act.Task {
	return t.env.Go(t.pid(actors.Control), run)
}

func (t *tree) spawn(children []actors.Child) (err error) {
	t.root, err = actors.Spawn(t.sys, t.env, children, func(reason any) {
		select {
		case t.failed <- fmt.Errorf("the root of the actor tree failed: %v", reason):
		default:
		}
	})
	return err
}

func (t *tree) stop() error { return t.sys.Root.StopFuture(t.root).Wait() }

// children are the children of the root.
func (n *Node) children(specs []stream.Spec) []actors.Child {
	env, ctl := n.tree.env, n.tree.pid(actors.Control)
	children := []actors.Child{
		{Name: actors.Streams, Props: stream.Supervisor(env, stream.Config{
			Specs: specs, Hub: n.network.Hub, Pack: packager.Config{Wall: n.cfg.Machine.Wall, Log: n.log}, Relay: n.network.Relay, Wall: n.wall,
			Report: controller.Report(ctl), Numbered: controller.Numbered(ctl), Inherit: handover.Inherit(env, n.handover()),
			Answer: n.answerer().Answer, Registry: n.streams,
		})},
		{Name: actors.Peers, Props: actors.Group(env, "peers", n.peerLinks(n.file()))},
		{Name: actors.Control, Props: controller.Props(env, n.controlling())},
	}
	if n.servers == nil {
		return children
	}
	return append(children,
		actors.Child{Name: actors.Servers, Props: actors.Group(env, "servers", n.serverLinks(n.file()))},
		actors.Child{Name: actors.Sessions, Props: session.Supervisor(env, session.Config{
			Router: n.servers.router, Registry: n.sessions, Left: n.servers.left, Ended: n.history.Ended,
		})},
		actors.Child{Name: actors.Listeners, Props: actors.Group(env, "listeners", n.servers.listeners(env))})
}

// controlling is the configuration of the control actor.
func (n *Node) controlling() controller.Config {
	first := n.controlConfig()
	return controller.Config{
		Control: func() control.Config {
			c := n.controlConfig()
			c.Instance, c.Seed = first.Instance, first.Seed
			return c
		},
		Name: n.group.name, Streams: n.tree.streams(), Registry: n.streams, Peers: n.tree.pid(actors.Peers),
		Publish: func(v *control.View) {
			if n.group.publish(v, n.file(), identity.Member{Addr: n.tree.sys.Address(), SysID: n.tree.sys.ID}) {
				n.reporter.changed(v, n.tree.env.Now())
			}
		},
		Note: n.reporter.note, Load: n.measure, Wanted: n.wanted, Packs: n.servers != nil, Release: n.network.Release, Stepped: n.network.Stepped,
		Suspended: n.cfg.Machine.Suspended, Journal: n.journal, Drained: n.drain.Handed, Draining: n.drain.Draining,
	}
}

// controlConfig is the configuration of the control plane by the file in effect.
func (n *Node) controlConfig() control.Config {
	c := ControlConfig(n.media.whole(n.file()), n.cfg.Hostname)
	c.Hash = n.config.read.Load().Hash() // the hash must not depend on streams that the file does not name
	c.Instance, c.Seed = n.cfg.Machine.Instance(), n.tree.env.Rand()
	c.Advert = control.Advert{Build: n.cfg.Build, SysID: n.tree.sys.ID, Ports: n.servers.ports()}
	if n.group.cluster != nil {
		c.Advert.Remote = n.tree.sys.Address()
	}
	return c
}

// peerLinks are the followers of peers and of sources.
func (n *Node) peerLinks(f *conf.File) []actors.Child {
	out := make([]actors.Child, 0, len(f.Peers))
	for _, p := range f.Peers {
		out = append(out, actors.Child{Name: p.Entry(), Props: follower.Peer(n.tree.env, follower.Config{
			Entry: p.Entry(), Fetcher: n.network.Fetcher, Measured: n.measured(p.StaleTimeout),
		}, n.tree.pid(actors.Control))})
	}
	if n.servers != nil {
		out = append(out, n.sourceLinks(f)...)
	}
	return out
}

// measured counts the fetches of a peer's state.
func (n *Node) measured(stale time.Duration) func(peer string, rtt time.Duration, err error) {
	if n.cfg.Network != nil {
		return n.reporter.fetched // nobody reads the metrics of a simulated node
	}
	return func(peer string, rtt time.Duration, err error) {
		n.reporter.asked(peer, rtt, err, n.tree.env.Now(), stale)
	}
}

// serverLinks are the followers of the balancers' servers that are not peers.
func (n *Node) serverLinks(f *conf.File) (out []actors.Child) {
	keys, _ := otherServers(f)
	for _, key := range keys {
		out = append(out, actors.Child{Name: key, Props: follower.External(n.tree.env, follower.ExternalConfig{
			Config: follower.Config{Entry: key, Fetcher: n.network.Fetcher, Measured: n.reporter.fetched}, Kind: "server",
			Every: conf.DefaultFetchTimeout, Stale: conf.DefaultStaleTimeout, Changed: n.servers.balancers.Seen,
		})})
	}
	return out
}
