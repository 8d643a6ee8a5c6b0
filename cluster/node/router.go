package node

import (
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/handover"
	"weir/cluster/owner"
	"weir/cluster/router"
)

func (n *Node) newRouter() *router.Router {
	return router.New(router.Config{
		Directory: n.group.directory, Registry: n.streams, Instances: n.instances, SRS: n.srs, Hooks: n.hooks, Log: n.log,
		Streams:  func(m any) { n.sys.Root.Send(n.Streams(), m) },
		Hold:     n.hold,
		Reserved: n.reserved,
		Demanded: func(stream string, least time.Duration) {
			n.sys.Root.Send(n.Control(), control.Demanded{Stream: stream, Fresh: max(controller.DemandFresh, control.Instant(least))})
		},
		Claim:   n.asker().Claim,
		Unclaim: func(stream string) { n.sys.Root.Send(n.Control(), control.PublishEnded{Stream: stream}) },
	})
}

// reserved says why a stream cannot have a name.
func (n *Node) reserved(name string) error { return conf.CheckName(name, n.file().BalancerNames()) }

func (n *Node) newInstances() *router.Instances {
	return &router.Instances{
		Belongs: func(name string) bool {
			_, ok := n.file().Open(name, false)
			return ok
		},
		Reserved: n.reserved,
		Now:      func() time.Duration { return n.env.Now() },
		Changed:  n.rederive,
	}
}

// made are the streams that publishers have made, as far as the file still has their template or virtual host.
func (n *Node) made(f *conf.File) (out []conf.Stream) {
	for _, name := range n.instances.Names() {
		if s, ok := f.Open(name, true); ok {
			out = append(out, s)
		}
	}
	return out
}

// wanted lists the on-demand streams that clients of this node want now.
func (n *Node) wanted() []string {
	v := n.group.view.Load()
	if n.servers == nil || v == nil {
		return nil
	}
	n.instances.Sweep(n.env.Now(), n.publishes)
	return n.servers.router.Wanted(v, n.sessions.List())
}

// publishes says whether a stream has a publisher here.
func (n *Node) publishes(name string) bool {
	_, is, ok := n.streams.Get(name)
	return ok && is.Publisher != ""
}

// asker asks the owners of streams for this node.
func (n *Node) asker() *owner.Asker {
	return &owner.Asker{Self: n.group.name, Want: n.controller().WantPublish, Ask: n.group.ask}
}

// answerer answers other nodes for the streams that this node captures.
func (n *Node) answerer() *owner.Answerer {
	return &owner.Answerer{
		Self: n.group.name, Viewers: n.sessions.Viewers, Window: handover.Window,
		Streams: func(m any) { n.sys.Root.Send(n.Streams(), m) },
		Release: n.controller().AskRelease,
	}
}
