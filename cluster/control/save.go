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
	OverfulSince, Rebalanced           Instant
	Added, Returning                   int
	Lists                              [][]Listed // of the peers
	Links                              []SavedLink
	Peers                              []SavedPeer
	Streams                            []SavedStream
	Waiting                            []PublishWanted

	ToldVersion, GoneFrom uint64
	Gone                  []SavedGone
}

// A SavedLink is the state of a peer entry.
type SavedLink struct {
	Provisional, Instance string
	Self                  bool
	Peer                  string
	Tried, Answered       bool
	Why                   FailReason
	Detail                string
	Next, Last            Instant
	Flights               []SavedFlight
}

// A SavedGone is a claim that is over.
type SavedGone struct {
	Stream  string
	Version uint64
}

// A SavedTold is a claim as it was told last.
type SavedTold struct {
	Claim          Claim
	Media          Media
	Since, MediaAt Instant
	Version        uint64
}

// A SavedFlight is a fetch that is under way.
type SavedFlight struct {
	ID uint64
	At Instant
}

// A SavedClaim is a claim of a peer.
type SavedClaim struct {
	Claim Claim
	Since Instant
}

// A SavedPeer is the state of another node.
type SavedPeer struct {
	Name                string
	Met                 bool
	Stale               Instant
	SaidInstance        string
	SaidInc, SaidSeq    uint64
	DirectAt, Asked     Instant
	Seen                Seen
	Claims              []SavedClaim
	Advert              Advert
	Load                Load
	Hash                string
	List                int // in Lists; -1: not known
	ListKey, ListHint   string
	Wants               []string
	Warm, Leaving, Busy bool
	Limits              Limits
	Channel             int
	RelayedInstance     string
	RelayedInc          uint64
	RelayedSeq          uint64
	RelayedAt           Instant
	RelayedFull         bool
	RelayedClaims       []SavedClaim
	Forgotten           [maxForgotten]string
	Ever, Alive, Direct bool
	Lived               bool
	EvidenceAt, Slept   Instant
	Generation          uint64
	Returns             []Instant
	DeadInstance        string
	Counts              int
	RTT                 Instant
	Status              Status
	Since, DriftedAt    Instant
	Unaware             bool
}

// A SavedStream is the state of a stream.
type SavedStream struct {
	Name, Pin, Home, BadPin string
	State                   Activity
	Since                   Instant
	Why                     Reason
	Of, Detail, To          string
	Returning               bool
	Fails                   int
	RetryAt, Tried          Instant
	AskedOf                 string
	AskedAt                 Instant
	Released                bool
	Releases                []uint64
	MayReturn               bool
	HoldUntil               Instant
	Returns                 []Instant
	Unserved, Differs       Instant
	Epoch                   uint64
	Media                   Media
	MediaAt                 Instant
	Told                    *SavedTold
	WantUntil, LastWanted   Instant
	Wanted                  bool
}

// Save returns all that the node knows after its last step.
func (n *Node) Save() *Saved {
	s := &Saved{
		Config: n.cfg, Self: n.self, Inc: n.inc, Seq: n.seq, Version: n.version, FetchID: n.fetchID, Random: uint64(n.random),
		Load: n.load, Now: n.now, Boot: n.boot, Wake: n.wake, WarmFrom: n.warmFrom, EvalAt: n.evalAt,
		Warm: n.warm, Settled: n.settled, Named: n.named, Draining: n.draining, Drained: n.drained,
		Busy: n.busy, Overful: n.overful, OverfulSince: n.overfulSince, Rebalanced: n.rebalanced, Dirty: n.dirty, Replan: n.replan, Added: n.added, Returning: n.returning,
		Waiting: slices.Clone(n.waiting),
	}
	for _, l := range n.links {
		v := SavedLink{
			Provisional: l.provisional, Instance: l.instance, Self: l.self, Tried: l.tried, Answered: l.answered,
			Why: l.why, Detail: l.detail, Next: l.next, Last: l.last,
		}
		if l.peer != nil {
			v.Peer = l.peer.name
		}
		for _, f := range l.flights {
			v.Flights = append(v.Flights, SavedFlight{f.id, f.at})
		}
		s.Links = append(s.Links, v)
	}
	s.ToldVersion, s.GoneFrom = n.toldVersion, n.goneFrom
	for _, g := range n.gone {
		s.Gone = append(s.Gone, SavedGone{g.stream, g.version})
	}
	at := map[string]int{} // by hash of the list
	for _, p := range n.peers {
		v := p.save()
		if v.List = -1; p.list != nil {
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
		s.Streams = append(s.Streams, t.save())
	}
	return s
}

func saveClaims(in []claim) (out []SavedClaim) {
	for i := range in {
		out = append(out, SavedClaim{in[i].Claim, in[i].since})
	}
	return out
}

func (n *Node) restoreClaims(in []SavedClaim) []claim {
	out := make([]claim, len(in))
	for i, c := range in {
		out[i] = claim{Claim: c.Claim, s: n.stream(c.Claim.Stream), since: c.Since}
	}
	return out
}

func (p *peer) save() SavedPeer {
	return SavedPeer{
		Name: p.name, Met: p.met, Stale: p.stale, SaidInstance: p.said.instance, SaidInc: p.said.inc, SaidSeq: p.said.seq,
		DirectAt: p.directAt, Asked: p.asked, Seen: p.seen, Claims: saveClaims(p.claims), Advert: p.advert, Load: p.load, Hash: p.hash,
		ListKey: p.listKey, ListHint: p.listHint, Wants: slices.Clone(p.wants), Warm: p.warm, Leaving: p.leaving, Busy: p.busy, Limits: p.limits, Channel: p.channel,
		Unaware:         p.unaware,
		RelayedInstance: p.relayed.instance, RelayedInc: p.relayed.inc, RelayedSeq: p.relayed.seq, RelayedAt: p.relayedAt,
		RelayedFull: p.relayedFull, RelayedClaims: saveClaims(p.relayedClaims), Forgotten: p.forgotten,
		Ever: p.ever, Alive: p.alive, Direct: p.direct, Lived: p.lived, EvidenceAt: p.evidenceAt, Slept: p.slept,
		Generation: p.generation, Returns: slices.Clone(p.returns), DeadInstance: p.deadInstance, Counts: p.counts, RTT: p.rtt,
		Status: p.status, Since: p.since, DriftedAt: p.driftedAt,
	}
}

func (n *Node) restorePeer(v SavedPeer, lists [][]Listed) *peer {
	p := &peer{
		name: v.Name, met: v.Met, stale: v.Stale, said: evidence{v.SaidInstance, v.SaidInc, v.SaidSeq},
		directAt: v.DirectAt, asked: v.Asked, seen: v.Seen, claims: n.restoreClaims(v.Claims), advert: v.Advert, load: v.Load, hash: v.Hash,
		listKey: v.ListKey, listHint: v.ListHint, wants: slices.Clone(v.Wants), warm: v.Warm, leaving: v.Leaving, busy: v.Busy, limits: v.Limits, channel: v.Channel,
		unaware: v.Unaware,
		relayed: evidence{v.RelayedInstance, v.RelayedInc, v.RelayedSeq}, relayedAt: v.RelayedAt, relayedFull: v.RelayedFull,
		relayedClaims: n.restoreClaims(v.RelayedClaims), forgotten: v.Forgotten,
		ever: v.Ever, alive: v.Alive, direct: v.Direct, lived: v.Lived, evidenceAt: v.EvidenceAt, slept: v.Slept,
		generation: v.Generation, returns: slices.Clone(v.Returns), deadInstance: v.DeadInstance, counts: v.Counts, rtt: v.RTT,
		status: v.Status, since: v.Since, driftedAt: v.DriftedAt,
	}
	if v.List >= 0 && v.List < len(lists) {
		p.list = lists[v.List]
		if p.list == nil {
			p.list = []Listed{}
		}
	}
	return p
}

func (s *stream) save() SavedStream {
	v := SavedStream{
		Name: s.name, Pin: s.pin, Home: s.home, BadPin: s.badPin, State: s.state, Since: s.since, Why: s.why, Of: s.of,
		Detail: s.detail, To: s.to, Returning: s.returning, Fails: s.fails, RetryAt: s.retryAt, Tried: s.tried,
		AskedOf: s.askedOf, AskedAt: s.askedAt, Released: s.released, Releases: slices.Clone(s.releases),
		MayReturn: s.mayReturn, HoldUntil: s.holdUntil, Returns: slices.Clone(s.returns), Unserved: s.unserved, Differs: s.differs,
		Epoch: s.epoch, Media: s.media, MediaAt: s.mediaAt,
		WantUntil: s.wantUntil, LastWanted: s.lastWanted, Wanted: s.wanted,
	}
	if t := s.told; t != nil {
		v.Told = &SavedTold{Claim: t.claim, Media: t.media, Since: t.since, MediaAt: t.mediaAt, Version: t.version}
	}
	return v
}

func (s *stream) restore(v SavedStream) {
	s.told = nil
	s.wantUntil, s.lastWanted, s.wanted = v.WantUntil, v.LastWanted, v.Wanted
	if t := v.Told; t != nil {
		s.told = &told{claim: t.Claim, media: t.Media, since: t.Since, mediaAt: t.MediaAt, version: t.Version}
	}
	s.pin, s.home, s.badPin, s.state, s.since, s.why, s.of = v.Pin, v.Home, v.BadPin, v.State, v.Since, v.Why, v.Of
	s.detail, s.to, s.returning, s.fails, s.retryAt, s.tried = v.Detail, v.To, v.Returning, v.Fails, v.RetryAt, v.Tried
	s.askedOf, s.askedAt, s.released, s.releases = v.AskedOf, v.AskedAt, v.Released, slices.Clone(v.Releases)
	s.mayReturn, s.holdUntil, s.returns, s.unserved = v.MayReturn, v.HoldUntil, slices.Clone(v.Returns), v.Unserved
	s.differs = v.Differs
	s.epoch, s.media, s.mediaAt = v.Epoch, v.Media, v.MediaAt
}

// Restore returns a node that goes on where the saved one was.
func Restore(v *Saved) *Node {
	n := New(v.Config, v.Boot)
	for i := range v.Streams {
		n.stream(v.Streams[i].Name).restore(v.Streams[i])
	}
	n.peers = nil
	for _, p := range v.Peers {
		n.peers = append(n.peers, n.restorePeer(p, v.Lists))
	}
	for i, l := range n.links {
		if i >= len(v.Links) {
			break
		}
		s := v.Links[i]
		l.provisional, l.instance, l.self, l.peer = s.Provisional, s.Instance, s.Self, n.peer(s.Peer)
		l.tried, l.answered, l.why, l.detail, l.next, l.last = s.Tried, s.Answered, s.Why, s.Detail, s.Next, s.Last
		l.flights = nil
		for _, f := range s.Flights {
			l.flights = append(l.flights, flight{f.ID, f.At})
		}
	}
	n.self, n.named, n.settled = v.Self, v.Named, v.Settled
	n.now = v.Now
	if !v.Replan { // otherwise the first step makes the plan
		n.rebuild(false)
		n.gather()
	}
	for i := range v.Streams { // as before the plan was made
		n.stream(v.Streams[i].Name).restore(v.Streams[i])
	}
	n.inc, n.seq, n.version, n.fetchID, n.random = v.Inc, v.Seq, v.Version, v.FetchID, random(v.Random)
	n.load, n.boot, n.wake, n.warmFrom, n.evalAt = v.Load, v.Boot, v.Wake, v.WarmFrom, v.EvalAt
	n.warm, n.draining, n.drained = v.Warm, v.Draining, v.Drained
	n.busy, n.overful, n.overfulSince, n.rebalanced = v.Busy, v.Overful, v.OverfulSince, v.Rebalanced
	n.dirty, n.replan, n.added, n.returning = v.Dirty, v.Replan, v.Added, v.Returning
	n.waiting = slices.Clone(v.Waiting)
	n.toldVersion, n.goneFrom, n.gone = v.ToldVersion, v.GoneFrom, nil
	for _, g := range v.Gone {
		n.gone = append(n.gone, gone{g.Stream, g.Version})
	}
	n.out = n.out[:0]
	return n
}
