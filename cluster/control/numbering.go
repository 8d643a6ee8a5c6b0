package control

import (
	"slices"
	"strings"
)

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
	s.Media, s.MediaAt, s.MediaOf, s.MediaEnd, s.Numbered = m, at, owner, 0, false
}

// releasing is longer than a node goes on making segments of a stream that it claims no longer.
const releasing = 8 * Second

// endNumberings notes which numberings go no further, because their node says that it does not have the stream any more. Otherwise the
// numbers of a node that had a stream beside another one for a while would be taken for the highest for ever, and each time that two
// nodes have the stream would put the numbers of the second further ahead of those of the first, which viewers have to wait for.
func (n *Node) endNumberings() {
	for _, s := range n.streams {
		if !s.active() && s.Own != (Media{}) {
			if s.MediaOf != n.self {
				s.remember(s.Own, n.self, s.OwnAt+Instant(s.Own.Age)*Millisecond, n.now)
			}
			s.Own = Media{}
		}
		switch {
		case s.Media == (Media{}) || s.MediaEnd != 0:
		case s.MediaOf == n.self && s.active(), slices.ContainsFunc(s.claimants, func(c claimant) bool { return c.p.Name == s.MediaOf }):
		case s.MediaOf == n.self || n.peer(s.MediaOf).disowns(s):
			s.MediaEnd = n.now + releasing
		}
	}
}

// numbersElsewhere notes that another node numbers a stream that this node does not capture. This node's own numbers are no
// longer the highest then, whatever comes of that node.
func (s *stream) numbersElsewhere(c *claim) {
	if c.Media != nil && !s.active() {
		s.Numbered = false
	}
}

// numbered is the numbering that this node claims a stream with, and the instant of its anchor segment: its own, although another node
// may have come further meanwhile, of which nothing is left once that one has yielded. Before the first segment it is the one from which
// this node goes on.
func (s *stream) numbered() (Media, Instant) {
	if s.Own != (Media{}) {
		return s.Own, s.OwnAt
	}
	return s.Media, s.MediaAt
}

// highest looks for the numbering from which a capture goes on among those that peers claimed last, dead ones too. One that was behind
// another when it came may have come further since then.
func (n *Node) highest(s *stream) {
	for _, p := range n.peers {
		for _, claims := range [][]claim{p.claims, p.relayedClaims} {
			if i, ok := claimIn(claims, s.Name); ok {
				n.rememberAll(p, claims[i:i+1])
			}
		}
	}
}

// rememberAll takes in the numberings of claims of a peer, some of which are about to be over.
func (n *Node) rememberAll(p *peer, claims []claim) {
	for i := range claims {
		if c := &claims[i]; c.Media != nil {
			m := *c.Media
			m.Age += ageMS(n.now, c.asked)
			c.s.remember(m, p.Name, n.now, n.now)
		}
	}
}

// rememberOver takes in the numberings of those claims of a peer in place of which its reply puts others, or none.
func (n *Node) rememberOver(p *peer, st *State) {
	if st.Base == 0 {
		n.rememberAll(p, p.claims)
		return
	}
	over := func(name string) {
		if i, ok := claimIn(p.claims, name); ok {
			n.rememberAll(p, p.claims[i:i+1])
		}
	}
	for _, name := range st.Gone {
		over(name)
	}
	for i := range st.Claims {
		over(st.Claims[i].Stream)
	}
}

// claimIn finds the claim of a stream.
func claimIn(claims []claim, stream string) (i int, ok bool) {
	return slices.BinarySearchFunc(claims, stream, func(c claim, name string) int { return strings.Compare(c.Stream, name) })
}

// disowns says whether the peer itself says that it does not have a stream.
func (p *peer) disowns(s *stream) bool {
	if p == nil || !p.Direct || p.restarted() {
		return false
	}
	_, has := claimIn(p.claims, s.Name)
	return !has
}

// anchor returns the numbering with its age now, or at its end.
func (s *stream) anchor(now Instant) Media {
	m := s.Media
	if s.MediaEnd != 0 {
		now = min(now, s.MediaEnd)
	}
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
	s.Media, s.MediaOf, s.MediaEnd, s.Numbered = e.Media, n.self, 0, true
	s.MediaAt = n.now - Instant(e.Media.Age)*Millisecond
	s.Own, s.OwnAt = s.Media, s.MediaAt
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
			s.remember(*claims[i].Media, "", from.Asked, n.now) // whose numbering it is they do not say
		}
	}
}
