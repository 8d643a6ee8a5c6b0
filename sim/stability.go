package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
	"weir/cluster/place"
)

// Ways in which a group is disturbed.
const (
	disturbBoot = iota
	disturbCrash
	disturbFreeze
	disturbThaw
	disturbFault
	disturbFlap
	disturbEdit
	disturbOther
)

// A period is what the time since the last disturbance is like.
type period uint8

const (
	disrupted    period = iota // faults are on for which no bound is promised
	stable                     // none are; what went before was anything
	afterFailure               // a settled group has lost nodes, and nothing else happened
	afterReturn                // a settled group has got nodes back, and nothing else happened
	undisturbed                // nothing has happened to a settled group
)

// stability follows how quiet the group is, and holds the checks that need quiet.
type stability struct {
	period     period
	since      time.Duration // of the last disturbance
	settledAt  time.Duration // when the group counts as settled; never if it is not to be known
	cold       bool          // nothing has been captured yet
	parts      []int         // of each machine: the part of the group that it is in; -1 for none
	count      int           // parts
	failed     []*machine    // in a failure
	returned   []*machine    // when homing
	trouble    []trouble     // streams without owner or with several
	nextTick   time.Duration
	doneHome   bool
	doneAgree  bool
	changed    time.Duration // last start, end or disturbance
	polled     int
	lossRun    int // polls lost in a row since the group was settled
	sinceClean time.Duration
	uniform    bool
	homes      []string // of each stream, while the files are uniform; empty: none
	pins       []string
	probes     []probe
	expected   []pendingExpectation
	wasParted  bool
}

func (c *stability) start(w *world) {
	c.cold = true
	c.settledAt = never
	c.parts = slices.Repeat([]int{-1}, len(w.machines))
}

// connected says whether two machines are in one part.
func (c *checks) connected(a, b *machine) bool {
	return c.parts[a.index] >= 0 && c.parts[a.index] == c.parts[b.index]
}

// disturbed is told that something has happened to the group.
func (c *checks) disturbed(kind int, m *machine) {
	w := c.w
	was, settled := c.period, w.now >= c.settledAt &&
		!slices.ContainsFunc(c.trouble, func(t trouble) bool { return t.from < w.now }) // others are of this disturbance
	same := w.now == c.since && was != disrupted // a second one in the same instant
	c.changed = w.now
	quiet := true
	for _, f := range w.active {
		quiet = quiet && f.kind.bounded
	}
	if quiet {
		quiet = c.divide()
	}
	c.coverage(kind)
	next := disrupted
	switch {
	case !quiet:
	case same && (was == afterFailure || was == afterReturn) && (kind == disturbFault || kind == disturbCrash && was == afterFailure || kind == disturbBoot && was == afterReturn):
		next = was
	case settled && (kind == disturbCrash || kind == disturbFreeze):
		next = afterFailure
	case settled && kind == disturbBoot:
		next = afterReturn
	case settled && kind == disturbFault && was == undisturbed && len(w.faults) > 0 && KindOf(w.faults[len(w.faults)-1].Action).still:
		next = undisturbed
	default:
		next = stable
	}
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
	if quiet {
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
	c.nextTick = w.now
	c.schedule()
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

// divide finds the parts of the group. It says whether everybody in a part reaches everybody else there, both ways,
// and nobody outside.
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

// plan computes the homes, if all files are the same.
func (c *checks) plan() {
	w := c.w
	c.uniform = true
	hash := ""
	for i, m := range w.machines {
		h := m.fileHash()
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
	for _, x := range w.machines[0].controlConfig().Streams {
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
	w.now = max(w.now, min(at, c.next))
	w.trace.cause = 0
	if c.next == never {
		return
	}
	if c.period != disrupted {
		c.dueCalm()
	}
	c.dueExpectations()
	c.dueProbes()
	c.schedule()
	if c.next <= w.now && at > w.now {
		c.next = w.now + time.Millisecond
	}
}

func (c *checks) dueCalm() {
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
			c.hold(I1, false, t.s, c.owners(t.s), "several owners in one stable part")
		}
		c.hold(rule, false, t.s, c.owners(t.s), "%s since %d ms, want at most %d ms (%s)", word(t.many),
			(w.now-max(t.from, c.since))/time.Millisecond, (at-max(t.from, c.since))/time.Millisecond, c.state())
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
		c.settledAt = w.now + time.Second // looked at again
	}
	if c.period != undisturbed && w.now > c.settledAt {
		c.period = undisturbed
		c.sinceClean, c.polled, c.lossRun = w.now, 0, 0
	}
}

func (c *checks) state() string {
	return [...]string{"wild", "stable", "after a failure", "after a return", "calm"}[c.period]
}

func (c *checks) edited(m *machine) {
	c.edits++
	c.roomSince[m.index] = c.w.now
	c.edit[m.index] = m.clock.at(c.w.now)
	for _, q := range c.w.machines {
		if q != m && !m.names(q) {
			k := &m.known[q.index]
			*k = knowledge{answered: k.answered} // with the entry goes what was known by it
		}
	}
	c.disturbed(disturbEdit, nil)
}

func (c *checks) crashing(m *machine) {
	w := c.w
	if m.up && !m.settled {
		w.sometimes["crash in warm-up"]++
	}
	for i := range m.captures {
		f := m.captures[i].feed
		if f == nil {
			continue
		}
		if f.state == control.Starting {
			w.sometimes["crash while starting"]++
		}
		if c.pins != nil && c.pins[i] == m.announced {
			for _, q := range w.machines {
				if q != m && !q.up {
					w.sometimes["pin dies with another"]++
				}
			}
		}
	}
}

// coverage counts the states that should occur sometimes.
func (c *checks) coverage(kind int) {
	w := c.w
	gap := slices.ContainsFunc(c.trouble, func(t trouble) bool { return !t.many })
	switch {
	case kind == disturbBoot && gap && !c.cold:
		w.sometimes["return during take-over"]++
	case kind == disturbFault && gap && !w.parted() && c.wasParted:
		w.sometimes["healing during take-over"]++
	}
	c.wasParted = w.parted()
}
