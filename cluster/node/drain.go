package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/actors"
	"weir/cluster/control"
	"weir/protocols"
	"weir/protocols/api"
	"weir/protocols/listen"
)

// DrainLimit is how long a drain takes at most, unless it is told otherwise.
const DrainLimit = 30 * time.Second

const (
	// drainLook is the interval at which a drain looks how far it is.
	drainLook = 100 * time.Millisecond

	// segmentQuiet is how long nobody must have asked for playlists and segments before a node that served some may go:
	// two target durations. Players elsewhere hold playlists that name its segments.
	segmentQuiet = 8 * time.Second

	// farewell is how long those who follow a drain may take to read its end.
	farewell = 2 * time.Second
)

// A drainage is the drain of a node.
type drainage struct {
	over chan struct{} // closed when the node may end

	mu        sync.Mutex
	begun     bool
	state     api.Drain
	handed    bool // the control plane has nothing left to hand over, or nobody to take it
	left      control.Drained
	followers int
}

// drained is told by the control plane that it is through. It runs in the control actor.
func (d *drainage) drained(e control.Drained) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handed, d.left = true, e
}

// draining says whether the node drains.
func (d *drainage) draining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun
}

func (d *drainage) update(change func(*api.Drain)) api.Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.state)
	return d.state
}

// Drain makes the node hand its streams over and then wait for its viewers, for limit altogether; zero means
// [DrainLimit]. It returns at once; [Node.Drained] tells the end. Draining twice does no harm: the first limit holds.
func (n *Node) Drain(limit time.Duration) {
	if limit == 0 {
		limit = DrainLimit
	}
	n.drain.mu.Lock()
	first := !n.drain.begun
	n.drain.begun = true
	if first {
		n.drain.state = api.Drain{State: "handing over"}
	}
	n.drain.mu.Unlock()
	if !first {
		return
	}
	n.log.Info("draining", slog.Duration("limit", limit))
	n.sys.Root.Send(n.pid(actors.Control), control.Drain{})
	// The control actor is told of the end and does not care.
	n.env.Go(n.pid(actors.Control), func(context.Context) error {
		defer close(n.drain.over)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		n.handOver(ctx)
		n.depart(ctx)
		return nil
	})
}

// Drained is closed when the node has drained and may be stopped.
func (n *Node) Drained() <-chan struct{} { return n.drain.over }

// DrainState is how far the drain has come.
func (n *Node) DrainState() api.Drain { return n.drain.update(func(*api.Drain) {}) }

// handOver waits until the control plane has handed over what it can, and then, if anybody is left to lead clients to,
// until nobody needs this node any more.
func (n *Node) handOver(ctx context.Context) {
	clock := n.cfg.Outside.Clock
	quiet, served := time.Duration(0), n.servedSegments()
	if served == 0 {
		quiet = segmentQuiet
	}
	for {
		n.drain.mu.Lock()
		handed, left := n.drain.handed, n.drain.left
		n.drain.mu.Unlock()
		viewers, relays := n.direct()
		st := n.drain.update(func(s *api.Drain) {
			s.Streams, s.Viewers, s.Relays = n.captures(), viewers, relays
			if handed {
				s.State, s.Left, s.Alone = "waiting", left.Left, left.Alone
			}
		})
		if now := n.servedSegments(); now != served {
			quiet, served = 0, now
		}
		if handed && (st.Alone || st.Left > 0 || viewers == 0 && relays == 0 && quiet >= segmentQuiet) {
			return
		}
		if clock.Wait(ctx, drainLook) != nil {
			n.drain.update(func(s *api.Drain) { s.Expired = true })
			return
		}
		quiet += drainLook
	}
}

// depart sends the viewers that are left where they can go on, counts the others, and says how it all went.
func (n *Node) depart(ctx context.Context) {
	moved, closed := 0, 0
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	for _, c := range n.sessions.Clients() {
		s := c.Stats()
		if s.Protocol == protocols.Relay {
			continue
		}
		if m, ok := c.(listen.Mover); ok && m.Move(ask, n.front.router.Locate) {
			moved++
			continue
		}
		closed++
	}
	st := n.drain.update(func(s *api.Drain) {
		s.State, s.Moved, s.Closed = api.DrainDone, moved, closed
	})
	level, text := slog.LevelInfo, "drained"
	switch {
	case st.Alone:
		level, text = slog.LevelWarn, "drained: no other node lives, so nothing could be handed over"
	case st.Left > 0:
		level, text = slog.LevelWarn, "drained: some streams could not be handed over, since no live node may take them"
	case st.Expired && st.Streams > 0:
		level, text = slog.LevelWarn, "drained: the limit was reached before all streams were handed over"
	}
	n.log.Log(ctx, level, text, slog.Int("streams", max(st.Left, st.Streams)), slog.Int("moved", moved), slog.Int("closed", closed))
	for n.drain.followed() && n.cfg.Outside.Clock.Wait(ask, drainLook/4) == nil {
	}
}

func (d *drainage) followed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.followers > 0
}

func (d *drainage) follow(by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.followers += by
}

// direct counts the viewers that this node serves itself, and the nodes that take streams from it.
func (n *Node) direct() (viewers, relays int) {
	for _, s := range n.sessions.List() {
		switch {
		case s.Protocol == protocols.Relay:
			relays++
		case !s.Publisher:
			viewers++
		}
	}
	return viewers, relays
}

// servedSegments counts the playlists and segments that were served so far.
func (n *Node) servedSegments() uint64 {
	st := n.front.hls.Stats()
	return st.Playlists + st.Segments
}

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
	n := s.n
	n.drain.follow(1)
	defer n.drain.follow(-1)
	n.Drain(limit)
	last := api.Drain{}
	for {
		if st := n.DrainState(); st != last {
			report(st)
			last = st
		}
		if last.State == api.DrainDone || n.cfg.Outside.Clock.Wait(ctx, drainLook) != nil {
			return
		}
	}
}
