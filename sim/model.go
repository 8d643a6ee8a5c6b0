// Package sim runs whole groups of nodes in virtual time: their control planes, and with [Actors] the nodes' own
// actors, over a simulated network with faults of every kind, and checks the rules of the group after every event. The
// same scenario and seed give the same run, byte for byte.
//
// It does not know how a scenario is written down (sim/scenario) nor how a run is drawn (sim/timeline). What is
// replaced, and so not exercised: sockets, HTTP, the proof of the key and TLS between nodes, gRPC, the kernel's
// scheduling, clocks, randomness, protoactor's own mailbox and dispatcher, the bytes of media, and wire formats. Viewers ask the
// directory that a node published, and get media by its place in the source.
package sim

import (
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/protocols"
	"weir/sim/oracle"
)

// Fidelity says how much of a node runs.
type Fidelity uint8

const (
	// Core runs the control plane's state machine alone: the fastest, for wide sweeps.
	Core Fidelity = iota
	// Actors runs the node's own actors, with supervision and the order of mail drawn from the seed.
	Actors
)

// A Scenario is a group, its network and cameras, and what happens to them. It is not changed by a run.
type Scenario struct {
	Name    string
	Comment string
	Seed    uint64

	// Files are the configuration of each node by its name; the empty name holds for nodes that have none of their own.
	Files map[string]*conf.File

	// Nodes are the names of the machines, in the order of the file. Each announces its name, unless its own file gives another.
	Nodes []string

	// Entries are the machines to which peer entries lead, by [conf.Peer.Entry]. An entry that is not among them leads to
	// the machine whose name is its host or the entry itself, if there is one.
	Entries map[string]string

	Net     Net
	Capture Capture

	// Steps need not be in order of time.
	Steps []Step

	// Until is when the run ends, by true time. Zero means a moment after the last step.
	Until    time.Duration
	Fidelity Fidelity
}

// leadsTo says whether a peer entry leads to a machine.
func (s *Scenario) leadsTo(p conf.Peer, node string) bool {
	if to, ok := s.Entries[p.Entry()]; ok {
		return to == node
	}
	return p.Host == node || p.Entry() == node
}

// A Range is drawn from evenly, both ends included. Max below Min counts as Min.
type Range struct{ Min, Max time.Duration }

// Net is the network as it is without faults.
type Net struct {
	Delay Range // of one message in one direction. Zero: 1 ms to 50 ms
	Loss  PPM   // of messages, in each direction
}

// Capture is what sources are like without faults.
type Capture struct {
	Up   Range // from the start of a capture to its first access unit. Zero: 500 ms
	Down Range // from the order to stop to the last access unit. Zero: 50 ms

	// Timeout is the silence after which a capture counts as failed. Zero: 10 s.
	Timeout time.Duration

	// Segment is how long a segment of the simulated packager is. Zero: 4 s.
	Segment time.Duration
}

// PPM is a probability in parts per million.
type PPM int

// Percent is a probability of n in a hundred.
func Percent(n float64) PPM { return PPM(n * 10_000) }

// A Step is something that is done to the group at an instant, or expected of it.
type Step struct {
	At time.Duration // by true time, since the start

	// To, if it is later than At, ends what Action does: a fault is undone. Without it a fault lasts until [Heal],
	// [Quiet] or the action that names its end. For Expect it is the instant by which, or the end of the time in which,
	// the expectation has to hold.
	To time.Duration

	Line   int // in the scenario's text; 0 if it has none
	Action Action
	Expect Expectation
}

// An Expectation is a rule that a scenario adds to the invariants. Those of a state have to hold at Step.To (at Step.At
// if there is no To); those of a time, from Step.At to Step.To, or to the end of the run.
type Expectation interface{ expectation() }

// Expectations.
type (
	// OwnedBy says: these streams, and no other node's, are captured by Node. An empty Node means by nobody.
	OwnedBy struct {
		Streams []string
		Node    string
	}

	// OneEach says: each of these streams is captured by exactly one live node.
	OneEach struct{ Streams []string }

	// EachSide says: each stream is captured exactly once in every part of the group as it is cut now.
	EachSide struct{ Streams []string }

	// AtHome says: each of these streams is captured by its pin or home node, and only there.
	AtHome struct{ Streams []string }

	// Agreement says: all live nodes that run name the same owner for each stream.
	Agreement struct{}

	// Refused says: the last publisher of the stream at the node was not admitted.
	Refused struct{ Node, Stream string }

	// Moved says: in the time, so many streams changed their owner; with OwnedBefore, as many as that node had at its start.
	Moved struct {
		Count       int
		OwnedBefore string // empty: Count holds
		AtMost      bool
	}

	// NoDuplicates says: at no instant of the time does more than one node capture a stream.
	NoDuplicates struct{ Streams []string }

	// NoTakeOver says: in the time no stream starts anywhere.
	NoTakeOver struct{ Streams []string }

	// GapWithin says: in the time no stream is without media for longer.
	GapWithin struct {
		Streams []string
		Limit   time.Duration
	}

	// ViewersWithin says: in the time the picture of no viewer of these streams stands still for longer. Left out is one whose own
	// node does not run meanwhile.
	ViewersWithin struct {
		Streams []string
		Limit   time.Duration
	}

	// Liveness says: nothing disturbs the group any more, so that by Step.To no stream has no owner, or several, and all nodes
	// name the same owners.
	Liveness struct{}

	// Noted says: a node's control plane reports a note of this kind in the time. An empty Node means any.
	Noted struct {
		Node string
		Kind control.NoteKind
	}
)

func (OwnedBy) expectation()       {}
func (OneEach) expectation()       {}
func (EachSide) expectation()      {}
func (AtHome) expectation()        {}
func (Agreement) expectation()     {}
func (Refused) expectation()       {}
func (Moved) expectation()         {}
func (NoDuplicates) expectation()  {}
func (NoTakeOver) expectation()    {}
func (GapWithin) expectation()     {}
func (ViewersWithin) expectation() {}
func (Liveness) expectation()      {}
func (Noted) expectation()         {}

// Options say how a scenario is run.
type Options struct {
	// Keep keeps the lines of the trace; without it only their hash is made.
	Keep bool

	// Snapshots is the interval at which the nodes' views are kept. Zero means none.
	Snapshots time.Duration

	// Without are faults that [Random] does not draw.
	Without []Fault

	// NoRelay takes out of the answers what nodes say of third ones, to show what relayed evidence is good for.
	NoRelay bool
}

// A Result is what a run showed.
type Result struct {
	Hash  string // SHA-256 of the trace, in hexadecimal
	Trace []Line // with [Options.Keep]

	Violations []Violation
	Verdicts   []Verdict // of every invariant, in the order of their numbers
	Unknown    bool      // the run proves nothing, mostly because it was too short
	Why        string    // that is so

	Tallies   []oracle.Tally     // how often each invariant was judged, and how near to its bound; by its number
	Measures  map[string]Measure // by the name of the bound: B1 …
	Sometimes map[string]int     // how often each state occurred that should occur sometimes

	Snapshots []Snapshot
	Faults    []Span
	Holds     []Hold // in the order of their beginnings
	Beliefs   []Belief
	Gaps      []Gap   // of media
	Stills    []Still // of viewers

	Events    uint64 // handled by the nodes
	Messages  uint64 // between nodes
	Starts    int    // of captures
	Moves     int    // of streams from one node to another
	TakeOvers int    // of streams from a node that ran and could be reached
	Simulated time.Duration
}

// A Line is one line of the trace.
type Line struct {
	Number uint64
	Cause  uint64 // the line that led to it; 0 if none
	At     time.Duration
	Node   string
	Text   string // the whole line, without newline
}

// A Violation is an invariant or an expectation that did not hold.
type Violation struct {
	Invariant   oracle.Invariant
	At          time.Duration
	Stream      string
	Nodes       []string
	Line        uint64 // of the trace
	Text        string // for people
	Fingerprint string // the same for the same fault whatever the names are
	Step        int    // the line in the scenario of a failed expectation; 0 otherwise
}

// A Measure compares a bound with what was measured.
type Measure struct {
	Name    string
	Formula string
	Bound   time.Duration // the value for the instance that came nearest to it
	Worst   time.Duration // measured then
	Count   int
}

// A Snapshot is what the nodes know at one instant.
type Snapshot struct {
	At    time.Duration
	Nodes []NodeState
}

// A NodeState is one node in a [Snapshot].
type NodeState struct {
	Name   string
	Up     bool
	Frozen bool          // paused or suspended
	View   *control.View // immutable; nil if it is not up
}

// A Span is a fault that lasted for some time.
type Span struct {
	From, To time.Duration // To equals From for one of an instant
	Action   Action
}

// A Hold is a capture, from its beginning to its end.
type Hold struct {
	Stream, Node string
	From         time.Duration // ordered to start
	Up           time.Duration // first access unit; -1 if none came
	To           time.Duration // end of media; -1 if it went on
	Why          control.Reason
}

// A Belief is a time in which a node took another for dead.
type Belief struct {
	Node, Peer string
	From, To   time.Duration // To is -1 if it went on
}

// A Gap is a time in which nobody captured a stream.
type Gap struct {
	Stream   string
	From, To time.Duration
	Cause    GapCause
}

// A Still is a time in which the picture of a viewer stood still. That of one who reads playlists stands still when what it has
// fetched has been played.
type Still struct {
	Stream   string
	Node     string // that the viewer asks
	Protocol protocols.Protocol
	From, To time.Duration
	Down     bool // that node did not run all the time
}

// A GapCause says why a gap began.
type GapCause uint8

// Causes of gaps.
const (
	GapUnknown   GapCause = iota
	GapStart              // the group has only begun
	GapCrash              // the process of the owner has ended, or stands still
	GapYield              // the owner has let go of the stream
	GapSource             // the source has failed
	GapPublisher          // the publisher has left
)

// String gives the word for pages.
func (c GapCause) String() string {
	return [...]string{"", "start", "crash", "yield", "source", "publisher"}[c]
}
