package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
	"weir/sim/oracle"
)

// countPolls is I27: how many polls there were since something happened to the group last.
func (c *checks) countPolls() {
	b := c.bounds()
	d := c.w.now - c.since
	if b.f == 0 || d < 10*b.f { // a node alone polls nobody
		return
	}
	links := 0
	least := b.f
	for _, m := range c.w.machines {
		for _, p := range m.file.Peers {
			links++
			least = min(least, p.FetchTimeout)
		}
	}
	asks := int(d*10/(least*9)) + 2
	asks += int(4 * b.s / least) // a node that begins asks four times as often until all have answered, or S has passed
	limit := links * asks
	c.hold(oracle.I27, c.polled <= limit, nil, nil, "%d polls in %d ms, want at most %d", c.polled, d/time.Millisecond, limit)
}

// answerSize checks how long an answer is.
func (c *checks) answerSize(m *machine, st *control.State, raw []byte) {
	if !st.Same || st.Numberings != nil || slices.ContainsFunc(st.Ages, func(a control.Age) bool { return len(a.Claims) > 0 }) {
		return
	}
	limit := 300 + 110*len(st.Ages)
	c.hold(oracle.I27, len(raw) <= limit, nil, []string{m.name}, "an unchanged answer of %d bytes, want at most %d", len(raw), limit)
}
