package control

// fence takes in that the machine did not run for a time that its monotonic clock does not count: a suspended laptop, a
// virtual machine that was moved. Other nodes have taken over meanwhile, and what this node knows of them is older than it
// looks. This node claims nothing before they have answered again, and lets go at once of sources that allow one
// connection. Its other captures go on, and the static order settles them.
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
		s.MediaAt -= e.For
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
		l.Next = n.now
	}
	n.warm, n.warmFrom = false, n.now
	for _, s := range n.streams {
		if s.single() && s.active() {
			n.stop(s, "", Fenced)
		}
	}
}
