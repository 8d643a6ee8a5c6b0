package control

import "slices"

const (
	// refusalPause is the least time between the two refusals that a peer's process has to be gone for (R13). A listener that is
	// opened anew is back by then.
	refusalPause = 100 * Millisecond

	// hintPause is the least time between two questions of which the second is due to what another node said.
	hintPause = 50 * Millisecond
)

// A refusal is what a link knows of connections that broke and were refused (rule R13). It ends with the first answer to a
// question that was asked after the break.
type refusal struct {
	Broken   bool // an established connection has broken
	BrokenAt Instant

	// Once says that a connection was refused since then, and Twice that another one was, at least refusalPause later. What
	// fails otherwise in between makes it begin anew.
	Once, Twice bool
	First       Instant // when the first of the two was tried
}

// A suspicion is what a node finds out about a peer whose connections are refused: whether other nodes have heard the peer since.
type suspicion struct {
	On      bool
	From    Instant  // when it began
	After   uint64   // later questions than this one ask about the peer
	Nothing []string // the nodes that have not heard the peer since its connections broke, by name, sorted
}

// linkBroken takes in that an established connection to a peer broke: the peer is asked at once.
func (n *Node) linkBroken(e LinkBroken) {
	l := n.entries[e.Peer]
	if l == nil || l.Self || l.Instance == "" || l.Refusal.Broken {
		return
	}
	l.Refusal = refusal{Broken: true, BrokenAt: n.now}
	n.broken = true
	n.hurry(l, n.now)
}

// failed takes in that a question of an instant brought nothing.
func (r *refusal) failed(asked Instant, why FailReason) {
	switch {
	case !r.Broken || asked < r.BrokenAt:
	case why != ConnectionRefused:
		r.Once, r.Twice = false, false
	case !r.Once:
		r.Once, r.First = true, asked
	case asked-r.First >= refusalPause:
		r.Twice = true
	}
}

// led says whether a link has led to the process of p that was heard last.
func (l *link) led(p *peer) bool { return l.peer == p && p.Met && l.Instance == p.Said.Instance }

// refuses says whether all links that have led to the process of p refuse connections after one had broken, whether they have
// done so twice, and when the last of them broke. Links that never led there say nothing.
func (n *Node) refuses(p *peer) (once, twice bool, broken Instant) {
	led := false
	once, twice = true, true
	for _, l := range n.links {
		if l.led(p) {
			led = true
			once, twice = once && l.Refusal.Once, twice && l.Refusal.Twice
			broken = max(broken, l.Refusal.BrokenAt)
		}
	}
	return led && once, led && twice, broken
}

// suspect finds out which peers are gone (rule R13): every way to such a peer refuses, and every node that this one hears has
// said since then that it has heard nothing newer. A node says so only after it has asked the peer itself. A node that hangs says
// nothing, so that the peer is waited for as a silent one is.
func (n *Node) suspect() {
	if !n.broken {
		return
	}
	n.broken = slices.ContainsFunc(n.links, func(l *link) bool { return l.Refusal.Broken })
	for _, p := range n.peers {
		once, twice, broken := n.refuses(p)
		switch {
		case !once || p.Down || p.restarted():
			p.Suspicion = suspicion{}
			continue
		case !p.Suspicion.On:
			p.Suspicion = suspicion{On: true, From: n.now, After: n.fetchID}
			p.BrokenAt = broken
			n.doubting = true
		}
		if twice && !slices.ContainsFunc(n.peers, func(w *peer) bool { return n.undecided(p, w) }) {
			p.Down, p.Suspicion = true, suspicion{}
			n.rejudge = true
		}
	}
}

// undecided says whether w may have heard p since p's connections broke.
func (n *Node) undecided(p, w *peer) bool {
	if p == w || !w.Direct || slices.Contains(p.Suspicion.Nothing, w.Name) {
		return false
	}
	once, _, _ := n.refuses(w) // then it cannot be asked; most likely it is gone too
	return !once
}

// inquire brings forward the questions to peers whose connections have broken, and to those that may have heard one that refuses. The
// longer it takes, the rarer they become.
func (n *Node) inquire() {
	if !n.broken {
		return
	}
	for _, l := range n.links {
		r := &l.Refusal
		switch {
		case l.Self || !r.Broken || r.Twice || l.waits():
		case r.Once:
			n.hurry(l, r.First+refusalPause)
		default: // the process may be about to end: what was accepted for it is reset
			n.hurry(l, l.Last+max(hintPause, (n.now-r.BrokenAt)/4))
		}
	}
	for _, p := range n.peers {
		if !p.Suspicion.On {
			continue
		}
		for _, l := range n.links {
			switch {
			case l.Self || l.peer == p || !n.undecided(p, l.peer):
			case l.Last < p.Suspicion.From:
				n.hurry(l, n.now)
			default:
				n.hurry(l, l.Last+max(hintPause, (n.now-p.Suspicion.From)/4))
			}
		}
	}
}

// hurry brings the next poll of a link forward to an instant.
func (n *Node) hurry(l *link, at Instant) {
	if !l.Self {
		n.next[l.index] = min(n.next[l.index], max(n.now, at, l.room()))
		n.pollAt = min(n.pollAt, n.next[l.index])
	}
}

// waits says whether the newest question has no answer yet.
func (l *link) waits() bool {
	open := len(l.Flights)
	return open > 0 && l.Flights[open-1].At == l.Last
}

// doubts are the peers that a question asks about: those that are suspected, and those that are taken for gone, so that a node that hears
// one after all is believed.
func (n *Node) doubts() (out []Doubt) {
	if !n.doubting {
		return nil
	}
	for _, p := range n.peers {
		if p.Suspicion.On || p.Down {
			out = append(out, Doubt{Node: p.Name, Age: int64(max(0, n.now-p.BrokenAt) / Millisecond)})
		}
	}
	n.doubting = len(out) > 0
	return out
}

// testify takes in what the answer of w to a question says of the peers that are suspected.
func (n *Node) testify(w *peer, st *State, question uint64) {
	if !n.broken {
		return
	}
	for _, p := range n.peers {
		if !p.Suspicion.On || p == w || question <= p.Suspicion.After {
			continue
		}
		i := slices.IndexFunc(st.Ages, func(a Age) bool { return a.Node == p.Name })
		if i >= 0 && st.Ages[i].Since == HeardSince && st.Ages[i].Instance == p.Said.Instance {
			n.unsuspect(p)
			n.do(Note{Kind: NoteVouched, Node: p.Name, Detail: "heard by " + w.Name})
		} else if i < 0 || st.Ages[i].Since == NothingSince {
			p.Suspicion.Nothing = append(p.Suspicion.Nothing, w.Name)
		}
	}
}

// unsuspect ends what is held against p. Only another break can begin it again.
func (n *Node) unsuspect(p *peer) {
	p.Down, p.Suspicion = false, suspicion{}
	n.rejudge = true
	for _, l := range n.links {
		if l.peer == p {
			l.Refusal = refusal{}
		}
	}
}

// since says whether this node has heard p since so long ago. If it does not know for sure, it asks p. It knows that it has not when p's machine has
// refused, or when it has not heard p for so long that it is no judge.
func (n *Node) since(p *peer, age Instant) Testimony {
	from := n.now - age // later than the break itself by as long as the question was under way
	if p.Met && p.Asked >= from {
		return HeardSince
	}
	sure := true
	for _, l := range n.links {
		if l.peer != p {
			continue
		}
		switch {
		case l.waits():
			sure = false
		case l.Last < from || p.Direct && l.Why != ConnectionRefused:
			sure = false
			n.hurry(l, l.Last+hintPause)
		}
	}
	if sure {
		return NothingSince
	}
	return AskingSince
}

// announce tells the nodes that hear this one that they had better ask it at once. It is for what their viewers wait for, which is
// rare: the streams of a dead node have come here, or this node has just booted. Each announcement costs two questions for each peer.
func (n *Node) announce() {
	for _, l := range n.links {
		if !l.Self && l.peer.Direct {
			l.News = true
			n.hurry(l, n.now)
		}
	}
}
