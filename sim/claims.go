package sim

import (
	"time"

	"weir/cluster/control"
	"weir/sim/oracle"
)

// A claim is what a control plane says of a stream, as its effects and events show.
type claim struct {
	state   control.Activity
	since   time.Duration    // by true time
	ran     [2]time.Duration // from when to when it ran before, by true time
	back    time.Duration    // when it was last taken back from another node, by the node's clock; -1 for never
	fails   int              // since then
	tries   int              // failures in a row, since it ran steadily
	retry   time.Duration    // no attempt before, by the node's clock, after a failure
	brought time.Duration    // when it failed last after it had run, by the node's clock; -1 for never
	taken   bool             // the present attempt takes it back from another node
	why     control.Reason
	epoch   uint64
	media   control.Media
}

// setClaim is told that what m does with a stream has changed.
func (c *checks) setClaim(m *machine, name string, to control.Activity) {
	s := c.w.byName[name]
	if s == nil {
		return
	}
	x := &c.claims[m.index][s.index]
	if x.state == control.Running && to != control.Running {
		x.ran = [2]time.Duration{x.since, c.w.now}
	}
	if to == control.Failed {
		x.fails++
		c.backOff(m, x)
	}
	x.state, x.since, x.taken = to, c.w.now, false
	c.noteRoom(m)
}

// backOff keeps when m may try a source again that has failed (R5): after 1, 2, 4 … 60 s, of which only those count that followed ten
// seconds of media; after 4 s at most if it has delivered within ten minutes.
func (c *checks) backOff(m *machine, x *claim) {
	const steady, soon, recently = 10 * time.Second, 4 * time.Second, 10 * time.Minute
	longest, now := time.Minute, m.clock.at(c.w.now)
	if x.state == control.Running {
		x.brought = now
		if c.w.now-x.since >= steady-steady/100 {
			x.tries = 0
		}
	}
	if x.brought >= 0 && now-x.brought < recently+recently/100 {
		longest = soon
	}
	x.retry = now + min(time.Second<<min(x.tries, 6), longest) - 2*time.Millisecond
	x.tries++
}

// starts checks that m may start a capture.
func (c *checks) starts(m *machine, local time.Duration, e control.StartCapture) {
	w, s := c.w, c.w.byName[e.Stream]
	if s == nil {
		return
	}
	x := &c.claims[m.index][s.index]
	c.hold(oracle.I11, x.state == control.Idle || x.state == control.Failed, s, []string{m.name}, "starts what it has")
	if x.state == control.Failed && c.edit[m.index] < x.retry-time.Minute {
		c.hold(oracle.I26, local >= x.retry, s, []string{m.name}, "tries the source of %s again %v too early, after %d failures", s.name, x.retry-local, x.tries)
	}
	x.state, x.since, x.why = control.Starting, w.now, e.Why
	c.noteRoom(m)
	if e.Why == control.NotClustered || e.Why == control.PublishedHere {
		return
	}
	c.warm(m, s, local)
	back := false // another node has it, as m knows
	for _, q := range w.machines {
		y := &c.claims[q.index][s.index]
		if q == m || !q.up || y.state != control.Running || q.draining || y.why == control.NotClustered {
			continue
		}
		some, direct := c.fresh(m, q, local)
		knows := m.known[q.index].met && m.known[q.index].made > y.since && m.known[q.index].said.boots == q.boots
		if !some || !knows {
			if q.runs() && c.connected(m, q) {
				w.result.TakeOvers++
			}
			continue
		}
		back = true
		mayBack := direct && (e.Why == control.Home || e.Why == control.Pinned || e.Why == control.OnDemand)
		if !mayBack {
			c.hold(oracle.I2, false, s, []string{m.name, q.name}, "%s takes %s over from %s, whose evidence is %d ms old",
				m.name, s.name, q.name, (local-m.known[q.index].newest)/time.Millisecond)
		}
	}
	if !back {
		c.ok(oracle.I2)
	} else {
		c.takenBack(m, s, x, local)
	}
	c.capacity(m, s)
}

// takenBack checks the hold-down of a stream that m takes back.
func (c *checks) takenBack(m *machine, s *streamTruth, x *claim, local time.Duration) {
	hold := m.file.ReturnHolddown
	up := local - m.bootClock
	c.hold(oracle.I26, up >= hold, s, []string{m.name}, "%s takes %s back %d ms after its boot", m.name, s.name, up/time.Millisecond)
	if x.back >= 0 && x.fails > 0 {
		c.hold(oracle.I26, local-x.back >= hold, s, []string{m.name}, "takes it back twice within the hold-down")
	}
	x.back, x.fails, x.taken = local, 0, true
	atOnce := 0
	for i := range c.claims[m.index] {
		atOnce += b2i(c.claims[m.index][i].taken)
	}
	const most = 4 // A7
	c.hold(oracle.I24, atOnce <= most, s, []string{m.name}, "%s takes %d streams back at once, want at most %d", m.name, atOnce, most)
	c.w.result.Sometimes["taken back"]++
}

// warm checks that nothing is claimed before all peers have answered or S has passed.
func (c *checks) warm(m *machine, s *streamTruth, local time.Duration) {
	stale := m.read().stale
	if local-c.began[m.index] >= stale || c.edit[m.index] > c.began[m.index] { // no node waits for peers that an edit adds
		c.ok(oracle.I3)
		return
	}
	for _, p := range m.read().config.Peers {
		q := c.w.byEntry(p.Entry)
		if q == m {
			continue
		}
		if q == nil || !m.known[q.index].answered {
			c.hold(oracle.I3, false, s, []string{m.name}, "claims while it warms up, without an answer of %s", p.Entry)
			return
		}
	}
	c.ok(oracle.I3)
}

// stops checks that m may stop a capture. Asked says that the other node has asked for it, and so does not run it yet.
func (c *checks) stops(m *machine, local time.Duration, e control.StopCapture, asked bool) {
	w, s := c.w, c.w.byName[e.Stream]
	if s == nil {
		return
	}
	x := &c.claims[m.index][s.index]
	c.hold(oracle.I11, x.state == control.Starting || x.state == control.Running, s, []string{m.name}, "stops what it does not have")
	c.setClaim(m, e.Stream, control.Stopping)
	if e.To == "" || e.Why == control.Removed || e.Why == control.Ungranted {
		return
	}
	q := w.announcing(e.To)
	if q == nil {
		q = w.announced[e.To] // by a claim that it made under its former name
	}
	if q == nil {
		c.hold(oracle.I5, false, s, []string{m.name}, "yields to nobody known: %s", e.To)
		return
	}
	_, direct := c.fresh(m, q, local)
	y, made := &c.claims[q.index][s.index], m.known[q.index].made
	running := y.state == control.Running && y.since <= made || y.ran[0] <= made && made <= y.ran[1] && y.ran[1] > 0
	if m.known[q.index].said.boots != q.boots { // what m knows is of an instance that is over
		running = true
	}
	c.hold(oracle.I5, direct && running || asked, s, []string{m.name, q.name}, "yields to a claim that is not direct and running (direct %t, running %t)", direct, running)
	if e.Why == control.Yielded {
		if x := m.viewOf(s); x != nil {
			w.checks.oracle.Yielded(w.now, m.name, q.name, e.To, s.name, x.Pin, x.Home)
		}
	}
}

// up is told that a capture delivers.
func (c *checks) up(f *feed) {
	for g := range c.w.feeds(f.s) {
		if g != f && g.state == control.Starting {
			c.w.result.Sometimes["two claimants"]++
		}
	}
}

// capacity is I10: m starts a capture above its limit only if no node that m can know of has room.
func (c *checks) capacity(m *machine, s *streamTruth) {
	limit := m.channelLimit()
	if limit == 0 {
		return
	}
	n := c.claimed(m)
	if n <= limit {
		c.ok(oracle.I10)
		return
	}
	if c.beyondLimits(m) {
		c.w.result.Sometimes["all at limit"]++
		c.ok(oracle.I10)
		return
	}
	local, b := m.clock.at(c.w.now), c.bounds()
	for _, q := range c.w.machines {
		if q == m || !m.names(q) || !q.runs() || q.draining || !c.connected(m, q) || !c.eligible(q, s) || c.w.now-c.roomSince[q.index] <= b.poll()+2*b.d+b.lag {
			continue // q has no room, or m cannot know of it
		}
		if some, _ := c.fresh(m, q, local); some {
			if since := c.oracle.Surely(m.name, q.name); since == oracle.Never || c.w.now-since <= b.poll()+2*b.d+b.lag {
				continue // m need not know yet that q lives
			}
			c.hold(oracle.I10, false, s, []string{m.name, q.name},
				"%s starts its capture %d of %d although %s has room", m.name, n, limit, q.name)
			return
		}
	}
	c.ok(oracle.I10)
}

// noteRoom notes since when a machine has room for another stream.
func (c *checks) noteRoom(m *machine) {
	limit := m.channelLimit()
	switch room := limit == 0 || c.claimed(m) < limit; {
	case !room:
		c.roomSince[m.index] = never
	case c.roomSince[m.index] > c.w.now:
		c.roomSince[m.index] = c.w.now
	}
}

// beyondLimits says whether m's part of the group has more streams than its limits allow together. Then all nodes will be
// full, if not at this instant.
func (c *checks) beyondLimits(m *machine) bool {
	room, streams := 0, 0
	local := m.clock.at(c.w.now)
	for _, q := range c.w.machines {
		if !q.runs() || q.draining || !c.connected(m, q) && q != m {
			continue
		}
		if some, _ := c.fresh(m, q, local); !some && q != m {
			continue
		}
		if q.channelLimit() == 0 {
			return false
		}
		room += q.channelLimit()
		streams += len(q.pubs)
	}
	for _, s := range c.w.streams {
		if m.keeps(s) {
			streams++
		}
	}
	return streams > room
}

// claimed is how many streams m claims. A capture that is stopping does not count, although its media flows for a moment.
func (c *checks) claimed(m *machine) (n int) {
	for i := range c.claims[m.index] {
		if s := c.claims[m.index][i].state; s == control.Starting || s == control.Running {
			n++
		}
	}
	return n
}

// numbered is I15: a capture numbers its segments above those of the owners before it, unless one still runs.
func (c *checks) numbered(f *feed) {
	w := c.w
	s := f.s
	if f.media == (control.Media{}) && f.least == 0 {
		s.lastSegment = -1 // no node that it has heard knows of a number; it begins anew
	}
	if w.others(f) {
		return // both run; the hand-over settles what their viewers see
	}
	if boots, ok := s.told[f.m]; s.lastSegment < 0 || !ok || boots != f.boots {
		return // nobody need have told the new owner of a numbering
	}
	c.hold(oracle.I15, f.first > s.lastSegment, s, []string{f.m.name}, "begins with segment %d after %d of %s", f.first, s.lastSegment, s.lastOwner)
}
