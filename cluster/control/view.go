package control

import (
	"slices"
	"strings"
)

// StreamState is what the streams page shows of a stream (row A11 of the features).
type StreamState string

// States of a stream in the group.
const (
	StreamStarting StreamState = "starting"
	StreamRunning  StreamState = "running"
	StreamWaiting  StreamState = "waiting" // for a publisher
	StreamFailed   StreamState = "failed"
	StreamMoving   StreamState = "moving" // more than one node has it, for a moment
	StreamDisabled StreamState = "disabled"
)

// A View is what the node knows, for look-ups and pages. It is immutable, and may be read by any goroutine.
type View struct {
	Version uint64 // greater than that of every earlier view with other content

	Self     string // announced name; final once Warm was true
	Instance string
	Inc      uint64
	Entries  []string // the peer entries that lead to this node
	Warm     bool     // claims may be made
	Draining bool
	LeftOut  bool    // no live peer's file has this node
	Aside    bool    // another process has this node's name by right; so this one names it as the owner of nothing
	OutSince Instant // since when that is so; meaningless otherwise
	Advert   Advert
	Load     Load
	Since    Instant // boot
	Full     bool    // no new capture is started here while another node can take it
	Limits   Limits
	Alarms   []Alarm

	Peers   []PeerView   // by name
	Streams []StreamView // by name
}

// A PeerView is another node of the group.
type PeerView struct {
	Name     string   // announced; provisional while Met is false
	Entry    string   // the first that leads to it
	Aliases  []string // further entries that lead to it
	Met      bool
	Instance string // of the process that answered last
	Inc      uint64

	Alive  bool
	Direct bool // it answers this node itself; otherwise there is only relayed evidence of it
	Status Status
	Since  Instant // of the status
	Why    FailReason
	Detail string // of the last failed fetch; empty after a good one

	// Generation rises with every new instance and every return from staleness: protoactor never admits a member again
	// that it has seen leave, so that each return needs another member id.
	Generation uint64

	Hash   string // of its configuration
	Advert Advert
	Load   Load
	LoadAt Instant // when it was measured, or a little before
	Full   bool
	RTT    Instant // of the last fetch, as of this view
}

// An AlarmKind says what an [Alarm] is about.
type AlarmKind string

// Kinds of alarms.
const (
	AlarmDrift    AlarmKind = "configuration drift" // a live node has another configuration
	AlarmOverfull AlarmKind = "all full"            // every node is at its limits, and some beyond
	AlarmLeftOut  AlarmKind = "left out"            // no live peer's file has this node
	AlarmUnlisted AlarmKind = "not in the file"     // a node asks that this node's file does not have

	AlarmNameTaken AlarmKind = "name taken" // two processes announce one name
)

// An Alarm is something that an operator should mend.
type Alarm struct {
	Kind  AlarmKind
	Node  string // that it is about; empty for the group
	Since Instant
	Text  string // a sentence
}

// A StreamView is a stream that is in some node's file, or that some node has.
type StreamView struct {
	Name      string
	Here      bool // in this node's file
	Kind      Kind
	Clustered bool
	OnDemand  bool
	Wanted    bool // clients want it, here or elsewhere

	// Owner is the node that has it: of those that run it the first in the static order, or of those that start it. A
	// stream that is not clustered may have several; Owner is this node if it is one of them.
	Owner      string
	OwnerState ClaimState
	Mine       Activity
	MineSince  Instant
	To         string // the node that has it now, while Mine is Stopping

	State  StreamState
	Reason Reason // of the owner's claim; empty without owner
	Of     string // the home node, for Spill
	Detail string // why it failed

	// Lasting says of a stream that has failed that a node has failed with it more than once in a row: the first failure may
	// be of a source that another node has not let go yet.
	Lasting bool

	Epoch     uint64 // the highest known
	Pin       string // the node it is pinned to
	Home      string
	Place     string // where it belongs while those live that do; empty unless clustered and kept
	Claimants []ClaimView
	On        []string // the live and dead nodes whose file has it

	// Supersedes are the claims of other nodes that do not count any more, though they seem fresh.
	Supersedes []Supersession

	Media   Media // the last numbering known, of any owner
	MediaAt Instant
}

// A ClaimView is a node that has a stream, or tries to, this one included.
type ClaimView struct {
	Node   string
	State  ClaimState
	Silent bool // it runs, and its publisher has sent nothing for a while
	Since  Instant
	Direct bool // known from the node itself
	Solo   bool
}

// Stream returns the stream of that name, or nil.
func (v *View) Stream(name string) *StreamView {
	i, ok := slices.BinarySearchFunc(v.Streams, name, func(s StreamView, name string) int { return strings.Compare(s.Name, name) })
	if !ok {
		return nil
	}
	return &v.Streams[i]
}

// Peer returns the peer of that name, or nil.
func (v *View) Peer(name string) *PeerView {
	i, ok := slices.BinarySearchFunc(v.Peers, name, func(p PeerView, name string) int { return strings.Compare(p.Name, name) })
	if !ok {
		return nil
	}
	return &v.Peers[i]
}

// View returns what the node knows after the last step. Without a change it is the same pointer as before. New loads of peers alone,
// which every answer brings, are shown a quarter of an interval of polls after the last view at the earliest: views for each answer of
// each peer would cost the square of the group.
func (n *Node) View() *View {
	loads := n.loadsDirty && n.now-n.viewedAt >= n.shortest/4
	if n.view != nil && !n.peersDirty && !n.streamsDirty && !loads && n.view.Load == n.load {
		return n.view
	}
	v := &View{
		Self: n.self, Instance: n.cfg.Instance, Inc: n.inc, Warm: n.warm, Draining: n.draining, LeftOut: n.leftOut, Aside: n.aside, OutSince: n.leftOutSince,
		Advert: n.cfg.Advert, Load: n.load, Since: n.boot, Full: n.full(), Limits: n.limits(), Alarms: n.alarms(),
	}
	n.viewVersion++
	v.Version = n.viewVersion
	for _, l := range n.links {
		if l.Self {
			v.Entries = append(v.Entries, l.cfg.Entry)
		}
	}
	v.Peers = make([]PeerView, 0, len(n.peers))
	for i, p := range n.peers {
		v.Peers = append(v.Peers, n.viewPeer(p))
		p.shown = i
	}
	for _, l := range n.links {
		if l.peer == nil {
			continue
		}
		switch p := &v.Peers[l.peer.shown]; {
		case p.Entry == "":
			p.Entry, p.Why, p.Detail = l.cfg.Entry, l.Why, l.Detail
		default:
			p.Aliases = append(p.Aliases, l.cfg.Entry)
		}
	}
	if n.view != nil && !n.streamsDirty {
		v.Streams = n.view.Streams
	} else {
		v.Streams = n.viewStreams()
	}
	n.view, n.viewedAt, n.loadsDirty, n.peersDirty, n.streamsDirty = v, n.now, false, false, false
	return v
}

func (n *Node) viewPeer(p *peer) PeerView {
	return PeerView{
		Name: p.Name, Met: p.Met, Instance: p.Said.Instance, Inc: p.Said.Inc,
		Alive: p.Alive, Direct: p.Direct, Status: p.Status, Since: p.Since, Generation: p.Generation,
		Hash: p.Hash, Advert: p.Advert, Load: p.Load, RTT: p.RTT, Full: n.fullPeer(p),
		LoadAt: p.Asked - Instant(p.Load.Age)*Millisecond,
	}
}

func (n *Node) viewStreams() []StreamView {
	n.sortStreams()
	out := make([]StreamView, 0, len(n.streams))
	for _, s := range n.streams {
		if s.listed || s.cfg != nil || s.State != Idle || len(s.claimants) > 0 {
			out = append(out, n.viewStream(s))
		}
	}
	return out
}

func (n *Node) viewStream(s *stream) StreamView {
	v := StreamView{
		Name: s.Name, Here: s.cfg != nil, Clustered: s.clustered,
		Mine: s.State, MineSince: s.Since, To: s.To, Epoch: s.Epoch, Pin: s.Pin, Home: s.Home,
		Media: s.Media, MediaAt: s.MediaAt, On: n.nodes, OnDemand: s.demandable(), Wanted: s.Wanted,
		Supersedes: s.Superseded,
	}
	if s.published || s.cfg != nil && s.cfg.Kind == Published {
		v.Kind = Published
	}
	if s.index >= 0 && s.index < len(n.placed) && n.placed[s.index] >= 0 {
		v.Place = n.nodes[n.placed[s.index]]
	}
	if s.has != nil || !s.listed {
		v.On = nil
		for i, name := range n.nodes {
			if s.listed && s.has.Has(i) {
				v.On = append(v.On, name)
			}
		}
	}
	n.viewOwner(&v, s)
	return v
}

// viewOwner fills in the owner of a stream, and its state.
func (n *Node) viewOwner(v *StreamView, s *stream) {
	best, having, failed, lasting := -1, 0, false, false
	consider := func(c ClaimView, again bool, why Reason, of, detail string) {
		v.Claimants = append(v.Claimants, c)
		if c.State == ClaimFailed {
			failed, lasting = true, lasting || again
			if v.Detail == "" {
				v.Detail = detail
			}
			return
		}
		if !c.Solo {
			having++
		}
		if best >= 0 && !n.betterOwner(s, c, v.Claimants[best]) {
			return
		}
		best = len(v.Claimants) - 1
		v.Owner, v.OwnerState, v.Reason, v.Of = c.Node, c.State, why, of
	}
	if c, ok := n.viewMine(s); ok {
		consider(c, s.Fails > 1, s.Why, s.Of, s.Detail)
	}
	for _, c := range s.claimants {
		consider(ClaimView{Node: c.p.Name, State: c.c.State, Silent: c.c.Silent, Since: c.c.since, Direct: c.direct, Solo: c.c.Solo},
			c.c.Retry, c.c.Why, c.c.Of, c.c.Detail)
	}
	slices.SortFunc(v.Claimants, func(a, b ClaimView) int { return strings.Compare(a.Node, b.Node) })
	switch {
	case s.cfg != nil && s.cfg.Disabled && v.Owner == "":
		v.State = StreamDisabled
	case having > 1:
		v.State = StreamMoving
	case v.Owner != "" && v.OwnerState != ClaimStarting:
		v.State, v.Detail = StreamRunning, ""
	case v.Owner == "" && (v.Kind == Published || s.idle()):
		v.State = StreamWaiting
	case failed:
		v.State, v.Lasting = StreamFailed, lasting
	case v.Owner == "" && !n.someoneMay(s):
		v.State, v.Detail = StreamFailed, "no live node has it in its file"
	default:
		v.State = StreamStarting
	}
}

// someoneMay says whether the file of a live node has a stream.
func (n *Node) someoneMay(s *stream) bool {
	for i, live := range n.live {
		if live && s.has.Has(i) {
			return true
		}
	}
	return false
}

// viewMine makes a claim of what this node does with a stream.
func (n *Node) viewMine(s *stream) (ClaimView, bool) {
	c := ClaimView{Node: n.self, Since: s.Since, Direct: true, Solo: s.cfg != nil && s.cfg.Kind == Kept && !s.cfg.Clustered}
	switch {
	case s.State == Failed:
		c.State = ClaimFailed
	case !s.active():
		return c, false
	case n.draining && s.movable():
		c.State = ClaimDraining
	case s.State == Running:
		c.State, c.Silent = ClaimRunning, s.Silent
	default:
		c.State = ClaimStarting
	}
	return c, true
}

// betterOwner says whether a client is led to a rather than to b. A node that this one hears itself comes before one of which it only
// knows by others: media can be relayed from the first.
func (n *Node) betterOwner(s *stream, a, b ClaimView) bool {
	if x, y := standing(a), standing(b); x != y {
		return x > y
	}
	if a.Direct != b.Direct {
		return a.Direct
	}
	if a.Solo && b.Solo && (a.Node == n.self || b.Node == n.self) {
		return a.Node == n.self
	}
	return n.before(s, a.Node, b.Node)
}

// standing orders claims by what a client gets from them.
func standing(c ClaimView) int {
	switch {
	case c.State == ClaimRunning && !c.Silent:
		return 3
	case c.State == ClaimDraining:
		return 2
	case c.State == ClaimRunning:
		return 1
	}
	return 0
}
