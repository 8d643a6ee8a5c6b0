package control

import (
	"slices"
	"strings"
)

// Status is what the overview shows of a peer.
type Status string

// Statuses of a peer.
const (
	Alive     Status = "alive"
	Booting   Status = "starting" // it answers, and claims nothing yet
	Stale     Status = "stale"
	Draining  Status = "draining"
	Refused   Status = "unauthorised"
	Drifted   Status = "drifted" // alive with another configuration
	NeverSeen Status = "never seen"
)

// maxForgotten is how many instances of a peer that are over are remembered, so that a late reply of one is known.
const maxForgotten = 4

// A claim is a [Claim] of a peer as it was taken in.
type claim struct {
	Claim
	s     *stream
	since Instant
}

// evidence says how new an answer of a peer is. It is ordered by inc and seq, never by the time of its arrival: relayed
// evidence that took long must not win against newer.
type evidence struct {
	instance string // empty: none
	inc, seq uint64
}

// older says whether e is older than f, evidence of the same node.
func (e evidence) older(f evidence) bool {
	switch {
	case e.instance == "" || f.instance == "":
		return e.instance == "" && f.instance != ""
	case e.inc != f.inc:
		return e.inc < f.inc
	}
	return e.seq < f.seq
}

// A peer is another node of the group. Several links may lead to it.
type peer struct {
	name  string
	met   bool // it has announced the name itself; otherwise the name is provisional
	stale Instant
	index int // in Node.nodes

	// What it said itself.
	said     evidence
	directAt Instant // arrival of the newest direct reply; meaningless before the first
	asked    Instant // when it was asked for
	seen     Seen    // what to tell it that this node has
	claims   []claim // immutable
	advert   Advert
	load     Load
	hash     string
	list     []Listed // nil: not known. Shared between peers with the same file, immutable
	listKey  string
	wants    []string // on-demand streams that its clients want
	listHint string   // hash of its list, as other nodes tell it
	warm     bool
	leaving  bool // it drains
	limits   Limits
	channel  int  // its limit of captures as it says itself; 0 means none
	busy     bool // its processors are at their limit

	// What other nodes pass on of it.
	relayed       evidence
	relayedAt     Instant // when it reached them
	relayedFull   bool    // relayedClaims is known
	relayedClaims []claim

	forgotten [maxForgotten]string // instances that others have replaced

	// Liveness.
	ever       bool    // there is evidence
	evidenceAt Instant // when the newest evidence, direct or relayed, was fresh
	slept      Instant // for how long this node has slept since then
	alive      bool    // the newest evidence is younger than stale
	direct     bool    // the newest direct evidence is
	lived      bool    // it was alive before

	generation   uint64
	returns      returns
	deadInstance string // the instance that was last taken for dead

	// A peer is unaware of this node when it has met all nodes that its file lists, and this node is not among them. It
	// cannot see what this node claims.
	unaware bool

	counts    int // returns of this node that the peer tells of
	rtt       Instant
	status    Status
	since     Instant // of the status
	driftedAt Instant // when its configuration became another than this node's
}

// staying says whether the peer lives and does not drain.
func (p *peer) staying() bool { return p.alive && !p.leaving }

// replaced says whether an instance is one that is known to be over.
func (p *peer) replaced(instance string) bool { return slices.Contains(p.forgotten[:], instance) }

// restarted says whether the newest evidence is of another instance than the last that spoke directly.
func (p *peer) restarted() bool {
	return p.relayed.instance != "" && p.relayed.instance != p.said.instance && p.said.older(p.relayed)
}

// current returns the claims that count, and whether the peer itself has told them within stale.
func (p *peer) current() (claims []claim, direct bool) {
	switch {
	case p.restarted():
		return p.relayedClaims, false
	case p.direct:
		return p.claims, true
	case p.relayedFull:
		return p.relayedClaims, false
	}
	return p.claims, false
}

// accept takes in a direct reply, to a question of the instant asked, that has been found to come from p. It says
// whether it was news.
func (n *Node) accept(p *peer, st *State, asked Instant) bool {
	e := evidence{st.Instance, st.Inc, st.Seq}
	switch {
	case p.replaced(e.instance),
		e.instance != p.said.instance && p.said.instance != "" && asked < p.asked, // it may be over
		e.instance == p.said.instance && !p.said.older(e),
		e.instance == p.said.instance && p.restarted() && p.alive && asked <= p.relayedAt:
		n.do(Note{Kind: NoteOld, Node: p.name})
		return false
	}
	if e.instance != p.said.instance {
		if p.said.instance != "" {
			copy(p.forgotten[1:], p.forgotten[:])
			p.forgotten[0] = p.said.instance
			n.do(Note{Kind: NoteRestarted, Node: p.name})
			p.returns.add(n.now)
		}
		p.generation++
		p.claims, p.wants, p.seen, p.unaware = nil, nil, Seen{}, false
		n.dirty, n.peersDirty = true, true
	}
	if p.relayed.instance != e.instance || !e.older(p.relayed) { // the instance that answers later than another was heard is the later one
		p.relayed, p.relayedFull, p.relayedClaims = evidence{}, false, nil
	}
	p.said, p.directAt, p.met, p.asked = e, n.now, true, asked
	p.evidenceAt, p.ever, p.slept = n.now, true, 0
	n.body(p, st)
	if p.warm != st.Warm || p.leaving != st.Draining {
		p.warm, p.leaving = st.Warm, st.Draining
		n.dirty, n.peersDirty, n.streamsDirty = true, true, true
	}
	if p.load != st.Load {
		p.load = st.Load
		n.peersDirty = true
	}
	if busy := st.Busy || p.limits.busy(p.load.CPU, p.busy); busy != p.busy {
		p.busy = busy
		n.dirty, n.peersDirty = true, true
	}
	return true
}

// body takes in the part of a reply that is sent only when it changed.
func (n *Node) body(p *peer, st *State) {
	if st.Same {
		if p.seen.Instance != st.Instance || p.seen.Inc != st.Inc || p.seen.Version != st.Version {
			p.seen = Seen{} // it takes this node for another; the next fetch asks for everything
		}
		return
	}
	if st.Base != 0 && (p.seen.Instance != st.Instance || p.seen.Inc != st.Inc || p.seen.Version < st.Base) {
		p.seen = Seen{} // a difference from what this node does not have; the next fetch asks for everything
		return
	}
	p.seen = Seen{Instance: st.Instance, Inc: st.Inc, Version: st.Version, List: p.seen.List}
	if claims := n.takeIn(st.Claims); st.Base == 0 {
		p.claims = claims
	} else {
		p.claims = merge(p.claims, claims, st.Gone)
	}
	n.dirty, n.peersDirty, n.streamsDirty = true, true, true
	n.takeWants(p, st.Wants)
	p.advert, p.channel = st.Advert, st.Channels
	if p.hash != st.Hash {
		p.hash, p.driftedAt = st.Hash, n.now
		if p.hash != n.cfg.Hash {
			n.do(Note{Kind: NoteDrifted, Node: p.name})
		}
	}
	if st.ListHash != p.listKey || p.list == nil {
		n.takeList(p, st)
	}
	p.seen.List = p.listKey
	unaware := len(st.Names) > 0 // a peer that has met no node yet may be aware of this one
	for _, k := range st.Names {
		n.learn(k)
		unaware = unaware && k.Node != n.self && k.Node != "" // an entry whose node it has not met may lead here
	}
	p.unaware = unaware
}

// takeList adopts a peer's list of streams, unless it does not match its hash.
func (n *Node) takeList(p *peer, st *State) {
	list := normalList(st.List)
	if hashList(list) != st.ListHash {
		p.listKey, p.seen = "", Seen{} // answers crossed; ask for everything again
		return
	}
	if same := n.listOf(st.ListHash); same != nil {
		list = same
	}
	if list == nil {
		list = []Listed{}
	}
	assumed := n.listAt(p.name)
	p.list, p.listKey = list, st.ListHash
	n.replan = n.replan || !sameList(assumed, list)
	n.changed() // peers learn from this node which list it has
}

// sameList says whether two lists are one, which those of equal files are.
func sameList(a, b []Listed) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// listOf returns a list that is known by its hash, or nil.
func (n *Node) listOf(hash string) []Listed {
	if hash == "" {
		return nil
	}
	if hash == n.ownHash {
		return n.own
	}
	for _, p := range n.peers {
		if p.listKey == hash {
			return p.list
		}
	}
	return nil
}

// takeIn makes claims of what a peer has sent: sorted, each stream once, with instants instead of ages.
func (n *Node) takeIn(in []Claim) []claim {
	slices.SortStableFunc(in, func(a, b Claim) int { return strings.Compare(a.Stream, b.Stream) })
	in = slices.CompactFunc(in, func(a, b Claim) bool { return a.Stream == b.Stream })
	out := make([]claim, len(in))
	for i, c := range in {
		s := n.stream(c.Stream)
		s.epoch = max(s.epoch, c.Epoch)
		since := n.now - Instant(c.Since)*Millisecond
		if c.Media != nil {
			s.remember(*c.Media, n.now)
		}
		out[i] = claim{Claim: c, s: s, since: since}
	}
	return out
}

// ages takes in the evidence that a peer has of other nodes, and of this one.
func (n *Node) ages(from *peer, st *State) {
	for i := range st.Ages {
		a := &st.Ages[i]
		switch a.Node {
		case from.name:
		case n.self:
			from.counts = a.Returns
			n.recallNumberings(a.Claims)
			own := evidence{n.cfg.Instance, n.inc, n.seq}
			if a.Instance != n.cfg.Instance && a.Inc >= n.inc || own.older(evidence{a.Instance, a.Inc, a.Seq}) {
				n.inc = a.Inc + 1
				n.changed()
				n.do(Note{Kind: NoteBumped, Node: from.name})
			}
		default:
			if p := n.peer(a.Node); p != nil {
				n.takeRelayed(p, a)
			}
		}
	}
}

// takeRelayed takes in relayed evidence of p.
func (n *Node) takeRelayed(p *peer, a *Age) {
	age := Instant(a.Age) * Millisecond
	e := evidence{a.Instance, a.Inc, a.Seq}
	if age >= p.stale || p.replaced(e.instance) {
		return
	}
	if e.instance != p.said.instance && p.said.instance != "" && e.inc <= p.said.inc {
		return // of an instance that this node has not met and that is no later than the one it has
	}
	if e.instance != p.said.instance && p.met && n.now-age <= p.asked {
		return // it is older than the question that the last instance answered
	}
	full := a.Full && !p.relayedFull && e == p.relayed
	if !full && (!p.said.older(e) || !p.relayed.older(e)) {
		return
	}
	if e.instance != p.relayed.instance {
		if p.relayedFull || e.instance != p.said.instance { // else nothing follows from it but that the peer lives
			n.dirty, n.streamsDirty = true, true
		}
		p.relayedFull, p.relayedClaims = false, nil
	}
	p.relayed, p.relayedAt = e, n.now-age
	if at := n.now - age; !p.ever || at > p.evidenceAt {
		p.evidenceAt, p.ever, p.slept = at, true, 0
	}
	if a.Full {
		p.relayedFull, p.relayedClaims = true, n.takeIn(a.Claims)
		n.dirty, n.streamsDirty = true, true
	}
}

// expire finds out which peers are alive.
func (n *Node) expire() {
	for _, p := range n.peers {
		alive := p.ever && n.now-p.evidenceAt-p.slept < p.stale
		direct := p.met && n.now-p.directAt < p.stale
		if direct != p.direct {
			p.direct = direct
			n.dirty, n.peersDirty, n.streamsDirty = true, true, true
		}
		if alive != p.alive {
			p.alive = alive
			n.dirty, n.streamsDirty = true, true
			if alive {
				if p.lived {
					p.generation++
				}
				if p.deadInstance != "" && p.deadInstance == p.said.instance && !p.restarted() { // otherwise it counts as a restart
					p.returns.add(n.now)
				}
				p.deadInstance = ""
				p.lived = true
				n.do(Note{Kind: NoteAlive, Node: p.name})
			} else {
				p.deadInstance = p.said.instance
				n.do(Note{Kind: NoteStale, Node: p.name, Age: n.now - p.evidenceAt})
			}
		}
		n.updateStatus(p)
	}
}

// updateStatus keeps a peer's status and since when it is so.
func (n *Node) updateStatus(p *peer) {
	s := Alive
	switch {
	case !p.direct && n.unauthorised(p):
		s = Refused
	case !p.ever:
		s = NeverSeen
	case !p.alive:
		s = Stale
	case p.leaving:
		s = Draining
	case p.met && !p.warm:
		s = Booting
	case p.met && p.hash != n.cfg.Hash:
		s = Drifted
	}
	if s != p.status {
		p.status, p.since = s, n.now
		n.peersDirty = true
	}
}

// unauthorised says whether the last fetch of every link to p ended in a refusal.
func (n *Node) unauthorised(p *peer) bool {
	any := false
	for _, l := range n.links {
		if l.peer == p {
			if l.why != Unauthorised {
				return false
			}
			any = true
		}
	}
	return any
}
