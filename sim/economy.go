package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
	"weir/sim/oracle"
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
	c.hold(oracle.I27, c.polled <= limit, nil, nil, "%d polls in %d ms, want at most %d", c.polled, d/time.Millisecond, limit)
}

// answerSize checks how long an answer is.
func (c *checks) answerSize(m *machine, st *control.State, raw []byte) {
	if !st.Same || slices.ContainsFunc(st.Ages, func(a control.Age) bool { return len(a.Claims) > 0 }) {
		return
	}
	limit := 300 + 110*len(st.Ages)
	c.hold(oracle.I27, len(raw) <= limit, nil, []string{m.name}, "an unchanged answer of %d bytes, want at most %d", len(raw), limit)
}

// balance is I25: no node has more than the even share of all streams, unless that many are pinned to it. A stream whose pin is
// not there is spread like those without one.
func (c *checks) balance(load, pinnedTo []int, free int) {
	if c.edits > 0 || c.count != 1 {
		return
	}
	var pinned []int // of the live nodes
	for _, m := range c.w.machines {
		if m.runs() && !m.draining {
			pinned = append(pinned, pinnedTo[m.index])
		} else {
			free += pinnedTo[m.index]
		}
	}
	for _, s := range c.w.streams {
		if len(s.unreachable) > 0 || len(s.silent) > 0 || s.single {
			return
		}
	}
	share := evenShare(pinned, free)
	for _, m := range c.w.machines {
		if m.runs() && !m.draining {
			limit := max(share, pinnedTo[m.index])
			c.hold(oracle.I25, load[m.index] <= limit, nil, []string{m.name}, "%s captures %d streams, want at most %d", m.name, load[m.index], limit)
		}
	}
}

// evenShare is the least number that nodes with these pinned streams have to take each, so that they can take the free ones too.
func evenShare(pinned []int, free int) (share int) {
	for len(pinned) > 0 {
		spare := 0
		for _, have := range pinned {
			spare += max(0, share-have)
		}
		if spare >= free {
			break
		}
		share++
	}
	return share
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
