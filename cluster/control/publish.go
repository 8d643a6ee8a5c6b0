package control

import "slices"

// maxWaiting bounds the publishers that wait for a booting node to be warm. Further ones are told that no node takes them.
const maxWaiting = 10_000

// publishWanted decides whether a publisher may have a stream (rule R9).
func (n *Node) publishWanted(e PublishWanted) {
	s := n.byName[e.Stream]
	if s == nil || s.cfg == nil || s.cfg.Kind != Published || s.cfg.Disabled || n.draining || n.aside {
		n.elsewhere(e)
		return
	}
	if s.State != Idle && s.State != Stopping {
		n.do(PublishAnswer{Token: e.Token, Verdict: Busy, Node: n.self})
		return
	}
	if !n.warm {
		if len(n.waiting) >= maxWaiting {
			n.do(PublishAnswer{Token: e.Token, Verdict: NotFound})
			return
		}
		n.waiting = append(n.waiting, e)
		return
	}
	if n.dirty || n.replan {
		n.gather()
	}
	top := n.first(s, e.Asked)
	switch {
	case top != "":
		n.do(PublishAnswer{Token: e.Token, Verdict: AskNode, Node: top})
	case s.State == Stopping:
		n.do(PublishAnswer{Token: e.Token, Verdict: Busy, Node: n.self})
	default:
		if (n.full() || n.unlisted) && n.elsewhereFree(e) {
			return
		}
		n.supersedeAsked(s, e.Asked)
		s.Granted = n.now
		n.start(s, PublishedHere, "")
		answer := PublishAnswer{Token: e.Token, Verdict: Granted, Node: n.self, Epoch: s.Epoch}
		if !s.Numbered {
			answer.Media = s.anchor(n.now)
		}
		n.do(answer)
	}
}

// elsewhereFree sends a publisher from this node, which is full or which no peer leads viewers to, to a peer that is not full, if
// there is one.
func (n *Node) elsewhereFree(e PublishWanted) bool {
	best := ""
	for _, p := range n.peers {
		if p.staying() && p.Direct && !n.fullPeer(p) && lists(p.list, e.Stream) && (best == "" || n.outscores(e.Stream, p.Name, best)) {
			best = p.Name
		}
	}
	if best != "" {
		n.do(PublishAnswer{Token: e.Token, Verdict: Elsewhere, Node: best})
	}
	return best != ""
}

// elsewhere answers a publisher of a stream that this node takes no publisher for.
func (n *Node) elsewhere(e PublishWanted) {
	best := ""
	for _, p := range n.peers {
		if !p.Alive || p.Leaving || slices.Contains(e.Asked, p.Name) || !lists(p.list, e.Stream) {
			continue
		}
		if best == "" || n.outscores(e.Stream, p.Name, best) {
			best = p.Name
		}
	}
	if best == "" {
		n.do(PublishAnswer{Token: e.Token, Verdict: NotFound})
		return
	}
	n.do(PublishAnswer{Token: e.Token, Verdict: Elsewhere, Node: best})
}

func (n *Node) publishEnded(e PublishEnded) {
	s := n.byName[e.Stream]
	if s == nil || s.State == Idle || s.cfg != nil && s.cfg.Kind != Published {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "publish ended"})
		return
	}
	s.State, s.Since, s.Fails, s.Detail, s.Silent = Idle, n.now, 0, "", false
	n.shortly()
}

// publisherSilent notes that a publisher sends nothing any more. Nothing follows unless there is another one (rule R9c).
func (n *Node) publisherSilent(e PublisherSilent) {
	s := n.byName[e.Stream]
	if s == nil || s.State != Running || s.Why != PublishedHere {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "publisher silent"})
		return
	}
	s.Silent, s.Since = true, n.now
	n.shortly()
	n.do(Note{Kind: NoteSilent, Stream: s.Name})
}
