package cmaf

import "slices"

// A Handover is what the store of one node hands over to that of another, which goes on from there.
type Handover struct {
	Record

	// Segments are the listed ones, oldest first, with consecutive numbers up to Next. There may be none.
	Segments []*Segment

	// Before counts the discontinuities before the first of them, not counting one at it.
	Before int64
}

// Unlist takes all segments off the list, because another node makes those that follow, or has made some. A viewer who has the
// newer media of the other node must not be shown them. They are still kept for viewers who have been told of them; the next
// segment begins the list anew, unless the window that [Store.Inherit] continues has them too.
func (s *Store) Unlist() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = max(s.base, s.record.Next)
	s.publish(s.Window().kept)
}

// Inherit continues the window of another node: its numbers, and those of its segments that are above the store's own.
// Where the other node has not come further than the store by its numbers, or no segment of it follows on those of the store,
// the latter are not listed any more: the media of the other node is newer all the same. The list does not change where the
// other node has made no segment besides the store's own.
func (s *Store) Inherit(h Handover) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.record
	switch {
	case h.Next <= 0:
		return
	case h.Next == own.Next && h.End == own.End && len(h.Segments) > 0:
		s.base = min(s.base, h.Segments[0].Number)
		s.publish(s.Window().kept)
		return
	case h.Next <= own.Next:
		s.base = own.Next
		s.publish(s.Window().kept)
		return
	}
	base := s.base
	s.record, s.base = h.Record, h.Next
	if own.TargetDuration != 0 || h.TargetDuration < 0 || h.TargetDuration > seconds(maxMarked) {
		s.record.TargetDuration = own.TargetDuration
	}
	count := h.Before
	segments, w := h.Segments, s.Window()
	same := len(segments) > 0 && segments[0].Number < own.Next // the store has the first of them, and they are no others
	for len(segments) > 0 && segments[0].Number < own.Next {
		if segments[0].Discontinuity {
			count++
		}
		mine := w.Segment(segments[0].Number)
		same = same && mine != nil && mine.Decode == segments[0].Decode
		segments = segments[1:]
	}
	count = max(count, own.Discontinuities) // a count that viewers have seen does not go back
	kept := slices.Clone(w.kept)
	for _, seg := range segments {
		if seg.Discontinuity {
			count++
		}
		seg.discontinuities = count
		kept = append(kept, seg)
	}
	s.record.Discontinuities = max(s.record.Discontinuities, count)
	switch {
	case len(segments) > 0 && same && segments[0].Number == own.Next:
		s.base = min(base, h.Segments[0].Number)
	case len(segments) > 0:
		s.base = segments[0].Number
	}
	s.publish(kept)
}
