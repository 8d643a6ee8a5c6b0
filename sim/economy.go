package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
)

// countPolls is I27: how many polls there were while nothing happened to the group.
func (c *checks) countPolls() {
	if c.period != undisturbed || c.settled == 0 {
		return
	}
	b := c.bounds()
	d := c.w.now - c.settled
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

// answerSize checks how long an answer is.
func (c *checks) answerSize(m *machine, st *control.State, raw []byte) {
	if !st.Same || slices.ContainsFunc(st.Ages, func(a control.Age) bool { return len(a.Claims) > 0 }) {
		return
	}
	limit := 300 + 110*len(st.Ages)
	c.hold(I27, len(raw) <= limit, nil, []string{m.name}, "an unchanged answer of %d bytes, want at most %d", len(raw), limit)
}

// balance is I25: no node has more than its share of the streams that are not pinned, and those pinned to it.
func (c *checks) balance(load, pinnedTo []int, free int) {
	if c.edits > 0 || c.count != 1 {
		return
	}
	live := 0
	for _, m := range c.w.machines {
		if m.runs() && !m.draining {
			live++
		}
	}
	for _, s := range c.w.streams {
		if len(s.unreachable) > 0 || len(s.silent) > 0 || s.single {
			return
		}
	}
	for _, m := range c.w.machines {
		if m.runs() && !m.draining && live > 0 {
			limit := (free+live-1)/live + pinnedTo[m.index] + c.pinsAway()
			c.hold(I25, load[m.index] <= limit, nil, []string{m.name}, "%s captures %d streams, want at most %d", m.name, load[m.index], limit)
		}
	}
}

// pinsAway is how many streams each node may have that are pinned to machines that are not there: such streams are spread
// evenly, as others are.
func (c *checks) pinsAway() int {
	n, live := 0, 0
	for _, m := range c.w.machines {
		if m.runs() && !m.draining {
			live++
			continue
		}
		for _, p := range c.pins {
			n += b2i(p == m.announced)
		}
	}
	if live == 0 {
		return 0
	}
	return (n + live - 1) / live
}

// byLoss says whether so many polls were lost in a row that a take-over is within the rules.
func (c *checks) byLoss() bool {
	b := c.bounds()
	return c.w.base.loss > 0 && time.Duration(c.lossRun+1)*b.f*11/10+2*b.d >= b.s
}

// countFalseTakeOver is told of a start although the owner runs and can be reached.
func (c *checks) countFalseTakeOver() {
	if c.period != disrupted && c.period != stable && c.byLoss() {
		c.w.result.Sometimes["false take-over by loss"]++
	}
}
