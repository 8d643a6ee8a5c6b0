// Package packager holds the actor that cuts one stream into segments, for HLS and DASH. It is started by the first
// request for them, or with the capture if another node has made some before.
//
// When it fails it starts afresh with the segments that are there: the store is its parent's. What is lost meanwhile
// is made again if the stream is a function of time, and otherwise leaves a discontinuity. It serves nobody; that is
// the protocols' work.
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

	// Wall reads the wall clock, from which a stream that has no history takes its first number.
	Wall func() time.Time

	Log *slog.Logger
}

// A Past makes segments of a stream that is a function of time. Its zero value says that the stream is none.
type Past struct {
	// Backfill returns the access units of a segment by its media sequence number, and SegmentAt the number of the
	// segment that is on air at an instant in ticks.
	Backfill  func(msn int64) ([]*codecs.AccessUnit, error)
	SegmentAt func(ticks int64) int64

	// Longest is the length in ticks that no segment exceeds; zero while nobody knows.
	Longest func() int64
}

// Numbered tells the parent which segment number is being cut, for so long by then, and how long segments last: at the
// start, and whenever it is not the number that follows, within one, from what was told before. A stream that is a
// function of time is not told of: whoever knows the time knows its numbers.
type Numbered struct {
	Number      int64
	Period, Age time.Duration
}

// Finish asks the packager to close the segment that is open and to make no other. It answers with [Finished] and does
// nothing from then on but wait to be stopped.
type Finish struct{}

// Finished tells the parent that the store gets no further segments.
type Finished struct{}

// cut is what the goroutine of an incarnation says of the number that is cut since an instant.
type cut struct {
	of     *packager
	number int64
	period time.Duration
	at     time.Duration
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
	ending bool // it has been told to finish
	over   bool // the goroutine has returned
	told   cut  // what the parent knows; a number of zero: nothing
}

// Receive implements [actor.Actor].
func (p *packager) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		o := cmaf.Options{
			Backfill: p.past.Backfill, NumberAt: p.past.SegmentAt,
			Start: cmaf.FreshNumber(p.cfg.Wall(), p.cfg.Store.Shortest), Log: p.cfg.Log,
		}
		if p.past.Longest != nil {
			o.Longest = time.Duration(p.past.Longest()) * time.Second / codecs.ClockRate
		}
		o.Finish, p.finish = context.WithCancel(context.Background())
		if p.past.Backfill == nil {
			root, self := ctx.ActorSystem().Root, ctx.Self()
			o.Cut = func(number int64, period time.Duration) { root.Send(self, cut{p, number, period, p.env.Now()}) }
		}
		p.task = p.env.Go(ctx.Self(), func(c context.Context) error {
			return cmaf.Pack(c, p.source.Units(), p.store, o)
		})
	case cut:
		if m.of == p && !p.told.predicts(m) {
			p.told = m
			ctx.Send(ctx.Parent(), Numbered{m.number, m.period, p.env.Now() - m.at})
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

// predicts says whether the number of next follows from c within one.
func (c cut) predicts(next cut) bool {
	if c.number == 0 || c.period <= 0 {
		return false
	}
	d := next.number - c.number - int64((next.at-c.at)/c.period)
	return d >= -1 && d <= 1
}
