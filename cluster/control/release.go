package control

// maxReleases bounds the requests for one stream that wait for its release. Each node has one waiting, which it repeats a few
// times.
const maxReleases = 64

// single says whether the source allows one connection, so that a node starts only when another has stopped.
func (s *stream) single() bool { return s.movable() && s.cfg.Break }

// ask is rule R2 for a source that allows one connection: this node asks the claimant to let go and starts when that
// has answered. Without an answer it starts after S; then at most one of the two gets the source, and the static order
// settles the rest.
func (n *Node) ask(s *stream) {
	of, several := "", false
	for _, c := range s.claimants {
		if c.blocks() && !c.c.Solo {
			several = of != ""
			of = c.p.Name
		}
	}
	switch {
	case several: // the claimants are about to settle it
	case s.AskedOf != of:
		if n.returning >= MaxReturning {
			return
		}
		if s.AskedOf == "" {
			n.returning++
			s.Returning = true
		}
		s.AskedOf, s.AskedAt, s.Released = of, n.now, false
		n.do(Note{Kind: NoteAsked, Stream: s.Name, Node: of})
		n.do(AskRelease{Stream: s.Name, Node: of})
		n.due(n.now + n.stale)
	case n.now < s.AskedAt+n.stale:
		n.due(s.AskedAt + n.stale)
	default:
		n.start(s, n.reason(s), "")
	}
}

// unask forgets that this node has asked for a stream.
func (n *Node) unask(s *stream) {
	if s.AskedOf != "" && s.State == Idle {
		n.endReturn(s)
		s.AskedOf, s.Released = "", false
	}
}

// released takes in that a node has let go of a stream. Its claim, which is older, no longer counts.
func (n *Node) released(e Released) {
	s := n.byName[e.Stream]
	if s == nil || s.AskedOf == "" || s.AskedOf != e.Node {
		return
	}
	s.Released = true
	n.dirty = true
}

// releaseAsked lets go of a stream for a node that comes before this one.
func (n *Node) releaseAsked(e ReleaseAsked) {
	s, p := n.byName[e.Stream], n.peer(e.From)
	switch {
	case s == nil || !s.active() && s.State != Stopping:
		n.do(ReleaseAnswer{Token: e.Token, Released: true})
	case s.State == Stopping && len(s.Releases) < maxReleases:
		s.Releases = append(s.Releases, e.Token)
	case s.State == Stopping || !s.movable() || p == nil || !p.staying() || !n.before(s, e.From, n.self):
		n.do(ReleaseAnswer{Token: e.Token})
	default:
		s.Releases = append(s.Releases, e.Token)
		n.stop(s, e.From, Yielded)
	}
}

// answerReleases answers the requests for a stream that wait for its release.
func (n *Node) answerReleases(s *stream, released bool) {
	for _, token := range s.Releases {
		n.do(ReleaseAnswer{Token: token, Released: released})
	}
	s.Releases = s.Releases[:0]
}
