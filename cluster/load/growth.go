package load

import (
	"cmp"
	"time"

	"weir/cluster/balance"
)

// A Growth makes a rate of a growing count, over the last time. It belongs to one goroutine.
type Growth struct {
	Over    time.Duration // zero means [balance.OutputWindow]
	samples []sample
}

type sample struct {
	at    time.Duration
	count uint64
}

// ramp takes the count as it is now and gives its growth per second. Before the first measurement the count is taken not to
// have grown: a balancer adds the clients that it has chosen during the window to this figure. A count that has become
// smaller was begun anew at zero.
func (g *Growth) ramp(now time.Duration, count uint64) int64 {
	grown, _ := g.Grown(now, count)
	return int64(float64(grown) / time.Duration(balance.OutputWindow).Seconds())
}

// rate takes the count as it is now and gives its growth per second of the time that was measured; zero while that is
// shorter than [Interval].
func (g *Growth) rate(now time.Duration, count uint64) int64 {
	grown, span := g.Grown(now, count)
	if span < Interval {
		return 0
	}
	return int64(float64(grown) / span.Seconds())
}

// Grown takes the count as it is now and gives its growth and the time in which it grew, about that of the window at most.
func (g *Growth) Grown(now time.Duration, count uint64) (uint64, time.Duration) {
	if n := len(g.samples); n > 0 && (count < g.samples[n-1].count || now < g.samples[n-1].at) {
		g.samples = g.samples[:0]
	}
	g.samples = append(g.samples, sample{now, count})
	window := cmp.Or(g.Over, time.Duration(balance.OutputWindow))
	old := 0 // the newest sample that is as old as the window
	for old+1 < len(g.samples) && now-g.samples[old+1].at >= window {
		old++
	}
	g.samples = append(g.samples[:0], g.samples[old:]...)
	return count - g.samples[0].count, now - g.samples[0].at
}
