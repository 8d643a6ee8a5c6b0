package sim

import (
	"slices"
	"strings"
	"time"

	"weir/cluster/control"
)

// An order is how new evidence is: which boot of the machine, and which answer.
type order struct {
	boots    int
	inc, seq uint64
}

func (o order) before(p order) bool {
	switch {
	case o.boots != p.boots:
		return o.boots < p.boots
	case o.inc != p.inc:
		return o.inc < p.inc
	}
	return o.seq < p.seq
}

// told is before for evidence that is passed on, whose only order is that of the wire.
func (o order) told(p order) bool { return o.inc < p.inc || o.inc == p.inc && o.seq < p.seq }

// knowledge is what a process can know of another machine, reckoned apart from it. Times are by its clock, except made.
type knowledge struct {
	said, relayed order
	heard         time.Duration // of the newest evidence
	direct        time.Duration // of the newest direct evidence
	made          time.Duration // true time at which that was made
	ever, met     bool
	answered      bool // since the control plane began
	lost          int  // polls in a row
}

// A claim is what a control plane says of a stream, as its effects and events show.
type claim struct {
	state control.Activity
	since time.Duration // true
	ran   [2]time.Duration
	back  time.Duration // last time it was taken back, by the node's clock; -1 for never
	fails int
	why   control.Reason
	epoch uint64
	media control.Media
}

// checks holds the invariants of one run.
type checks struct {
	w          *world
	next       time.Duration // of the next check that waits for an instant
	claims     [][]claim     // by machine and stream
	refusedKey uint64
	began      []time.Duration // by machine: its clock when its control plane began
	edit       []time.Duration // by machine: its clock when its file was last edited
	keyed      []time.Duration // by machine: true time of the last change of its key
	fetches    map[string]time.Duration
	edits      int
	roomy      []time.Duration     // by machine: since when it has room for another stream
	wants      []map[uint64]string // publishers who wait for an answer, by machine and token

	calm
}

func newChecks(w *world) *checks {
	c := &checks{w: w, next: never, fetches: map[string]time.Duration{}}
	c.claims = make([][]claim, len(w.machines))
	for i := range c.claims {
		c.claims[i] = make([]claim, len(w.streams))
		for j := range c.claims[i] {
			c.claims[i][j].back = -1
		}
	}
	c.wants = make([]map[uint64]string, len(w.machines))
	c.began, c.edit = make([]time.Duration, len(w.machines)), make([]time.Duration, len(w.machines))
	c.roomy = make([]time.Duration, len(w.machines))
	c.keyed = slices.Repeat([]time.Duration{-time.Hour}, len(w.machines))
	c.calm.start(w)
	return c
}

const never = time.Duration(1<<63 - 1)

// bootsOf reads the number out of an instance.
func bootsOf(instance string) int {
	_, n, _ := strings.Cut(instance, "/")
	i := 0
	for k := 0; k < len(n); k++ {
		i = i*10 + int(n[k]-'0')
	}
	return i
}

// booted is told that a process begins.
func (c *checks) booted(m *machine) {
	c.replaced(m)
	clear(c.claims[m.index])
	c.unback(m)
	if c.roomy[m.index] = c.w.now; m.boots == 1 {
		c.roomy[m.index] = -time.Hour // nobody has known it otherwise
	}
}

func (c *checks) unback(m *machine) {
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

func (c *checks) keyChanged(m *machine) { c.keyed[m.index] = c.w.now }

// stale is the time after which m takes a peer for dead.
func (m *machine) stale() (s, f time.Duration) {
	x := m.read()
	return x.stale, x.fetch
}

// stepped looks at what a control plane made of an event. ex is the exchange of a [control.Fetched].
func (c *checks) stepped(m *machine, now control.Instant, ev control.Event, out []control.Effect, ex *exchange) {
	local := time.Duration(now)
	switch e := ev.(type) {
	case control.Fetched:
		c.heard(m, local, e, out, ex)
	case control.FetchFailed:
		c.unheard(m, e)
	case control.CaptureUp:
		c.turn(m, e.Stream, control.Running)
	case control.CaptureDown:
		c.turn(m, e.Stream, control.Failed)
	case control.CaptureStopped:
		c.turn(m, e.Stream, control.Idle)
	case control.PublishEnded:
		c.turn(m, e.Stream, control.Idle)
	case control.Suspended:
		for i := range m.known {
			m.known[i].heard -= time.Duration(e.For)
			m.known[i].direct -= time.Duration(e.For)
		}
	case control.PublishWanted:
		c.wants[m.index][e.Token] = e.Stream
	case control.Resumed:
		for _, x := range e.Captures {
			c.turn(m, x.Stream, control.Starting)
			if x.Up {
				c.turn(m, x.Stream, control.Running)
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
				c.turn(m, name, control.Starting)
			}
		}
	}
}

func (c *checks) turn(m *machine, name string, to control.Activity) {
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
	}
	x.state, x.since = to, c.w.now
	c.weigh(m)
}

// heard keeps what m can know, and checks that it does not take old for new.
func (c *checks) heard(m *machine, local time.Duration, e control.Fetched, out []control.Effect, ex *exchange) {
	if ex == nil || ex.to == m || e.State == nil {
		return
	}
	st, q := e.State, ex.to
	k := &m.known[q.index]
	stale := m.staleOf(ex.entry)
	if stale == 0 {
		return // the entry is gone
	}
	o := order{bootsOf(st.Instance), st.Inc, st.Seq}
	late := local-ex.local >= stale
	old := k.met && !k.said.before(o)
	ignored := false
	for _, x := range out {
		if n, ok := x.(control.Note); ok && (n.Kind == control.NoteLate || n.Kind == control.NoteOld || n.Kind == control.NoteRefused) {
			ignored = true
		}
	}
	if local-ex.local == stale {
		c.w.sometimes["reply exactly at S"]++
	}
	if old && o.boots < k.said.boots {
		c.w.sometimes["reply of an old instance after a restart"]++
	}
	if late {
		c.w.sometimes["reply late"]++
	}
	if late || old {
		if ex.control == m.control {
			c.hold(I9, ignored, nil, []string{m.name, q.name}, "takes a late or old answer for news")
		}
		if late {
			return
		}
	} else {
		c.ok(I9)
	}
	if !st.Naming {
		k.answered = true
	}
	k.lost = 0
	if ignored || old {
		return
	}
	k.said, k.direct, k.heard, k.made, k.met, k.ever = o, local, local, ex.made, true, true
	if !k.relayed.before(o) && k.relayed != o {
		// relayed evidence stays the newer
	} else {
		k.relayed = order{}
	}
	for i := range st.Ages {
		c.hearsay(m, local, &st.Ages[i])
	}
}

func (c *checks) hearsay(m *machine, local time.Duration, a *control.Age) {
	q := c.w.announcer(a.Node)
	if q == nil || q == m {
		return
	}
	k := &m.known[q.index]
	o := order{bootsOf(a.Instance), a.Inc, a.Seq}
	age := time.Duration(a.Age) * time.Millisecond
	s, _ := m.stale()
	if age >= s || k.met && o.boots < k.said.boots || k.met && o.boots != k.said.boots && o.inc <= k.said.inc {
		return
	}
	if k.met && !k.said.told(o) || k.relayed != (order{}) && !k.relayed.told(o) {
		return
	}
	k.relayed = o
	if h := local - age; !k.ever || h > k.heard {
		k.heard, k.ever = h, true
	}
}

// staleOf is the timeout of an entry; 0 if m's file does not have it.
func (m *machine) staleOf(entry string) time.Duration { return m.read().entries[entry] }

// patience is the silence after which m takes q for dead: that of the entry that leads there.
func (c *checks) patience(m, q *machine) time.Duration {
	for _, p := range m.controlConfig().Peers {
		if c.w.behind(p.Entry) == q {
			return time.Duration(p.Stale)
		}
	}
	s, _ := m.stale()
	return s
}

func (c *checks) unheard(m *machine, e control.FetchFailed) {
	if q := c.w.behind(e.Peer); q != nil && q != m {
		k := &m.known[q.index]
		k.lost++
		c.lossRun = max(c.lossRun, k.lost)
	}
}

// fresh says whether m has evidence of q that is not stale, direct or relayed.
func (c *checks) fresh(m, q *machine, local time.Duration, stale time.Duration) (any, direct bool) {
	k := &m.known[q.index]
	return k.ever && local-k.heard < stale, k.met && local-k.direct < stale
}

// starts checks that m may start a capture.
func (c *checks) starts(m *machine, local time.Duration, e control.StartCapture) {
	w, s := c.w, c.w.byName[e.Stream]
	if s == nil {
		return
	}
	x := &c.claims[m.index][s.index]
	c.hold(I11, x.state == control.Idle || x.state == control.Failed, s, []string{m.name}, "starts what it has")
	x.state, x.since, x.why = control.Starting, w.now, e.Why
	c.weigh(m)
	if e.Why == control.NotClustered || e.Why == control.PublishedHere {
		return
	}
	c.warm(m, s, local)
	back := false
	for _, q := range w.machines {
		y := &c.claims[q.index][s.index]
		if q == m || !q.up || y.state != control.Running || q.draining || y.why == control.NotClustered {
			continue
		}
		any, direct := c.fresh(m, q, local, c.patience(m, q))
		knows := m.known[q.index].met && m.known[q.index].made > y.since && m.known[q.index].said.boots == q.boots
		if !any || !knows {
			if q.runs() && c.connected(m, q) {
				w.result.TakeOvers++
				c.falseTakeOver()
			}
			continue
		}
		back = true
		mayBack := direct && (e.Why == control.Home || e.Why == control.Pinned || e.Why == control.OnDemand)
		if !mayBack {
			c.hold(I2, false, s, []string{m.name, q.name}, "%s takes %s over from %s, whose evidence is %d ms old",
				m.name, s.name, q.name, (local-m.known[q.index].heard)/time.Millisecond)
		}
	}
	if !back {
		c.ok(I2)
	} else {
		c.takenBack(m, s, x, local)
	}
	if e.Why != control.OnDemand { // it starts because somebody asks
		c.started(m, s, e)
	}
	c.capacity(m, s)
}

// takenBack checks the hold-down of a stream that m takes back.
func (c *checks) takenBack(m *machine, s *streamTruth, x *claim, local time.Duration) {
	hold := m.file.ReturnHolddown
	up := local - m.bootClock
	c.hold(I26, up >= hold, s, []string{m.name}, "%s takes %s back %d ms after its boot", m.name, s.name, up/time.Millisecond)
	if x.back >= 0 && x.fails > 0 {
		c.hold(I26, local-x.back >= hold, s, []string{m.name}, "takes it back twice within the hold-down")
	}
	x.back, x.fails = local, 0
	c.w.sometimes["taken back"]++
}

// warm checks that nothing is claimed before everybody has answered or S has passed.
func (c *checks) warm(m *machine, s *streamTruth, local time.Duration) {
	stale, _ := m.stale()
	if local-c.began[m.index] >= stale || c.edit[m.index] > c.began[m.index] { // whom an edit adds is not waited for
		c.ok(I3)
		return
	}
	for _, p := range m.controlConfig().Peers {
		q := c.w.behind(p.Entry)
		if q == m {
			continue
		}
		if q == nil || !m.known[q.index].answered {
			c.hold(I3, false, s, []string{m.name}, "claims while it warms up, without an answer of %s", p.Entry)
			return
		}
	}
	c.ok(I3)
}

// stops checks that m may stop a capture. Asked says that the other node has asked for it, and so does not run it yet.
func (c *checks) stops(m *machine, local time.Duration, e control.StopCapture, asked bool) {
	w, s := c.w, c.w.byName[e.Stream]
	if s == nil {
		return
	}
	x := &c.claims[m.index][s.index]
	c.hold(I11, x.state == control.Starting || x.state == control.Running, s, []string{m.name}, "stops what it does not have")
	c.turn(m, e.Stream, control.Stopping)
	if e.To == "" || e.Why == control.Removed {
		return
	}
	q := w.announcer(e.To)
	if q == nil {
		c.hold(I5, false, s, []string{m.name}, "yields to nobody known: %s", e.To)
		return
	}
	_, direct := c.fresh(m, q, local, c.patience(m, q))
	y, made := &c.claims[q.index][s.index], m.known[q.index].made
	running := y.state == control.Running && y.since <= made || y.ran[0] <= made && made <= y.ran[1] && y.ran[1] > 0
	if m.known[q.index].said.boots != q.boots { // of an instance that is over
		running = true
	}
	c.hold(I5, direct && running || asked, s, []string{m.name, q.name}, "yields to a claim that is not direct and running (direct %t, running %t)", direct, running)
	if e.Why == control.Yielded {
		c.ordered(m, q, s)
	}
}

// notes checks what a control plane reports.
func (c *checks) notes(m *machine, local time.Duration, e control.Note) {
	w := c.w
	switch e.Kind {
	case control.NoteAlive:
		q := w.announcer(e.Node)
		if q == nil || q == m {
			return
		}
		c.believes(m, q, false)
		s, _ := m.stale()
		if !m.trusts(q) && w.now-max(c.keyed[q.index], c.keyed[m.index]) > 3*s {
			c.hold(I12, false, nil, []string{m.name, q.name}, "takes a node with another key for alive")
		}
	case control.NoteStale:
		if q := w.announcer(e.Node); q != nil && q != m {
			c.believes(m, q, true)
			s := c.patience(m, q)
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

// believes keeps whom a node takes for dead.
func (c *checks) believes(m, q *machine, dead bool) {
	r := c.w.result
	for i := len(r.Beliefs) - 1; i >= 0; i-- {
		if b := &r.Beliefs[i]; b.Node == m.name && b.Peer == q.name && b.To < 0 {
			if !dead {
				b.To = c.w.now
				c.asymmetric(m, q, b)
			}
			return
		}
	}
	if dead {
		r.Beliefs = append(r.Beliefs, Belief{m.name, q.name, c.w.now, -1})
	}
}

// asymmetric counts a belief that has ended: m took q for dead for longer than S, while q ran and took m for alive.
func (c *checks) asymmetric(m, q *machine, b *Belief) {
	w := c.w
	if s, _ := m.stale(); w.now-b.From <= s || !q.runs() || q.booted > b.From {
		return
	}
	for _, o := range w.result.Beliefs {
		if o.Node == q.name && o.Peer == m.name && (o.To < 0 || o.To > b.From) {
			return
		}
	}
	w.sometimes["asymmetric view longer than S"]++
}

// replies checks an answer before it leaves.
func (c *checks) replies(m *machine, st *control.State) {
	local := m.clock.at(c.w.now)
	for i := range st.Ages {
		a := &st.Ages[i]
		q := c.w.announcer(a.Node)
		if q == nil || q == m {
			continue
		}
		k := &m.known[q.index]
		o := order{bootsOf(a.Instance), a.Inc, a.Seq}
		if !k.met || k.said != o || time.Duration(a.Age)*time.Millisecond < local-k.direct {
			c.hold(I9, false, nil, []string{m.name, q.name}, "passes on what it has not heard itself")
			return
		}
	}
	c.ok(I9)
}

// polls checks how often m asks.
func (c *checks) polls(m *machine, local time.Duration, e control.Fetch) {
	c.polled++
	key := &m.polled
	if *key == nil {
		*key = map[string]time.Duration{}
	}
	last, ok := (*key)[e.Peer]
	(*key)[e.Peer] = local
	if ok && local-last < 0 {
		c.hold(I27, false, nil, []string{m.name}, "polls before its last poll")
	}
}

// weighed checks how long an answer is.
func (c *checks) weighed(m *machine, st *control.State, raw []byte) {
	if !st.Same || slices.ContainsFunc(st.Ages, func(a control.Age) bool { return len(a.Claims) > 0 }) {
		return
	}
	limit := 300 + 110*len(st.Ages)
	c.hold(I27, len(raw) <= limit, nil, []string{m.name}, "an unchanged answer of %d bytes, want at most %d", len(raw), limit)
}
