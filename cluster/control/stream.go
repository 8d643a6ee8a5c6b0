package control

import (
	"slices"
	"strings"

	"weir/cluster/place"
)

// Activity is what a node does with a stream.
type Activity uint8

// Activities. A capture goes from Idle to Starting to Running; to Failed when it ends by itself, and to Stopping and
// Idle when it is ended.
const (
	Idle Activity = iota
	Starting
	Running
	Failed
	Stopping
)

// String gives the word that pages show.
func (a Activity) String() string {
	if names := [...]string{"idle", "starting", "running", "failed", "stopping"}; int(a) < len(names) {
		return names[a]
	}
	return "unknown"
}

// A stream is what the node knows and does of one stream.
type stream struct {
	name string
	cfg  *Stream // nil unless the node's own file has it

	// What the files of the group say. Where they differ, the file of the first node by name decides.
	listed    bool
	published bool
	clustered bool
	pin       string    // name of the node it is pinned to; empty if none
	home      string    // empty if none
	index     int       // in the plan, or -1
	on        place.Set // the nodes that may capture it for the group; nil: all
	has       place.Set // the nodes whose file has it in any way; nil: all
	badPin    string    // a pin that was complained of

	// What this node does.
	state     Activity
	since     Instant
	why       Reason
	of        string
	detail    string // the last failure
	to        string // the node that has it now, while stopping
	returning bool   // taken back from another (R2)
	fails     int    // in a row
	retryAt   Instant
	tried     Instant // end of the last attempt

	// With a source that allows one connection: the node that this one has asked to let go of it, when, and whether it did;
	// and the requests of other nodes that wait for its end here.
	askedOf  string
	askedAt  Instant
	released bool
	releases []uint64 // tokens

	// mayReturn says that the stream may be taken back from a running claimant when this node is its home: after the
	// node's own return, never after an edit made it the home.
	mayReturn bool
	holdUntil Instant // no taking back before
	returns   returns // when it was taken back

	unserved Instant // since when no node serves it; -1 if one does
	differs  Instant // since when a claimant that could be yielded to names another pin or home; -1 if none does
	epoch    uint64  // the highest seen
	media    Media
	mediaAt  Instant // of the anchor segment; meaningless before media is known

	// Of an on-demand stream: whether some file has it so, until when clients of this node want it, whether any do, and
	// when any did last.
	onDemand   bool
	wantUntil  Instant
	wanted     bool
	lastWanted Instant

	claimants []claimant // of live peers, by name
	told      *told      // the claim as peers know it; nil if there is none
}

// A claimant is a live peer with a claim.
type claimant struct {
	p      *peer
	c      *claim
	direct bool // the peer itself has told it within stale
}

// blocks says whether no other node starts the stream because of this claim.
func (c claimant) blocks() bool {
	switch c.c.State {
	case ClaimFailed, ClaimDraining:
		return false
	case ClaimStarting:
		return !c.c.Retry
	}
	return true
}

// serves says whether the stream counts as served by this claim.
func (c claimant) serves() bool { return c.c.State == ClaimDraining || c.blocks() }

// active says whether the node holds a capture of it, or a publisher.
func (s *stream) active() bool { return s.state == Starting || s.state == Running }

// stream returns the record of a stream, making it if need be.
func (n *Node) stream(name string) *stream {
	if s := n.byName[name]; s != nil {
		return s
	}
	s := &stream{name: name, index: -1, unserved: -1, differs: -1, mayReturn: !n.settled}
	n.byName[name] = s
	n.streams = append(n.streams, s)
	n.added++
	if n.added > 1024 && n.added > len(n.streams)/2 {
		n.replan = true // which also forgets those that are over
	}
	n.unsorted, n.streamsDirty = true, true
	return s
}

// sortStreams restores the order by name, which is the order of every decision and list.
func (n *Node) sortStreams() {
	if n.unsorted {
		slices.SortFunc(n.streams, func(a, b *stream) int { return strings.Compare(a.name, b.name) })
		n.unsorted = false
	}
}

// start claims a stream. Published streams have their capture already: the publisher.
func (n *Node) start(s *stream, why Reason, of string) {
	s.state, s.since, s.why, s.of, s.to = Starting, n.now, why, of, ""
	s.askedOf, s.released = "", false
	s.epoch++
	s.unserved, s.differs = -1, -1
	s.mayReturn = true
	n.changed()
	n.do(Note{Kind: NoteClaimed, Stream: s.name, Detail: string(why)})
	if s.cfg.Kind != Published {
		n.do(StartCapture{Stream: s.name, Epoch: s.epoch, Why: why, Of: of, Media: s.anchor(n.now)})
	}
}

// stop ends a capture or sends a publisher away.
func (n *Node) stop(s *stream, to string, why StopReason) {
	n.endReturn(s)
	s.state, s.since, s.to = Stopping, n.now, to
	n.changed()
	n.do(Note{Kind: NoteYielded, Stream: s.name, Node: to, Detail: string(why)})
	n.do(StopCapture{Stream: s.name, To: to, Why: why, Now: s.single()})
}

// endReturn counts a stream that was being taken back as no longer starting.
func (n *Node) endReturn(s *stream) {
	if s.returning {
		s.returning = false
		if s.state == Starting {
			s.returns.add(n.now)
		}
		n.returning--
		n.dirty = true // the next may be taken back
	}
}

func (n *Node) captureUp(e CaptureUp) {
	s := n.byName[e.Stream]
	if s == nil || s.state == Idle || s.state == Failed {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "capture up"})
		return
	}
	if s.state != Starting {
		return // it is being stopped, or runs already
	}
	n.endReturn(s)
	s.state, s.since = Running, n.now
	n.dirty = true
	n.changed()
	n.do(Note{Kind: NoteRunning, Stream: s.name})
}

// steady is how long a capture has to have run for a failure to count as the first again.
const steady = 60 * Second

func (n *Node) captureDown(e CaptureDown) {
	s := n.byName[e.Stream]
	if s == nil || s.state == Idle || s.state == Failed {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "capture down"})
		return
	}
	if s.state == Stopping {
		return // CaptureStopped follows
	}
	if len(e.Why) > maxText {
		e.Why = e.Why[:maxText]
	}
	n.endReturn(s)
	if s.state == Running && n.now-s.since >= steady {
		s.fails = 0
	}
	s.detail = e.Why
	n.dirty = true
	n.changed()
	n.do(Note{Kind: NoteFailed, Stream: s.name, Detail: e.Why})
	if s.cfg != nil && s.cfg.Kind == Published {
		s.state, s.since = Starting, n.now // the publisher is there, and silent
		return
	}
	s.state, s.since, s.tried = Failed, n.now, n.now
	s.retryAt = n.now + Second<<min(s.fails, 6)
	s.retryAt = min(s.retryAt, n.now+60*Second)
	s.fails++
	s.holdUntil = n.now + damped(n.cfg.ReturnHolddown, s.returns.count(n.now))
}

func (n *Node) captureStopped(e CaptureStopped) {
	s := n.byName[e.Stream]
	if s == nil || s.state != Stopping {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "capture stopped"})
	}
	if s == nil || s.state != Stopping && !s.active() {
		return
	}
	n.endReturn(s) // it may have been ended from outside: by an edit of its inputs
	s.state, s.since, s.tried = Idle, n.now, n.now
	n.answerReleases(s, true)
	n.dirty = true
	n.changed()
}

// resumed goes on where a control plane has failed. How often streams were taken back is forgotten with it, so none is taken
// back for a while.
func (n *Node) resumed(e Resumed) {
	n.boot -= max(0, e.Up)
	for _, s := range n.streams {
		s.holdUntil = n.now + n.cfg.ReturnHolddown
	}
	for _, c := range e.Captures {
		s := n.stream(c.Stream)
		if s.state != Idle {
			continue
		}
		s.state, s.since, s.epoch = Starting, n.now, max(s.epoch, c.Epoch)
		if c.Up {
			s.state = Running
		}
		switch {
		case s.cfg == nil:
		case s.cfg.Kind == Published:
			s.why = PublishedHere
		case !s.cfg.Clustered:
			s.why = NotClustered
		default:
			s.why = Fallback
		}
	}
	n.dirty = true
	n.changed()
}

// ownClaim returns what this node claims of a stream, for the wire.
func (n *Node) ownClaim(s *stream) (c Claim, ok bool) {
	if s.cfg == nil { // being stopped, or about to be
		return c, false
	}
	c = Claim{
		Stream: s.name, Since: ageMS(n.now, s.since), Epoch: s.epoch,
		Why: s.why, Of: s.of, Pin: s.pin, Home: s.home, Detail: s.detail,
	}
	switch {
	case s.state == Failed:
		c.State = ClaimFailed
	case s.state == Stopping && s.single():
		c.State = ClaimStopping
	case !s.active():
		return c, false
	case n.draining && s.movable() && !s.single():
		c.State = ClaimDraining
	case s.state == Running:
		c.State = ClaimRunning
	default:
		c.State = ClaimStarting
		c.Retry = s.fails > 0
	}
	c.Solo = s.cfg.Kind == Kept && !s.cfg.Clustered
	if s.media != (Media{}) && s.active() {
		m := s.anchor(n.now)
		c.Media = &m
	}
	return c, true
}

// movable says whether another node could capture it instead.
func (s *stream) movable() bool { return s.cfg != nil && s.cfg.Kind == Kept && s.cfg.Clustered }

func (n *Node) drain() {
	if n.draining {
		return
	}
	n.draining = true
	n.dirty = true
	n.changed()
}

// configChanged puts another configuration into effect. What did not change is not touched.
func (n *Node) configChanged(e ConfigChanged) {
	cfg := e.Config
	if cfg.Named && cfg.Self != n.self {
		n.do(Note{Kind: NoteNotApplied, Detail: "name " + cfg.Self})
	}
	cfg.Self, cfg.Named, cfg.Instance, cfg.Inc, cfg.Seed = n.cfg.Self, n.cfg.Named, n.cfg.Instance, n.cfg.Inc, n.cfg.Seed
	n.configure(cfg)
	n.dirty, n.peersDirty = true, true
	n.changed()
}
