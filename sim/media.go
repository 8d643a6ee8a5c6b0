package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
	"weir/cluster/owner"
)

// A streamTruth is the truth about one stream: who really captures it.
type streamTruth struct {
	index int
	name  string

	count int           // captures that deliver
	from  time.Duration // since when it is so, as far as gaps and overlaps go
	cause string        // of the gap that is open
	last  string        // who delivered last

	unreachable map[string]bool // nodes from which the source is unreachable
	silent      map[string]bool // nodes at which it is silent
	slow        map[string]Range
	single      bool
	failed      time.Duration // last failure of a capture anywhere

	lastSegment int64 // the largest number that any owner has begun
	lastOwner   string
}

// A capture is what a machine does with a stream.
type capture struct {
	feed  *feed
	hold  int   // index in Result.Holds
	next  int64 // the number that the last one of the process would have given its next segment
	boots int   // of the machine then
}

// A feed is a running capture, or a publisher.
type feed struct {
	m     *machine
	s     *streamTruth
	boots int
	state control.Activity
	pub   bool
	epoch uint64
	why   string
	began time.Duration
	upAt  time.Duration // true time of its first access unit; -1 before
	quiet int           // counts the times it fell silent or came back

	first  int64         // number of its first segment
	anchor time.Duration // when that began, by true time
	media  control.Media // what its node knew of the numbering at its start
	least  int64         // the number that another has said to begin with
	to     *machine      // for which it makes way, once it stops
	ref    any           // the process's own
	claim  owner.Claim   // of a publisher that has not begun
}

// delivers says whether its media flows.
func (f *feed) delivers() bool {
	return (f.state == control.Running || f.state == control.Stopping && f.upAt >= 0) && f.m.runs() && !f.silent()
}

func (f *feed) silent() bool      { return f.s.silent[f.m.name] || f.s.silent[""] }
func (f *feed) unreachable() bool { return f.s.unreachable[f.m.name] || f.s.unreachable[""] }

// open begins a capture on m.
func (m *machine) open(s *streamTruth, why string) *feed {
	w := m.w
	c := &m.captures[s.index]
	f := &feed{m: m, s: s, boots: m.boots, state: control.Starting, why: why, began: w.now, upAt: -1}
	c.feed = f
	c.hold = len(w.result.Holds)
	w.result.Holds = append(w.result.Holds, Hold{Stream: s.name, Node: m.name, From: w.now, Up: -1, To: -1, Why: why})
	w.result.Starts++
	up := w.captureUp
	if r, ok := s.slow[m.name]; ok {
		up = r
	} else if r, ok := s.slow[""]; ok {
		up = r
	}
	m.later(draw(m.source, up), func() { f.connected() })
	return f
}

// connected is the moment in which the source begins to deliver, or does not.
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
		f.state, f.upAt = control.Running, w.now
		w.result.Holds[f.m.captures[f.s.index].hold].Up = w.now
		w.number(f)
		w.recount(f.s, "")
		w.checks.up(f)
		f.m.process.up(f)
	}
}

// others says whether another capture of the stream holds a connection.
func (w *world) others(f *feed) bool {
	for _, m := range w.machines {
		if g := m.captures[f.s.index].feed; g != nil && g != f && (g.upAt >= 0) {
			return true
		}
	}
	return false
}

// fail ends a capture by itself.
func (f *feed) fail(why string) {
	f.s.failed = f.m.w.now
	f.m.w.sometimes["source dead on the owner"] += b2i(f.upAt >= 0)
	f.close("source")
	f.m.process.down(f, why)
}

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
	f.m.later(draw(f.m.source, f.m.w.down), func() {
		if f.m.captures[f.s.index].feed == f {
			f.close("yield")
			f.m.process.stopped(f)
		}
	})
}

func (f *feed) close(cause string) {
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
	c := &f.m.captures[f.s.index]
	if c.feed == f {
		c.feed = nil
	}
	w.result.Holds[c.hold].To = w.now
	w.recount(f.s, cause)
}

// recount keeps the gaps and overlaps of a stream.
func (w *world) recount(s *streamTruth, cause string) {
	count := 0
	owner := ""
	for _, m := range w.machines {
		if f := m.captures[s.index].feed; f != nil && f.delivers() {
			count++
			owner = m.name
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
		w.checks.gapCloses()
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
	w.checks.counted(s, was)
}

// number begins the segment numbering of a capture that has come up: above the numbering that the control plane knew of.
func (w *world) number(f *feed) {
	f.anchor = w.now
	if m := f.media; m != (control.Media{}) {
		f.first = m.After(control.Instant(f.m.clock.at(w.now) - f.m.clock.at(f.began)))
	}
	f.first = max(f.first, f.least)
	w.checks.numbered(f)
}

// handWindow tells the node for which a capture makes way how far its segments have come, as its stream does.
func (w *world) handWindow(f *feed) {
	to, next := f.to, f.current()+1
	w.carry(w.link(f.m, to), &exchange{from: f.m, to: to, deliverMessage: func() {
		g := to.captures[f.s.index].feed
		switch {
		case g == nil || !to.up:
		case g.upAt < 0:
			g.least = max(g.least, next)
		case g.current() < next:
			g.first, g.anchor = next, w.now
			to.process.renumbered(g)
		}
	}}, message, 100)
}

// current is the number of the segment that f is cutting.
func (f *feed) current() int64 { return f.first + int64((f.m.w.now-f.anchor)/f.m.w.segment) }

// segments takes down which numbers a capture has used up to now.
func (w *world) segments(f *feed) {
	n := f.current()
	if b := w.checks.bounds(); w.now-f.anchor <= 2*b.poll()+4*b.d {
		return // so short that nobody can have heard of its numbers
	}
	if slices.ContainsFunc(w.machines, func(m *machine) bool { return m != f.m && m.delivering(f.s) }) {
		return // that one goes on with its own
	}
	if n > f.s.lastSegment {
		f.s.lastSegment, f.s.lastOwner = n, f.m.name
	}
}

// delivering says whether m captures a stream and its media flows.
func (m *machine) delivering(s *streamTruth) bool {
	f := m.captures[s.index].feed
	return f != nil && f.delivers()
}

// mediaNow is what the packager tells the control plane.
func (f *feed) mediaNow() control.Media {
	w := f.m.w
	return control.Media{
		Sequence: f.current(), Period: int64(w.segment / time.Millisecond),
		Age: int64((w.now - f.anchor) % w.segment / time.Millisecond),
	}
}

// silenceChanged looks again at the captures of a stream after its silence has begun or ended.
func (w *world) silenceChanged(s *streamTruth) {
	for _, m := range w.machines {
		f := m.captures[s.index].feed
		if f == nil {
			continue
		}
		f.quiet++
		if q := f.quiet; f.silent() && f.state == control.Running {
			m.later(w.silence, func() {
				if f.quiet == q && m.captures[s.index].feed == f && f.state == control.Running {
					f.fail("silent")
				}
			})
		} else if !f.silent() && f.state == control.Starting && w.now-f.began > draw(m.source, w.captureUp) {
			m.later(0, f.connected)
		}
	}
	w.recount(s, "source")
}
