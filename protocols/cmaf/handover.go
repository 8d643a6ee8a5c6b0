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

// Inherit continues the window of another node: its numbers, and those of its segments that are above the store's own.
// Nothing changes unless the other node has come further than the store. Where no segment of the other node follows on
// those of the store, these are not listed any more once the next one comes.
func (s *Store) Inherit(h Handover) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, base := s.record, s.base
	if h.Next <= own.Next || h.Next <= 0 {
		return
	}
	s.record, s.base = h.Record, h.Next
	if own.TargetDuration != 0 || h.TargetDuration < 0 || h.TargetDuration > seconds(maxMarked) {
		s.record.TargetDuration = own.TargetDuration
	}
	count := h.Before
	segments := h.Segments
	for len(segments) > 0 && segments[0].Number < own.Next {
		if segments[0].Discontinuity {
			count++
		}
		segments = segments[1:]
	}
	count = max(count, own.Discontinuities) // a count that viewers have seen does not go back
	kept := slices.Clone(s.Window().kept)
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
}
