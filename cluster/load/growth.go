package load

import (
	"cmp"
	"time"

	"weir/cluster/balance"
)

// A Growth computes the rate of a growing count over a window that ends now. It belongs to one goroutine.
type Growth struct {
	Over    time.Duration // the length of the window; zero means [balance.OutputWindow]
	samples []sample
}

type sample struct {
	at    time.Duration
	count uint64
}

// ramp takes the present count and gives its growth per second. It divides by the whole window even if the first count is newer, as
// if the count had not grown before: balancers add to this figure the clients for which they chose this server in the window. If the
// count has become smaller, it has started again at zero.
func (g *Growth) ramp(now time.Duration, count uint64) int64 {
	grown, _ := g.Grown(now, count)
	return int64(float64(grown) / time.Duration(balance.OutputWindow).Seconds())
}

// rate takes the present count and gives its growth per second since the oldest count in the window; zero if that is less than
// [Interval] old.
func (g *Growth) rate(now time.Duration, count uint64) int64 {
	grown, span := g.Grown(now, count)
	if span < Interval {
		return 0
	}
	return int64(float64(grown) / span.Seconds())
}

// Grown takes the present count, and gives its growth and the time in which it grew. That time is at most a little longer than the
// window.
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
