// Package drain takes a node out of the group: the control plane hands its streams over, the viewers are waited for until a
// limit, and those that are left are sent to another node or counted.
//
// It does not know where a stream goes, nor where a viewer goes on.
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

// Limit is how long a drain takes at most, unless it is told otherwise.
const Limit = 30 * time.Second

const (
	// interval is how often the figures are looked at.
	interval = 100 * time.Millisecond

	// departLimit is how long viewers may take to be sent elsewhere, and readers of the progress to read its end.
	departLimit = 2 * time.Second
)

// Config is what a drain needs of its node.
type Config struct {
	HandOver func()                                           // makes the control plane hand the streams over; see [Drain.Handed]
	Go       func(run func(context.Context) error)            // runs a function beside the actors
	Wait     func(ctx context.Context, d time.Duration) error // returns after d, or with an error when ctx ends

	Sessions *session.Registry
	Locate   func(context.Context, listen.Request) listen.Answer // says where a viewer goes on
	Captures func() int                                          // of this node
	Served   func() uint64                                       // playlists and segments so far

	Log *slog.Logger
}

// A Drain is that of one node; it may never begin. Any goroutine may use it.
type Drain struct {
	cfg  Config
	over chan struct{}

	mu      sync.Mutex
	begun   bool
	state   api.Drain
	readers int // of the state
}

// New returns one that has not begun.
func New(c Config) *Drain { return &Drain{cfg: c, over: make(chan struct{})} }

// Begin makes the node hand its streams over and then wait for its viewers, for limit altogether; zero means [Limit]. It
// returns at once. Of several drains the first limit holds.
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

// HandOver is [Drain.Begin] without waiting for viewers: Over tells nothing. It says whether the drain begins with it.
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

// Handed tells the drain that the control plane is through.
func (d *Drain) Handed(e control.Drained) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state.State != api.DrainDone {
		d.state.State, d.state.Left, d.state.Alone = waiting, e.Left, e.Alone
	}
}

// Draining says whether the node drains.
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

// Follow begins a drain, unless there is one, and reports each change of its state until it is done or ctx ends.
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

// wait waits until the streams are handed over and nobody needs this node any more, or ctx ends.
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

// look brings the figures of the state up to date.
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

// depart sends the viewers that are left to other nodes, counts those that cannot be sent, and says how the drain went.
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
