package control

import "slices"

// maxFresh bounds how long a demand can hold without being repeated.
const maxFresh = 3600 * Second

// demanded is rule R10: clients of this node want a stream. The node tells its peers with its state, and the node where the
// stream is placed claims it.
func (n *Node) demanded(e Demanded) {
	s := n.byName[e.Stream]
	if s == nil || !s.demandable() {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "demanded"})
		return
	}
	was := s.wantedHere(n.now)
	s.WantUntil = max(s.WantUntil, n.now+min(max(0, e.Fresh), maxFresh))
	if s.wantedHere(n.now) != was {
		n.dirty = true
		n.changed()
	}
	n.due(s.WantUntil)
}

// demandable says whether some node's file has the stream as one that is started by its clients.
func (s *stream) demandable() bool { return s.onDemand || s.cfg != nil && s.cfg.OnDemand }

func (s *stream) wantedHere(now Instant) bool { return now < s.WantUntil }

// wants finds out which streams clients want, here and at live peers, and for how long they are kept after that.
func (n *Node) wants() {
	if !n.demand {
		return
	}
	for _, s := range n.streams {
		if s.Wanted {
			s.LastWanted = n.now // it was until this moment, however long ago that was found out
		}
		s.Wanted = s.wantedHere(n.now)
		if s.Wanted {
			n.due(s.WantUntil)
		} else if s.WantUntil != 0 {
			s.WantUntil = 0
			n.changed() // it is no longer told
		}
	}
	n.demand = false
	for _, p := range n.peers {
		n.demand = n.demand || len(p.Wants) > 0
		if !p.Alive {
			continue
		}
		for _, name := range p.Wants {
			// A stream that every node captures for itself is started by the clients of that node alone.
			if s := n.byName[name]; s != nil && (s.clustered || s.cfg == nil) {
				s.Wanted = true
			}
		}
	}
	for _, s := range n.streams {
		n.demand = n.demand || s.Wanted || s.demandable() || s.WantUntil != 0
		if s.Wanted {
			s.LastWanted = n.now
		} else if s.demandable() && s.active() {
			n.due(s.unwantedAt())
		}
	}
}

// clientsTimeout is how long a stream is kept after its last client; never means for ever.
func (s *stream) clientsTimeout() Instant {
	switch {
	case s.cfg == nil:
		return 0
	case s.cfg.ClientsTimeout < 0:
		return never
	}
	return s.cfg.ClientsTimeout
}

// unwantedAt is when a stream ends that no client wants now.
func (s *stream) unwantedAt() Instant {
	if d := s.clientsTimeout(); d < never-s.LastWanted {
		return s.LastWanted + d
	}
	return never
}

// idle says whether no node starts a stream, since it is started by its clients only and none wants it.
func (s *stream) idle() bool { return s.demandable() && !s.Wanted }

// unwanted says whether an on-demand stream that runs here has been without a client for so long that it ends.
func (n *Node) unwanted(s *stream) bool {
	return s.idle() && s.active() && n.now >= s.unwantedAt()
}

// ownWants are the streams that clients of this node want.
func (n *Node) ownWants() (out []string) {
	if !n.demand {
		return nil
	}
	n.sortStreams()
	for _, s := range n.streams {
		if s.wantedHere(n.now) {
			out = append(out, s.Name)
		}
	}
	return out
}

// takeWants takes in what clients of a peer want.
func (n *Node) takeWants(p *peer, wants []string) {
	if slices.Equal(p.Wants, wants) {
		return
	}
	p.Wants = slices.Clone(wants)
	n.demand, n.dirty, n.streamsDirty = true, true, true
}
