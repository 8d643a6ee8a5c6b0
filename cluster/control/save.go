package control

import "slices"

// Saved is all that a [Node] knows, so that a journal can begin in the middle of its life. It is for the same build
// only.
type Saved struct {
	Config                             Config
	Self                               string
	Inc, Seq, Version, FetchID, Random uint64
	Load                               Load
	Now, Boot, Wake, WarmFrom, EvalAt  Instant
	Warm, Settled, Named               bool
	Draining, Drained                  bool
	Busy, Overful, Dirty, Replan       bool
	Later, ReplanLater, OwnStale       bool
	OverfulSince, Rebalanced           Instant
	Listing, Unlisted, LeftOut, Aside  bool
	LeftOutSince                       Instant
	Relisted                           returns
	Askers                             []asker
	Added, Returning                   int
	Lists                              [][]Listed // of the peers, each once
	Links                              []SavedLink
	Peers                              []SavedPeer
	Streams                            []streamState
	Waiting                            []PublishWanted
	ToldVersion, GoneFrom              uint64
	Gone                               []gone
}

// A SavedLink is the state of a peer entry.
type SavedLink struct {
	linkState
	Next Instant // poll
	Peer string  // its name
}

// A SavedPeer is the state of another node.
type SavedPeer struct {
	peerState
	List                  int // in Saved.Lists; -1: not known
	Claims, RelayedClaims []SavedClaim
}

// A SavedClaim is a claim of a peer.
type SavedClaim struct {
	Claim        Claim
	Since, Asked Instant
}

// Save returns all that the node knows after its last step.
func (n *Node) Save() *Saved {
	s := &Saved{
		Config: n.cfg, Self: n.self, Inc: n.inc, Seq: n.seq, Version: n.version, FetchID: n.fetchID, Random: uint64(n.random),
		Load: n.load, Now: n.now, Boot: n.boot, Wake: n.wake, WarmFrom: n.warmFrom, EvalAt: n.evalAt,
		Warm: n.warm, Settled: n.settled, Named: n.named, Draining: n.draining, Drained: n.drained,
		Busy: n.busy, Overful: n.overful, OverfulSince: n.overfulSince, Rebalanced: n.rebalanced,
		Listing: n.listing || len(n.renamed) > 0, Unlisted: n.unlisted, LeftOut: n.leftOut, Aside: n.aside, LeftOutSince: n.leftOutSince, Relisted: slices.Clone(n.relisted), Askers: slices.Clone(n.askers),
		Dirty: n.dirty, Replan: n.replan, Later: n.later, ReplanLater: n.replanLater, OwnStale: n.ownStale, Added: n.added, Returning: n.returning,
		Waiting: slices.Clone(n.waiting), ToldVersion: n.toldVersion, GoneFrom: n.goneFrom, Gone: slices.Clone(n.gone),
	}
	for _, l := range n.links {
		v := SavedLink{linkState: l.linkState, Next: n.next[l.index]}
		v.Flights = slices.Clone(l.Flights)
		if l.peer != nil {
			v.Peer = l.peer.Name
		}
		s.Links = append(s.Links, v)
	}
	at := map[string]int{} // by hash of the list
	for _, p := range n.peers {
		v := SavedPeer{peerState: p.peerState, List: -1, Claims: saveClaims(p.claims), RelayedClaims: saveClaims(p.relayedClaims)}
		v.Returns, v.Suspicion.Nothing = slices.Clone(p.Returns), slices.Clone(p.Suspicion.Nothing)
		if p.list != nil {
			key := hashList(p.list)
			if _, ok := at[key]; !ok {
				at[key] = len(s.Lists)
				s.Lists = append(s.Lists, slices.Clone(p.list))
			}
			v.List = at[key]
		}
		s.Peers = append(s.Peers, v)
	}
	n.sortStreams()
	for _, t := range n.streams {
		s.Streams = append(s.Streams, t.copy())
	}
	return s
}

// copy returns the state, with slices and what it points to of its own.
func (s *streamState) copy() streamState {
	v := *s
	v.Releases, v.Returns, v.Superseded = slices.Clone(s.Releases), slices.Clone(s.Returns), slices.Clone(s.Superseded)
	if s.Told != nil {
		t := *s.Told
		v.Told = &t
	}
	return v
}

func saveClaims(in []claim) (out []SavedClaim) {
	for i := range in {
		out = append(out, SavedClaim{in[i].Claim, in[i].since, in[i].asked})
	}
	return out
}

func (n *Node) restoreClaims(in []SavedClaim) []claim {
	out := make([]claim, len(in))
	for i, c := range in {
		out[i] = claim{Claim: c.Claim, s: n.stream(c.Claim.Stream), since: c.Since, asked: c.Asked}
	}
	return out
}

// restorePeer makes a peer of its state.
func (n *Node) restorePeer(v SavedPeer, lists [][]Listed) *peer {
	p := &peer{peerState: v.peerState, claims: n.restoreClaims(v.Claims), relayedClaims: n.restoreClaims(v.RelayedClaims)}
	p.Returns, p.Suspicion.Nothing = slices.Clone(v.Returns), slices.Clone(v.Suspicion.Nothing)
	if v.List >= 0 && v.List < len(lists) {
		p.list = lists[v.List]
		if p.list == nil {
			p.list = []Listed{}
		}
	}
	return p
}

// Restore returns a node that goes on where the saved one was.
func Restore(v *Saved) *Node {
	n := New(v.Config, v.Boot)
	restoreStreams := func() {
		for i := range v.Streams {
			n.stream(v.Streams[i].Name).streamState = v.Streams[i].copy()
		}
	}
	restoreStreams()
	n.peers, n.byPeer = nil, nil
	for _, p := range v.Peers {
		n.peers = append(n.peers, n.restorePeer(p, v.Lists))
	}
	for i, l := range n.links {
		if i >= len(v.Links) {
			break
		}
		l.linkState, l.peer = v.Links[i].linkState, n.peer(v.Links[i].Peer)
		l.Flights = slices.Clone(l.Flights)
		n.next[i] = v.Links[i].Next
	}
	n.prune()
	n.self, n.named, n.settled = v.Self, v.Named, v.Settled
	n.now = v.Now
	if !v.Replan { // otherwise the first step makes the plan
		n.rebuild(false)
		n.gather()
	}
	restoreStreams() // as they were before the plan was made
	n.inc, n.seq, n.version, n.fetchID, n.random = v.Inc, v.Seq, v.Version, v.FetchID, random(v.Random)
	n.load, n.boot, n.wake, n.warmFrom, n.evalAt = v.Load, v.Boot, v.Wake, v.WarmFrom, v.EvalAt
	n.warm, n.draining, n.drained = v.Warm, v.Draining, v.Drained
	n.busy, n.overful, n.overfulSince, n.rebalanced = v.Busy, v.Overful, v.OverfulSince, v.Rebalanced
	n.dirty, n.replan, n.added, n.returning = v.Dirty, v.Replan, v.Added, v.Returning
	n.later, n.replanLater, n.ownStale = v.Later, v.ReplanLater, v.OwnStale
	n.listing, n.unlisted, n.leftOut, n.aside, n.leftOutSince = v.Listing, v.Unlisted, v.LeftOut, v.Aside, v.LeftOutSince
	n.relisted, n.askers = slices.Clone(v.Relisted), slices.Clone(v.Askers)
	n.waiting = slices.Clone(v.Waiting)
	n.toldVersion, n.goneFrom, n.gone = v.ToldVersion, v.GoneFrom, slices.Clone(v.Gone)
	n.out = n.out[:0]
	return n
}
