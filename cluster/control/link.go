package control

import "slices"

// A link is what a peer entry of the file leads to. Entries that lead to one node share its peer.
type link struct {
	cfg         Peer
	provisional string // the name that counts before the entry has been met
	self        bool   // it leads to this node
	peer        *peer  // never nil unless self
	instance    string // that answered last

	tried    bool // a fetch has ended since boot
	answered bool // since boot, or since this node overslept
	why      FailReason
	detail   string

	next    Instant // poll
	last    Instant
	flights []flight // under way, oldest first
}

// A flight is a fetch that is under way.
type flight struct {
	id uint64
	at Instant
}

// maxFlights bounds the fetches of one peer that are under way. A fetch that hangs in a lost packet must not silence a
// link for the rest of S, so polls go on beside it.
const maxFlights = 8

// end takes a fetch off those that are under way.
func (l *link) end(id uint64) (flight, bool) {
	for i, f := range l.flights {
		if f.id == id {
			l.flights = slices.Delete(l.flights, i, i+1)
			return f, true
		}
	}
	return flight{}, false
}

func (n *Node) link(entry string) *link {
	for _, l := range n.links {
		if l.cfg.Entry == entry {
			return l
		}
	}
	return nil
}

// poll sends the fetches that are due.
func (n *Node) poll() {
	var want []string
	wanted := false
	for _, l := range n.links {
		if l.self || n.now < l.next {
			continue
		}
		for len(l.flights) > 0 && n.now-l.flights[0].at >= l.cfg.Stale {
			l.flights = slices.Delete(l.flights, 0, 1)
			l.tried = true
		}
		if len(l.flights) == maxFlights {
			l.next = l.flights[0].at + l.cfg.Stale
			continue
		}
		if !wanted {
			want, wanted = n.indirect(), true
		}
		n.fetchID++
		l.flights = append(l.flights, flight{n.fetchID, n.now})
		l.last = n.now
		l.next = n.now + max(1, l.cfg.Fetch*9/10+n.random.below(l.cfg.Fetch/5+1))
		n.do(Fetch{Peer: l.cfg.Entry, ID: n.fetchID, Seen: l.peer.seen, Want: want, Timeout: l.cfg.Stale})
	}
}

// indirect returns the nodes whose claims an answer should tell too: those of which this node has only relayed evidence, and
// this node itself, as it was before its boot.
func (n *Node) indirect() []string {
	var out []string
	for _, p := range n.peers {
		if p.alive && !p.direct {
			out = append(out, p.name)
		}
	}
	if !n.settled {
		out = append(out, n.self) // of which peers remember an earlier instance
	}
	return out
}

// hasten polls a link that has not answered yet again after a quarter of the interval, while the node is not warm: its peers
// are probably booting too.
func (n *Node) hasten(l *link) {
	if !n.warm && !l.answered {
		l.next = min(l.next, n.now+l.cfg.Fetch/4)
	}
}

func (n *Node) fetched(e Fetched) {
	l := n.link(e.Peer)
	if l == nil {
		return // the entry was removed meanwhile
	}
	f, ok := l.end(e.ID)
	if !ok || n.now-f.at >= l.cfg.Stale {
		n.do(Note{Kind: NoteLate, Node: l.cfg.Entry})
		return
	}
	l.tried = true
	if err := e.State.Check(); err != nil {
		why := Malformed
		if e.State != nil && e.State.V < minProtocol {
			why = Incompatible
		}
		n.refused(l, why, err.Error())
		return
	}
	st := e.State
	if st.Instance == n.cfg.Instance {
		n.foundSelf(l)
		return
	}
	p := n.identify(l, st)
	if p == nil {
		n.refused(l, NameTaken, st.Node)
		return
	}
	if l.why != "" {
		l.why, l.detail = "", ""
		n.peersDirty = true
	}
	if n.accept(p, st, f.at) {
		l.instance = st.Instance // not that of an old answer, or its successor would look like a second node of its name
		p.rtt = n.now - f.at
		n.ages(p, st)
	}
	l.answered = l.answered || !st.Naming
	n.hasten(l)
}

func (n *Node) fetchFailed(e FetchFailed) {
	l := n.link(e.Peer)
	if l == nil {
		return
	}
	if _, ok := l.end(e.ID); !ok {
		return
	}
	l.tried = true
	n.refused(l, e.Why, e.Detail)
}

// refused keeps why a fetch brought nothing. It changes nothing else, so that a peer with a wrong key has no influence on what
// this node decides.
func (n *Node) refused(l *link, why FailReason, detail string) {
	if len(detail) > maxText {
		detail = detail[:maxText]
	}
	if l.why != why {
		l.why = why
		if why != Unreachable {
			n.do(Note{Kind: NoteRefused, Node: l.cfg.Entry, Detail: string(why) + ": " + detail})
		}
		n.peersDirty = true
	}
	l.detail = detail
	n.hasten(l)
}

// stateAsked answers a peer. Being asked is no evidence that the asker lives, but a reason to ask it at once.
func (n *Node) stateAsked(e StateAsked) {
	n.seq++
	st := &State{
		V: Protocol, Node: n.self, Instance: n.cfg.Instance, Inc: n.inc, Seq: n.seq,
		Naming: !n.named, Warm: n.warm, Draining: n.draining, Version: n.version, Load: n.load, Busy: n.busy,
		Ages: make([]Age, 0, len(n.peers)),
	}
	for _, p := range n.peers {
		if !p.met || !p.direct && p.name != e.From {
			continue
		}
		a := Age{Node: p.name, Instance: p.said.instance, Inc: p.said.inc, Seq: p.said.seq, Age: ageMS(n.now, p.directAt)}
		if p.name == e.From {
			a.Returns = p.returns.count(n.now)
		}
		switch wanted := slices.Contains(e.Want, p.name); {
		case wanted && p.name == e.From:
			a.Claims = n.numberings()
		case wanted && p.direct:
			a.Full = true
			a.Claims = make([]Claim, len(p.claims))
			for i, c := range p.claims {
				c.Since = ageMS(n.now, c.since)
				c.Media = nil // the asker gets the numbering from the owner
				a.Claims[i] = c.Claim
			}
		}
		st.Ages = append(st.Ages, a)
	}
	st.Same = e.Seen.Instance == n.cfg.Instance && e.Seen.Inc == n.inc && e.Seen.Version == n.version
	if !st.Same {
		st.Hash, st.Advert, st.ListHash = n.cfg.Hash, n.cfg.Advert, n.ownHash
		st.Channels = n.limits().Channels
		if e.Seen.List != n.ownHash {
			st.List = slices.Clone(n.own)
		}
		st.Names, st.Wants = n.entryNames(), n.ownWants()
		n.fillClaims(st, e.Seen)
	}
	n.do(Reply{Token: e.Token, State: st})

	asker := n.peer(e.From)
	for _, l := range n.links {
		unmet := !l.self && !l.peer.met && asker == nil
		if !l.self && (unmet || l.peer == asker && !asker.direct) && n.now-l.last >= l.cfg.Fetch/4 {
			l.next = n.now
		}
	}
}

// entryNames tells which names the entries of the file lead to, as far as this node has met the nodes itself; of the other
// entries, that its file has them.
func (n *Node) entryNames() []EntryName {
	var out []EntryName
	for _, l := range n.links {
		switch {
		case l.self:
			out = append(out, EntryName{Entry: l.cfg.Entry, Node: n.self, List: n.ownHash})
		case l.peer.met && l.instance != "":
			out = append(out, EntryName{Entry: l.cfg.Entry, Node: l.peer.name, List: l.peer.listKey})
		default:
			out = append(out, EntryName{Entry: l.cfg.Entry})
		}
	}
	return out
}
