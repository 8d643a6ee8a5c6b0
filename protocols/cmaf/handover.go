package cmaf

import "slices"

// A Handover is what a store leaves to that of another node, which goes on from there.
type Handover struct {
	Record

	// Segments are the listed ones, oldest first, with consecutive numbers up to Next. There may be none.
	Segments []*Segment

	// Before counts the discontinuities before the first of them, not counting one at it.
	Before int64
}

// An Outline is a segment without its media.
type Outline struct {
	Number                     int64
	Generation                 *Generation
	Start, Decode, Duration    int64 // ticks: PTS and DTS of the first access unit, and the length
	Discontinuity, Independent bool
	Pictures                   int
	Sizes                      [2]int // see [Segment.Size], by form
}

// Outline describes the segment, for another node.
func (s *Segment) Outline() Outline {
	return Outline{
		Number: s.Number, Generation: s.Generation, Start: s.Start, Decode: s.decode, Duration: s.Duration,
		Discontinuity: s.Discontinuity, Independent: s.Independent, Pictures: s.Pictures, Sizes: s.sizes,
	}
}

// Segment makes the segment again, of the bytes that another node made of it in each form. They belong to the segment
// from then on; nil says that its tracks do not fit the form.
func (o Outline) Segment(bytes [2][]byte) *Segment {
	s := &Segment{
		Number: o.Number, Generation: o.Generation, Start: o.Start, decode: o.Decode, Duration: o.Duration,
		Discontinuity: o.Discontinuity, Independent: o.Independent, Pictures: o.Pictures, sizes: o.Sizes,
	}
	for f := range forms {
		s.made[f].Store(&bytes[f])
	}
	return s
}

// Inherit continues the window of another node: its numbers, and its segments above the store's own. Nothing changes
// unless it has come further than the store.
func (s *Store) Inherit(l Handover) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, base := s.record, s.base
	if l.Next <= own.Next || l.Next <= 0 {
		return
	}
	s.importLocked(l.Record)
	count := l.Before
	segments := l.Segments
	for len(segments) > 0 && segments[0].Number < own.Next {
		if segments[0].Discontinuity {
			count++
		}
		segments = segments[1:]
	}
	count = max(count, own.Discontinuities) // a count that viewers have seen does not go back
	old := s.Window()
	kept := slices.Clone(old.kept)
	for _, seg := range segments {
		if seg.Discontinuity {
			count++
		}
		seg.discontinuities = count
		kept = append(kept, seg)
	}
	s.record.Discontinuities = max(s.record.Discontinuities, count)
	if len(segments) == 0 {
		return
	}
	if s.base = segments[0].Number; s.base == own.Next {
		s.base = base
	}
	s.publish(kept)
	close(old.changed)
}
