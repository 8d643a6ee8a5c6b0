package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
	"weir/sim/oracle"
)

// checks holds what the invariants of one run need. It is told what control planes do and what happens to the group.
type checks struct {
	w       *world
	oracle  *oracle.Oracle
	renamed bool          // a machine has another name since the oracle was told
	next    time.Duration // of the next check that waits for an instant
	edits   int           // how many files have been edited
	claims  [][]claim     // by machine and stream

	// By machine.
	began     []time.Duration     // its clock when its control plane began
	edit      []time.Duration     // its clock when its file was last edited
	keyed     []time.Duration     // true time of the last change of its key
	roomSince []time.Duration     // since when it has room for another stream
	wants     []map[uint64]string // the streams of publishers that wait for an answer, by token
	releases  []map[uint64]bool   // the questions for a release that wait for an answer, by token

	parts
}

func newChecks(w *world) *checks {
	n := len(w.machines)
	c := &checks{
		w: w, next: never, claims: make([][]claim, n), began: make([]time.Duration, n), edit: make([]time.Duration, n),
		keyed: slices.Repeat([]time.Duration{-time.Hour}, n), roomSince: make([]time.Duration, n), wants: make([]map[uint64]string, n),
		releases: make([]map[uint64]bool, n),
		parts:    parts{parts: slices.Repeat([]int{-1}, n)},
	}
	c.oracle = newOracle(w)
	for i := range c.claims {
		c.claims[i] = slices.Repeat([]claim{{back: -1, brought: -1}}, len(w.streams))
	}
	return c
}

// never is an instant that does not come.
const never = time.Duration(1<<63 - 1)

// booted is told that a process begins.
func (c *checks) booted(m *machine) {
	c.replaced(m)
	for i := range c.claims[m.index] {
		c.claims[m.index][i] = claim{back: -1, brought: -1}
	}
	if c.roomSince[m.index] = c.w.now; m.boots == 1 {
		c.roomSince[m.index] = -time.Hour // no other node knows of a time before
	}
}

// replaced is told that a control plane begins, which knows nobody.
func (c *checks) replaced(m *machine) {
	for i := range m.known {
		m.known[i] = knowledge{}
	}
	c.began[m.index] = m.clock.at(c.w.now)
	m.control++
	c.wants[m.index], c.releases[m.index] = map[uint64]string{}, map[uint64]bool{}
	for i := range c.claims[m.index] { // Resumed tells what it has
		x := &c.claims[m.index][i]
		if x.state == control.Running {
			x.ran = [2]time.Duration{x.since, c.w.now}
		}
		x.state, x.tries, x.brought, x.taken = control.Idle, 0, -1, false
	}
}

// restarted is told that a control plane begins on a machine that has been running for a while.
func (c *checks) restarted(m *machine) {
	c.replaced(m)
	c.disturbed(disturbOther)
}

// stepped checks what a control plane made of an event. Ex is the exchange of a [control.Fetched].
func (c *checks) stepped(m *machine, now control.Instant, ev control.Event, out []control.Effect, ex *exchange) {
	local := time.Duration(now)
	switch e := ev.(type) {
	case control.Fetched:
		c.fetched(m, local, e, out, ex)
	case control.FetchFailed:
		c.fetchFailed(m, e)
	case control.CaptureUp:
		c.setClaim(m, e.Stream, control.Running)
	case control.CaptureDown:
		c.setClaim(m, e.Stream, control.Failed)
	case control.CaptureStopped:
		c.setClaim(m, e.Stream, control.Idle)
	case control.PublishEnded:
		c.setClaim(m, e.Stream, control.Idle)
	case control.Suspended:
		for i := range m.known {
			m.known[i].newest -= time.Duration(e.For)
			m.known[i].slept += time.Duration(e.For)
			m.known[i].direct -= time.Duration(e.For)
		}
	case control.PublishWanted:
		c.wants[m.index][e.Token] = e.Stream
	case control.ReleaseAsked:
		c.releases[m.index][e.Token] = true
	case control.Resumed:
		for _, x := range e.Captures {
			c.setClaim(m, x.Stream, control.Starting)
			if x.Up {
				c.setClaim(m, x.Stream, control.Running)
			}
		}
	}
	for _, e := range out {
		switch e := e.(type) {
		case control.StartCapture:
			c.starts(m, local, e)
		case control.StopCapture:
			_, asked := ev.(control.ReleaseAsked)
			c.stops(m, local, e, asked)
		case control.WakeAt:
			if e.At <= now {
				c.hold(oracle.I11, false, nil, []string{m.name}, "asks to be woken in the past")
			} else {
				c.ok(oracle.I11)
			}
		case control.Fetch:
			c.polled++
		case control.ReleaseAnswer:
			c.hold(oracle.I11, c.releases[m.index][e.Token], nil, []string{m.name}, "answers a question for a release that nobody waits for")
			delete(c.releases[m.index], e.Token)
		case control.Note:
			c.notes(m, local, e)
		case control.PublishAnswer:
			name, ok := c.wants[m.index][e.Token]
			c.hold(oracle.I11, ok, nil, []string{m.name}, "answers a publisher that nobody asked for")
			delete(c.wants[m.index], e.Token)
			if e.Verdict == control.Granted {
				c.setClaim(m, name, control.Starting)
			}
		}
	}
}

// notes checks what a control plane reports.
func (c *checks) notes(m *machine, local time.Duration, e control.Note) {
	w := c.w
	switch e.Kind {
	case control.NoteAlive:
		q := w.announcing(e.Node)
		if q == nil || q == m {
			return
		}
		c.believes(m, q, false)
		s := m.read().stale
		if !m.trusts(q) && w.now-max(c.keyed[q.index], c.keyed[m.index]) > 3*s {
			c.hold(oracle.I12, false, nil, []string{m.name, q.name}, "takes a node with another key for alive")
			return
		}
		c.ok(oracle.I12)
	case control.NoteStale:
		if q := w.announcing(e.Node); q != nil && q != m {
			c.believes(m, q, true)
			s := c.staleTimeout(m, q)
			k := &m.known[q.index]
			edited := local-c.edit[m.index] < s // the entry may have been added again; what others told before that is lost
			age := local - k.newest - k.slept
			c.hold(oracle.I2, !k.ever || edited || age >= s-s/100, nil, []string{m.name, q.name},
				"takes a node for dead whose evidence is %d ms old, without the time for which it did not run itself", age/time.Millisecond)
		}
	case control.NoteDown:
		if q := w.announcing(e.Node); q != nil && q != m {
			c.believes(m, q, true)
			c.down(m, q)
		}
	case control.NoteWarm:
		m.warm = true
	case control.NoteRefused:
		c.ok(oracle.I12)
	case control.NoteBumped:
		w.result.Sometimes["inc raised"]++
	case control.NoteOverslept:
		w.result.Sometimes["overslept"]++
		s := m.read().stale
		if a := time.Duration(e.Age); a > s && a < 2*s {
			w.result.Sometimes["a pause in (S, 2S)"]++
		}
	case control.NoteDrifted:
		w.result.Sometimes["configuration mismatch"]++
	}
}
