package cmaf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"weir/codecs"
	"weir/protocols/listen"
)

// Options say what a packager knows about its stream beforehand.
type Options struct {
	// Backfill returns the access units of the segment with this mark. It is given for a stream whose segments are a
	// function of their marks, and called by the packager's goroutine. With it the store starts with a whole window,
	// and no segment ever lacks anything, so that all nodes which pack the stream serve the same bytes under the same
	// numbers. The tracks are those that the feed has.
	Backfill func(number int64) ([]*codecs.AccessUnit, error)

	// NumberAt returns the mark of the segment that holds the instant, in ticks. With it the window is filled when the
	// first access unit comes; without, at the first mark, which is up to a segment later. Only used with Backfill.
	NumberAt func(ticks int64) int64

	// Longest is the duration that no segment between two marks exceeds; zero when nobody knows. It gives the target
	// duration of the playlists.
	Longest time.Duration

	// Start is the number of the first segment if neither the store nor a mark gives it: see [FreshNumber].
	Start int64

	// Finish, when it ends, ends Pack like the end of the feed: what is open is closed, and becomes a segment unless it
	// is too short. Nil means never.
	Finish context.Context

	// Cut, if not nil, is told by the packager's goroutine of the number that is being cut from now on, at the start
	// and after each segment, and how long segments last.
	Cut func(number int64, period time.Duration)

	// Log is told what viewers may notice. Nil means nobody.
	Log *slog.Logger
}

// Pack reads a feed into a store until the feed ends, which is no error, or ctx does. It closes the feed. A store that
// has been filled before is continued: higher numbers only, with a discontinuity where something is missing.
func Pack(ctx context.Context, feed listen.UnitFeed, store *Store, o Options) error {
	defer feed.Close()
	p := newPacker(store, o)
	defer p.note()
	if o.Finish != nil {
		c, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(o.Finish, func() { cancel(errFinish) })()
		ctx = c
	}
	p.tell()
	var units []*codecs.AccessUnit
	dropped := feed.Dropped()
	for {
		var tracks codecs.Tracks
		var err error
		clear(units)
		units, tracks, err = feed.Next(ctx, units[:0])
		if n := feed.Dropped(); n != dropped {
			p.log.Warn("packager was too slow", slog.Uint64("dropped", n-dropped))
			store.note(func(s *Stats) { s.Dropped += n - dropped })
			dropped = n
			if e := p.take(p.segmenter.Break(), nil); e != nil {
				return e
			}
		}
		if tracks != nil {
			if e := p.take(p.segmenter.SetTracks(tracks), nil); e != nil {
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
			return p.take(p.segmenter.Flush(), nil)
		case err != nil:
			return fmt.Errorf("reading the stream: %w", err)
		}
	}
}

// errFinish is why Pack reads no more when it has been told to finish.
var errFinish = errors.New("no further segment is to be made")

// tell says which number is being cut.
func (p *packer) tell() {
	if p.options.Cut == nil {
		return
	}
	number, period := p.store.Next(), p.store.config.Target
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

// A packer is the state of one Pack.
type packer struct {
	store     *Store
	options   Options
	segmenter *Segmenter
	log       *slog.Logger

	filled bool           // the window has been filled, or cannot be
	base   SegmenterStats // of the store before this packer
	linear bool           // the last segment in the store began at a mark, or there is none
}

func newPacker(store *Store, o Options) *packer {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := store.Record()
	if r.TargetDuration == 0 && o.Longest > 0 {
		r.TargetDuration = store.promise(min(seconds(ticks(o.Longest)), seconds(longestMarked)))
	}
	p := &packer{
		store: store, options: o, log: o.Log, base: store.Stats().SegmenterStats,
		segmenter: NewSegmenter(store.config, r.Next, o.Start, r.TargetDuration, o.Backfill != nil),
		filled:    o.Backfill == nil || o.NumberAt == nil,
		linear:    true,
	}
	if w := store.Window(); len(w.Segments) > 0 {
		p.linear = w.Segments[len(w.Segments)-1].marked
	}
	return p
}

func (p *packer) push(au *codecs.AccessUnit) error {
	if !p.filled && p.segmenter.gen != nil {
		p.filled = true
		if p.linear {
			if err := p.repair(Step{Began: p.options.NumberAt(au.DTS)}, nil); err != nil {
				return err
			}
			p.segmenter.Skip(p.store.Next())
		}
	}
	return p.take(p.segmenter.Push(au), au)
}

// take publishes what a step closed; au is the access unit of the step.
func (p *packer) take(st Step, au *codecs.AccessUnit) error {
	if len(st.Closed) > 0 {
		p.note()
	}
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
	p.linear = segments[len(segments)-1].marked
	p.segmenter.Promise(p.store.Record().TargetDuration)
	p.tell()
	return nil
}

// most is how many segments are rebuilt at once. It ends the search for three target durations in streams whose longest
// segment is far longer than the others.
const most = 100

// repair publishes all segments up to the one that began with follow: those which the step closed whole, and anew
// computed ones where the stream lacked something, or where the store lacks them: as many as a store keeps that has been running for long. follow is
// nil if it is not known.
func (p *packer) repair(st Step, follow *codecs.AccessUnit) error {
	closed := make(map[int64]*Segment, len(st.Closed))
	for _, seg := range st.Closed {
		closed[seg.Number] = seg
	}
	next := max(p.store.Next(), 1)
	if !p.linear {
		// Another input was on air; what this one would have had meanwhile is nobody's past.
		next = max(next, st.Began-1)
	}
	var built []*Segment
	length, enough, failed := int64(0), most, false
	// Downwards, because a segment ends where the next one starts.
	for n := st.Began - 1; n >= next && n >= st.Began-most && len(built) < enough; n-- {
		seg := closed[n]
		if !failed && (seg == nil || !seg.whole) {
			again, err := p.rebuild(n, n-st.Shift, follow)
			if err == nil {
				seg = again
			} else if failed = true; p.options.Backfill != nil {
				p.log.Warn("segment cannot be rebuilt", slog.Any("err", err))
				p.store.note(func(s *Stats) { s.Failed++ })
			}
		}
		follow = nil
		if seg == nil {
			continue
		}
		built = append(built, seg)
		follow = seg.units[0]
		if length += seg.Duration; enough == most && p.store.full(len(built), length) {
			enough = len(built) + p.store.config.Keep
		}
	}
	segments := make([]*Segment, len(built))
	for i, seg := range built {
		segments[len(built)-1-i] = seg
	}
	return p.append(segments)
}

// rebuild computes segment number, whose mark is mark, anew. follow is the first access unit after it, or nil.
func (p *packer) rebuild(number, mark int64, follow *codecs.AccessUnit) (*Segment, error) {
	g := p.segmenter.gen
	switch {
	case p.options.Backfill == nil || g == nil:
		return nil, errors.New("the stream is no function of time")
	case mark <= 0:
		return nil, fmt.Errorf("there is no segment %d", mark)
	}
	units, err := p.options.Backfill(mark)
	if err != nil {
		return nil, fmt.Errorf("rebuilding segment %d: %w", mark, err)
	}
	if len(units) == 0 {
		return nil, fmt.Errorf("rebuilding segment %d: it is empty", mark)
	}
	for _, au := range units {
		if au.Track < 0 || au.Track >= len(g.Tracks) {
			return nil, fmt.Errorf("rebuilding segment %d: no track %d", mark, au.Track)
		}
	}
	if c := units[0].Cut; c != mark {
		return nil, fmt.Errorf("rebuilding segment %d: it starts with mark %d", mark, c)
	}
	if follow == nil {
		if after, err := p.options.Backfill(mark + 1); err == nil && len(after) > 0 && after[0].Track >= 0 && after[0].Track < len(g.Tracks) {
			follow = after[0]
		}
	}
	seg := newSegment(number, g, units, follow)
	seg.Discontinuity, seg.marked, seg.whole = units[0].Discontinuity, true, true
	p.store.note(func(s *Stats) { s.Rebuilt++ })
	return seg, nil
}

// note adds the segmenter's counts to the store's.
func (p *packer) note() {
	n := p.segmenter.Stats()
	p.store.note(func(s *Stats) {
		s.Forced, s.Breaks, s.Lost = p.base.Forced+n.Forced, p.base.Breaks+n.Breaks, p.base.Lost+n.Lost
	})
}
