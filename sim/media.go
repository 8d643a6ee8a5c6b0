package sim

import (
	"iter"
	"time"

	"weir/actors/packager"
	"weir/cluster/control"
	"weir/cluster/owner"
	"weir/sim/oracle"
)

// A streamTruth is what is true of a stream, whatever nodes believe: its source, and the machines that capture it.
type streamTruth struct {
	index int
	name  string

	count int           // captures that deliver
	from  time.Duration // when the gap began, if none delivers
	cause GapCause      // of that gap
	last  string        // the machine that delivered last

	// The source, as nodes see it; the empty name stands for all nodes.
	unreachable map[string]bool
	silent      map[string]bool
	slow        map[string]Range
	single      bool          // it allows one connection
	read        time.Duration // when the hub of a node was read last for those who watch it; with [Actors]
	failed      time.Duration // when a capture failed last, anywhere

	lastSegment int64 // the largest number that an owner has begun, and that others can have heard of; -1: none
	lastOwner   string
	told        map[*machine]int // the machines that surely heard of that number, and which boot of them

	published time.Duration // when a publisher's connection ended last
}

// A capture is what a machine does with a stream.
type capture struct {
	feed  *feed // nil: nothing
	hold  int   // the index of the last feed in Result.Holds
	next  int64 // the number that the last feed would have given its next segment
	boots int   // of the machine then
}

// A feed is a capture that runs, or a publisher.
type feed struct {
	m      *machine
	s      *streamTruth
	boots  int
	state  control.Activity
	pub    bool
	epoch  uint64
	why    control.Reason
	began  time.Duration
	upAt   time.Duration // when its first access unit came, by true time; -1 before
	source uint64        // the number of the publisher's connection; zero for captures, which all have the media of one source
	newest time.Duration // the place of the newest access unit that it has brought; -1 before the first. With [Actors]
	sent   int           // how often its publisher has sent something
	turns  int           // how often its source has fallen silent or come back

	first    int64         // number of its first segment
	anchor   time.Duration // when that began, by true time
	media    control.Media // what its node knew of the numbering at its start
	numbered int           // how often its node was told how segments are numbered
	before   *segmentRun   // the segments that the owner before it has handed over
	succeeds bool          // it takes over from a capture that runs, whose segments it continues
	least    int64         // the number that the owner before it has said to begin with
	to       *machine      // the owner after it, once it stops
	ref      any           // what the process needs of it
	claim    owner.Claim   // of a publisher that has not begun
	by       *publisher    // whose connection it is; nil if that has gone
	attempt  int           // of by
	dead     bool          // the publisher has gone, and its node does not know
	muted    bool          // the publisher sends nothing, because it has gone or pauses
	mutedAt  time.Duration // since when, by true time
	mutes    int           // how often that has begun
}

// delivers says whether its media flows.
func (f *feed) delivers() bool {
	return (f.state == control.Running || f.state == control.Stopping && f.upAt >= 0) && f.m.runs() && !f.silent() && !f.dead
}

// silent says whether its source brings nothing, and unreachable whether there is no way to it.
func (f *feed) silent() bool      { return f.s.silent[f.m.name] || f.s.silent[""] }
func (f *feed) unreachable() bool { return f.s.unreachable[f.m.name] || f.s.unreachable[""] }

// open begins a capture on m.
func (m *machine) open(s *streamTruth, why control.Reason) *feed {
	w := m.w
	c := &m.captures[s.index]
	f := &feed{m: m, s: s, boots: m.boots, state: control.Starting, why: why, began: w.now, upAt: -1, newest: -1}
	c.feed = f
	c.hold = len(w.result.Holds)
	w.result.Holds = append(w.result.Holds, Hold{Stream: s.name, Node: m.name, From: w.now, Up: -1, To: -1, Why: why})
	w.result.Starts++
	w.checks.oracle.Began(w.now, m.name, s.name)
	up := w.captureUp
	if r, ok := s.slow[m.name]; ok {
		up = r
	} else if r, ok := s.slow[""]; ok {
		up = r
	}
	m.later(draw(m.source, up), func() { f.connected() })
	return f
}

// connected is told that the source would begin to deliver now.
func (f *feed) connected() {
	if f.m.captures[f.s.index].feed != f || f.state != control.Starting {
		return
	}
	w := f.m.w
	switch {
	case f.unreachable():
		f.fail("no route to the source")
	case f.s.single && w.others(f):
		f.fail("the source takes no second connection")
	case f.silent():
		f.m.later(w.silence, func() {
			if f.m.captures[f.s.index].feed == f && f.state == control.Starting {
				f.fail("silent since its start")
			}
		})
	default:
		f.succeeds = f.follows()
		f.state, f.upAt = control.Running, w.now
		w.checks.oracle.Delivered(w.now, f.m.name, f.s.name)
		w.result.Holds[f.m.captures[f.s.index].hold].Up = w.now
		w.number(f)
		w.recount(f.s, GapUnknown)
		w.checks.up(f)
		f.m.process.up(f)
	}
}

// others says whether another capture of the stream holds a connection.
func (w *world) others(f *feed) bool {
	for g := range w.feeds(f.s) {
		if g != f && g.upAt >= 0 {
			return true
		}
	}
	return false
}

// feeds are the captures of a stream, on whatever machine.
func (w *world) feeds(s *streamTruth) iter.Seq[*feed] {
	return func(yield func(*feed) bool) {
		for _, m := range w.machines {
			if f := m.captures[s.index].feed; f != nil && !yield(f) {
				return
			}
		}
	}
}

// fail ends a capture whose source has failed.
func (f *feed) fail(why string) {
	f.s.failed = f.m.w.now
	f.m.w.result.Sometimes["source dead on the owner"] += b2i(f.upAt >= 0)
	f.close(GapSource)
	f.m.process.down(f, why)
}

// b2i is 1 for true.
func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stop ends a capture as ordered, in favour of another machine if to is not nil.
func (f *feed) stop(to *machine) {
	if f.state == control.Stopping || f.state == control.Idle {
		return
	}
	f.state, f.to = control.Stopping, to
	f.sendAway(to != nil)
	f.m.later(draw(f.m.source, f.m.w.down), func() {
		if f.m.captures[f.s.index].feed == f {
			f.close(GapYield)
			f.m.process.stopped(f)
		}
	})
}

// sendAway tells the publisher, if it is there, that it has to go.
func (f *feed) sendAway(busy bool) {
	if p := f.by; p != nil {
		f.by = nil
		p.sentAway(f.m, busy)
	}
}

// close ends a capture at once; cause is that of the gap, if it makes one. Its process is not told.
func (f *feed) close(cause GapCause) {
	w := f.m.w
	if f.state == control.Idle {
		return
	}
	if f.upAt >= 0 {
		x := &f.m.captures[f.s.index]
		x.next, x.boots = f.current()+1, f.boots
		w.segments(f)
		if f.to != nil && f.m.runs() {
			w.handWindow(f)
		}
	}
	f.state = control.Idle
	w.checks.oracle.Ended(w.now, f.m.name, f.s.name, cause == GapSource)
	if f.pub {
		f.s.published = w.now
	}
	if p := f.by; p != nil {
		f.by = nil
		p.lost()
	}
	c := &f.m.captures[f.s.index]
	if c.feed == f {
		c.feed = nil
	}
	w.result.Holds[c.hold].To = w.now
	w.recount(f.s, cause)
}

// recount keeps the gaps, moves and overlaps of a stream. Cause is that of a gap that begins.
func (w *world) recount(s *streamTruth, cause GapCause) {
	count := 0
	owner := ""
	for f := range w.feeds(s) {
		if f.delivers() {
			count++
			owner = f.m.name
		}
	}
	if count == s.count {
		return
	}
	was := s.count
	s.count = count
	switch {
	case count == 0:
		s.from, s.cause = w.now, cause
	case was == 0:
		w.result.Gaps = append(w.result.Gaps, Gap{s.name, s.from, w.now, s.cause})
		if owner != s.last && s.last != "" {
			w.result.Moves++
		}
	}
	if count == 1 && owner != s.last {
		if was > 1 && s.last != "" {
			w.result.Moves++
		}
		s.last = owner
	}
	w.checks.counted(s)
	w.viewers.changed()
}

// number begins the numbering of the segments of a capture that delivers: above the one that the control plane knew of.
func (w *world) number(f *feed) {
	f.anchor = w.now
	if m := f.media; m != (control.Media{}) {
		f.first = m.After(control.Instant(f.m.clock.at(w.now) - f.m.clock.at(f.began)))
	}
	f.first = max(f.first, f.least)
	w.checks.numbered(f)
}

// handWindow tells the next owner how far the segments of a capture have come, as the stream's actor does in a node.
func (w *world) handWindow(f *feed) {
	to, next := f.to, f.current()+1
	run := f.cut()
	run.end = w.now
	f.m.send(to, func() {
		g := to.captures[f.s.index].feed
		switch {
		case g == nil || !to.up:
		case g.upAt < 0:
			g.least, g.before = max(g.least, next), run
		case g.waits() && g.current() < next:
			g.first, g.anchor, g.before = next, w.now, run
			g.keepNumbered()
		}
	})
}

// current is the number of the segment that f is cutting.
func (f *feed) current() int64 { return f.first + int64((f.m.w.now-f.anchor)/f.m.w.segment) }

// segments notes which numbers a capture has used by its end.
func (w *world) segments(f *feed) {
	n := f.current()
	if b := w.checks.bounds(); w.now-f.anchor <= 2*b.poll()+4*b.d {
		return // it was too short for others to have heard of its numbers
	}
	for g := range w.feeds(f.s) {
		if g != f && g.delivers() {
			return // the other capture goes on with its own numbers
		}
	}
	if n > f.s.lastSegment {
		f.s.lastSegment, f.s.lastOwner = n, f.m.name
		f.s.told = map[*machine]int{f.m: f.boots}
		for _, m := range w.machines {
			if m != f.m && w.checks.heardNumbers(m, f) {
				f.s.told[m] = m.boots
			}
		}
	}
}

// heardNumbers says whether a machine has surely heard how another one numbers the segments of a capture. Both files have to give the
// stream to the group; and what m has heard before its file was edited may be gone.
func (c *checks) heardNumbers(m *machine, f *feed) bool {
	w, b := c.w, c.bounds()
	since := c.oracle.Surely(m.name, f.m.name)
	need := 2*b.poll() + 4*b.d + b.lag
	return since != oracle.Never && w.now-max(since, f.anchor) > need && m.shares(f.s) && f.m.shares(f.s) &&
		(c.edit[m.index] == 0 || m.clock.at(w.now)-c.edit[m.index] > need)
}

// keepNumbered tells the control plane how segments are numbered, now and, as a packager does, whenever what it was told
// does not hold any more. The segments here are all of one length, so that only age ends what it was told.
func (f *feed) keepNumbered() {
	m := f.m
	now := m.clock.at(m.w.now)
	told := packager.Anchor{Number: f.current(), Period: m.w.segment, At: now}
	f.numbered++
	n := f.numbered
	m.process.renumbered(f)
	m.timer(told.Until()-now, func() {
		if n == f.numbered && m.captures[f.s.index].feed == f && f.state == control.Running {
			f.keepNumbered()
		}
	})
}

// mediaNow is what a packager tells the control plane.
func (f *feed) mediaNow() control.Media {
	w := f.m.w
	return control.Media{
		Sequence: f.current(), Period: int64(w.segment / time.Millisecond),
		Age: int64((w.now - f.anchor) % w.segment / time.Millisecond),
	}
}

// silenceChanged looks again at the captures of a stream after its silence has begun or ended.
func (w *world) silenceChanged(s *streamTruth) {
	for f := range w.feeds(s) {
		m := f.m
		f.turns++
		if f.pub && f.state == control.Running && !f.dead && f.muted != f.silent() {
			if f.silent() {
				f.mute()
			} else {
				f.unmute()
			}
		}
		if n := f.turns; f.silent() && f.state == control.Running {
			m.later(w.silence, func() {
				if f.turns == n && m.captures[s.index].feed == f && f.state == control.Running {
					f.fail("silent")
				}
			})
		} else if !f.silent() && f.state == control.Starting && w.now-f.began > draw(m.source, w.captureUp) {
			m.later(0, f.connected)
		}
	}
	w.recount(s, GapSource)
}
