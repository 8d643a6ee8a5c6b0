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
	streamState
	cfg *Stream // nil unless the node's own file has it

	// What the files of the group say. Where they differ, the file of the first node by name decides.
	listed    bool
	published bool
	clustered bool
	onDemand  bool
	index     int       // in the plan, or -1
	on        place.Set // the nodes that may capture it for the group; nil: all
	has       place.Set // the nodes whose file has it in any way; nil: all

	claimants []claimant // of live peers, by name
	ranked    ranked     // as it was found last; see [Node.rank]
}

// A ranked is the place of this node in the fallback for a stream, and what it was found for. It is found anew only for others: it takes a
// look at every node, and in a group that boots, all streams wait for their homes at every node.
type ranked struct {
	ranking uint64 // Node.ranking
	placed  int    // the node that was chosen
	rank    Instant
}

// A streamState is the part of a [stream] that does not follow from anything else.
type streamState struct {
	Name   string
	Pin    string // the node it is pinned to; empty if none
	Home   string // empty if none
	BadPin string // a pin of which it has been said that it names no node

	// What this node does.
	State     Activity
	Since     Instant
	Began     Instant // start of the capture
	Why       Reason
	Of        string
	Detail    string  // the last failure
	To        string  // the node that has it now, while stopping
	Returning bool    // it is being taken back from another (R2)
	Silent    bool    // its publisher sends nothing since Since; only of a stream that is Running
	Unsure    bool    // it was captured here before this node slept; whether another node has taken it over is not known yet
	Fails     int     // in a row
	RetryAt   Instant // after a failure
	Brought   Instant // the failure before which the source had last brought media; -1 if it never has
	Tried     Instant // end of the last attempt

	// With a source that allows one connection: the node that this one has asked to let go of it, when, and whether it did;
	// and the requests of other nodes that wait for its end here.
	AskedOf  string
	AskedAt  Instant
	Released bool
	Releases []uint64 // tokens

	// MayReturn says that the stream may be taken back from a running claimant when this node is its home: after the
	// node's own return, never after an edit made it the home.
	MayReturn bool
	HoldUntil Instant // no taking back before
	Returns   returns // when it was taken back

	Added    Instant // when an edit of the file has added it, while the other nodes have not been asked since; 0 otherwise
	Unserved Instant // since when no node serves it; -1 if one does
	Differs  Instant // since when a claimant that could be yielded to names another pin or home; -1 if none does
	Epoch    uint64  // the highest seen
	Own      Media   // how this node numbers it while it captures it; zero: not yet
	OwnAt    Instant // of the anchor segment
	Media    Media   // the numbering that the next owner goes on from: of those that are known the one that has come furthest
	MediaAt  Instant // of the anchor segment; meaningless before media is known
	MediaOf  string  // the node that numbers or numbered so
	MediaEnd Instant // after which it does not number further; 0: it may
	Numbered bool    // Media is this node's own, and no other node has numbered since: the next capture goes on by itself
	Told     *told   // the claim as peers know it; nil if there is none

	// Of a published stream: when this node granted it to its publisher, the claims of other nodes that are over by a grant
	// of whatever node, by name, and how often that list has changed. The list is replaced, never changed.
	Granted       Instant
	Superseded    []Supersession
	Supersessions uint64

	// Of an on-demand stream: until when clients of this node want it, whether any do, and when any did last.
	WantUntil  Instant
	Wanted     bool
	LastWanted Instant
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
func (s *stream) active() bool { return s.State == Starting || s.State == Running }

// stream returns the record of a stream, making it if need be.
func (n *Node) stream(name string) *stream {
	if s := n.byName[name]; s != nil {
		return s
	}
	s := &stream{index: -1, streamState: streamState{Name: name, Unserved: -1, Differs: -1, Brought: -1, MayReturn: !n.settled}}
	n.byName[name] = s
	n.streams = append(n.streams, s)
	n.added++
	if n.added > 1024 && n.added > len(n.streams)/2 {
		n.replan = true // which also forgets those that are over
	}
	n.unsorted = true
	return s
}

// sortStreams restores the order by name, which is the order of every decision and list.
func (n *Node) sortStreams() {
	if n.unsorted {
		slices.SortFunc(n.streams, func(a, b *stream) int { return strings.Compare(a.Name, b.Name) })
		n.unsorted = false
	}
}

// start claims a stream. Published streams have their capture already: the publisher.
func (n *Node) start(s *stream, why Reason, of string) {
	s.State, s.Since, s.Began, s.Why, s.Of, s.To, s.Unsure, s.Silent = Starting, n.now, n.now, why, of, "", false, false
	s.AskedOf, s.Released = "", false
	s.Own = Media{}
	n.highest(s)
	s.Epoch++
	s.Unserved, s.Differs = -1, -1
	s.MayReturn = true
	n.starts = true
	if s.cfg.Kind == Published {
		n.shortly()
	} else {
		n.changed()
	}
	n.do(Note{Kind: NoteClaimed, Stream: s.Name, Detail: string(why)})
	if s.cfg.Kind != Published {
		n.do(StartCapture{Stream: s.Name, Epoch: s.Epoch, Why: why, Of: of, Media: s.anchor(n.now)})
	}
}

// stop ends a capture or sends a publisher away.
func (n *Node) stop(s *stream, to string, why StopReason) {
	n.endReturn(s)
	s.State, s.Since, s.To, s.Silent = Stopping, n.now, to, false
	n.changed()
	n.do(Note{Kind: NoteYielded, Stream: s.Name, Node: to, Detail: string(why)})
	n.do(StopCapture{Stream: s.Name, To: to, Why: why, Now: s.single()})
}

// endReturn counts a stream that was being taken back as no longer starting.
func (n *Node) endReturn(s *stream) {
	if s.Returning {
		s.Returning = false
		if s.State == Starting {
			s.Returns.add(n.now)
		}
		n.returning--
		n.dirty = true // the next may be taken back
	}
}

func (n *Node) captureUp(e CaptureUp) {
	s := n.byName[e.Stream]
	if s != nil && s.State == Idle && s.cfg != nil && s.cfg.Kind == Published {
		n.stop(s, n.first(s, nil), Ungranted)
		return
	}
	if s == nil || s.State == Idle || s.State == Failed {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "capture up"})
		return
	}
	if s.State != Starting && !s.Silent {
		return // it is being stopped, or runs already
	}
	n.endReturn(s)
	s.State, s.Since, s.Silent = Running, n.now, false
	if s.cfg != nil && s.cfg.Kind == Published {
		n.shortly()
	} else {
		n.dirty = true
		n.changed()
	}
	n.do(Note{Kind: NoteRunning, Stream: s.Name})
}

const (
	// steady is how long a capture has to have run for a failure to count as the first again.
	steady = 10 * Second

	// lastPause is the longest pause between the attempts to capture a stream, and soon the longest while its source has brought media
	// within the time recently: it comes and goes, and is to be played within seconds of being well.
	lastPause = 60 * Second
	soon      = 4 * Second
	recently  = 600 * Second
)

// pause is rule R5: how long after a failure a capture is tried again, when the source has failed so many times in a row before.
func (s *stream) pause(now Instant) Instant {
	most := lastPause
	if s.Brought >= 0 && now-s.Brought < recently {
		most = soon
	}
	return min(Second<<min(s.Fails, 6), most)
}

func (n *Node) captureDown(e CaptureDown) {
	s := n.byName[e.Stream]
	if s == nil || s.State == Idle || s.State == Failed {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "capture down"})
		return
	}
	if s.State == Stopping {
		return // CaptureStopped follows
	}
	if len(e.Why) > maxText {
		e.Why = e.Why[:maxText]
	}
	n.endReturn(s)
	if s.State == Running {
		s.Brought = n.now
		if n.now-s.Since >= steady {
			s.Fails = 0
		}
	}
	s.Detail = e.Why
	n.dirty = true
	n.changed()
	n.do(Note{Kind: NoteFailed, Stream: s.Name, Detail: e.Why})
	if s.cfg != nil && s.cfg.Kind == Published {
		s.State, s.Since, s.Silent = Starting, n.now, false // PublishEnded ends it
		return
	}
	s.State, s.Since, s.Tried = Failed, n.now, n.now
	s.RetryAt = n.now + s.pause(n.now)
	s.Fails++
	n.hold(s)
}

func (n *Node) captureStopped(e CaptureStopped) {
	s := n.byName[e.Stream]
	if s == nil || s.State != Stopping {
		n.do(Note{Kind: NoteUnexpected, Stream: e.Stream, Detail: "capture stopped"})
	}
	if s == nil || s.State != Stopping && !s.active() {
		return
	}
	n.endReturn(s) // it may have been ended from outside: by an edit of its inputs
	s.State, s.Since, s.Tried, s.Silent = Idle, n.now, n.now, false
	n.answerReleases(s, true)
	n.dirty = true
	n.changed()
}

// resumed goes on where a control plane has failed. How often streams were taken back is forgotten with it, so none is taken
// back for a while.
func (n *Node) resumed(e Resumed) {
	n.boot -= max(0, e.Up)
	for _, s := range n.streams {
		s.HoldUntil = n.now + n.cfg.ReturnHolddown
	}
	for _, c := range e.Captures {
		s := n.stream(c.Stream)
		if s.State != Idle {
			continue
		}
		s.State, s.Since, s.Epoch = Starting, n.now, max(s.Epoch, c.Epoch)
		s.Granted = n.now
		for _, v := range c.Supersedes {
			n.supersede(s, v)
		}
		if c.Up {
			s.State, s.Silent = Running, c.Silent
		}
		switch {
		case s.cfg == nil:
		case s.cfg.Kind == Published:
			s.Why = PublishedHere
		case !s.cfg.Clustered:
			s.Why = NotClustered
		default:
			s.Why = Fallback
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
		Stream: s.Name, Since: ageMS(n.now, s.Since), Epoch: s.Epoch,
		Why: s.Why, Of: s.Of, Pin: s.Pin, Home: s.Home, Detail: s.Detail,
	}
	switch {
	case s.State == Failed:
		c.State, c.Retry = ClaimFailed, s.Fails > 1
	case s.State == Stopping && s.single():
		c.State = ClaimStopping
	case !s.active():
		return c, false
	case n.draining && s.movable() && !s.single():
		c.State = ClaimDraining
	case s.State == Running && !s.Unsure: // nobody yields to a capture that may be stale
		c.State, c.Silent = ClaimRunning, s.Silent
	default:
		c.State = ClaimStarting
		c.Retry = s.State == Starting && s.Fails > 0
	}
	c.Solo = s.cfg.Kind == Kept && !s.cfg.Clustered
	if m, at := s.numbered(); m != (Media{}) && s.active() {
		m.Age = ageMS(n.now, at)
		c.Media = &m
	}
	if s.active() {
		c.Supersedes = n.supersedes(s.Superseded)
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
	had := make(map[string]bool, len(n.streams))
	for _, s := range n.streams {
		had[s.Name] = s.cfg != nil
	}
	n.configure(cfg)
	added := false
	for _, s := range n.streams {
		if s.cfg != nil && !had[s.Name] && n.warm {
			s.Added, added = n.now, true
		}
	}
	if added {
		n.askAll()
	}
	n.dirty, n.peersDirty = true, true
	n.changed()
}
