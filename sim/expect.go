package sim

import (
	"fmt"
	"slices"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
)

// A pendingExpectation waits for the instant at which it has to hold.
type pendingExpectation struct {
	Step
	at     time.Duration
	before map[string]int // captures of each node when the time began
	moves  int
	holds  int
}

// expect arranges that an expectation of the scenario is looked at.
func (w *world) expect(st Step) {
	at := max(st.At, st.To)
	if st.To == 0 && spans(st.Expect) {
		at = w.s.Until
	}
	p := &pendingExpectation{Step: st, at: at}
	begin := func() {
		p.holds, p.before = len(w.result.Holds), map[string]int{}
		for _, m := range w.machines {
			p.before[m.name] = m.count()
		}
		if e, ok := st.Expect.(Moved); ok && e.OwnedBefore != "" {
			p.moves = w.heldAt(e.OwnedBefore, st.At)
		}
		w.checks.expected = append(w.checks.expected, *p)
		w.checks.schedule()
	}
	w.queue.push(item{at: st.At, do: begin})
}

// spans says whether an expectation is about a time, not an instant.
func spans(e Expectation) bool {
	switch e.(type) {
	case Moved, NoDuplicates, NoTakeOver, GapWithin, Noted, Liveness:
		return true
	}
	return false
}

// heldAt is how many streams a node delivered just before an instant.
func (w *world) heldAt(name string, at time.Duration) (n int) {
	for _, h := range w.result.Holds {
		if h.Node == name && h.Up >= 0 && h.Up < at && (h.To < 0 || h.To >= at) {
			n++
		}
	}
	return n
}

// dueExpectations looks at those whose instant has come.
func (c *checks) dueExpectations() {
	w := c.w
	for i := 0; i < len(c.expected); i++ {
		p := c.expected[i]
		if p.at > w.now {
			continue
		}
		c.expected = slices.Delete(c.expected, i, i+1)
		i--
		if why := c.wrong(&p); why != "" {
			w.violate(Violation{
				Invariant: Expected, Text: why, Step: p.Line, Fingerprint: fmt.Sprintf("expect %T", p.Expect),
			})
		}
	}
}

// open says what nobody can tell because the run has ended too early: an expectation whose time had not come, and a
// promise that is not kept yet and need not be.
func (c *checks) open() {
	w, r := c.w, c.w.result
	if w.stop {
		return
	}
	for _, st := range w.s.Steps {
		if st.Expect != nil && max(st.At, st.To) > w.now {
			r.Unknown, r.Why = true, fmt.Sprintf("it ends at %v, and what line %d expects is due at %v", w.now, st.Line, max(st.At, st.To))
			return
		}
	}
	for _, t := range c.trouble {
		if c.period != wild && !t.told {
			b := c.bounds()
			at, _ := c.limit(&t, &b)
			r.Unknown, r.Why = true, fmt.Sprintf("it ends at %v, when %s has %s, which may last until %v", w.now, t.s.name, word(t.many), at.Round(time.Millisecond))
			return
		}
	}
}

// among says whether an expectation is about a stream.
func among(streams []string, s *streamTruth) bool {
	return streams == nil || slices.Contains(streams, s.name)
}

// wrong says what is not as expected; empty if all is.
func (c *checks) wrong(p *pendingExpectation) string {
	w := c.w
	switch e := p.Expect.(type) {
	case OwnedBy:
		return c.eachStream(e.Streams, func(s *streamTruth) string {
			got := c.delivering(s)
			if e.Node == "" && len(got) == 0 || len(got) == 1 && got[0] == e.Node {
				return ""
			}
			return fmt.Sprintf("%s is captured by %v, want %q", s.name, got, e.Node)
		})
	case OneEach:
		return c.eachStream(e.Streams, func(s *streamTruth) string {
			if got := c.delivering(s); len(got) != 1 {
				return fmt.Sprintf("%s is captured by %v, want exactly one node", s.name, got)
			}
			return ""
		})
	case EachSide:
		c.divide()
		return c.eachStream(e.Streams, func(s *streamTruth) string {
			for part := range c.count {
				if _, n := c.owner(s, part); n != 1 {
					return fmt.Sprintf("%s has %d owners in part %d of the group, want one", s.name, n, part+1)
				}
			}
			return ""
		})
	case AtHome:
		c.plan()
		return c.eachStream(e.Streams, func(s *streamTruth) string {
			if c.homes == nil || c.homes[s.index] == "" {
				return s.name + " has no home that all agree on"
			}
			h := w.announcer(c.homes[s.index])
			if got := c.delivering(s); len(got) != 1 || h == nil || got[0] != h.name {
				return fmt.Sprintf("%s is captured by %v, want %s", s.name, got, c.homes[s.index])
			}
			return ""
		})
	case Agreement:
		return c.disagreement()
	case Refused:
		if at, ok := w.refusals[e.Node+"\x00"+e.Stream]; !ok || at < p.At {
			return fmt.Sprintf("no publisher of %s was refused at %s", e.Stream, e.Node)
		}
		return ""
	case Liveness:
		if len(c.trouble) > 0 {
			return fmt.Sprintf("%s: %s", c.trouble[0].s.name, word(c.trouble[0].many))
		}
		return c.disagreement()
	}
	return c.wrongOfTime(p)
}

// wrongOfTime is wrong for expectations about a time.
func (c *checks) wrongOfTime(p *pendingExpectation) string {
	w := c.w
	switch e := p.Expect.(type) {
	case Moved:
		want := e.Count
		if e.OwnedBefore != "" {
			want = p.moves
		}
		got := c.movedSince(p.At, p.at)
		if got == want || e.AtMost && got < want {
			return ""
		}
		return fmt.Sprintf("%d streams have moved, want %d", got, want)
	case NoTakeOver:
		for _, h := range w.result.Holds[p.holds:] {
			if h.From <= p.at && among(e.Streams, w.byName[h.Stream]) {
				return fmt.Sprintf("%s started %s at %v (%s)", h.Node, h.Stream, h.From, h.Why)
			}
		}
	case NoDuplicates:
		for i, h := range w.result.Holds {
			for _, g := range w.result.Holds[:i] {
				if g.Stream == h.Stream && among(e.Streams, w.byName[h.Stream]) && g.Up >= 0 && h.Up >= 0 &&
					overlap(g, h, p.At, p.at) {
					return fmt.Sprintf("%s and %s captured %s at once", g.Node, h.Node, h.Stream)
				}
			}
		}
	case GapWithin:
		for _, g := range w.result.Gaps {
			if why := gapWrong(g, e, p, w); why != "" {
				return why
			}
		}
		for _, s := range w.streams {
			if s.count == 0 {
				if why := gapWrong(Silence{s.name, s.from, w.now, s.cause}, e, p, w); why != "" {
					return why
				}
			}
		}
	case Noted:
		for _, n := range w.noted {
			if n.at >= p.At && n.at <= p.at && n.kind == e.Kind && (e.Node == "" || n.node == e.Node) {
				return ""
			}
		}
		return fmt.Sprintf("no note %q of %q", e.Kind, e.Node)
	}
	return ""
}

func gapWrong(g Silence, e GapWithin, p *pendingExpectation, w *world) string {
	from, to := max(g.From, p.At), min(g.To, p.at)
	if to-from > e.Limit && among(e.Streams, w.byName[g.Stream]) {
		return fmt.Sprintf("%s had no media for %v, want at most %v", g.Stream, to-from, e.Limit)
	}
	return ""
}

// overlap says whether two captures delivered at once within a time.
func overlap(a, b Hold, from, to time.Duration) bool {
	end := func(h Hold) time.Duration {
		if h.To < 0 {
			return to
		}
		return min(h.To, to)
	}
	return max(a.Up, b.Up, from) < min(end(a), end(b))
}

// movedSince counts the streams whose deliverer changed within a time.
func (c *checks) movedSince(from, to time.Duration) (n int) {
	w := c.w
	for _, s := range w.streams {
		before := ""
		moved := false
		for _, h := range w.result.Holds {
			if h.Stream != s.name || h.Up < 0 || h.Up > to {
				continue
			}
			switch {
			case h.Up < from:
				if h.To < 0 || h.To >= from {
					before = h.Node
				}
			case before != "" && h.Node != before:
				moved = true
			}
		}
		n += b2i(moved)
	}
	return n
}

func (c *checks) eachStream(names []string, wrong func(s *streamTruth) string) string {
	for _, s := range c.w.streams {
		if !among(names, s) || names == nil && !c.groups(s) {
			continue
		}
		if why := wrong(s); why != "" {
			return why
		}
	}
	return ""
}

// groups says whether a stream is one that the group captures, in the file of some machine.
func (c *checks) groups(s *streamTruth) bool {
	for _, m := range c.w.machines {
		if m.keeps(s) {
			return true
		}
	}
	return false
}

// delivering are the machines from which media of a stream comes.
func (c *checks) delivering(s *streamTruth) (out []string) {
	for _, m := range c.w.machines {
		if f := m.captures[s.index].feed; f != nil && f.delivers() {
			out = append(out, m.name)
		}
	}
	return out
}

// disagreement says who takes somebody else for an owner.
func (c *checks) disagreement() string {
	w := c.w
	for _, s := range w.streams {
		got := c.delivering(s)
		if len(got) != 1 || !c.groups(s) {
			continue
		}
		want := w.machine(got[0]).announced
		for _, m := range w.machines {
			if !m.runs() {
				continue
			}
			if x := m.view().Stream(s.name); x == nil || x.Owner != want {
				said := ""
				if x != nil {
					said = x.Owner
				}
				return fmt.Sprintf("%s takes %q for the owner of %s, which is %s", m.name, said, s.name, want)
			}
		}
	}
	return ""
}

// A probe is a viewer who asks a node where a stream is.
type probe struct {
	m     *machine
	s     *streamTruth
	since time.Duration
	next  time.Duration
	boots int
}

// demanded begins a probe.
func (c *checks) demanded(m *machine, s *streamTruth) {
	if !m.runs() {
		return
	}
	c.probes = append(c.probes, probe{m, s, c.w.now, c.w.now, m.boots})
	c.schedule()
}

// dueProbes asks again where the streams are that viewers wait for: I14 and I22.
func (c *checks) dueProbes() {
	w := c.w
	var b *bounds // of this instant
	for i := 0; i < len(c.probes); i++ {
		p := &c.probes[i]
		if p.next > w.now {
			continue
		}
		if b == nil {
			now := c.bounds()
			b = &now
		}
		_, f := p.m.stale()
		p.next = w.now + max(f/10, time.Millisecond)
		over := !p.m.up || p.m.boots != p.boots
		if !over && p.m.frozen == 0 {
			over = c.lookUp(p, b)
		}
		if over {
			c.probes = slices.Delete(c.probes, i, i+1)
			i--
		}
	}
}

// lookUp says whether the viewer has been answered.
func (c *checks) lookUp(p *probe, b *bounds) bool {
	w := c.w
	limit := b.b2() + b.poll() + 2*b.d + 2*(b.f/10)
	if c.cold {
		limit += b.b6(c.everybody())
	}
	v := p.m.view()
	x := v.Stream(p.s.name)
	if x != nil && x.Owner != "" && x.OwnerState != control.ClaimFailed {
		c.redirect(p, x, b)
		if c.period == calmed || c.period == failure {
			c.measure(I22, limit, w.now-p.since)
		}
		return true
	}
	from := max(p.since, c.since)
	if (c.period == failure || c.period == calmed) && w.now-from > limit && c.groups(p.s) && w.now-w.lastSourceFault() > 3*time.Minute {
		c.hold(I22, false, p.s, []string{p.m.name}, "a viewer waits for %v, want at most %v", w.now-from, limit)
		return true
	}
	return w.now-p.since > time.Minute
}

// redirect is I14: the node that a viewer is led to had a claim as of the evidence that is fresh, and where it is sent
// on from there it arrives.
func (c *checks) redirect(p *probe, x *control.StreamView, b *bounds) {
	w := c.w
	at := p.m
	for hops := 0; ; hops++ {
		to := w.announcer(x.Owner)
		if to == at {
			y := c.claims[at.index][p.s.index]
			c.hold(I14, at.captures[p.s.index].feed != nil || y.state == control.Starting || y.state == control.Running, p.s,
				[]string{at.name}, "%s keeps a viewer of a stream that it does not have", at.name)
			return
		}
		if to == nil {
			c.hold(I14, false, p.s, []string{at.name}, "leads to nobody known: %s", x.Owner)
			return
		}
		y := c.claims[to.index][p.s.index]
		s, _ := at.stale()
		held := y.state == control.Starting || y.state == control.Running || w.now-y.since <= b.rate(s)+2*b.d+s
		if c.period == calmed || c.period == failure {
			c.hold(I14, held, p.s, []string{at.name, to.name}, "%s leads to %s, which has not had %s for long", at.name, to.name, p.s.name)
		}
		if !to.runs() || c.period != calmed {
			return
		}
		if hops == 2 {
			c.hold(I14, false, p.s, []string{p.m.name}, "more than two hops")
			return
		}
		at = to
		if x = at.view().Stream(p.s.name); x == nil || x.Owner == "" {
			return
		}
	}
}

// numbered is I15: a capture numbers its segments above those of the owners before it, unless one still runs.
func (c *checks) numbered(f *feed) {
	w := c.w
	s := f.s
	if f.media == (control.Media{}) && f.least == 0 {
		s.lastSegment = -1 // nobody whom it has heard knows of any; it begins anew
	}
	for _, m := range w.machines {
		if g := m.captures[s.index].feed; g != nil && g != f && g.upAt >= 0 {
			return // both run; what their viewers see is settled at the hand-over
		}
	}
	if s.lastSegment < 0 || c.period == wild {
		return // nobody can have told the new owner of a numbering
	}
	if last := w.machine(s.lastOwner); last != nil && last != f.m && !(c.period == failure || c.period == calmed || c.period == homing) {
		return
	}
	c.hold(I15, f.first > s.lastSegment, s, []string{f.m.name}, "begins with segment %d after %d of %s", f.first, s.lastSegment, s.lastOwner)
}

// capacity is I10.
func (c *checks) capacity(m *machine, s *streamTruth) {
	limit := m.channelLimit()
	if limit == 0 {
		return
	}
	n := c.claimed(m)
	if n <= limit {
		c.ok(I10)
		return
	}
	if c.crowded(m) {
		c.w.sometimes["all at limit"]++
		c.ok(I10)
		return
	}
	local, b := m.clock.at(c.w.now), c.bounds()
	for _, q := range c.w.machines {
		if q == m || !q.runs() || q.draining || !c.connected(m, q) || !c.eligible(q, s) || c.w.now-c.roomy[q.index] <= b.poll()+2*b.d+b.lag {
			continue // none, or m cannot know
		}
		if any, _ := c.fresh(m, q, local, c.patience(m, q)); any {
			c.hold(I10, c.period == wild, s, []string{m.name, q.name},
				"%s starts its capture %d of %d although %s has room", m.name, n, limit, q.name)
			return
		}
	}
	c.ok(I10)
}

// weigh notes since when a machine has room for another stream.
func (c *checks) weigh(m *machine) {
	limit := m.channelLimit()
	switch room := limit == 0 || c.claimed(m) < limit; {
	case !room:
		c.roomy[m.index] = never
	case c.roomy[m.index] > c.w.now:
		c.roomy[m.index] = c.w.now
	}
}

// crowded says whether m's part of the group has more streams than its limits allow together. Then all will be full, if
// not at this instant.
func (c *checks) crowded(m *machine) bool {
	room, streams := 0, 0
	local := m.clock.at(c.w.now)
	for _, q := range c.w.machines {
		if !q.runs() || q.draining || !c.connected(m, q) && q != m {
			continue
		}
		if any, _ := c.fresh(m, q, local, c.patience(m, q)); !any && q != m {
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

// claimed is how many streams m claims: what it lets go of no longer counts, although its media flows for a moment.
func (c *checks) claimed(m *machine) (n int) {
	for i := range c.claims[m.index] {
		if s := c.claims[m.index][i].state; s == control.Starting || s == control.Running {
			n++
		}
	}
	return n
}

// channelLimit is the limit of captures that m's file gives it; 0 for none.
func (m *machine) channelLimit() int {
	for _, p := range m.file.Peers {
		if m.w.behind(p.Name()) == m {
			return p.ChannelLimit
		}
	}
	return 0
}

// A reading is what the checks want to know of a machine's file.
type reading struct {
	file         *conf.File
	config       *control.Config
	stale, fetch time.Duration            // the longest of other nodes
	entries      map[string]time.Duration // the stale_timeout of each peer entry
	kept         []bool                   // streams that the group captures
	whole        bool                     // every entry leads to a machine
}

// read reads m's file, if that is another than before.
func (m *machine) read() *reading {
	if m.reading.file == m.file {
		return &m.reading
	}
	cfg := nodeConfig(m.file, m.name)
	r := reading{file: m.file, config: &cfg, entries: map[string]time.Duration{}, kept: make([]bool, len(m.w.streams)), whole: true}
	for _, p := range cfg.Peers {
		r.entries[p.Entry] = time.Duration(p.Stale)
		q := m.w.behind(p.Entry)
		r.whole = r.whole && q != nil
		if q != m {
			r.stale, r.fetch = max(r.stale, time.Duration(p.Stale)), max(r.fetch, time.Duration(p.Fetch))
		}
	}
	for _, s := range cfg.Streams {
		if x := m.w.byName[s.Name]; x != nil {
			r.kept[x.index] = s.Clustered && s.Kind == control.Kept && !s.OnDemand && !s.Disabled
		}
	}
	m.reading = r
	return &m.reading
}

// names says whether an entry of m's file leads to q.
func (m *machine) names(q *machine) bool {
	for entry := range m.read().entries {
		if m.w.behind(entry) == q {
			return true
		}
	}
	return false
}

// controlConfig is what m's control plane would be started with.
func (m *machine) controlConfig() *control.Config { return m.read().config }

func (m *machine) fileHash() string { return m.controlConfig().Hash }
