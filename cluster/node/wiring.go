package node

import (
	"context"
	"net"
	"net/url"
	"time"

	"weir/actors"
	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/drain"
	"weir/cluster/handover"
	"weir/cluster/load"
	"weir/cluster/owner"
	"weir/cluster/wire"
	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

// holdMargin is how long a take-over may take once the owner of a stream is known to be dead.
const holdMargin = 2 * time.Second

// hold is how long a request may wait for a stream whose owner has died: until the other nodes notice, and until one has taken the
// stream over.
func (n *Node) hold() time.Duration { return Hold(n.file()) }

// Hold is how long a node with this file holds a request for a stream whose owner has died.
func Hold(f *conf.File) time.Duration {
	stale := time.Duration(0)
	for _, p := range f.Peers {
		stale = max(stale, p.StaleTimeout)
	}
	return stale + holdMargin
}

// stateURL is the URL from which the state of a peer, or of a server that is not a peer, is fetched. Its path is not included.
func (n *Node) stateURL(e string) string {
	f := n.file()
	if p, ok := peersByEntry(f)[e]; ok {
		return p.APIURL
	}
	_, urls := otherServers(f)
	return urls[e]
}

// linkBroken tells the control plane that a connection to the host:port of a peer was ended there.
func (n *Node) linkBroken(addr string) {
	for _, p := range n.file().Peers {
		if u, err := url.Parse(p.APIURL); err == nil && hostPort(u) == addr {
			n.Control().Send(control.LinkBroken{Peer: p.Entry()})
		}
	}
}

// hostPort is the address to which a client of the URL connects.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// captures is how many streams this node captures now.
func (n *Node) captures() int { return controller.Capturing(n.streams) }

// newLoad makes the meter of this node's load.
func (n *Node) newLoad() *load.Meter {
	return load.New(load.Config{
		Sessions: n.sessions, Streams: n.streams, Burden: n.cfg.Machine.Burden, Captures: n.captures,
		Playlists: func() uint64 { return n.servers.stats().Bytes },
		Chosen: func(now time.Duration) int {
			if n.servers == nil {
				return 0
			}
			return n.servers.balancers.PerSecond(now)
		},
	})
}

// measure measures the load for the control plane, and the figures that the API of SRS shows.
func (n *Node) measure() control.Load {
	now := n.tree.env.Now()
	if n.servers != nil {
		n.servers.srsAPI.Measure(now)
	}
	return n.load.Measure(now)
}

// newDrain makes the part of the node that drains it.
func (n *Node) newDrain() *drain.Drain {
	return drain.New(drain.Config{
		HandOver: func() { n.Control().Send(control.Drain{}) },
		Go:       func(run func(context.Context) error) { n.tree.beside(run) },
		Wait:     n.cfg.Machine.Clock.Wait, Sessions: n.sessions, Captures: n.captures, Log: n.log,
		Locate: func(ctx context.Context, q listen.Request) listen.Answer { return n.servers.router.Locate(ctx, q) },
		Served: func() uint64 {
			st := n.servers.stats()
			return st.Playlists + st.Segments
		},
	})
}

// handover is the configuration with which the HLS window of a stream is fetched from another node.
func (n *Node) handover() handover.Config {
	return handover.Config{
		Self: n.group.name, Ask: n.group.askAt, Private: n.group.private, Log: n.log,
		Segment: func(ctx context.Context, private, stream string, f cmaf.Form, number int64) ([]byte, error) {
			return n.servers.hls.Fetch(ctx, private, stream, f, number)
		},
	}
}

// answerer makes the Answerer, which answers other nodes' questions about streams that this node captures.
func (n *Node) answerer() *owner.Answerer {
	return &owner.Answerer{
		Self: n.group.name, Viewers: n.sessions.Viewers, Window: handover.Window,
		Streams: func(m any) { n.tree.send(actors.Streams, m) },
		Release: n.Control().AskRelease,
		Leaving: func(stream string) string {
			if n.servers == nil {
				return ""
			}
			session, _ := n.servers.hooks.Leaving(stream)
			return session
		},
		Left: n.left,
	}
}

// left calls told once the hooks have been told that the publisher of that session has ended.
func (n *Node) left(stream, session string, told func()) {
	if n.servers == nil || session == "" {
		told()
		return
	}
	n.servers.hooks.End(stream, session, told)
}

// giveWay asks the publisher that a stream has here to give way.
func (n *Node) giveWay(ctx context.Context, name string) (*wire.Claimed, error) {
	answer := make(chan *wire.Claimed, 1)
	n.tree.send(actors.Streams, stream.GiveWay{Stream: name, Reply: func(free bool, gone string) {
		n.left(name, gone, func() { answer <- owner.Given(n.group.name(), free, gone) })
	}})
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
