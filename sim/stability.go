package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
	"weir/cluster/place"
	"weir/sim/oracle"
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

// A period is what the time since the last disturbance is like, which decides what bounds hold.
type period uint8

const (
	disrupted    period = iota // faults are on for which no bound is promised
	stable                     // no such fault is on; anything may have gone before
	afterFailure               // a settled group has lost nodes, and nothing else has happened
	afterReturn                // a settled group has got nodes back, and nothing else has happened
	undisturbed                // nothing has happened to a settled group
)

// String gives the words for violations.
func (p period) String() string {
	return [...]string{"disrupted", "stable", "after a failure", "after a return", "undisturbed"}[p]
}

// stability follows what disturbs the group, and holds what those checks need that wait until it is settled.
type stability struct {
	period    period
	since     time.Duration // the last disturbance
	settledAt time.Duration // when the group counts as settled; never while it is disrupted
	changed   time.Duration // the last start or end of a capture, or disturbance
	wasParted bool          // a link was cut at the last disturbance

	parts []int // of each machine: the part of the group that it is in; -1 for none
	count int   // of parts

	failed   []*machine // that the period after a failure began with
	returned []*machine // that the period after a return began with

	cold       bool // nothing has been captured yet
	trouble    []trouble
	able, have []int // scratch: machines of each part that can capture a stream, and that do

	doneHome, doneAgree bool // what is checked once after a disturbance has been

	settled time.Duration // when the group was settled last
	polled  int           // polls since then
	lossRun int           // the most polls lost in a row since then

	uniform bool     // all files are the same
	homes   []string // of each stream, while the files are uniform; empty: none
	pins    []string // the same

	probes   []probe
	expected []pendingExpectation
}

// connected says whether two machines are in one part.
func (c *checks) connected(a, b *machine) bool {
	return c.parts[a.index] >= 0 && c.parts[a.index] == c.parts[b.index]
}

// disturbed is told that something has happened to the group, or to one of its machines.
func (c *checks) disturbed(kind disturbance, m *machine) {
	w := c.w
	c.observe()
	same := w.now == c.since && c.period != disrupted // a second disturbance in the same instant
	c.changed = w.now
	bounded := !slices.ContainsFunc(w.active, func(f *fault) bool { return !f.kind.bounded }) && c.divide()
	c.countCoincidences(kind)
	next := c.nextPeriod(kind, bounded, same)
	if next == afterFailure || next == afterReturn {
		if !same {
			c.failed, c.returned = nil, nil
		}
		if next == afterFailure {
			c.failed = append(c.failed, m)
		} else if m != nil {
			c.returned = append(c.returned, m)
		}
	}
	if next == undisturbed {
		return
	}
	c.countPolls()
	c.period, c.since = next, w.now
	c.doneHome, c.doneAgree, c.settledAt = false, false, never
	if bounded {
		b := c.bounds()
		c.settledAt = w.now + b.b7() + b.b5(len(w.streams)) + b.agree()
		if w.now-w.lastSourceFault() < 2*time.Minute {
			c.settledAt += 2 * time.Minute
		}
	}
	if kind != disturbCrash && kind != disturbFreeze {
		c.plan()
	}
	for _, s := range w.streams {
		c.assess(s)
	}
	c.schedule()
}

// nextPeriod is the period that a disturbance begins. Bounded says that no fault is on for which no bound is promised.
func (c *checks) nextPeriod(kind disturbance, bounded, same bool) period {
	w := c.w
	settled := w.now >= c.settledAt &&
		!slices.ContainsFunc(c.trouble, func(t trouble) bool { return t.from < w.now }) // later ones are of this disturbance
	switch {
	case !bounded:
		return disrupted
	case same && c.period == afterFailure && (kind == disturbFault || kind == disturbCrash),
		same && c.period == afterReturn && (kind == disturbFault || kind == disturbBoot):
		return c.period
	case settled && (kind == disturbCrash || kind == disturbFreeze):
		return afterFailure
	case settled && kind == disturbBoot:
		return afterReturn
	case settled && kind == disturbFault && c.period == undisturbed && len(w.result.Faults) > 0 && KindOf(w.result.Faults[len(w.result.Faults)-1].Action).still:
		return undisturbed
	}
	return stable
}

// lastSourceFault is when a source last failed.
func (w *world) lastSourceFault() time.Duration {
	at := -time.Hour
	for _, s := range w.streams {
		if s.failed > 0 {
			at = max(at, s.failed)
		}
	}
	return at
}

// divide finds the parts of the group. It says whether each node of a part reaches all others of it, both ways, and none
// outside.
func (c *checks) divide() bool {
	w := c.w
	for i := range c.parts {
		c.parts[i] = -1
	}
	c.count = 0
	reach := func(a, b *machine) bool {
		l := w.link(a, b)
		return a == b || l.cut == 0 && l.refuse == 0 && l.clog == 0 && a.trusts(b)
	}
	ok := true
	for _, a := range w.machines {
		if !a.runs() || c.parts[a.index] >= 0 {
			continue
		}
		for _, b := range w.machines {
			if b.runs() && reach(a, b) && reach(b, a) {
				ok = ok && c.parts[b.index] < 0
				c.parts[b.index] = c.count
			}
		}
		c.count++
	}
	for _, a := range w.machines {
		for _, b := range w.machines {
			if a != b && a.runs() && b.runs() {
				ok = ok && (c.parts[a.index] == c.parts[b.index]) == (reach(a, b) && reach(b, a)) && reach(a, b) == reach(b, a)
			}
		}
	}
	return ok
}

// plan computes the homes and pins, if all files are the same.
func (c *checks) plan() {
	w := c.w
	c.uniform = true
	hash := ""
	for i, m := range w.machines {
		h := m.read().config.Hash
		c.uniform = c.uniform && (i == 0 || h == hash)
		hash = h
	}
	c.homes, c.pins = nil, nil
	if !c.uniform {
		return
	}
	var list []place.Stream
	var at []int
	names := make([]string, len(w.machines))
	for i, m := range w.machines {
		names[i] = m.announced
	}
	slices.Sort(names)
	c.homes, c.pins = make([]string, len(w.streams)), make([]string, len(w.streams))
	for _, x := range w.machines[0].read().config.Streams {
		s := w.byName[x.Name]
		if x.Clustered && x.Kind == control.Kept && !x.Disabled {
			pin := c.pinned(x.Pin)
			c.pins[s.index] = pin
			list, at = append(list, place.Stream{Name: x.Name, Pin: pin}), append(at, s.index)
		}
	}
	p := place.NewPlan(list, names)
	for i, k := range at {
		if h := p.Home(i); h >= 0 {
			c.homes[k] = names[h]
		}
	}
}

// pinned is the announced name of the node that a capture_at means.
func (c *checks) pinned(pin string) string {
	if pin == "" {
		return ""
	}
	if m := c.w.announcing(pin); m != nil {
		return m.announced
	}
	if m := c.w.byEntry(pin); m != nil {
		return m.announced
	}
	return ""
}

// schedule finds the next instant at which something is due.
func (c *checks) schedule() {
	c.next = never
	if c.period != disrupted {
		b := c.bounds()
		for i := range c.trouble {
			if t := &c.trouble[i]; !t.told {
				at, _ := c.limit(t, &b)
				c.next = min(c.next, at+1)
			}
		}
		if !c.doneAgree {
			c.next = min(c.next, c.agreeAt(&b)+1)
		}
		if !c.doneHome {
			c.next = min(c.next, c.homeAt(&b)+1)
		}
		if c.period != undisturbed && c.settledAt != never {
			c.next = min(c.next, c.settledAt+1)
		}
	}
	c.next = min(c.next, c.oracle.Next())
	for i := range c.expected {
		c.next = min(c.next, c.expected[i].at)
	}
	for i := range c.probes {
		c.next = min(c.next, c.probes[i].next)
	}
}

func (c *checks) agreeAt(b *bounds) time.Duration { return c.changed + b.agree() }

func (c *checks) homeAt(b *bounds) time.Duration {
	at := c.since + b.b7() + b.b5(len(c.w.streams))
	if f := c.w.lastSourceFault(); c.since-f < 2*time.Minute {
		at += 2*time.Minute + longest(b.hold)
	}
	return at
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
	if c.period != disrupted {
		c.dueBounds()
	}
	c.oracle.Advance(w.now)
	c.dueExpectations()
	c.dueProbes()
	c.schedule()
	if c.next <= w.now && at > w.now {
		c.next = w.now + time.Millisecond
	}
}

// dueBounds reports the troubles that last longer than they may, and looks once at what has to hold some time after a
// disturbance.
func (c *checks) dueBounds() {
	w := c.w
	b := c.bounds()
	for i := range c.trouble {
		t := &c.trouble[i]
		at, rule := c.limit(t, &b)
		if t.told || w.now <= at {
			continue
		}
		t.told = true
		if t.many && w.now > c.since+b.s+b.d+b.up+2*b.b4() {
			c.hold(oracle.I1, false, t.s, c.owners(t.s), "several owners in one stable part")
		}
		c.hold(rule, false, t.s, c.owners(t.s), "%s since %d ms, want at most %d ms (%s)", t,
			(w.now-max(t.from, c.since))/time.Millisecond, (at-max(t.from, c.since))/time.Millisecond, c.period)
	}
	if !c.doneAgree && w.now > c.agreeAt(&b) {
		c.doneAgree = true
		c.agreement()
	}
	if !c.doneHome && w.now > c.homeAt(&b) {
		c.doneHome = true
		c.home()
	}
	if w.now > c.settledAt && len(c.trouble) > 0 {
		c.settledAt = w.now + time.Second // then it is looked at again
	}
	if c.period != undisturbed && w.now > c.settledAt {
		c.period = undisturbed
		c.settled, c.polled, c.lossRun = w.now, 0, 0
	}
}

// edited is told that a machine's file has been edited.
func (c *checks) edited(m *machine) {
	c.edits++
	c.roomSince[m.index] = c.w.now
	c.edit[m.index] = m.clock.at(c.w.now)
	for _, q := range c.w.machines {
		if q != m && !m.names(q) {
			k := &m.known[q.index]
			*k = knowledge{answered: k.answered} // what a node knows by an entry goes with the entry
		}
	}
	c.disturbed(disturbEdit, nil)
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
		if c.pins != nil && c.pins[i] == m.announced {
			for _, q := range w.machines {
				if q != m && !q.up {
					w.result.Sometimes["pin dies with another"]++
				}
			}
		}
	}
}

// countCoincidences counts the states that should occur sometimes, at a disturbance.
func (c *checks) countCoincidences(kind disturbance) {
	w := c.w
	gap := slices.ContainsFunc(c.trouble, func(t trouble) bool { return !t.many })
	switch {
	case kind == disturbBoot && gap && !c.cold:
		w.result.Sometimes["return during take-over"]++
	case kind == disturbFault && gap && !w.parted() && c.wasParted:
		w.result.Sometimes["healing during take-over"]++
	}
	c.wasParted = w.parted()
}
