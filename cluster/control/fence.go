package control

// fence takes in that the machine did not run for a time that its monotonic clock does not count: a suspended laptop, a
// virtual machine that was moved. Other nodes have taken over meanwhile, and what this node knows of them is older than it
// looks. This node claims nothing before they have answered again, and lets go at once of sources that allow one
// connection. Its other captures go on until it knows which of them others have taken over.
func (n *Node) fence(e Suspended) {
	if e.For <= 0 {
		return
	}
	for _, p := range n.peers {
		p.EvidenceAt -= e.For
		p.DirectAt -= e.For
		p.Asked -= e.For
		p.Slept += e.For
	}
	for _, l := range n.links {
		for i := range l.Flights {
			l.Flights[i].At -= e.For
		}
	}
	for _, s := range n.streams {
		s.MediaAt, s.OwnAt = s.MediaAt-e.For, s.OwnAt-e.For
		if s.MediaEnd != 0 {
			s.MediaEnd -= e.For
		}
		if s.Told != nil {
			s.Told.MediaAt -= e.For
		}
	}
	n.dirty, n.peersDirty = true, true
	if e.For <= n.stale/2 || len(n.links) == 0 {
		return
	}
	n.do(Note{Kind: NoteSuspended, Age: e.For})
	for _, l := range n.links {
		l.Answered = false
		n.hurry(l, n.now)
	}
	n.doubt()
	n.warm, n.warmFrom = false, n.now
	for _, s := range n.streams {
		if s.single() && s.active() {
			n.hold(s)
			n.stop(s, "", Fenced)
		}
	}
}

// doubt says of the captures of this node, which has slept, that others may have taken them over. Their media is as old as the
// sleep was long, and a source may bring all that it has sent meanwhile: a node that yielded to it would show its viewers what
// they have seen.
func (n *Node) doubt() {
	for _, s := range n.streams {
		if s.State == Running && (s.movable() && !s.single() || s.Why == PublishedHere) && !s.Unsure {
			s.Unsure = true
			n.changed()
		}
	}
}

// settle ends the doubt about a capture. If a peer has answered since this node slept that it runs the stream, this node lets go of
// it at once, and takes it back as after a return. A publisher is sent away: the other node was granted the name since. Once all have
// answered that they do not run it, the capture is this node's.
func (n *Node) settle(s *stream) {
	if !s.Unsure {
		return
	}
	for _, c := range s.claimants {
		if c.direct && c.p.DirectAt >= n.warmFrom && c.c.State == ClaimRunning && !c.c.Solo {
			why := Fenced
			if s.Why == PublishedHere {
				why = Outranked // of the two publishers the other is the newer
			}
			n.hold(s)
			n.stop(s, c.p.Name, why)
			break
		}
	}
	if n.warm || !s.active() {
		s.Unsure = false
		n.changed()
	}
}
