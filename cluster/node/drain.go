package node

import (
	"context"
	"fmt"
	"time"

	"weir/actors"
	"weir/cluster/control"
	"weir/cluster/drain"
	"weir/protocols/api"
)

// newDrain makes the drain of this node.
func (n *Node) newDrain() *drain.Drain {
	c := drain.Config{
		HandOver: func() { n.sys.Root.Send(n.Control(), control.Drain{}) },
		// The control actor is told of the end and does nothing about it.
		Go:   func(run func(context.Context) error) { n.env.Go(n.pid(actors.Control), run) },
		Wait: n.cfg.Outside.Clock.Wait, Sessions: n.sessions, Captures: n.captures, Log: n.log,
	}
	if n.front != nil {
		c.Locate = n.front.router.Locate
		c.Served = func() uint64 {
			st := n.front.hls.Stats()
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

// Explain implements [api.Control].
func (s shown) Explain(ctx context.Context, stream string) (any, error) {
	x, err := s.n.controller().Explain(ctx, stream)
	switch {
	case err != nil:
		return nil, err
	case x == nil:
		return nil, fmt.Errorf("%w: %s", api.ErrNotFound, stream)
	}
	return x, nil
}

// Plan implements [api.Control].
func (s shown) Plan(ctx context.Context, without []string) (any, error) {
	return s.n.controller().Forecast(ctx, without)
}

// Alarms implements [api.Control].
func (s shown) Alarms() (out []api.Alarm) {
	v := s.n.view.get()
	if v == nil {
		return nil
	}
	now := control.Instant(s.n.env.Now())
	for _, a := range v.Alarms {
		out = append(out, api.Alarm{Kind: string(a.Kind), Node: a.Node, Since: seconds(now - a.Since), Text: a.Text})
	}
	if db := s.n.geo.Database(); db.Broken() != "" {
		why, since := db.Broken(), db.BrokenFor()
		out = append(out, api.Alarm{
			Kind: "geoip", Node: v.Self, Since: int64(since.Seconds()),
			Text: "the database of countries " + db.Path() + " cannot be read, the former one is in use: " + why,
		})
	}
	return out
}

// Drain implements [api.Control].
func (s shown) Drain(ctx context.Context, limit time.Duration, report func(api.Drain)) {
	s.n.drain.Follow(ctx, limit, report)
}
