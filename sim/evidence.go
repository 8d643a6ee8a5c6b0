package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
	"weir/sim/oracle"
)

// An order says how new evidence is: of which boot of the machine, and which answer.
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

// beforeOnWire is before for evidence that is passed on, of which nodes know no more than inc and seq.
func (o order) beforeOnWire(p order) bool { return o.inc < p.inc || o.inc == p.inc && o.seq < p.seq }

// knowledge is what a process can know of another machine. Instants are by the clock of the process, except made.
type knowledge struct {
	said, relayed order         // the newest direct evidence, and the newest that others passed on
	newest        time.Duration // when the newest evidence was fresh
	slept         time.Duration // for how long the process has not run since then, as far as it has to notice
	direct        time.Duration // when the newest direct evidence arrived
	made          time.Duration // when that was made, by true time
	lost          int           // polls in a row
	ever, met     bool          // there is evidence, direct evidence
	answered      bool          // since the control plane began
	broken        bool          // a connection has broken since the last answer to a question that was asked later
	down          bool          // it is taken for gone

	// What the machine says of a process that has ended, since a connection has broken.
	brokenAt, brokeTrue time.Duration // by the clock of the process, and by true time
	refusals            int
	first, last         time.Duration // when those were asked for that were refused
}

// fetched keeps what m can know by an answer, and checks that its control plane does not take an old one for news.
func (c *checks) fetched(m *machine, local time.Duration, e control.Fetched, out []control.Effect, ex *exchange) {
	if ex == nil || ex.to == m || e.State == nil {
		return
	}
	st, q := e.State, ex.to
	k := &m.known[q.index]
	entry := m.read().entry(ex.entry, ex.place)
	if entry == nil {
		return // it is gone
	}
	o, stale := order{c.w.instanceOf(q, st.Instance).boots, st.Inc, st.Seq}, entry.stale
	late := local-ex.local >= stale
	old := k.met && !k.said.before(o)
	ignored := c.nameTaken(m, st, ex)
	for _, x := range out {
		if n, ok := x.(control.Note); ok {
			switch n.Kind {
			case control.NoteLate, control.NoteOld:
				ignored = true
			case control.NoteRefused: // of another entry if the answer has shown that its process has the name by right
				ignored = ignored || n.Node == ex.entry
			}
		}
	}
	if local-ex.local == stale {
		c.w.result.Sometimes["reply exactly at S"]++
	}
	if old && o.boots < k.said.boots {
		c.w.result.Sometimes["reply of an old instance after a restart"]++
	}
	if late {
		c.w.result.Sometimes["reply late"]++
	}
	if late || old {
		if ex.control == m.control {
			c.hold(oracle.I9, ignored, nil, []string{m.name, q.name}, "takes a late or old answer for news")
		}
		if late {
			return
		}
	} else {
		c.ok(oracle.I9)
	}
	if !st.Naming {
		k.answered = true
	}
	k.lost = 0
	if ignored || old {
		return
	}
	k.said, k.direct, k.newest, k.slept, k.made, k.met, k.ever, k.down = o, local, local, 0, ex.made, true, true, false
	if ex.local >= k.brokenAt {
		k.broken, k.refusals = false, 0
	}
	if k.relayed.before(o) || k.relayed == o { // otherwise what others passed on stays the newer
		k.relayed = order{}
	}
	for i := range st.Ages {
		c.hearRelayed(m, local, &st.Ages[i])
	}
}

// nameTaken says whether m leaves an answer out because its process announces a name that another one has: m itself, or the one that
// has it by right. A process that says that it stands aside counts nowhere.
func (c *checks) nameTaken(m *machine, st *control.State, ex *exchange) bool {
	if st.Aside || st.Node == m.announced {
		return true
	}
	if !c.w.namesakes || m.view() == nil {
		return false
	}
	return slices.ContainsFunc(m.view().Peers, func(p control.PeerView) bool { return p.Entry == ex.entry && p.Why == control.NameTaken })
}

// hearRelayed keeps what m can know of a third machine by an answer.
func (c *checks) hearRelayed(m *machine, local time.Duration, a *control.Age) {
	of := c.w.instanceOf(m, a.Instance)
	q := of.m
	if q == nil || q == m {
		return
	}
	k := &m.known[q.index]
	o := order{of.boots, a.Inc, a.Seq}
	age := time.Duration(a.Age) * time.Millisecond
	s := m.read().stale
	if age >= s || k.met && o.boots < k.said.boots || k.met && o.boots != k.said.boots && o.inc <= k.said.inc {
		return
	}
	h := local - age
	if k.relayed == o && k.slept > 0 && h > k.newest { // by the clock of a node that ran meanwhile
		k.newest, k.slept = h, 0
	}
	if k.met && !k.said.beforeOnWire(o) || k.relayed != (order{}) && !k.relayed.beforeOnWire(o) {
		return
	}
	if k.down && k.said.boots == o.boots && a.Since != control.HeardSince {
		return
	}
	k.relayed, k.down = o, false
	if !k.ever || h > k.newest {
		k.newest, k.slept, k.ever = h, 0, true
	}
}

// stoodStill is told that a process runs on that was stopped for a while while its clock went on. It sees that by its next poll, which
// came late, and does not hold the time against the others.
func (c *checks) stoodStill(m *machine, d time.Duration) {
	r := m.read()
	if d -= r.fetch*5/4 + m.lag; d < r.stale/2 {
		return // it need not notice
	}
	for i := range m.known {
		m.known[i].slept += d
	}
}

// severed is told that a process learns that its connection to another machine has broken.
func (c *checks) severed(m, q *machine) {
	if k := &m.known[q.index]; !k.broken {
		k.broken, k.brokenAt, k.brokeTrue, k.refusals = true, m.clock.at(c.w.now), c.w.now, 0
	}
}

// refusedAgain is told that a question of m was refused by the machine of q.
func (c *checks) refusedAgain(ex *exchange) {
	k := &ex.from.known[ex.to.index]
	switch {
	case !k.broken || ex.local < k.brokenAt:
	case ex.why != control.ConnectionRefused:
		k.refusals = 0
	default:
		if k.refusals == 0 {
			k.first, k.last = ex.local, ex.local
		}
		k.refusals++
		k.first, k.last = min(k.first, ex.local), max(k.last, ex.local)
	}
}

// down is I34: m takes q for gone only after a connection broke and two that were 100 ms apart were refused, and if its process
// has ended, or no node that m hears can hear it.
func (c *checks) down(m, q *machine) {
	w, k := c.w, &m.known[q.index]
	who := []string{m.name, q.name}
	told := k.broken && k.refusals > 1 && k.last-k.first >= 100*time.Millisecond
	c.hold(oracle.I34, told, nil, who, "%s takes %s for gone after %d refusals in %d ms (broken %t)", m.name, q.name, k.refusals,
		(k.last-k.first)/time.Millisecond, k.broken)
	local := m.clock.at(w.now)
	if q.up && k.said.boots == q.boots {
		for _, o := range w.machines {
			_, direct := c.fresh(m, o, local)
			if o != m && o != q && direct && o.runs() && o.names(q) && w.link(m, o).conn.to == o.boots && w.sound(m, o, k.brokeTrue) && w.sound(o, q, k.brokeTrue) &&
				w.link(o, q).conn.to == q.boots {
				c.hold(oracle.I34, false, nil, append(who, o.name), "%s takes %s for gone, which %s hears", m.name, q.name, o.name)
			}
		}
		w.result.Sometimes["a node that runs is taken for gone"]++
	}
	k.down = true
}

// sound says whether two machines have reached each other without a fault between them since an instant.
func (w *world) sound(a, b *machine, since time.Duration) bool {
	return w.link(a, b).soundSince <= since && w.link(b, a).soundSince <= since && a.trusts(b) && a.exhausted+b.exhausted+a.newer+b.newer == 0 &&
		b.broken == 0 && a.broken == 0 && a.booted < since && b.booted < since
}

// fetchFailed counts the polls that were lost in a row.
func (c *checks) fetchFailed(m *machine, e control.FetchFailed) {
	if q := c.w.byEntry(e.Peer); q != nil && q != m {
		k := &m.known[q.index]
		k.lost++
	}
}

// fresh says whether m has evidence of q that is not stale, and whether it has direct evidence.
func (c *checks) fresh(m, q *machine, local time.Duration) (some, direct bool) {
	k, stale := &m.known[q.index], c.staleTimeout(m, q)
	if k.down {
		return false, false
	}
	return k.ever && local-k.newest < stale, k.met && local-k.direct < stale
}

// staleTimeout is the silence after which m takes q for dead: that of the entry that leads to q.
func (c *checks) staleTimeout(m, q *machine) time.Duration {
	for _, p := range m.read().config.Peers {
		if c.w.byEntry(p.Entry) == q {
			return time.Duration(p.Stale)
		}
	}
	s := m.read().stale
	return s
}

// replies checks that an answer passes on nothing but what its node has heard itself. It goes by instances: two processes may have one
// name.
func (c *checks) replies(m *machine, ex *exchange, st *control.State) {
	local := m.clock.at(c.w.now)
	for i := range st.Ages {
		a := &st.Ages[i]
		of := c.w.instanceOf(ex.from, a.Instance)
		q := of.m
		if q == nil {
			c.hold(oracle.I9, false, nil, []string{m.name}, "tells of an instance of %s that nobody has been", a.Node)
			return
		}
		k := &m.known[q.index]
		o := order{of.boots, a.Inc, a.Seq}
		heard := k.met && k.said == o && time.Duration(a.Age)*time.Millisecond >= local-k.direct
		if a.Node == ex.name { // it may be of an instance that is over: a process that begins anew has to go above what others remember
			heard = k.met && o.boots <= k.said.boots
		}
		if !heard {
			c.hold(oracle.I9, false, nil, []string{m.name, q.name}, "passes on what it has not heard itself")
			return
		}
	}
	c.ok(oracle.I9)
}

// keyChanged is told that a machine has got another key.
func (c *checks) keyChanged(m *machine) { c.keyed[m.index] = c.w.now }

// believes keeps which nodes a node takes for dead.
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
	if s := m.read().stale; w.now-b.From <= s || !q.runs() || q.booted > b.From {
		return
	}
	for _, o := range w.result.Beliefs {
		if o.Node == q.name && o.Peer == m.name && (o.To < 0 || o.To > b.From) {
			return
		}
	}
	w.result.Sometimes["asymmetric view longer than S"]++
}
