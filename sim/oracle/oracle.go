package oracle

import (
	"fmt"
	"slices"
	"time"
)

// Never is an instant that does not come.
const Never = time.Duration(1<<63 - 1)

// longAgo is an instant before every run.
const longAgo = -100 * time.Hour

// A Group is what a run begins with. The oracle keeps it; it must not change.
type Group struct {
	Nodes   []string // by which the oracle is told of them, whatever they announce
	Streams []string // of all files, those of later edits too

	// StartUp is the longest that a source needs from the start of a capture to its first access unit, and StopIn that from
	// the order to stop to the last one.
	StartUp, StopIn time.Duration

	// Release is the longest that a node goes on with a capture that it has given up, if the media of the next owner does not come;
	// zero: as StopIn.
	Release time.Duration

	// Watched says whether a stream may be watched at a node, so that a capture of it may end as late as Release says; of the empty
	// name, whether any stream may be. Nil: captures end within StopIn, and only what nodes answer may be as late as Release.
	Watched func(stream string) bool

	// Owner is what a node answers now who has a stream: the name of a node of the group; empty if it knows of none. It says
	// false where the node answers nothing. Nil: nobody is asked.
	Owner func(node, stream string) (owner string, ok bool)

	// Apart is the longest between two answers of a node on which what Owner says is based.
	Apart time.Duration
}

// A File is the configuration of one node as far as the rules depend on it.
type File struct {
	Name    string // that the node announces
	Peers   []Peer // all nodes that the file lists, the node itself too
	Streams []Stream

	Holddown time.Duration // return_holddown

	// Hash is the same for files whose nodes must agree.
	Hash string
}

// A Peer is an entry of a file, by the node to which it leads; an empty Node leads nowhere.
type Peer struct {
	Node         string
	Stale, Fetch time.Duration
	Limit        int // captures that the node may have; 0: any number
	Load         int // the load of its processors, in permille, above which it takes no more; 0: any
}

// limited says whether a node of the file may not take every stream.
func (f *File) limited() bool {
	return slices.ContainsFunc(f.Peers, func(p Peer) bool { return p.Limit > 0 || p.Load > 0 })
}

// A Stream is a stream of a file.
type Stream struct {
	Name string
	Pin  string // the node that capture_at means; empty: none

	Published bool // captured where its publisher is
	Clustered bool // the group captures it once
	OnDemand  bool // captured while clients want it
	Break     bool // handover=break
	Disabled  bool
}

// placed says whether the stream has a home.
func (s *Stream) placed() bool { return s.Clustered && !s.Published && !s.Disabled }

// kept says whether the group always captures the stream, at one node.
func (s *Stream) kept() bool {
	return s.placed() && !s.OnDemand
}

// A Judgment is a violation that the oracle found.
type Judgment struct {
	Invariant Invariant
	At        time.Duration
	Stream    string   // empty if it is about none
	Nodes     []string // that it is about
	Text      string
}

// A Tally is how often an invariant was judged, and how near a run came to what it forbids.
type Tally struct {
	Judged, Violated uint64

	// Of an invariant that limits a time: how many times were measured, and the measured time that came nearest to its bound, by
	// the part of the bound that was left.
	Measured   int
	Got, Bound time.Duration
}

// Margin is the part of the bound that was left in the tightest case: 0 is at the bound, 1 far below it. It says false if
// nothing was measured.
func (t *Tally) Margin() (left float64, ok bool) {
	if t.Measured == 0 || t.Bound <= 0 {
		return 0, false
	}
	return float64(t.Bound-t.Got) / float64(t.Bound), true
}

// Add takes in another tally of the same invariant.
func (t *Tally) Add(u Tally) {
	t.Judged += u.Judged
	t.Violated += u.Violated
	if u.Measured > 0 && (t.Measured == 0 || tighter(u.Got, u.Bound, t.Got, t.Bound)) {
		t.Got, t.Bound = u.Got, u.Bound
	}
	t.Measured += u.Measured
}

// tighter says whether a time is nearer to its bound than another is to that one's.
func tighter(got, bound, got2, bound2 time.Duration) bool {
	return float64(got)*float64(bound2) > float64(got2)*float64(bound)
}

// An Oracle judges one run. It belongs to one goroutine. What it is told has to come in the order of time; [Oracle.Advance]
// has to be called whenever [Oracle.Next] is reached.
type Oracle struct {
	group   Group
	now     time.Duration
	tallies []Tally // by invariant
	report  func(Judgment)

	faults
	calm
	times           spans
	timed           bool      // times are those of what is in force
	streams         []*stream // by name
	unjudgedStreams bool
	due             time.Duration // when something is to be judged without an event
	edits           int
	limited         bool // a node may not take every stream
	names           map[string]bool
	homes, pins     []int         // of each stream by the placement of rules; -1: none. Nil: the files differ
	balanced        time.Duration // when the loads were judged last
}

// New makes the oracle of a run. Report is told each violation.
func New(g Group, report func(Judgment)) *Oracle {
	o := &Oracle{group: g, report: report, tallies: make([]Tally, len(invariants))}
	o.faults = newFaults(g)
	for i, name := range g.Streams {
		o.streams = append(o.streams, newStream(i, name, len(g.Nodes)))
	}
	o.due, o.settled, o.last = Never, Never, longAgo
	return o
}

// Next is when [Oracle.Advance] has to be called at the latest.
func (o *Oracle) Next() time.Duration {
	if o.unjudged || o.unjudgedStreams {
		o.judge()
	}
	return o.due
}

// Advance lets the time pass, and judges what is due.
func (o *Oracle) Advance(now time.Duration) {
	o.at(now)
	if now < o.due {
		return
	}
	for _, s := range o.streams {
		if s.due <= now {
			s.unjudged, o.unjudgedStreams = true, true
		}
	}
	o.judge()
}

// Tallies says, once a run is over, how often each invariant was judged. Its index is the number of the invariant.
func (o *Oracle) Tallies() []Tally {
	o.endCalm()
	return o.tallies
}

// ok counts a judgment that held.
func (o *Oracle) ok(i Invariant) { o.tallies[i].Judged++ }

// violated counts a judgment that did not hold, and reports it.
func (o *Oracle) violated(i Invariant, stream string, nodes []string, format string, args ...any) {
	o.tallies[i].Judged++
	o.tallies[i].Violated++
	o.report(Judgment{i, o.now, stream, nodes, fmt.Sprintf(format, args...)})
}

// Measure counts a time that somebody else judged, and that kept within its bound.
func (o *Oracle) Measure(i Invariant, got, bound time.Duration) { o.measured(i, got, bound) }

// measured counts a time that kept within its bound.
func (o *Oracle) measured(i Invariant, got, bound time.Duration) {
	t := &o.tallies[i]
	t.Judged++
	if bound <= 0 {
		return
	}
	if t.Measured == 0 || tighter(got, bound, t.Got, t.Bound) {
		t.Got, t.Bound = got, bound
	}
	t.Measured++
}
