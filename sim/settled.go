package sim

import (
	"weir/cluster/control"

	"weir/sim/oracle"
)

// agreement is I23, and I1 with it: all nodes of a part name the same owner of each stream.
func (c *checks) agreement() {
	w := c.w
	if !c.uniform {
		return
	}
	for part := range c.count {
		for _, s := range w.streams {
			one, n := c.owner(s, part)
			if n > 1 {
				continue // I18 reports it
			}
			c.ok(oracle.I1)
			for _, m := range w.machines {
				if c.parts[m.index] != part || m.process == nil {
					continue
				}
				x := m.viewOf(s)
				if x == nil || !m.view().Warm || m.view().Aside || !x.Clustered && x.Kind == control.Kept {
					continue
				}
				said, ok := x.Owner, false
				switch {
				case n == 0:
					ok = said == "" || x.OwnerState == control.ClaimStarting || x.OwnerState == control.ClaimFailed
					if q := w.announcing(said); q != nil && !ok {
						ok = q.captures[s.index].feed != nil
					}
				default:
					ok = said == one.announced
				}
				c.hold(oracle.I23, ok, s, []string{m.name}, "%s takes %q for the owner of %s, captured by %v", m.name, said, s.name, c.owners(s))
			}
		}
	}
}

// home is I6, I19 and I25: everything is where it belongs once the group has been whole for long enough.
func (c *checks) home() {
	w := c.w
	if !c.uniform || c.homes == nil || c.limited() {
		return
	}
	b := c.bounds()
	load := make([]int, len(w.machines))
	pinnedTo := make([]int, len(w.machines))
	free := 0
	for _, s := range w.streams {
		if c.homes[s.index] == "" {
			continue
		}
		h, p := w.announcing(c.homes[s.index]), w.announcing(c.pins[s.index])
		if p != nil {
			pinnedTo[p.index]++
		} else {
			free++
		}
		for part := range c.count {
			one, n := c.owner(s, part)
			if n != 1 {
				continue
			}
			load[one.index]++
			if p != nil && c.parts[p.index] == part && c.eligible(p, s) {
				c.hold(oracle.I6, one == p, s, []string{one.name, p.name}, "%s is not at its pin", s.name)
			}
			if h != nil && c.parts[h.index] == part && c.eligible(h, s) && c.edits == 0 {
				c.hold(oracle.I19, one == h, s, []string{one.name, h.name}, "%s is at %s, want it at home at %s", s.name, one.name, h.name)
			}
		}
	}
	if c.period == afterReturn && len(c.returned) == 1 {
		c.measureReturn(&b)
	}
	c.balance(load, pinnedTo, free)
}

// measureReturn measures B5: when the last stream of the node that came back was its own again.
func (c *checks) measureReturn(b *bounds) {
	m := c.returned[0]
	last := c.since
	k := 0
	for _, h := range c.w.result.Holds {
		if h.Node == m.name && h.From >= c.since && h.Up >= 0 {
			last = max(last, h.Up)
			k++
		}
	}
	if k > 0 {
		c.measure(oracle.I19, b.b5(k), last-c.since)
	}
}
