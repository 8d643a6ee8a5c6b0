// Package packager holds the actor that cuts one stream into segments, for HLS and DASH. It is started by the first
// request for them.
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
		p.task = p.env.Go(ctx.Self(), func(c context.Context) error {
			return cmaf.Pack(c, p.source.Units(), p.store, o)
		})
	case act.Ended:
		if m.Task == p.task && m.Err != nil {
			panic(fmt.Errorf("packager of %s: %w", p.source.Name(), m.Err))
		}
	case *actor.Stopping, *actor.Restarting:
		p.task.Stop()
	}
}
