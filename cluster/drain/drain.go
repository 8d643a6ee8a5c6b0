// Package drain takes a node out of the group in three steps: the control plane hands over the node's streams; the node waits for
// its viewers to leave, up to a limit; the viewers that are left then are sent to another node if their protocol can do that.
//
// It does not know to which node a stream or a viewer goes.
package drain

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"weir/actors/session"
	"weir/cluster/control"
	"weir/protocols"
	"weir/protocols/api"
	"weir/protocols/listen"
)

// Limit is how long a drain takes at most, unless another limit is given.
const Limit = 30 * time.Second

const (
	// interval is how often the numbers of streams and viewers are checked.
	interval = 100 * time.Millisecond

	// departLimit is how long it may take to send the viewers to other nodes, and until all readers of the progress have read
	// the end.
	departLimit = 2 * time.Second
)

// Config is what a drain needs of its node.
type Config struct {
	HandOver func()                                           // makes the control plane hand over the streams; it calls [Drain.Handed] then
	Go       func(run func(context.Context) error)            // runs a function beside the actors
	Wait     func(ctx context.Context, d time.Duration) error // returns after d, or with an error when ctx ends

	Sessions *session.Registry
	Locate   func(context.Context, listen.Request) listen.Answer // finds the node that serves a viewer from now on
	Captures func() int                                          // how many streams this node captures
	Served   func() uint64                                       // how many playlists and segments this node has served

	Log *slog.Logger
}

// A Drain drains a node, once it is told to begin. Any goroutine may use it.
type Drain struct {
	cfg  Config
	over chan struct{}

	mu      sync.Mutex
	begun   bool
	state   api.Drain
	readers int // how many calls of Follow are running
}

// New returns a Drain that has not begun.
func New(c Config) *Drain { return &Drain{cfg: c, over: make(chan struct{})} }

// Begin makes the node hand over its streams and then wait for its viewers to leave. Both together take no longer than limit; zero
// means [Limit]. Begin returns at once. If the drain has begun already, it does nothing.
func (d *Drain) Begin(limit time.Duration) {
	if !d.HandOver() {
		return
	}
	if limit == 0 {
		limit = Limit
	}
	d.cfg.Log.Info("draining", slog.Duration("in", limit))
	d.cfg.Go(func(context.Context) error {
		defer close(d.over)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		d.wait(ctx)
		d.depart(ctx)
		return nil
	})
}

// HandOver makes the node hand over its streams, without waiting for viewers; [Drain.Over] is not closed then. It reports whether
// this call was the first one of HandOver or Begin.
func (d *Drain) HandOver() (first bool) {
	d.mu.Lock()
	first = !d.begun
	if d.begun = true; first {
		d.state.State = handingOver
	}
	d.mu.Unlock()
	if first {
		d.cfg.HandOver()
	}
	return first
}

// Handed tells the drain that the control plane has handed over all streams that it can.
func (d *Drain) Handed(e control.Drained) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state.State != api.DrainDone {
		d.state.State, d.state.Left, d.state.Alone = waiting, e.Left, e.Alone
	}
}

// Draining says whether the drain has begun.
func (d *Drain) Draining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun
}

// Over is closed when the node has drained and may end.
func (d *Drain) Over() <-chan struct{} { return d.over }

// State is how far the drain has come.
func (d *Drain) State() api.Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// Follow begins the drain if it has not begun, and reports each change of its state until it is done or ctx ends.
func (d *Drain) Follow(ctx context.Context, limit time.Duration, report func(api.Drain)) {
	d.reading(1)
	defer d.reading(-1)
	d.Begin(limit)
	last := api.Drain{}
	for {
		if st := d.State(); st != last {
			report(st)
			last = st
		}
		if last.State == api.DrainDone || d.cfg.Wait(ctx, interval) != nil {
			return
		}
	}
}

func (d *Drain) reading(more int) (readers int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readers += more
	return d.readers
}

// wait waits until the streams are handed over and no client needs this node any more, or until ctx ends.
func (d *Drain) wait(ctx context.Context) {
	quiet := newSilence(d.cfg.Served())
	for passed := time.Duration(0); !over(d.look(), quiet.take(d.cfg.Served(), passed)); passed = interval {
		if d.cfg.Wait(ctx, interval) != nil {
			d.mu.Lock()
			d.state.Expired = true
			d.mu.Unlock()
			return
		}
	}
}

// look updates the numbers in the state.
func (d *Drain) look() api.Drain {
	viewers, relays, streams := 0, 0, d.cfg.Captures()
	for _, s := range d.cfg.Sessions.List() {
		switch {
		case s.Protocol == protocols.Relay:
			relays++
		case !s.Publisher:
			viewers++
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Streams, d.state.Viewers, d.state.Relays = streams, viewers, relays
	return d.state
}

// depart sends the remaining viewers to other nodes, counts those that cannot be sent, and logs the result of the drain.
func (d *Drain) depart(ctx context.Context) {
	moved, closed := 0, 0
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), departLimit)
	defer cancel()
	for _, c := range d.cfg.Sessions.Clients() {
		if c.Stats().Protocol == protocols.Relay {
			continue
		}
		if m, ok := c.(listen.Mover); ok && m.Move(ctx, d.cfg.Locate) {
			moved++
			continue
		}
		closed++
	}
	d.mu.Lock()
	d.state.State, d.state.Moved, d.state.Closed = api.DrainDone, moved, closed
	st := d.state
	d.mu.Unlock()
	log := d.cfg.Log.With(slog.Int("streams", max(st.Left, st.Streams)), slog.Int("moved", moved), slog.Int("closed", closed))
	switch {
	case st.Alone:
		log.Warn("drained: no other node lives, so nothing could be handed over")
	case st.Left > 0:
		log.Warn("drained: some streams could not be handed over, since no live node may take them")
	case st.Expired && st.Streams > 0:
		log.Warn("drained: the limit was reached before all streams were handed over")
	default:
		log.Info("drained")
	}
	for d.reading(0) > 0 && d.cfg.Wait(ctx, interval/4) == nil {
	}
}
