package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
)

// checks holds the invariants of one run.
type checks struct {
	w         *world
	next      time.Duration   // of the next check that waits for an instant
	claims    [][]claim       // by machine and stream
	began     []time.Duration // by machine: its clock when its control plane began
	edit      []time.Duration // by machine: its clock when its file was last edited
	keyed     []time.Duration // by machine: true time of the last change of its key
	edits     int
	roomSince []time.Duration     // by machine: since when it has room for another stream
	wants     []map[uint64]string // publishers who wait for an answer, by machine and token

	stability
}

func newChecks(w *world) *checks {
	c := &checks{w: w, next: never}
	c.claims = make([][]claim, len(w.machines))
	for i := range c.claims {
		c.claims[i] = make([]claim, len(w.streams))
		for j := range c.claims[i] {
			c.claims[i][j].back = -1
		}
	}
	c.wants = make([]map[uint64]string, len(w.machines))
	c.began, c.edit = make([]time.Duration, len(w.machines)), make([]time.Duration, len(w.machines))
	c.roomSince = make([]time.Duration, len(w.machines))
	c.keyed = slices.Repeat([]time.Duration{-time.Hour}, len(w.machines))
	c.stability.start(w)
	return c
}

const never = time.Duration(1<<63 - 1)

// booted is told that a process begins.
func (c *checks) booted(m *machine) {
	c.replaced(m)
	clear(c.claims[m.index])
	c.clearTakenBack(m)
	if c.roomSince[m.index] = c.w.now; m.boots == 1 {
		c.roomSince[m.index] = -time.Hour // nobody has known it otherwise
	}
}

func (c *checks) clearTakenBack(m *machine) {
	for i := range c.claims[m.index] {
		c.claims[m.index][i].back = -1
	}
}

// replaced is told that a control plane begins, which knows nobody.
func (c *checks) replaced(m *machine) {
	for i := range m.known {
		m.known[i] = knowledge{}
	}
	c.began[m.index] = m.clock.at(c.w.now)
	m.control++
	c.wants[m.index] = map[uint64]string{}
	for i := range c.claims[m.index] { // what it has it is told by Resumed
		x := &c.claims[m.index][i]
		if x.state == control.Running {
			x.ran = [2]time.Duration{x.since, c.w.now}
		}
		x.state = control.Idle
	}
}

// restarted is told that a control plane begins on a machine that has been running for a while.
func (c *checks) restarted(m *machine) {
	c.replaced(m)
	c.disturbed(disturbOther, m)
}

// stepped looks at what a control plane made of an event. ex is the exchange of a [control.Fetched].
func (c *checks) stepped(m *machine, now control.Instant, ev control.Event, out []control.Effect, ex *exchange) {
	local := time.Duration(now)
	switch e := ev.(type) {
	case control.Fetched:
		c.heard(m, local, e, out, ex)
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
			m.known[i].heard -= time.Duration(e.For)
			m.known[i].direct -= time.Duration(e.For)
		}
	case control.PublishWanted:
		c.wants[m.index][e.Token] = e.Stream
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
				c.hold(I11, false, nil, []string{m.name}, "asks to be woken in the past")
			} else {
				c.ok(I11)
			}
		case control.Fetch:
			c.polls(m, local, e)
		case control.Note:
			c.notes(m, local, e)
		case control.PublishAnswer:
			name, ok := c.wants[m.index][e.Token]
			c.hold(I11, ok, nil, []string{m.name}, "answers a publisher that nobody asked for")
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
		s, _ := m.stale()
		if !m.trusts(q) && w.now-max(c.keyed[q.index], c.keyed[m.index]) > 3*s {
			c.hold(I12, false, nil, []string{m.name, q.name}, "takes a node with another key for alive")
		}
	case control.NoteStale:
		if q := w.announcing(e.Node); q != nil && q != m {
			c.believes(m, q, true)
			s := c.staleTimeout(m, q)
			k := &m.known[q.index]
			recent := local-c.edit[m.index] < s // it may have been added again, and what others told before that is lost
			c.hold(I2, !k.ever || recent || local-k.heard >= s-s/100, nil, []string{m.name, q.name},
				"takes a node for dead whose evidence is %d ms old", (local-k.heard)/time.Millisecond)
		}
	case control.NoteWarm:
		m.settled = true
	case control.NoteRefused:
		c.ok(I12)
	case control.NoteBumped:
		w.sometimes["inc raised"]++
	case control.NoteOverslept:
		w.sometimes["overslept"]++
		s, _ := m.stale()
		if a := time.Duration(e.Age); a > s && a < 2*s {
			w.sometimes["a pause in (S, 2S)"]++
		}
	case control.NoteDrifted:
		w.sometimes["configuration mismatch"]++
	}
}
