// Package control is the control plane of a node: which nodes are alive, which streams this node captures, which node has
// each of the other streams, and which publishers may have one. It is one state machine, [Node.Step]: an event and the
// instant go in, effects come out.
//
// It knows no clock, network, actor, goroutine or source of randomness but its seed, so that the node, the simulator
// and a replay of the journal run the same code. Its caller fetches, answers, captures and wakes it as the effects say. All instants are readings of one monotonic clock of that node; only durations cross the wire.
package control

import (
	"math"
	"slices"
	"strings"

	"weir/cluster/place"
)

// An Instant is a reading of the node's monotonic clock in nanoseconds, or the difference of two readings. Its origin
// means nothing; it never goes back.
type Instant int64

// Units of differences between instants.
const (
	Millisecond Instant = 1_000_000
	Second              = 1000 * Millisecond
)

// never is an instant that is not reached.
const never Instant = math.MaxInt64

// A Kind says what makes a stream be captured.
type Kind uint8

const (
	// Kept streams are captured always.
	Kept Kind = iota
	// Published streams are owned where their publisher is, as long as there is one.
	Published
)

// A Stream is what control has to know of a stream of the node's file.
type Stream struct {
	Name string

	// Pin is the value of capture_at: an announced name, a host, or host:port as in a peer entry. Empty means none.
	Pin string

	Kind Kind

	// Clustered streams of kind Kept are captured by one live node; others by every node whose file has them.
	// Published streams have one owner either way.
	Clustered bool

	// Disabled streams are shown and never captured.
	Disabled bool

	// OnDemand streams, of kind Kept, are captured while clients want them.
	OnDemand bool

	// ClientsTimeout is how long an on-demand stream is kept after its last client. Negative means for ever.
	ClientsTimeout Instant

	// Restreamed streams come from an origin outside the group. Other nodes are told so, and do not restream them again.
	Restreamed bool

	// Break streams have a source that allows one connection (handover=break): a node that captures one ends that before
	// another node begins.
	Break bool
}

// A Peer is a peer directive of the node's file. It may lead to the node itself.
type Peer struct {
	Entry string // host:port as in the file, the default port filled in; unique
	Host  string // the host part of it
	Name  string // of the node, until it has announced one; unique

	Fetch Instant // the interval of polls, before jitter; above 0
	Stale Instant // without evidence for so long a peer is dead; above Fetch

	Limits Limits
}

// Limits are what a node does not exceed unless every node is full. Captures that run are never ended by them.
type Limits struct {
	Channels int // most captures, publishers included; 0 means any number
	CPU      int // permille of all processors at which no new capture is started; 0 means any
}

// Config is the part of a node's configuration that control obeys. The caller does not change its slices afterwards.
type Config struct {
	// Self is the announced name. Named says that the operator gave it; otherwise a node that finds itself behind a
	// peer entry while it warms up takes its name from there, so [View.Self] decides, not this.
	Self  string
	Named bool

	// Instance is drawn at random for each process, so that a restart is known from an old reply.
	Instance string

	// Inc orders the instances of one node, and the Nodes that replace each other within one process. Zero will do: a
	// Node goes above the number of an earlier instance when a peer tells it of that. A number that grows saves this
	// contact.
	Inc uint64

	// Seed makes the jitter of polls.
	Seed uint64

	Peers   []Peer
	Streams []Stream // unique names

	// ReturnHolddown is how long a node has to be up before it takes its streams back from others.
	ReturnHolddown Instant

	// RebalanceRate is how many streams a node takes per interval of polls from others that have two more than it, after
	// an edit has given the streams to it. 0 means none.
	RebalanceRate int

	// Limits are this node's own, beside those of the peer entry that leads to it.
	Limits Limits

	// Hash covers what the nodes of a group should have in common. Peers with another one are shown as drifted.
	Hash string

	Advert Advert
}

// MaxReturning is how many streams a node takes back at once (A7): enough to be home soon, few enough that a returning
// node is not buried by its own start.
const MaxReturning = 4

// StartUp is the longest that a source should need from the start of a capture to its first access unit. It only spaces
// the attempts of nodes that were not chosen.
const StartUp = 2 * Second

// A Node is the control plane of one node. It belongs to one goroutine.
type Node struct {
	cfg  Config
	self string // announced name

	inc     uint64
	seq     uint64 // of the last reply given
	version uint64 // of what a full reply tells
	load    Load

	now      Instant
	boot     Instant
	wake     Instant // what the last WakeAt asked for; never if none
	warmFrom Instant
	warm     bool
	settled  bool // warm for the first time since boot
	named    bool // the announced name is final
	draining bool
	drained  bool // Drained was given

	random   random
	fetchID  uint64
	stale    Instant // the largest of the peers'
	fetch    Instant // the largest of the peers'
	shortest Instant // the smallest of them

	links   []*link          // in the order of the file
	entries map[string]*link // the same, by peer entry
	peers   []*peer          // every other node of the group, by name
	byPeer  map[string]*peer // the same; nil: to be made

	// What lets a step leave out most of its loops, see [Node.Step].
	next     []Instant // when each link is polled next; never for one that leads to this node
	pollAt   Instant   // no link is due before
	expireAt Instant   // no evidence that counts is too old before
	rejudge  bool      // a peer may be alive, or have another status, than it was found to be
	broken   bool      // a connection has broken that has brought no answer since, or a peer is suspected
	doubting bool      // a peer is suspected, or taken for gone
	unheard  []string  // the peers that live by relayed evidence only, by name; immutable
	silent   []*peer   // the peers, the one first that has not answered for longest; nil: to be made

	toldVersion uint64 // of the claims as they were told last
	gone        []gone // claims that are over, oldest first
	goneFrom    uint64 // the version up to which claims that are over are not listed any more

	streams   []*stream          // of all files, and those that nodes claim, by name
	byName    map[string]*stream // the same
	added     int                // to streams since the last rebuild
	unsorted  bool               // streams are out of order
	own       []Listed           // what this node configures
	ownHash   string
	returning int // streams in state Starting that are taken back from others

	nodes        []string // the names of the group, sorted
	me           int      // index of self in nodes
	plan         *place.Plan
	planned      []*stream // the stream of each index of the plan
	live         []bool
	ranking      uint64 // counts the plans, and the changes of live: what ranks depend on
	claimed      []int
	placed       []int
	count        []int   // of streams by node
	room         []int   // of each node for streams of the plan; nil: no node has limits
	busy         bool    // this node's processors have enough to do
	askers       []asker // the first found first
	listing      bool    // which peers list this node has to be found out
	renamed      []*peer // of these peers it has to be, because what their entries lead to has changed
	unlisted     bool    // no live peer lists this node
	aside        bool    // another process has this node's name by right
	leftOut      bool    // and has not for S
	leftOutSince Instant // or since when it is not any more
	relisted     returns // when it was listed again
	overful      bool    // every node is full, and some have more than they should
	overfulSince Instant
	rebalanced   Instant // the last stream that was moved to be even; 0 for none

	later       bool // something has changed that is looked at shortly, see [Node.shortly]
	replanLater bool // this node's list has changed by it
	ownStale    bool // own and ownHash are not those of cfg.Streams

	demand bool    // a stream may be on demand or wanted: the demand for all has to be looked at
	replan bool    // the group, a list or a name changed: homes have to be computed
	dirty  bool    // something changed that decisions depend on
	evalAt Instant // when a decision is due without a change

	subjects []*peer // those of which the last answer told

	urgent bool // viewers wait for what this step starts: a peer is dead, or this node has just become warm
	starts bool // this step has started a stream

	waiting []PublishWanted // asked before the node was warm

	view         *View
	viewVersion  uint64
	viewedAt     Instant // when it was made
	loadsDirty   bool
	peersDirty   bool
	streamsDirty bool

	out []Effect
}

// New returns a node that has just booted: it has met no peer and claims nothing. The first [Tick] makes it fetch.
func New(cfg Config, now Instant) *Node {
	n := &Node{
		cfg: cfg, self: cfg.Self, inc: cfg.Inc, version: 1,
		now: now, boot: now, warmFrom: now, wake: never, evalAt: never,
		named:  cfg.Named,
		random: random(place.Hash(cfg.Self) ^ cfg.Seed),
		byName: map[string]*stream{},
		replan: true, dirty: true, demand: true, peersDirty: true, streamsDirty: true,
	}
	n.configure(cfg)
	n.lookAtAll()
	return n
}

// Step takes in what has happened and returns what is to be done, in order. The slice is valid until the next call.
// Steps have to come in the order of time; an instant before that of the last step counts as that one.
//
// Most steps change nothing: a peer asks, or is asked, or answers what it answered before. These do not look at every peer
// and every stream. The loops run when something has changed that they depend on, or when the instant has come at which one of
// them finds something by the passing of time alone.
func (n *Node) Step(now Instant, ev Event) []Effect {
	clear(n.out)
	n.out = n.out[:0]
	now = max(now, n.now)
	n.overslept(now)
	n.now = now
	n.urgent, n.starts = false, false
	switch ev.(type) {
	case Tick, StateAsked, Fetched, MediaChanged, Measured: // they say themselves when there is something to judge
	default:
		n.rejudge = true
	}
	n.handle(ev)
	n.suspect()
	n.expire()
	n.expireAskers()
	n.warmUp()
	if n.dirty || n.replan || n.listing || now >= n.evalAt {
		n.evaluate()
	}
	if n.urgent && n.starts {
		n.announce()
	}
	n.inquire()
	n.poll()
	n.inquire()
	n.schedule()
	return n.out
}

// lookAtAll makes the next step leave out no loop.
func (n *Node) lookAtAll() {
	n.rejudge, n.broken, n.doubting, n.demand, n.silent = true, true, true, true, nil
	n.ranking++
	n.pollAt, n.expireAt = math.MinInt64, math.MinInt64
}

func (n *Node) handle(ev Event) {
	switch e := ev.(type) {
	case Tick:
	case Fetched:
		n.fetched(e)
	case FetchFailed:
		n.fetchFailed(e)
	case LinkBroken:
		n.linkBroken(e)
	case StateAsked:
		n.stateAsked(e)
	case CaptureUp:
		n.captureUp(e)
	case CaptureDown:
		n.captureDown(e)
	case CaptureStopped:
		n.captureStopped(e)
	case MediaChanged:
		n.mediaChanged(e)
	case PublishWanted:
		n.publishWanted(e)
	case PublishEnded:
		n.publishEnded(e)
	case PublisherSilent:
		n.publisherSilent(e)
	case Measured:
		n.measured(e)
	case ConfigChanged:
		n.configChanged(e)
	case StreamsChanged:
		n.streamsChanged(e)
	case Resumed:
		n.resumed(e)
	case Demanded:
		n.demanded(e)
	case Suspended:
		n.fence(e)
	case Drain:
		n.drain()
	case ReleaseAsked:
		n.releaseAsked(e)
	case Released:
		n.released(e)
	}
}

// do adds an effect.
func (n *Node) do(e Effect) { n.out = append(n.out, e) }

// changed marks what a full reply tells as changed.
func (n *Node) changed() {
	n.version++
	n.streamsDirty = true
}

// An evaluation, and a view, look at all streams. Where there are many, what a publisher changes by coming or leaving waits for
// others of its kind: for so long per stream that a flood of publishers leaves the processor to others.
const (
	manyStreams = 256
	perStream   = 20 * Millisecond / 1000
)

// shortly marks what a full reply tells as changed, by a publisher. Decisions on other streams do not depend on it.
func (n *Node) shortly() {
	if len(n.streams) <= manyStreams {
		n.dirty = true
		n.changed()
		return
	}
	n.version++
	if !n.later {
		n.later = true
		n.due(n.now + Instant(len(n.streams))*perStream)
	}
}

// catchUp makes an evaluation and the next view take in what has changed shortly before.
func (n *Node) catchUp() {
	if n.later {
		n.streamsDirty = true
		n.replan = n.replan || n.replanLater
		n.later, n.replanLater = false, false
	}
}

// due asks for an evaluation at an instant in the future.
func (n *Node) due(at Instant) {
	if at > n.now {
		n.evalAt = min(n.evalAt, at)
	}
}

// grace is G of the cluster rules: a stream that no node serves for so long has been seen by all nodes, and tried by the
// node that was chosen.
func (n *Node) grace() Instant { return n.stale + 2*n.fetch + StartUp }

// overslept finds out that this node was stopped (SIGSTOP, a suspended machine, no processor) for so long that its
// peers would look dead although this node only did not listen. The time that it slept is not held against them, and it
// warms up again: its captures go on, but it claims nothing before all peers have answered or S has passed. Then it lets go of
// what others have taken over; see [Node.settle].
func (n *Node) overslept(now Instant) {
	if n.wake == never || now <= n.wake || len(n.links) == 0 {
		return
	}
	late, limit := now-n.wake, never
	for _, l := range n.links {
		s, f := l.cfg.Stale, l.cfg.Fetch
		limit = min(limit, s/2, max(s/8, s-f-f/4))
	}
	if late < limit {
		return
	}
	n.do(Note{Kind: NoteOverslept, Age: late})
	for _, p := range n.peers {
		if p.Alive {
			p.Slept += late
		}
	}
	for _, l := range n.links {
		l.Answered = false
		n.hurry(l, now)
	}
	n.doubt()
	n.warm, n.warmFrom = false, now
	n.dirty, n.peersDirty = true, true
}

// warmUp ends the time in which nothing is claimed (rule W), once all peers have answered or S has passed.
func (n *Node) warmUp() {
	if n.warm {
		return
	}
	late := n.now-n.warmFrom >= n.stale
	tried, answered := true, true
	for _, l := range n.links {
		tried = tried && (l.Self || l.Tried)
		answered = answered && (l.Self || l.Answered)
	}
	if !n.named && (late || tried) {
		n.named = true
		n.do(Note{Kind: NoteNamed, Node: n.self})
	}
	if !n.named || !late && !answered {
		return
	}
	if n.replan {
		n.rebuild(true) // before the node is warm, so that what it has just learnt does not count as an edit
	}
	n.do(Note{Kind: NoteWarm, Age: n.now - n.warmFrom})
	n.warm, n.dirty, n.peersDirty, n.urgent = true, true, true, true
	if !n.settled {
		n.settled = true
		n.reportUnknownPins()
	}
	waiting := n.waiting
	n.waiting = nil
	for _, e := range waiting {
		n.publishWanted(e)
	}
}

// schedule asks to be woken for the next thing that is due.
func (n *Node) schedule() {
	next := n.evalAt
	if !n.warm {
		next = min(next, n.warmFrom+n.stale)
	}
	next = min(next, n.pollAt)
	if n.expireAt < next { // it may have become later since it was found
		n.expireAt = n.firstExpiry()
		next = min(next, n.expireAt)
	}
	for i := range n.askers {
		if a := &n.askers[i]; !a.Over {
			next = min(next, n.askerUntil(a))
		}
	}
	if next != n.wake {
		n.wake = next
		if next != never {
			n.do(WakeAt{At: next})
		}
	}
}

// random is SplitMix64: one word of state, and the same on every machine.
type random uint64

// below returns a number from 0 to limit-1.
func (r *random) below(limit Instant) Instant {
	if limit <= 0 {
		return 0
	}
	*r += place.Golden
	return Instant(place.Mix(uint64(*r)) % uint64(limit))
}

// find returns the place of a peer in the sorted list.
func (n *Node) find(name string) (int, bool) {
	return slices.BinarySearchFunc(n.peers, name, func(p *peer, name string) int { return strings.Compare(p.Name, name) })
}

// peer returns the peer of that name, or nil.
func (n *Node) peer(name string) *peer {
	if n.byPeer == nil {
		n.byPeer = make(map[string]*peer, len(n.peers))
		for _, p := range n.peers {
			n.byPeer[p.Name] = p
		}
	}
	return n.byPeer[name]
}
