package control

import (
	"slices"
	"strings"
)

// configure builds what follows from a configuration: the links, and this node's list of streams.
func (n *Node) configure(cfg Config) {
	for _, p := range n.peers {
		if (p.Hash == n.cfg.Hash) != (p.Hash == cfg.Hash) {
			p.DriftedAt, p.DriftTold = n.now, false
		}
	}
	n.cfg = cfg
	old := n.links
	n.links, n.entries = make([]*link, 0, len(cfg.Peers)), make(map[string]*link, len(cfg.Peers))
	next := n.next
	n.next, n.pollAt = make([]Instant, 0, len(cfg.Peers)), n.now
	n.stale, n.fetch, n.shortest = 0, 0, never
	for _, p := range cfg.Peers {
		n.stale, n.fetch, n.shortest = max(n.stale, p.Stale), max(n.fetch, p.Fetch), min(n.shortest, p.Fetch)
		at := slices.IndexFunc(old, func(l *link) bool { return l.cfg.Entry == p.Entry })
		l, due := &link{linkState: linkState{Last: n.now - p.Fetch}}, n.now
		if at >= 0 {
			l, due = old[at], next[at]
		}
		l.cfg, l.index = p, len(n.links)
		n.links, n.next = append(n.links, l), append(n.next, due)
		n.entries[p.Entry] = l
	}
	for _, l := range n.links { // only now, or the peers of links yet to come would look unused
		if !l.Self && (l.peer == nil || !l.peer.Met) {
			n.bind(l, l.cfg.Name)
		}
	}
	n.prune()

	n.setStreams(cfg.Streams)
	n.listOwn()
	n.replan = true
}

// setStreams makes these the streams of the node's file.
func (n *Node) setStreams(list []Stream) {
	n.cfg.Streams = slices.Clip(list) // those that are added later must not land in the caller's array
	for _, s := range n.streams {
		s.cfg = nil
	}
	for i := range list {
		n.stream(list[i].Name).cfg = &list[i]
	}
	n.ownStale = true
}

// listOwn makes the list of streams that this node tells others, if it is not that of its configuration.
func (n *Node) listOwn() {
	if !n.ownStale {
		return
	}
	n.ownStale, n.listing = false, true
	n.own = make([]Listed, 0, len(n.cfg.Streams))
	for i := range n.cfg.Streams {
		if c := &n.cfg.Streams[i]; !c.Disabled {
			n.own = append(n.own, Listed{
				Name: c.Name, Pin: c.Pin, Published: c.Kind == Published, Clustered: c.Clustered, OnDemand: c.OnDemand && c.Kind == Kept,
				Restreamed: c.Restreamed,
			})
		}
	}
	n.own = normalList(n.own)
	n.ownHash = hashList(n.own)
}

// streamsChanged adds and removes streams of the configuration.
func (n *Node) streamsChanged(e StreamsChanged) {
	for _, c := range e.Added {
		if s := n.stream(c.Name); s.cfg == nil {
			n.cfg.Streams = append(n.cfg.Streams, c)
			s.cfg = &c
		}
	}
	n.ownStale = true
	if len(e.Removed) == 0 {
		n.shortly()
		n.replanLater = n.later
		n.replan = n.replan || !n.later
		return
	}
	gone := make(map[string]bool, len(e.Removed))
	for _, name := range e.Removed {
		gone[name] = true
	}
	n.setStreams(slices.DeleteFunc(slices.Clone(n.cfg.Streams), func(c Stream) bool { return gone[c.Name] }))
	n.replan = true
	n.changed()
}

// bind makes a link lead to the peer of that name, which is made if there is none.
func (n *Node) bind(l *link, name string) {
	i, ok := n.find(name)
	if !ok {
		p := &peer{peerState: peerState{Name: name, Stale: l.cfg.Stale, Status: NeverSeen, Since: n.now}}
		n.peers = slices.Insert(n.peers, i, p)
		n.silent, n.byPeer = nil, nil
	}
	if l.peer == n.peers[i] {
		return
	}
	l.peer, l.Self = n.peers[i], false
	n.replan, n.peersDirty, n.rejudge = true, true, true
	n.prune()
}

// prune drops the peers to which no link leads any more, and gives each the timeout of its first link and the interval of the
// one that is polled most.
func (n *Node) prune() {
	n.peers = slices.DeleteFunc(n.peers, func(p *peer) bool {
		gone := true
		for _, l := range n.links {
			if l.peer == p {
				if gone {
					n.rejudge = n.rejudge || p.Stale != l.cfg.Stale
					p.Stale, p.Limits, p.fetch = l.cfg.Stale, l.cfg.Limits, l.cfg.Fetch
				}
				gone, p.fetch = false, min(p.fetch, l.cfg.Fetch)
			}
		}
		if gone {
			n.replan, n.dirty, n.peersDirty, n.streamsDirty = true, true, true, true
			n.rejudge, n.silent, n.byPeer = true, nil, nil
		}
		return gone
	})
}

// identify returns the peer that a reply comes from, under the name that it announces; nil if another live node has
// that name.
func (n *Node) identify(l *link, st *State) *peer {
	if st.Node == n.self {
		n.namesake(l, st)
		return nil
	}
	if st.Aside {
		return nil
	}
	p := l.peer
	q := p
	if p.Name != st.Node {
		q = n.peer(st.Node)
	}
	if q != nil && q.Direct && q.Said.Instance != st.Instance && l.Instance != q.Said.Instance {
		if !n.displaced(l, st.Node) {
			return nil
		}
		p = l.peer
	}
	if p != q {
		n.rename(l, st.Node)
	}
	if l.Instance == st.Instance && p == l.peer && p.Met && p == q {
		return p
	}
	p = l.peer
	for _, other := range n.links {
		if other != l && other.peer == p && other.Instance == st.Instance {
			n.do(Note{Kind: NoteAlias, Node: p.Name, Detail: l.cfg.Entry})
		}
	}
	n.changed() // peers are told which node an entry leads to
	n.listing = true
	return p
}

// rename gives the peer of a link another name, or makes the link lead to the peer that has it.
func (n *Node) rename(l *link, name string) {
	if n.peer(name) != nil || !n.onlyLink(l) {
		n.bind(l, name)
		return
	}
	l.peer.Name, n.byPeer = name, nil
	slices.SortFunc(n.peers, func(a, b *peer) int { return strings.Compare(a.Name, b.Name) })
	n.replan, n.peersDirty, n.streamsDirty, n.rejudge = true, true, true, true
}

// onlyLink says whether no other link leads to the peer of l.
func (n *Node) onlyLink(l *link) bool {
	for _, other := range n.links {
		if other != l && other.peer == l.peer {
			return false
		}
	}
	return true
}

// foundSelf notes that an entry leads to this node. A node that was given no name takes the entry's, until it is warm;
// later its streams would change their homes by it.
func (n *Node) foundSelf(l *link) {
	l.Why, l.Detail, l.Answered = "", "", true
	if l.Self {
		return
	}
	l.Self, l.peer, l.Flights = true, nil, nil
	n.next[l.index], n.pollAt = never, n.now // it may have been the next
	n.prune()
	if n.named && n.self != l.cfg.Name {
		n.do(Note{Kind: NoteMisnamed, Node: n.self, Detail: l.cfg.Name})
	}
	if !n.named && !n.settled {
		n.named = true
		n.self = l.cfg.Name
		// A peer that holds this name by another entry has to be met under its own first.
		for _, other := range n.links {
			if !other.Self && other.peer.Name == n.self {
				n.bind(other, other.cfg.Entry)
			}
		}
		n.do(Note{Kind: NoteNamed, Node: n.self})
	}
	n.replan, n.peersDirty, n.listing = true, true, true
	n.changed()
}

// learn takes in which name an entry leads to, from a peer that has met it. It counts until this node meets it.
func (n *Node) learn(k EntryName) {
	l := n.entries[k.Entry]
	if l == nil || l.Self || l.peer.Met || k.Node == "" {
		return
	}
	if k.Node != n.self && l.peer.Name != k.Node {
		n.rename(l, k.Node)
	}
	if !l.peer.Met && l.peer.ListHint != k.List {
		assumed := n.listAt(l.peer.Name)
		l.peer.ListHint = k.List
		n.replan = n.replan || !sameList(assumed, n.listAt(l.peer.Name))
	}
}

// resolvePin turns a capture_at into the name of a node: an announced name, a host that one entry has, or an entry.
func (n *Node) resolvePin(pin string) (node string, ok bool) {
	if pin == n.self || n.peer(pin) != nil {
		return pin, true
	}
	for pass := range 2 {
		var at *link
		for _, l := range n.links {
			if pass == 0 && l.cfg.Host == pin || pass == 1 && l.cfg.Entry == pin {
				if at != nil && (at.peer != l.peer || at.Self != l.Self) {
					at = nil
					break // several nodes share the host
				}
				at = l
			}
		}
		if at != nil && at.Self {
			return n.self, true
		}
		if at != nil {
			return at.peer.Name, true
		}
	}
	return "", false
}

// nearest returns the word that is most like an unknown pin.
func (n *Node) nearest(pin string) string {
	words := []string{n.self}
	for _, p := range n.peers {
		words = append(words, p.Name)
	}
	for _, l := range n.links {
		words = append(words, l.cfg.Host, l.cfg.Entry)
	}
	best, least := "", len(pin)/2+2
	for _, w := range words {
		if d := distance(strings.ToLower(pin), strings.ToLower(w)); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is the number of bytes to insert, delete or replace to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
