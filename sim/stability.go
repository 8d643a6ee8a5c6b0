package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
)

// A disturbance is a way in which a group is disturbed.
type disturbance uint8

const (
	disturbBoot disturbance = iota
	disturbCrash
	disturbFreeze
	disturbThaw
	disturbFault
	disturbFlap
	disturbEdit
	disturbOther
)

// parts holds how the group is cut, and what is due at an instant.
type parts struct {
	parts     []int // of each machine: the part of the group that it is in; -1 for none
	count     int   // of parts
	wasParted bool  // a link was cut at the last disturbance

	since  time.Duration // the last disturbance
	polled int           // polls since then

	probes   []probe
	expected []pendingExpectation
}

// connected says whether two machines are in one part.
func (c *checks) connected(a, b *machine) bool {
	return c.parts.parts[a.index] >= 0 && c.parts.parts[a.index] == c.parts.parts[b.index]
}

// disturbed is told that something has happened to the group, or to one of its machines.
func (c *checks) disturbed(kind disturbance) {
	w := c.w
	orphaned := c.oracle.Orphaned()
	c.observe()
	c.divide()
	c.countCoincidences(kind, orphaned)
	c.countPolls()
	c.since, c.polled = w.now, 0
	c.schedule()
}

// divide finds the parts of the group: machines that reach each other both ways.
func (c *checks) divide() {
	w := c.w
	for i := range c.parts.parts {
		c.parts.parts[i] = -1
	}
	c.count = 0
	reach := func(a, b *machine) bool {
		l := w.link(a, b)
		return a == b || l.cut == 0 && l.refuse == 0 && l.clog == 0 && a.trusts(b)
	}
	for _, a := range w.machines {
		if !a.runs() || c.parts.parts[a.index] >= 0 {
			continue
		}
		for _, b := range w.machines {
			if b.runs() && reach(a, b) && reach(b, a) {
				c.parts.parts[b.index] = c.count
			}
		}
		c.count++
	}
}

// schedule finds the next instant at which something is due.
func (c *checks) schedule() {
	c.next = c.oracle.Next()
	for i := range c.expected {
		c.next = min(c.next, c.expected[i].at)
	}
	for i := range c.probes {
		c.next = min(c.next, c.probes[i].next)
	}
}

// due makes the checks whose instant has come, which is before that of the next event.
func (c *checks) due(at time.Duration) {
	w := c.w
	c.next = min(c.next, c.oracle.Next())
	w.now = max(w.now, min(at, c.next))
	w.trace.cause = 0
	if c.next == never {
		return
	}
	c.oracle.Advance(w.now)
	c.dueExpectations()
	c.dueProbes()
	c.schedule()
	if c.next <= w.now && at > w.now {
		c.next = w.now + time.Millisecond
	}
}

// edited is told that a machine's file has been edited.
func (c *checks) edited(m *machine) {
	c.edits++
	c.roomSince[m.index] = never
	c.noteRoom(m)
	c.edit[m.index] = m.clock.at(c.w.now)
	for _, s := range c.w.streams {
		if !m.shares(s) {
			delete(s.told, m) // what a node knows of a stream goes with the stream
		}
	}
	for _, q := range c.w.machines {
		if q != m && !m.names(q) {
			k := &m.known[q.index]
			*k = knowledge{answered: k.answered} // what a node knows by an entry goes with the entry
		}
	}
	c.disturbed(disturbEdit)
}

// crashing counts the states that should occur sometimes, when a machine is about to crash.
func (c *checks) crashing(m *machine) {
	w := c.w
	if m.up && !m.warm {
		w.result.Sometimes["crash in warm-up"]++
	}
	for i := range m.captures {
		f := m.captures[i].feed
		if f == nil {
			continue
		}
		if f.state == control.Starting {
			w.result.Sometimes["crash while starting"]++
		}
		for _, x := range m.read().config.Streams {
			if x.Name == f.s.name && x.Pin != "" && (w.announcing(x.Pin) == m || w.byEntry(x.Pin) == m) {
				for _, q := range w.machines {
					w.result.Sometimes["pin dies with another"] += b2i(q != m && !q.up)
				}
			}
		}
	}
}

// countCoincidences counts the states that should occur sometimes, at a disturbance. Orphaned says that a part of the group had no
// owner of a stream until then: while the group is cut, another part may have one.
func (c *checks) countCoincidences(kind disturbance, orphaned bool) {
	w := c.w
	gap := slices.ContainsFunc(w.streams, func(s *streamTruth) bool { return s.count == 0 && s.last != "" && c.groups(s) })
	switch {
	case kind == disturbBoot && gap:
		w.result.Sometimes["return during take-over"]++
	case kind == disturbFault && orphaned && !w.parted() && c.wasParted:
		w.result.Sometimes["healing during take-over"]++
	}
	c.wasParted = w.parted()
}
