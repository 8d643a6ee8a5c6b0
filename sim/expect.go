package sim

import (
	"fmt"
	"slices"
	"time"

	"weir/sim/oracle"
)

// A pendingExpectation is one that waits for the instant at which it has to hold.
type pendingExpectation struct {
	Step
	at    time.Duration // that instant
	owned int           // how many streams the node of [Moved.OwnedBefore] delivered when the time began
	holds int           // how many captures there had been by then
}

// expect arranges that an expectation of the scenario is checked.
func (w *world) expect(st Step) {
	at := max(st.At, st.To)
	if st.To == 0 && spans(st.Expect) {
		at = w.s.Until
	}
	p := &pendingExpectation{Step: st, at: at}
	begin := func() {
		p.holds = len(w.result.Holds)
		if e, ok := st.Expect.(Moved); ok && e.OwnedBefore != "" {
			p.owned = w.heldAt(e.OwnedBefore, st.At)
		}
		w.checks.expected = append(w.checks.expected, *p)
		w.checks.schedule()
	}
	w.queue.push(item{at: st.At, do: begin})
}

// spans says whether an expectation is about a time, not an instant.
func spans(e Expectation) bool {
	switch e.(type) {
	case Moved, NoDuplicates, NoTakeOver, GapWithin, ViewersWithin, Noted, Liveness:
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

// dueExpectations checks the expectations whose instant has come.
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
				Invariant: oracle.Expected, Text: why, Step: p.Line, Fingerprint: fmt.Sprintf("expect %T", p.Expect),
			})
		}
	}
}

// open says why the run ended too early to prove anything: an expectation whose time had not come, or a trouble that may last
// longer.
func (c *checks) open() {
	w, r := c.w, c.w.result
	for _, st := range w.s.Steps {
		if st.Expect != nil && max(st.At, st.To) > w.now {
			r.Unknown, r.Why = true, fmt.Sprintf("it ends at %v, and what line %d expects is due at %v", w.now, st.Line, max(st.At, st.To))
			return
		}
	}
	if why := c.oracle.Open(); why != "" {
		r.Unknown, r.Why = true, fmt.Sprintf("it ends at %v, when %s", w.now, why)
	}
}

// among says whether an expectation is about a stream.
func among(streams []string, s *streamTruth) bool {
	return streams == nil || slices.Contains(streams, s.name)
}

// wrong says what is not as expected; empty if everything is.
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
		return c.eachStream(e.Streams, func(s *streamTruth) string {
			home := c.oracle.Home(s.name)
			if home == "" {
				return s.name + " has no home that all agree on"
			}
			if got := c.delivering(s); len(got) != 1 || got[0] != home {
				return fmt.Sprintf("%s is captured by %v, want %s", s.name, got, home)
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
		if why := c.oracle.Wrong(); why != "" {
			return why
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
			want = p.owned
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
				if why := gapWrong(Gap{s.name, s.from, w.now, s.cause}, e, p, w); why != "" {
					return why
				}
			}
		}
	case ViewersWithin:
		stills := w.result.Stills
		for _, v := range w.viewers.list {
			if v.lost >= 0 {
				stills = append(stills[:len(stills):len(stills)], Still{v.s.name, v.entry.name, v.proto, v.lost, w.now, v.downed})
			}
		}
		for _, x := range stills {
			if from, to := max(x.From, p.At), min(x.To, p.at); !x.Down && to-from > e.Limit && among(e.Streams, w.byName[x.Stream]) {
				return fmt.Sprintf("the picture of a viewer of %s (%s at %s) stood still for %v, want at most %v", x.Stream, x.Protocol, x.Node, to-from, e.Limit)
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

func gapWrong(g Gap, e GapWithin, p *pendingExpectation, w *world) string {
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

// disagreement says which node takes another than the owner of a stream for it; empty if none does.
func (c *checks) disagreement() string {
	w := c.w
	for _, s := range w.streams {
		got := c.delivering(s)
		if len(got) != 1 || !slices.ContainsFunc(w.machines, func(m *machine) bool { return m.shares(s) }) {
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
