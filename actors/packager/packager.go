// Package packager holds the actor that cuts one stream into segments, for HLS and DASH. It is started by the first
// request for them, or with the capture if another node has made some before.
//
// When it fails it starts afresh and keeps the segments, because the store is its parent's. Segments that are missing then
// are made again if the stream is a function of time; otherwise a discontinuity is left. It serves no requests; that is
// the work of the protocols.
package packager

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/codecs"
	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

// Config is what all packagers share.
type Config struct {
	Store cmaf.Config

	// Wall reads the wall clock, from which a stream without earlier segments takes its first number.
	Wall func() time.Time

	Log *slog.Logger
}

// A Past makes segments of the past again, of a stream that is a function of time. The zero Past is that of any other stream.
type Past struct {
	// Backfill returns the access units of a segment by its media sequence number, and SegmentAt the number of the
	// segment that is on air at an instant in ticks.
	Backfill  func(msn int64) ([]*codecs.AccessUnit, error)
	SegmentAt func(ticks int64) int64

	// Longest is the length in ticks that no segment exceeds; zero while it is not known.
	Longest func() int64
}

// Numbered tells the parent the number of the segment that is being cut, for how long it has been, and how long segments
// last. It is sent at the start, and whenever the one sent before no longer holds: see [Anchor]. It is not sent of a stream
// that is a function of time, whose numbers follow from the time.
type Numbered struct {
	Number      int64
	Period, Age time.Duration
}

// Finish asks the packager to close the segment that is open and to make no other. The packager answers with [Finished] and
// waits to be stopped.
type Finish struct{}

// Finished tells the parent that the store gets no further segments.
type Finished struct{}

// cut says, from the goroutine of an incarnation, which segment is being cut.
type cut struct {
	of *packager
	Anchor
}

// Props describes the packager of one stream.
func Props(env act.Env, c Config, source listen.Source, store *cmaf.Store, past Past) *actor.Props {
	return act.Props(env, "packager", func() actor.Actor {
		return &packager{env: env, cfg: c, source: source, store: store, past: past}
	})
}

type packager struct {
	env    act.Env
	cfg    Config
	source listen.Source
	store  *cmaf.Store
	past   Past
	task   *act.Task
	finish context.CancelFunc
	ending bool   // it has been told to finish
	over   bool   // the goroutine has returned
	told   Anchor // of the last Numbered
}

// Receive implements [actor.Actor].
func (p *packager) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		o := cmaf.Options{
			Backfill: p.past.Backfill, NumberAt: p.past.SegmentAt,
			Start: cmaf.FreshNumber(p.cfg.Wall()), Log: p.cfg.Log,
		}
		if p.past.Longest != nil {
			o.Longest = time.Duration(p.past.Longest()) * time.Second / codecs.ClockRate
		}
		o.Finish, p.finish = context.WithCancel(context.Background())
		if p.past.Backfill == nil {
			root, self := ctx.ActorSystem().Root, ctx.Self()
			o.Cut = func(number int64, period time.Duration) { root.Send(self, cut{p, Anchor{number, period, p.env.Now()}}) }
		}
		p.task = p.env.Go(ctx.Self(), func(c context.Context) error {
			return cmaf.Pack(c, p.source.Units(), p.store, o)
		})
	case cut:
		if m.of == p && !p.told.Holds(m.Anchor) {
			p.told = m.Anchor
			ctx.Send(ctx.Parent(), Numbered{m.Number, m.Period, p.env.Now() - m.At})
		}
	case Finish:
		p.ending = true
		p.finish()
		if p.over {
			ctx.Send(ctx.Parent(), Finished{})
		}
	case act.Ended:
		if m.Task != p.task {
			return
		}
		if m.Err != nil {
			panic(fmt.Errorf("packager of %s: %w", p.source.Name(), m.Err))
		}
		if p.over = true; p.ending {
			ctx.Send(ctx.Parent(), Finished{})
		}
	case *actor.Stopping, *actor.Restarting:
		p.task.Stop()
		p.finish()
	}
}
