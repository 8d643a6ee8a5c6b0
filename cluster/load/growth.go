package load

import (
	"time"

	"weir/cluster/balance"
)

// A growth makes a rate of a growing count, over the last [balance.OutputWindow]. It belongs to one goroutine.
type growth struct{ samples []sample }

type sample struct {
	at    time.Duration
	count uint64
}

// ramp takes the count as it is now and gives its growth per second. Before the first measurement the count is taken not to
// have grown: a balancer adds the clients that it has chosen during the window to this figure. A count that has become
// smaller was begun anew at zero.
func (g *growth) ramp(now time.Duration, count uint64) int64 {
	grown, _ := g.grown(now, count)
	return int64(float64(grown) / time.Duration(balance.OutputWindow).Seconds())
}

// rate takes the count as it is now and gives its growth per second of the time that was measured; zero while that is
// shorter than [Interval].
func (g *growth) rate(now time.Duration, count uint64) int64 {
	grown, span := g.grown(now, count)
	if span < Interval {
		return 0
	}
	return int64(float64(grown) / span.Seconds())
}

// grown takes the count as it is now and gives its growth and the time in which it grew, about the window at most.
func (g *growth) grown(now time.Duration, count uint64) (uint64, time.Duration) {
	if n := len(g.samples); n > 0 && (count < g.samples[n-1].count || now < g.samples[n-1].at) {
		g.samples = g.samples[:0]
	}
	g.samples = append(g.samples, sample{now, count})
	old := 0 // the newest sample that is as old as the window
	for old+1 < len(g.samples) && now-g.samples[old+1].at >= time.Duration(balance.OutputWindow) {
		old++
	}
	g.samples = append(g.samples[:0], g.samples[old:]...)
	return count - g.samples[0].count, now - g.samples[0].at
}
