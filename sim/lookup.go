package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
	"weir/sim/oracle"
)

// A probe is a viewer who asks a node where a stream is, until the node says so.
type probe struct {
	m     *machine
	s     *streamTruth
	since time.Duration
	next  time.Duration // when the viewer asks again
	boots int           // of m, with which the probe ends
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
		f := p.m.read().fetch
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

// lookUp says whether the viewer has been answered, or has given up.
func (c *checks) lookUp(p *probe, b *bounds) bool {
	w := c.w
	settled := c.oracle.Settled(p.m.name)
	limit, judged := c.oracle.Lookup(p.s.name, p.m.name)
	limit += 2 * (b.f / 10)
	judged = judged && settled != oracle.Never
	waits := w.now - max(p.since, settled)
	x := p.m.viewOf(p.s)
	if x != nil && x.Owner != "" && x.OwnerState != control.ClaimFailed {
		c.redirect(p, x, b)
		if judged && waits >= 0 {
			c.measure(oracle.I22, limit, waits)
		}
		return true
	}
	if judged && waits > limit && c.groups(p.s) {
		c.hold(oracle.I22, false, p.s, []string{p.m.name}, "a viewer waits for %v, want at most %v", waits, limit)
		return true
	}
	return w.now-p.since > time.Minute
}

// redirect is I14: the node to which a viewer is led had a claim not longer ago than evidence stays fresh, and leads the
// viewer on, if it does, to a node that has the stream.
func (c *checks) redirect(p *probe, x *control.StreamView, b *bounds) {
	w := c.w
	at := p.m
	for hops := 0; ; hops++ {
		to := w.announcing(x.Owner)
		if to == nil {
			to = w.announced[x.Owner] // which has another name since, that this node has not heard of yet
		}
		if to == at {
			y := c.claims[at.index][p.s.index]
			c.hold(oracle.I14, at.captures[p.s.index].feed != nil || y.state == control.Starting || y.state == control.Running, p.s,
				[]string{at.name}, "%s keeps a viewer of a stream that it does not have", at.name)
			return
		}
		if to == nil {
			c.hold(oracle.I14, false, p.s, []string{at.name}, "leads to nobody known: %s", x.Owner)
			return
		}
		y := c.claims[to.index][p.s.index]
		s := at.read().stale
		held := y.state == control.Starting || y.state == control.Running || w.now-y.since <= b.rate(s)+2*b.d+s
		settled := c.oracle.Settled(at.name)
		quiet := settled != oracle.Never && w.now-settled > b.agree()
		if quiet {
			c.hold(oracle.I14, held, p.s, []string{at.name, to.name}, "%s leads to %s, which has not had %s for long", at.name, to.name, p.s.name)
		}
		if !to.runs() || !quiet {
			return
		}
		if hops == 2 {
			c.hold(oracle.I14, false, p.s, []string{p.m.name}, "more than two hops")
			return
		}
		at = to
		if x = at.viewOf(p.s); x == nil || x.Owner == "" {
			return
		}
	}
}
