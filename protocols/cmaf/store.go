package cmaf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir/codecs"
)

// ErrBehind says that the number of a segment is taken.
var ErrBehind = errors.New("segment number is not above the last one")

// A Record is what another node or the next packager must know to go on with the numbers of a stream.
type Record struct {
	Next            int64  // the next media sequence number, which never goes back; zero when any will do
	Discontinuities int64  // discontinuities up to the last segment
	End             int64  // decoding time in ticks at which the last segment ends
	Generation      string // of the last segment
	TargetDuration  int    // in seconds
}

// A Store holds the newest segments of one stream. One goroutine appends; any number read the current [Window] without
// a lock.
type Store struct {
	config Config
	window atomic.Pointer[Window] // never nil

	mu     sync.Mutex // one change at a time
	record Record     // guarded by mu
	base   int64      // the lowest number that may be listed; all from it on are consecutive; guarded by mu
}

// NewStore returns an empty store.
func NewStore(c Config) *Store {
	s := &Store{config: c.withDefaults()}
	s.window.Store(&Window{changed: make(chan struct{})})
	return s
}

// Window returns the segments as they are now; never nil, empty before the first segment.
func (s *Store) Window() *Window { return s.window.Load() }

// Wait returns the first window that holds a segment with this number or a higher one. Zero waits for any segment.
func (s *Store) Wait(ctx context.Context, number int64) (*Window, error) {
	for {
		w := s.Window()
		if len(w.Segments) > 0 && w.Last() >= number {
			return w, nil
		}
		select {
		case <-w.changed:
		case <-ctx.Done():
			return w, fmt.Errorf("waiting for segment %d: %w", number, context.Cause(ctx))
		}
	}
}

// Record returns what a successor must know to go on.
func (s *Store) Record() Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record
}

// fixTarget sets the target duration, which is constant for the life of the store, unless it is set. It returns the one
// that is in force, in seconds.
func (s *Store) fixTarget(duration int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.record.TargetDuration == 0 {
		s.record.TargetDuration = duration
	}
	return s.record.TargetDuration
}

// Append publishes segments in one change, so that no reader sees part of them. Their numbers must ascend. A segment that
// does not follow from the one before in number, time or tracks becomes a discontinuity. Where a number is left out the
// list starts anew after it.
func (s *Store) Append(segments ...*Segment) error {
	if len(segments) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, base := s.record, s.base
	kept := slices.Clone(s.Window().kept)
	for _, seg := range segments {
		if seg.Number < max(r.Next, 1) {
			return fmt.Errorf("segment %d, next is %d: %w", seg.Number, r.Next, ErrBehind)
		}
		if seg.Number != r.Next {
			base = seg.Number
		}
		switch {
		case r.Next == 0:
			// No viewer of this node has seen an earlier segment. A stream that is cut at marks has no discontinuity
			// here, because another node that serves it has none either. Any other stream may have been on a node that
			// is dead now.
			if !seg.marked {
				seg.Discontinuity = true
				r.Discontinuities = seg.Number
			}
		case seg.Number != r.Next, seg.Generation.Name != r.Generation, apart(r.End, seg.Decode):
			seg.Discontinuity = true
		}
		if seg.Discontinuity {
			r.Discontinuities++
		}
		seg.discontinuities = r.Discontinuities
		r.Next, r.End, r.Generation = seg.Number+1, seg.end(), seg.Generation.Name
		kept = append(kept, seg)
	}
	if r.TargetDuration == 0 {
		longest := int64(0)
		for _, seg := range segments {
			longest = max(longest, seg.Duration)
		}
		r.TargetDuration = TargetDuration(ticks(s.config.Target), longest)
	}
	s.record, s.base = r, base
	s.publish(kept)
	return nil
}

// apart says whether a segment that starts at start leaves a gap after one that ends at end, or overlaps it, by so much that
// a decoder notices.
func apart(end, start int64) bool {
	const slack = codecs.ClockRate / 2
	return start-end > slack || end-start > slack
}

// full says whether so many segments, which last length ticks together, are enough for a playlist.
func (s *Store) full(count int, length int64, targetDuration int) bool {
	return count >= s.config.Window && length >= 3*codecs.ClockRate*int64(targetDuration)
}

// publish makes a window of kept. Listed are the fewest segments at the end that have the configured number and last three
// target durations (RFC 8216, 6.2.2). As that is a function of the segments alone, nodes that hold the same segments list
// the same ones, and the first listed number never goes back.
func (s *Store) publish(kept []*Segment) {
	first, length := len(kept), int64(0)
	for first > 0 && kept[first-1].Number >= s.base && !s.full(len(kept)-first, length, s.record.TargetDuration) {
		first--
		length += kept[first].Duration
	}
	kept = slices.Clone(kept[max(first-s.config.keep(), 0):])
	old := s.window.Swap(&Window{
		Segments: kept[min(first, s.config.keep()):], TargetDuration: s.record.TargetDuration,
		kept: kept, changed: make(chan struct{}),
	})
	close(old.changed)
}

// A Window is the segments of a store at one moment. It is immutable.
type Window struct {
	// Segments are those to be listed, with consecutive numbers; empty only before the first.
	Segments []*Segment

	// TargetDuration is in seconds and the same for all windows of a store.
	TargetDuration int

	kept    []*Segment    // ends with Segments
	changed chan struct{} // closed when there is a newer window

	rendered [8]struct {
		once  sync.Once
		value any
	}
}

// Last is the number of the last listed segment, or -1.
func (w *Window) Last() int64 {
	if len(w.Segments) == 0 {
		return -1
	}
	return w.Segments[len(w.Segments)-1].Number
}

// Discontinuities counts the discontinuities before the listed segments, not counting one at the first of them
// (RFC 8216, 4.3.3.3).
func (w *Window) Discontinuities() int64 {
	if len(w.Segments) == 0 {
		return 0
	}
	first := w.Segments[0]
	if first.Discontinuity {
		return first.discontinuities - 1
	}
	return first.discontinuities
}

// Segment returns the segment with this number, listed or only kept, or nil.
func (w *Window) Segment(number int64) *Segment {
	i, ok := slices.BinarySearchFunc(w.kept, number, func(s *Segment, n int64) int { return cmp.Compare(s.Number, n) })
	if !ok {
		return nil
	}
	return w.kept[i]
}

// Generation returns the generation of that name of a segment here, or nil.
func (w *Window) Generation(name string) *Generation {
	for i := len(w.kept) - 1; i >= 0; i-- {
		if g := w.kept[i].Generation; g.Name == name {
			return g
		}
	}
	return nil
}

// Rendered returns what render makes of the window. It is called once per slot, and its result is shared and never
// changed. Of the eight slots hls has 0 to 3 and dash 4 to 7.
func (w *Window) Rendered(slot int, render func(*Window) any) any {
	r := &w.rendered[slot]
	r.once.Do(func() { r.value = render(w) })
	return r.value
}

// Rates returns the largest and the average bit rate of the listed segments, in bits per second.
func (w *Window) Rates(f Form) (peak, average int64) {
	var bits, length int64
	for _, s := range w.Segments {
		b := int64(s.Sizes[f]) * 8
		peak = max(peak, b*codecs.ClockRate/s.Duration)
		bits, length = bits+b, length+s.Duration
	}
	if length > 0 {
		average = bits * codecs.ClockRate / length
	}
	return peak, average
}

// Time converts ticks since the Unix epoch.
func Time(t int64) time.Time {
	return time.Unix(t/codecs.ClockRate, t%codecs.ClockRate*1e9/codecs.ClockRate).UTC()
}
