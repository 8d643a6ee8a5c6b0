package control

import (
	"math"
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
	Down      Status = "down" // its process has ended, as its machine says
	Draining  Status = "draining"
	Refused   Status = "unauthorised"
	Drifted   Status = "drifted"  // alive with another configuration
	LeftOut   Status = "left out" // of this node itself: no live peer's file has it
	NeverSeen Status = "never seen"
)

// maxForgotten is how many instances of a peer that are over are remembered, so that a late reply of one is known.
const maxForgotten = 4

// A claim is a [Claim] of a peer as it was taken in.
type claim struct {
	Claim
	s     *stream
	since Instant
	asked Instant // when the question was asked that it answers; the age of its numbering is counted from then
}

// evidence says how new an answer of a peer is. It is ordered by inc and seq, never by the time of its arrival: relayed
// evidence that took long must not win against newer.
type evidence struct {
	Instance string // empty: none
	Inc, Seq uint64
}

// older says whether e is older than f, evidence of the same node.
func (e evidence) older(f evidence) bool {
	switch {
	case e.Instance == "" || f.Instance == "":
		return e.Instance == "" && f.Instance != ""
	case e.Inc != f.Inc:
		return e.Inc < f.Inc
	}
	return e.Seq < f.Seq
}

// A peer is another node of the group. Several links may lead to it.
type peer struct {
	peerState
	index         int      // in Node.nodes
	shown         int      // in View.Peers
	fetch         Instant  // the shortest interval of polls of its links
	list          []Listed // of its file; nil: not known. Shared between peers with the same file, immutable
	claims        []claim  // that it told itself; immutable
	relayedClaims []claim  // that other nodes passed on; immutable
}

// A peerState is the part of a [peer] that does not follow from anything else, nor holds on to streams.
type peerState struct {
	Name  string
	Met   bool // it has announced the name itself; otherwise the name is provisional
	Stale Instant

	// What it said itself.
	Said     evidence
	DirectAt Instant // arrival of the newest direct reply; meaningless before the first
	Asked    Instant // when it was asked for that
	Awaited  bool    // a decision waits for its next answer
	Seen     Seen    // what to tell it that this node has
	Advert   Advert
	Load     Load
	Hash     string
	ListKey  string   // hash of its list
	Wants    []string // on-demand streams that its clients want; immutable
	ListHint string   // hash of its list, as other nodes tell it
	Warm     bool
	Leaving  bool // it drains
	Limits   Limits
	Channel  int  // its limit of captures as it says itself; 0 means none
	Busy     bool // its processors are at their limit

	// What other nodes pass on of it.
	Relayed     evidence
	RelayedAt   Instant // when it reached them
	RelayedFull bool    // its claims are known

	Forgotten [maxForgotten]string // instances that others have replaced, the last first
	Highest   uint64               // inc of any of them

	// Liveness.
	Ever       bool    // there is evidence
	EvidenceAt Instant // when the newest evidence, direct or relayed, was fresh
	Slept      Instant // for how long this node has slept since then
	Alive      bool    // the newest evidence is younger than Stale
	Direct     bool    // the newest direct evidence is
	Lived      bool    // it was alive before

	// The process that was heard last is gone (R13), until there is evidence of it from after BrokenAt.
	Down      bool
	BrokenAt  Instant // when its connections broke, if it is suspected or gone
	Suspicion suspicion

	Generation   uint64
	Returns      returns
	DeadInstance string  // the instance that was last taken for dead
	DeadAt       Instant // when it was
	Flaps        returns // when it was alive again without a restart

	// Names are the peer entries of its file. A peer is unaware of this node, since UnawareAt, when none of them leads here:
	// it cannot see what this node claims.
	Names     []EntryName // immutable
	Unaware   bool
	UnawareAt Instant

	Counts    int // returns of this node that the peer tells of
	RTT       Instant
	Status    Status
	Since     Instant // of the status
	DriftedAt Instant // when its configuration became another than this node's
	DriftTold bool    // the log says so
}

// spoke is when the peer last answered; an instant before all others if it never did.
func (p *peer) spoke() Instant {
	if !p.Met {
		return math.MinInt64
	}
	return p.DirectAt
}

// lateAfter is for how long a peer can be silent while its answers come in time: the jitter of its polls and the way of the answers
// are in it.
func (p *peer) lateAfter() Instant { return p.fetch + min(p.fetch, p.Stale-p.fetch)/4 }

// staying says whether the peer lives and does not drain.
func (p *peer) staying() bool { return p.Alive && !p.Leaving }

// replaced says whether an instance is one that is known to be over.
func (p *peer) replaced(instance string) bool { return slices.Contains(p.Forgotten[:], instance) }

// restarted says whether the newest evidence is of another instance than the last that spoke directly.
func (p *peer) restarted() bool {
	return p.Relayed.Instance != "" && p.Relayed.Instance != p.Said.Instance && p.Said.older(p.Relayed)
}

// current returns the claims that count, and whether the peer itself has told them within stale.
func (p *peer) current() (claims []claim, direct bool) {
	switch {
	case p.restarted():
		return p.relayedClaims, false
	case p.Direct:
		return p.claims, true
	case p.RelayedFull:
		return p.relayedClaims, false
	}
	return p.claims, false
}

// accept takes in a direct reply, to a question of the instant asked, that has been found to come from p. It says
// whether it was news.
func (n *Node) accept(p *peer, st *State, asked Instant) bool {
	e := evidence{st.Instance, st.Inc, st.Seq}
	switch {
	case p.replaced(e.Instance),
		e.Instance != p.Said.Instance && p.Said.Instance != "" && asked < p.Asked, // it may be over
		e.Instance == p.Said.Instance && !p.Said.older(e),
		e.Instance == p.Said.Instance && p.restarted() && p.Alive && asked <= p.RelayedAt,
		e.Instance == p.Said.Instance && p.Down && asked < p.BrokenAt:
		n.do(Note{Kind: NoteOld, Node: p.Name})
		return false
	}
	if e.Instance != p.Said.Instance {
		if p.Said.Instance != "" {
			copy(p.Forgotten[1:], p.Forgotten[:])
			p.Forgotten[0] = p.Said.Instance
			p.Highest = max(p.Highest, p.Said.Inc)
			n.do(Note{Kind: NoteRestarted, Node: p.Name})
			p.Returns.add(n.now)
		}
		p.Generation++
		n.renamed = append(n.renamed, p)
		n.dirty, n.peersDirty = true, true
	}
	if p.Relayed.Instance != e.Instance || !e.older(p.Relayed) { // the instance that answers later than another was heard is the later one
		n.rememberAll(p, p.relayedClaims)
		p.Relayed, p.RelayedFull, p.relayedClaims = evidence{}, false, nil
	}
	if e.Instance == p.Said.Instance {
		asked = max(asked, p.Asked) // answers cross: this one was made after that to a later question
	}
	p.Said, p.DirectAt, p.Met, p.Asked = e, n.now, true, asked
	if i := slices.Index(n.silent, p); i >= 0 {
		n.silent = append(slices.Delete(n.silent, i, i+1), p)
	}
	p.EvidenceAt, p.Ever, p.Slept = n.now, true, 0
	p.Down = false
	n.awaited(p)
	n.body(p, st)
	if p.Warm != st.Warm || p.Leaving != st.Draining {
		p.Warm, p.Leaving = st.Warm, st.Draining
		n.dirty, n.peersDirty, n.streamsDirty = true, true, true
	}
	if p.Load != st.Load {
		p.Load = st.Load
		n.loadsDirty = true
	}
	if busy := st.Busy || p.Limits.busy(p.Load.CPU, p.Busy); busy != p.Busy {
		p.Busy = busy
		n.dirty, n.peersDirty = true, true
	}
	n.heard(p)
	return true
}

// heard is told that there is newer evidence of a peer.
func (n *Node) heard(p *peer) {
	n.expireAt = min(n.expireAt, p.expiry())
	if !p.DriftTold && p.Met && n.drifts(p) {
		p.DriftTold, n.peersDirty = true, true
		n.do(Note{Kind: NoteDrifted, Node: p.Name})
	}
	alive, direct := n.liveness(p)
	n.rejudge = n.rejudge || alive != p.Alive || direct != p.Direct || n.status(p) != p.Status
}

// awaited makes the decisions be taken that have waited for newer evidence of a peer.
func (n *Node) awaited(p *peer) {
	if p.Awaited {
		p.Awaited = false
		n.dirty, n.streamsDirty = true, true
	}
}

// body takes in the part of a reply that is sent only when it changed.
func (n *Node) body(p *peer, st *State) {
	if st.Same {
		if p.Seen.Instance != st.Instance || p.Seen.Inc != st.Inc || p.Seen.Version != st.Version {
			p.Seen = Seen{} // it takes this node for another; the next fetch asks for everything
		}
		return
	}
	if st.Base != 0 && (p.Seen.Instance != st.Instance || p.Seen.Inc != st.Inc || p.Seen.Version < st.Base) {
		p.Seen = Seen{} // a difference from what this node does not have; the next fetch asks for everything
		return
	}
	p.Seen = Seen{Instance: st.Instance, Inc: st.Inc, Version: st.Version, List: p.Seen.List, Names: p.Seen.Names}
	n.rememberOver(p, st)
	if claims := n.takeIn(p, st.Claims, p.Asked); st.Base == 0 {
		p.claims = claims
	} else {
		p.claims = merge(p.claims, claims, st.Gone)
	}
	n.dirty, n.peersDirty, n.streamsDirty = true, true, true
	n.takeWants(p, st.Wants)
	p.Advert, p.Channel = st.Advert, st.Channels
	if st.Hash == n.cfg.Hash {
		st.Hash = n.cfg.Hash // one text: then the two are compared without being read
	}
	if p.Hash != st.Hash {
		if p.Hash == n.cfg.Hash || st.Hash == n.cfg.Hash || p.Hash == "" {
			p.DriftedAt, p.DriftTold = n.now, false
		}
		p.Hash = st.Hash
	}
	if st.ListHash != p.ListKey || p.list == nil {
		n.takeList(p, st)
	}
	p.Seen.List = p.ListKey
	n.takeNames(p, st)
}

// takeNames takes in what the entries of a peer's file lead to, unless that does not match its hash.
func (n *Node) takeNames(p *peer, st *State) {
	if st.NamesHash == "" || st.NamesHash != p.Seen.Names {
		if st.NamesHash != "" && hashNames(st.Names) != st.NamesHash {
			p.Seen = Seen{} // answers crossed; ask for everything again
			return
		}
		p.Names, p.Seen.Names = st.Names, st.NamesHash
		n.renamed = append(n.renamed, p)
	}
	for _, k := range p.Names {
		n.learn(k)
	}
}

// takeList adopts a peer's list of streams, unless it does not match its hash.
func (n *Node) takeList(p *peer, st *State) {
	list := n.listOf(st.ListHash)
	if list == nil {
		if list = normalList(st.List); hashList(list) != st.ListHash {
			p.ListKey, p.Seen = "", Seen{} // answers crossed; ask for everything again
			return
		}
	}
	if list == nil {
		list = []Listed{}
	}
	assumed := n.listAt(p.Name)
	p.list, p.ListKey = list, st.ListHash
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
		if p.ListKey == hash {
			return p.list
		}
	}
	return nil
}

// takeIn makes claims of what a peer claims, as it or another told after it was asked: sorted, each stream once, with instants instead of ages. The
// age of a numbering is counted from the question on, because an answer on its way does not age.
func (n *Node) takeIn(p *peer, in []Claim, asked Instant) []claim {
	slices.SortStableFunc(in, func(a, b Claim) int { return strings.Compare(a.Stream, b.Stream) })
	in = slices.CompactFunc(in, func(a, b Claim) bool { return a.Stream == b.Stream })
	out := make([]claim, len(in))
	for i, c := range in {
		s := n.stream(c.Stream)
		s.Epoch = max(s.Epoch, c.Epoch)
		since := n.now - Instant(c.Since)*Millisecond
		if c.Media != nil {
			s.remember(*c.Media, p.Name, asked, n.now)
		}
		out[i] = claim{Claim: c, s: s, since: since, asked: asked}
		for _, v := range out[i].supersessions() {
			n.supersede(s, v)
		}
	}
	return out
}

// ages takes in the evidence that a peer has of other nodes, and of this one.
func (n *Node) ages(from *peer, st *State) {
	n.recallNumberings(st.Numberings, from)
	for i := range st.Ages {
		a := &st.Ages[i]
		switch a.Node {
		case from.Name:
		case n.self:
			from.Counts = a.Returns
			n.recallNumberings(a.Claims, from)
			own := evidence{n.cfg.Instance, n.inc, n.seq}
			if a.Instance != n.cfg.Instance && a.Inc >= n.inc || own.older(evidence{a.Instance, a.Inc, a.Seq}) {
				n.inc = a.Inc + 1
				n.changed()
				n.do(Note{Kind: NoteBumped, Node: from.Name})
			}
		default:
			if p := n.peer(a.Node); p != nil {
				n.takeRelayed(p, a, from.Asked)
			}
		}
	}
}

// takeRelayed takes in evidence of p that another node gave in its answer to a question of the instant asked.
func (n *Node) takeRelayed(p *peer, a *Age, asked Instant) {
	age := Instant(a.Age) * Millisecond
	e := evidence{a.Instance, a.Inc, a.Seq}
	if age >= p.Stale || p.replaced(e.Instance) {
		return
	}
	if e.Instance != p.Said.Instance && p.Said.Instance != "" && e.Inc <= p.Said.Inc {
		return // of an instance that this node has not met and that is no later than the one it has
	}
	if e.Instance != p.Said.Instance && p.Met && n.now-age <= p.Asked {
		return // it is older than the question that the last instance answered
	}
	if p.Down && e.Instance == p.Said.Instance && a.Since != HeardSince {
		return // it may be older than the end of the process
	}
	full := a.Full && !p.RelayedFull && e == p.Relayed
	if !full && (!p.Said.older(e) || !p.Relayed.older(e)) {
		return
	}
	if e.Instance != p.Relayed.Instance {
		if p.RelayedFull || e.Instance != p.Said.Instance { // else nothing follows from it but that the peer lives
			n.dirty, n.streamsDirty = true, true
		}
		n.rememberAll(p, p.relayedClaims)
		p.RelayedFull, p.relayedClaims = false, nil
	}
	if p.Down {
		n.unsuspect(p)
	}
	p.Relayed, p.RelayedAt = e, n.now-age
	n.awaited(p)
	if at := n.now - age; !p.Ever || at > p.EvidenceAt {
		p.EvidenceAt, p.Ever, p.Slept = at, true, 0
	}
	if a.Full {
		n.rememberAll(p, p.relayedClaims)
		p.RelayedFull, p.relayedClaims = true, n.takeIn(p, a.Claims, asked)
		n.dirty, n.streamsDirty = true, true
	}
	n.heard(p)
}

// liveness says whether the newest evidence of a peer is fresh, and whether the newest direct evidence is.
func (n *Node) liveness(p *peer) (alive, direct bool) {
	alive = p.Ever && !p.Down && n.now-p.EvidenceAt-p.Slept < p.Stale
	direct = p.Met && !p.Down && n.now-p.DirectAt < p.Stale
	return alive, direct
}

// expiry is when evidence of a peer that counts becomes too old; never if there is none.
func (p *peer) expiry() Instant {
	at := never
	if p.Alive {
		at = min(at, p.EvidenceAt+p.Slept+p.Stale)
	}
	if p.Direct {
		at = min(at, p.DirectAt+p.Stale)
	}
	return at
}

// firstExpiry is when evidence of any peer becomes too old.
func (n *Node) firstExpiry() Instant {
	at := never
	for _, p := range n.peers {
		at = min(at, p.expiry())
	}
	return at
}

// expire finds out which peers are alive.
func (n *Node) expire() {
	if !n.rejudge && n.now < n.expireAt {
		return
	}
	n.rejudge, n.unheard = false, nil
	for _, p := range n.peers {
		alive, direct := n.liveness(p)
		if direct != p.Direct {
			p.Direct = direct
			n.dirty, n.peersDirty, n.streamsDirty = true, true, true
		}
		if alive != p.Alive {
			p.Alive = alive
			n.dirty, n.streamsDirty = true, true
			if alive {
				if p.Lived {
					p.Generation++
				}
				// A restart counts when the new instance is met. Relayed evidence from before the death shows that the peer was not
				// gone yet: it has not come back.
				if p.DeadInstance != "" && p.DeadInstance == p.Said.Instance && !p.restarted() && p.EvidenceAt > p.DeadAt {
					p.Returns.add(n.now)
					p.Flaps.add(n.now)
				}
				p.DeadInstance = ""
				p.Lived = true
				n.do(Note{Kind: NoteAlive, Node: p.Name})
			} else {
				p.DeadInstance, p.DeadAt = p.Said.Instance, n.now
				n.urgent = true
				if p.Down {
					n.do(Note{Kind: NoteDown, Node: p.Name, Age: n.now - p.BrokenAt})
				} else {
					n.do(Note{Kind: NoteStale, Node: p.Name, Age: n.now - p.EvidenceAt})
				}
			}
		}
		if s := n.status(p); s != p.Status {
			p.Status, p.Since = s, n.now
			n.peersDirty = true
		}
		if alive && !direct {
			n.unheard = append(n.unheard, p.Name)
		}
	}
	n.expireAt = n.firstExpiry()
}

// status is what the overview shows of a peer.
func (n *Node) status(p *peer) Status {
	switch {
	case !p.Direct && n.unauthorised(p):
		return Refused
	case !p.Ever:
		return NeverSeen
	case p.Down:
		return Down
	case !p.Alive:
		return Stale
	case p.Leaving:
		return Draining
	case p.Met && !p.Warm:
		return Booting
	case p.Met && n.drifts(p):
		return Drifted
	}
	return Alive
}

// driftPolls is for how many intervals of polls a configuration may differ before it is told: the nodes of a group hear of an edit of
// their files one after the other.
const driftPolls = 3

// drifts says whether a peer has had another configuration than this node for longer than an edit takes.
func (n *Node) drifts(p *peer) bool {
	return p.Hash != n.cfg.Hash && n.now-p.DriftedAt >= driftPolls*n.fetch
}

// unauthorised says whether the last fetch of every link to p ended in a refusal.
func (n *Node) unauthorised(p *peer) bool {
	any := false
	for _, l := range n.links {
		if l.peer == p {
			if l.Why != Unauthorised {
				return false
			}
			any = true
		}
	}
	return any
}
