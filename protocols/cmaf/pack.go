package cmaf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"weir/codecs"
	"weir/protocols/listen"
)

// Options are what a packager knows of its stream beforehand.
type Options struct {
	// Backfill returns the access units of the segment with this mark; their tracks are those of the feed. It is given for
	// a stream whose segments are a function of their marks, and called by the packager's goroutine. With it the store
	// starts with a whole window, and no segment lacks access units. All nodes that pack the stream therefore serve the
	// same bytes under the same numbers.
	Backfill func(number int64) ([]*codecs.AccessUnit, error)

	// NumberAt returns the mark of the segment that holds the instant, in ticks. With it the window is filled when the
	// first access unit comes; without, at the first mark, which is up to a segment later. Only used with Backfill.
	NumberAt func(ticks int64) int64

	// Longest is the duration that no segment between two marks exceeds; zero if it is not known. It gives the target
	// duration.
	Longest time.Duration

	// Start is the number of the first segment if neither the store nor a mark gives it: see [FreshNumber].
	Start int64

	// Finish, when it ends, ends Pack like the end of the feed: the open segment is closed, and published unless it is too
	// short. Nil means never.
	Finish context.Context

	// Cut, if not nil, is called by the packager's goroutine at the start and after each segment, with the number that the
	// open segment will have, and how long segments last.
	Cut func(number int64, period time.Duration)

	// Log is told of what viewers may notice. Nil: nothing is logged.
	Log *slog.Logger
}

// errFinish is why Pack reads no more when it has been told to finish.
var errFinish = errors.New("no further segment is to be made")

// maxRebuilt bounds how many segments are rebuilt at once. It ends the search for three target durations in streams whose
// longest segment is far longer than the others.
const maxRebuilt = 100

// Pack reads a feed into a store until the feed ends, which is no error, or ctx does. It closes the feed. A store that
// was filled before is continued with higher numbers, and with a discontinuity where segments are missing.
func Pack(ctx context.Context, feed listen.UnitFeed, store *Store, o Options) error {
	defer feed.Close()
	p := newPacker(store, o)
	if o.Finish != nil {
		c, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(o.Finish, func() { cancel(errFinish) })()
		ctx = c
	}
	p.reportCut()
	var units []*codecs.AccessUnit
	dropped := feed.Dropped()
	for {
		var tracks codecs.Tracks
		var err error
		clear(units)
		units, tracks, err = feed.Next(ctx, units[:0])
		if n := feed.Dropped(); n != dropped {
			p.log.Warn("packager was too slow", slog.Uint64("dropped", n-dropped))
			dropped = n
			if e := p.publish(p.segmenter.Break(), nil); e != nil {
				return e
			}
		}
		if tracks != nil {
			if e := p.publish(p.segmenter.SetTracks(tracks), nil); e != nil {
				return e
			}
		}
		for _, au := range units {
			if e := p.push(au); e != nil {
				return e
			}
		}
		switch {
		case errors.Is(err, io.EOF), err != nil && errors.Is(context.Cause(ctx), errFinish):
			return p.publish(p.segmenter.Flush(), nil)
		case err != nil:
			return fmt.Errorf("reading the stream: %w", err)
		}
	}
}

// A packer is the state of one Pack.
type packer struct {
	store     *Store
	options   Options
	segmenter *Segmenter
	log       *slog.Logger

	filled     bool // the window has been filled, or cannot be
	lastMarked bool // the last segment in the store began at a mark, or there is none
}

func newPacker(store *Store, o Options) *packer {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := store.Record()
	if r.TargetDuration == 0 && o.Longest > 0 {
		r.TargetDuration = store.fixTarget(min(seconds(ticks(o.Longest)), seconds(maxMarked)))
	}
	p := &packer{
		store: store, options: o, log: o.Log,
		segmenter:  NewSegmenter(store.config, r.Next, o.Start, r.TargetDuration, o.Backfill != nil),
		filled:     o.Backfill == nil || o.NumberAt == nil,
		lastMarked: true,
	}
	if w := store.Window(); len(w.Segments) > 0 {
		p.lastMarked = w.Segments[len(w.Segments)-1].marked
	}
	return p
}

// reportCut reports the number of the open segment.
func (p *packer) reportCut() {
	if p.options.Cut == nil {
		return
	}
	number, period := p.store.Record().Next, p.store.config.Target
	if number == 0 {
		number = max(p.options.Start, 1)
	}
	if w := p.store.Window(); len(w.Segments) > 0 {
		length := int64(0)
		for _, seg := range w.Segments {
			length += seg.Duration
		}
		period = time.Duration(length/int64(len(w.Segments))) * time.Second / codecs.ClockRate
	}
	p.options.Cut(number, period)
}

func (p *packer) push(au *codecs.AccessUnit) error {
	if !p.filled && p.segmenter.generation != nil {
		p.filled = true
		if p.lastMarked {
			if err := p.repair(Step{Began: p.options.NumberAt(au.DTS)}, nil); err != nil {
				return err
			}
			p.segmenter.Skip(p.store.Record().Next)
		}
	}
	return p.publish(p.segmenter.Push(au), au)
}

// publish adds to the store what a step closed; au is the access unit of the step.
func (p *packer) publish(st Step, au *codecs.AccessUnit) error {
	if st.Began != 0 {
		return p.repair(st, au)
	}
	return p.append(st.Closed)
}

func (p *packer) append(segments []*Segment) error {
	if len(segments) == 0 {
		return nil
	}
	if err := p.store.Append(segments...); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	p.lastMarked = segments[len(segments)-1].marked
	p.segmenter.Promise(p.store.Record().TargetDuration)
	p.reportCut()
	return nil
}

// repair publishes all segments up to the one that began with follow, which is nil if it is not known. A segment that the
// step closed whole is published as it is. One that lacks access units, or that the store does not have, is rebuilt. With
// the rebuilt ones the store has as many segments as a store that has been running for long.
func (p *packer) repair(st Step, follow *codecs.AccessUnit) error {
	closed := make(map[int64]*Segment, len(st.Closed))
	for _, seg := range st.Closed {
		closed[seg.Number] = seg
	}
	record := p.store.Record()
	next := max(record.Next, 1)
	if !p.lastMarked {
		// Another input was on air. The segments that this one would have had meanwhile are not part of the stream.
		next = max(next, st.Began-1)
	}
	var built []*Segment
	length, enough, failed := int64(0), maxRebuilt, false
	// Downwards, because a segment ends where the next one starts.
	for n := st.Began - 1; n >= next && n >= st.Began-maxRebuilt && len(built) < enough; n-- {
		seg := closed[n]
		if !failed && (seg == nil || !seg.whole) {
			again, err := p.rebuild(n, n-st.Shift, follow)
			if err == nil {
				seg = again
			} else if failed = true; p.options.Backfill != nil {
				p.log.Warn("segment cannot be rebuilt", slog.Any("err", err))
			}
		}
		follow = nil
		if seg == nil {
			continue
		}
		built = append(built, seg)
		follow = seg.units[0]
		if length += seg.Duration; enough == maxRebuilt && p.store.full(len(built), length, record.TargetDuration) {
			enough = len(built) + p.store.config.keep()
		}
	}
	slices.Reverse(built)
	return p.append(built)
}

// rebuild computes segment number, whose mark is mark, anew. follow is the first access unit after it, or nil.
func (p *packer) rebuild(number, mark int64, follow *codecs.AccessUnit) (*Segment, error) {
	g := p.segmenter.generation
	switch {
	case p.options.Backfill == nil || g == nil:
		return nil, errors.New("the segments are no function of their marks")
	case mark <= 0:
		return nil, fmt.Errorf("there is no segment %d", mark)
	}
	known := func(au *codecs.AccessUnit) bool { return au.Track >= 0 && au.Track < len(g.Tracks) }
	units, err := p.options.Backfill(mark)
	switch {
	case err != nil:
		return nil, fmt.Errorf("rebuilding segment %d: %w", mark, err)
	case len(units) == 0:
		return nil, fmt.Errorf("rebuilding segment %d: it is empty", mark)
	case units[0].Cut != mark:
		return nil, fmt.Errorf("rebuilding segment %d: it starts with mark %d", mark, units[0].Cut)
	}
	for _, au := range units {
		if !known(au) {
			return nil, fmt.Errorf("rebuilding segment %d: no track %d", mark, au.Track)
		}
	}
	if follow == nil {
		if after, err := p.options.Backfill(mark + 1); err == nil && len(after) > 0 && known(after[0]) {
			follow = after[0]
		}
	}
	seg := newSegment(number, g, units, follow)
	seg.Discontinuity, seg.marked, seg.whole = units[0].Discontinuity, true, true
	return seg, nil
}
