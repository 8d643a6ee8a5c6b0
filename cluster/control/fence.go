package control

// fence takes in that the machine did not run for a while that its monotonic clock does not know of: a suspended
// laptop, a virtual machine that was moved. The others have taken over meanwhile, and what this node knows of them is
// older than it looks. It claims nothing before it has heard them again, and lets go at once of sources that allow one
// connection; whatever else it captures goes on, and the static order settles it.
func (n *Node) fence(e Suspended) {
	if e.For <= 0 {
		return
	}
	for _, p := range n.peers {
		p.heard -= e.For
		p.direct -= e.For
		p.asked -= e.For
		p.slack += e.For
	}
	for _, l := range n.links {
		for i := range l.flights {
			l.flights[i].at -= e.For
		}
	}
	for _, s := range n.streams {
		s.mediaAt -= e.For
		if s.told != nil {
			s.told.mediaAt -= e.For
		}
	}
	n.dirty, n.peersDirty = true, true
	if e.For <= n.stale/2 || len(n.links) == 0 {
		return
	}
	n.do(Note{Kind: NoteSuspended, Age: e.For})
	for _, l := range n.links {
		l.answered = false
		l.next = n.now
	}
	n.warm, n.warmFrom = false, n.now
	for _, s := range n.streams {
		if s.single() && s.active() {
			n.stop(s, "", Fenced)
		}
	}
}
