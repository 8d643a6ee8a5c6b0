package sim

import (
	"time"

	"weir/cluster/control"
)

// bounds are the quantities of the formulas of the cluster rules.
type bounds struct {
	s, f     time.Duration // stale_timeout and fetch_timeout, the longest
	d        time.Duration // the longest delay of a message
	up, down time.Duration // the longest start and stop of a source
	differ   time.Duration // for which two nodes wait that disagree about the order (R8)
	lag      time.Duration // by which a processor is late at most
	ppm      int64         // by which a clock is wrong at most
	k        int           // polls that may be lost in a row
}

// bounds takes the quantities as they are now.
func (c *checks) bounds() bounds {
	w := c.w
	b := bounds{d: w.base.delay.Max, up: w.captureUp.Max, down: w.down.Max}
	for _, m := range w.machines {
		b.s, b.f = max(b.s, m.read().stale), max(b.f, m.read().fetch)
		b.ppm = max(b.ppm, m.clock.ppm, -m.clock.ppm)
		b.lag = max(b.lag, m.lag)
	}
	for i := range w.links {
		b.d = max(b.d, w.links[i].delay.Max)
	}
	if c.edits > 0 {
		b.differ = b.s + b.f
	}
	for _, s := range w.streams {
		for _, r := range s.slow {
			b.up = max(b.up, r.Max)
		}
	}
	if w.base.loss > 0 {
		p := 1 - (1-float64(w.base.loss)/million)*(1-float64(w.base.loss)/million)
		for q := p; q > 1e-7 && b.k < 50; q *= p {
			b.k++
		}
	}
	return b
}

// poll is the longest time between two polls that are answered.
func (b *bounds) poll() time.Duration { return b.rate(b.f*11/10) + time.Duration(b.k)*b.f*11/10 }

// rate is how long a time by the slowest clock may take.
func (b *bounds) rate(d time.Duration) time.Duration {
	return d + d*time.Duration(2*b.ppm)/million + time.Duration(b2i(b.ppm > 0))
}

// TakeOverBound is bound B2 where clocks are true and no processor is late: the longest that nobody captures a stream whose
// node has died, with a longest delay of the network and a start-up of its source.
func TakeOverBound(stale, delay, startUp time.Duration) time.Duration {
	return stale + 3*delay + startUp
}

// agree is the time after which all nodes have heard of a change.
func (b *bounds) agree() time.Duration {
	return b.rate(b.s) + 2*b.poll() + 4*b.d + b.lag + 2*time.Millisecond
}

// startUp is what G allows a source for its start.
const startUp = time.Duration(control.StartUp)

// longest is the longest that a hold-down of that length becomes by damping.
func longest(hold time.Duration) time.Duration {
	return time.Duration(control.LongestHolddown(control.Instant(hold)))
}
