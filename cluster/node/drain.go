package node

import (
	"context"
	"time"

	"weir/actors"
	"weir/cluster/control"
	"weir/cluster/drain"
	"weir/cluster/router"
)

// newDrain makes the drain of this node.
func (n *Node) newDrain(r *router.Router) *drain.Drain {
	c := drain.Config{
		HandOver: func() { n.sys.Root.Send(n.Control(), control.Drain{}) },
		// The control actor is told of the end and does nothing about it.
		Go:   func(run func(context.Context) error) { n.env.Go(n.pid(actors.Control), run) },
		Wait: n.cfg.Outside.Clock.Wait, Sessions: n.sessions, Captures: n.captures, Log: n.log,
	}
	if r != nil {
		c.Locate = r.Locate
		c.Served = func() uint64 {
			st := n.servers.hls.Stats()
			return st.Playlists + st.Segments
		}
	}
	return drain.New(c)
}

// Drain makes the node hand its streams over and then wait for its viewers; see [drain.Drain.Begin].
func (n *Node) Drain(limit time.Duration) { n.drain.Begin(limit) }

// Drained is closed when the node has drained and may be stopped.
func (n *Node) Drained() <-chan struct{} { return n.drain.Over() }

// BeginDrain makes the node hand its streams over, without waiting for viewers.
func (n *Node) BeginDrain() { n.drain.HandOver() }
