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

// remember takes in the numbering of an owner, which was asked for at an instant. Of one owner the newest anchor is kept, and of two
// that give one segment different ages the greater age: an anchor seems younger by the time that its teller slept. Of two owners the
// numbering is kept that has come further by now: two that do not hear each other number on from different anchors, and the older
// anchor may be that of the higher numbers.
func (s *stream) remember(m Media, owner string, asked, now Instant) {
	at := asked - Instant(m.Age)*Millisecond
	if s.Media != (Media{}) {
		got := m
		got.Age = ageMS(now, at)
		has := s.anchor(now)
		switch {
		case m.Sequence == has.Sequence && got.Age <= has.Age,
			owner == s.MediaOf && m.Sequence < has.Sequence,
			owner != s.MediaOf && got.current(0) < has.current(0):
			return
		}
	}
	s.Media, s.MediaAt, s.MediaOf, s.Numbered = m, at, owner, false
}

// numbersElsewhere notes that another node numbers a stream that this node does not capture. This node's own numbers are no
// longer the highest then, whatever comes of that node.
func (s *stream) numbersElsewhere(c *claim) {
	if c.Media != nil && !s.active() {
		s.Numbered = false
	}
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
	s.Media, s.MediaOf, s.Numbered = e.Media, n.self, true
	s.MediaAt = n.now - Instant(e.Media.Age)*Millisecond
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

// recallNumberings takes in the numberings that an earlier instance of this node has made or known, as a peer remembers them.
func (n *Node) recallNumberings(claims []Claim, from *peer) {
	for i := range claims {
		if s := n.byName[claims[i].Stream]; s != nil && claims[i].Media != nil && !s.active() {
			s.remember(*claims[i].Media, from.Name, from.Asked, n.now)
		}
	}
}
