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
	wild    period = iota // faults are on for which no bound is promised
	stable                // none are; what went before was anything
	failure               // a settled group has lost nodes, and nothing else happened
	homing                // a settled group has got nodes back, and nothing else happened
	calmed                // nothing has happened to a settled group
)

// calm follows how quiet the group is, and holds the checks that need quiet.
type calm struct {
	period     period
	since      time.Duration // of the last disturbance
	settledAt  time.Duration // when the group counts as settled; never if it is not to be known
	cold       bool          // nothing has been captured yet
	parts      []int         // of each machine: the part of the group that it is in; -1 for none
	count      int           // parts
	failed     []*machine    // in a failure
	returned   []*machine    // when homing
	moved      int           // starts in the period
	trouble    []trouble     // streams without owner or with several
	nextTick   time.Duration
	doneHome   bool
	doneAgree  bool
	changed    time.Duration // last start, end or disturbance
	polled     int
	lossRun    int // polls lost in a row since the group was settled
	brokeB3    bool
	sinceClean time.Duration
	uniform    bool
	homes      []string // of each stream, while the files are uniform; empty: none
	pins       []string
	probes     []probe
	expected   []pendingExpectation
	wasParted  bool
}

// A trouble is a stream that has no owner or several, in some part of the group.
type trouble struct {
	s     *streamTruth
	many  bool
	from  time.Duration
	told  bool
	first bool // its end was due by B2
}

func (c *calm) start(w *world) {
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
	same := w.now == c.since && was != wild // a second one in the same instant
	c.changed = w.now
	quiet := true
	for _, f := range w.active {
		quiet = quiet && f.kind.bounded
	}
	if quiet {
		quiet = c.divide()
	}
	c.coverage(kind)
	next := wild
	switch {
	case !quiet:
	case same && (was == failure || was == homing) && (kind == disturbFault || kind == disturbCrash && was == failure || kind == disturbBoot && was == homing):
		next = was
	case settled && (kind == disturbCrash || kind == disturbFreeze):
		next = failure
	case settled && kind == disturbBoot:
		next = homing
	case settled && kind == disturbFault && was == calmed && len(w.faults) > 0 && KindOf(w.faults[len(w.faults)-1].Action).still:
		next = calmed
	default:
		next = stable
	}
	if next == failure || next == homing {
		if !same {
			c.failed, c.returned = nil, nil
		}
		if next == failure {
			c.failed = append(c.failed, m)
		} else if m != nil {
			c.returned = append(c.returned, m)
		}
	}
	if next == calmed {
		return
	}
	c.countPolls()
	c.period, c.since, c.moved = next, w.now, 0
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
	if m := c.w.announcer(pin); m != nil {
		return m.announced
	}
	if m := c.w.behind(pin); m != nil {
		return m.announced
	}
	return ""
}

// eligible says whether a machine can capture a stream now.
func (c *checks) eligible(m *machine, s *streamTruth) bool {
	return m.runs() && !m.draining && m.exhausted == 0 && !s.dark[m.name] && !s.dark[""] && !s.mute[m.name] && !s.mute[""] && !s.single &&
		m.keeps(s)
}

// keeps says whether m's file has the stream as one that the group captures.
func (m *machine) keeps(s *streamTruth) bool {
	return m.read().kept[s.index]
}

// assess finds out whether a stream is in trouble in some part.
func (c *checks) assess(s *streamTruth) {
	w := c.w
	bad, many := false, false
	var able, have [16]int
	var big []int
	if c.count > len(able) {
		big = make([]int, 2*c.count)
	}
	get := func(a *[16]int, off, i int) *int {
		if big != nil {
			return &big[off*c.count+i]
		}
		return &a[i]
	}
	if c.period != wild {
		for _, m := range w.machines {
			p := c.parts[m.index]
			if p < 0 {
				continue
			}
			if c.eligible(m, s) {
				*get(&able, 0, p)++
			}
			if f := m.captures[s.index].feed; f != nil && f.delivers() && !f.solo() {
				*get(&have, 1, p)++
			}
		}
		for p := range c.count {
			bad = bad || *get(&able, 0, p) > 0 && *get(&have, 1, p) == 0
			many = many || *get(&have, 1, p) > 1
		}
	}
	i := slices.IndexFunc(c.trouble, func(t trouble) bool { return t.s == s })
	switch {
	case !bad && !many:
		if i >= 0 {
			c.over(&c.trouble[i])
			c.trouble = slices.Delete(c.trouble, i, i+1)
		}
	case i >= 0 && c.trouble[i].many == many && w.now > c.since:
	case i >= 0:
		c.trouble[i] = trouble{s: s, many: many, from: w.now, first: c.period == failure && w.now == c.since}
	default:
		c.trouble = append(c.trouble, trouble{s: s, many: many, from: w.now, first: c.period == failure && w.now == c.since})
	}
}

func (f *feed) solo() bool { return f.why == string(control.NotClustered) }

// over measures a trouble that has ended.
func (c *checks) over(t *trouble) {
	if t.told || c.period == wild {
		return
	}
	b := c.bounds()
	got := c.w.now - max(t.from, c.since)
	switch {
	case t.many:
		c.measure(I18, b.b4(), got)
	case c.cold:
		c.measure(I21, b.b6(c.everybody()), got)
	case t.first && c.period == failure:
		c.measure(I17, b.b2(), got)
	default:
		c.measure(I20, b.b7(), got)
	}
}

// everybody says whether all machines that any file names take part.
func (c *checks) everybody() bool {
	for _, m := range c.w.machines {
		if !m.runs() {
			return false
		}
		if !m.read().whole {
			return false
		}
	}
	return c.count == 1
}

// limit is how long a trouble may last, and the invariant that says so.
func (c *checks) limit(t *trouble, b *bounds) (time.Duration, Invariant) {
	from := max(t.from, c.since)
	late := time.Duration(0)
	if t.s.failed > 0 && c.w.now-t.s.failed < 3*time.Minute {
		late = 63 * time.Second // its node waits before it tries again
	}
	switch {
	case t.many:
		return from + b.b4(), I18
	case c.cold:
		return from + b.b6(c.everybody()) + late, I21
	case t.first && c.period == failure && c.uniform && late == 0 && !c.limited():
		return from + b.b2(), I17
	}
	return from + b.b7() + late, I20
}

// limited says whether a node has limits: who is full leaves streams to others, which learn of that only then.
func (c *checks) limited() bool {
	for _, m := range c.w.machines {
		if m.channelLimit() > 0 {
			return true
		}
	}
	return false
}

// counted is told that the captures of a stream that deliver have changed.
func (c *checks) counted(s *streamTruth, was int) {
	c.changed = c.w.now
	c.doneAgree = false
	c.assess(s)
	c.schedule()
	if s.count > 1 {
		c.w.sometimes["two owners"]++
	}
}

// gapCloses is told that a stream has media again.
func (c *checks) gapCloses() {
	if c.cold && c.captured() {
		c.cold = false
	}
}

// captured says whether every stream of the group that can be is captured.
func (c *checks) captured() bool { return len(c.trouble) <= 1 }

// schedule finds the next instant at which something is due.
func (c *checks) schedule() {
	c.next = never
	if c.period != wild {
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
		if c.period != calmed && c.settledAt != never {
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
	if c.period != wild {
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
	if c.period != calmed && w.now > c.settledAt {
		c.period, c.moved = calmed, 0
		c.sinceClean, c.polled, c.lossRun, c.brokeB3 = w.now, 0, 0, false
	}
}

func (c *checks) state() string {
	return [...]string{"wild", "stable", "after a failure", "after a return", "calm"}[c.period]
}

func word(many bool) string {
	if many {
		return "several owners"
	}
	return "no owner"
}

// owners are the machines that capture a stream.
func (c *checks) owners(s *streamTruth) (out []string) {
	for _, m := range c.w.machines {
		if f := m.captures[s.index].feed; f != nil {
			out = append(out, m.name)
		}
	}
	return out
}

// owner is the machine that captures a stream in a part; nil unless it is exactly one.
func (c *checks) owner(s *streamTruth, part int) (one *machine, n int) {
	for _, m := range c.w.machines {
		if f := m.captures[s.index].feed; f != nil && c.parts[m.index] == part && f.delivers() {
			one = m
			n++
		}
	}
	return one, n
}

// started checks the economy of a start.
func (c *checks) started(m *machine, s *streamTruth, e control.StartCapture) {
	c.moved++
	who := []string{m.name}
	recent := c.w.now-c.w.lastSourceFault() < 2*time.Minute
	switch c.period {
	case calmed:
		c.hold(I28, recent || c.w.byLoss(c), s, who, "%s starts %s (%s) although nothing happened", m.name, s.name, e.Why)
	case failure:
		if !c.uniform || recent {
			return
		}
		had := false
		for _, q := range c.failed {
			if q != nil {
				had = had || s.last == q.name
			}
		}
		c.hold(I24, had, s, who, "%s starts %s, which no failed node had", m.name, s.name)
	case homing:
		if !c.uniform || recent {
			return
		}
		c.hold(I24, slices.Contains(c.returned, m), s, who, "%s starts %s, though another came back", m.name, s.name)
	}
}

// byLoss says whether so many polls were lost in a row that a take-over is within the rules.
func (w *world) byLoss(c *checks) bool {
	b := c.bounds()
	return w.bases.loss > 0 && time.Duration(c.lossRun+1)*b.f*11/10+2*b.d >= b.s
}

// falseTakeOver is told of a start although the owner is there and can be reached.
func (c *checks) falseTakeOver() {
	if c.period != wild && c.period != stable && c.w.byLoss(c) {
		c.w.sometimes["false take-over by loss"]++
	}
}

// ordered is I4.
func (c *checks) ordered(m, to *machine, s *streamTruth) {
	v := m.view()
	if v == nil {
		return
	}
	x := v.Stream(s.name)
	if x == nil {
		return
	}
	ok := place.Before(s.name, x.Pin, x.Home, to.announced, m.announced)
	if !ok && (!c.uniform || c.edits > 0 || c.period == wild) { // they may have disagreed about pin or home
		ok = place.Before(s.name, "", "", to.announced, m.announced)
	}
	c.hold(I4, ok, s, []string{m.name, to.name}, "%s yields %s to %s, which comes after it", m.name, s.name, to.name)
}

// countPolls is I27: how many polls a calm time has seen.
func (c *checks) countPolls() {
	if c.period != calmed || c.sinceClean == 0 {
		return
	}
	b := c.bounds()
	d := c.w.now - c.sinceClean
	if b.f == 0 || d < 10*b.f { // a node alone polls nobody
		return
	}
	links := 0
	least := b.f
	for _, m := range c.w.machines {
		if !m.runs() {
			continue
		}
		for _, p := range m.file.Peers {
			links++
			least = min(least, p.FetchTimeout)
		}
	}
	limit := links * (int(d*10/(least*9)) + 2)
	c.hold(I27, c.polled <= limit, nil, nil, "%d polls in %d ms, want at most %d", c.polled, d/time.Millisecond, limit)
}

func (c *checks) edited(m *machine) {
	c.edits++
	c.roomy[m.index] = c.w.now
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

// up is told that a capture delivers. If it is the one for which the others have to make way, they can only now know
// that they have to.
func (c *checks) up(f *feed) {
	for i := range c.trouble {
		if t := &c.trouble[i]; t.s == f.s && t.many && c.leads(f) {
			t.from = c.w.now
			c.schedule()
		}
	}
	for _, q := range c.w.machines {
		if x := q.captures[f.s.index].feed; x != nil && x != f && x.state == control.Starting {
			c.w.sometimes["two claimants"]++
		}
	}
}

// leads says whether a capture is the first in the order of those that deliver in its part.
func (c *checks) leads(f *feed) bool {
	pin, home := "", ""
	if c.homes != nil {
		pin, home = c.pins[f.s.index], c.homes[f.s.index]
	}
	for _, m := range c.w.machines {
		if m != f.m && c.connected(m, f.m) && m.delivering(f.s) && !place.Before(f.s.name, pin, home, f.m.announced, m.announced) {
			return false
		}
	}
	return true
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
