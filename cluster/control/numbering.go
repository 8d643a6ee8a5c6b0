package control

// current is the number of the segment that is being cut so long after the anchor's age was taken.
func (m Media) current(later Instant) int64 {
	if m.Period <= 0 {
		return m.Sequence
	}
	return m.Sequence + (m.Age+int64(later/Millisecond))/m.Period
}

// After is a number above all that the owner of this numbering has used, so long after its age was taken: one above the
// segment that is being cut by then, and one more because ages are rounded.
func (m Media) After(later Instant) int64 { return m.current(later) + 2 }

// remember keeps the newest anchor of the stream's numbering, of any owner, which was asked for at an instant. Of two that give
// one segment different ages the greater is kept: an anchor seems younger by the time that its teller slept.
func (s *stream) remember(m Media, asked Instant) {
	at := asked - Instant(m.Age)*Millisecond
	if s.Media != (Media{}) && (m.Sequence < s.Media.Sequence || m.Sequence == s.Media.Sequence && at >= s.MediaAt) {
		return
	}
	s.Media, s.MediaAt, s.Numbered = m, at, false
}

// anchor returns the numbering with its age now.
func (s *stream) anchor(now Instant) Media {
	m := s.Media
	if m != (Media{}) {
		m.Age = ageMS(now, s.MediaAt)
	}
	return m
}

func (n *Node) mediaChanged(e MediaChanged) {
	s := n.byName[e.Stream]
	if s == nil || !s.active() {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "media changed"})
		return
	}
	s.Media, s.MediaAt, s.Numbered = e.Media, n.now-Instant(e.Media.Age)*Millisecond, true
	n.changed()
}

// numberings returns the numberings of all streams, for a node that has forgotten the segments that it numbered itself.
func (n *Node) numberings() []Claim {
	n.sortStreams()
	var out []Claim
	for _, s := range n.streams {
		if s.Media != (Media{}) {
			m := s.anchor(n.now)
			out = append(out, Claim{Stream: s.Name, State: ClaimFailed, Media: &m})
		}
	}
	return out
}

// recallNumberings takes in the numberings that an earlier instance of this node has made.
func (n *Node) recallNumberings(claims []Claim, asked Instant) {
	for i := range claims {
		if s := n.byName[claims[i].Stream]; s != nil && claims[i].Media != nil && !s.active() {
			s.remember(*claims[i].Media, asked)
		}
	}
}
