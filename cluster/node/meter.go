package node

import (
	"time"

	"weir/cluster/balance"
)

// A meter turns a growing count into a rate over the last [balance.OutputWindow]. It belongs to one goroutine.
type meter struct{ samples []sample }

type sample struct {
	at    time.Duration
	count uint64
}

// ramp takes the count as it is now and gives how much it grew per second. What has been measured for less than the
// window counts as if there had been nothing before, as choices that count meanwhile expect. A count that was begun anew
// counts from zero.
func (m *meter) ramp(now time.Duration, count uint64) int64 {
	grown, _ := m.grown(now, count)
	return int64(float64(grown) / time.Duration(balance.OutputWindow).Seconds())
}

// rate is [meter.ramp] over the time that has been measured; zero while that is too short to tell.
func (m *meter) rate(now time.Duration, count uint64) int64 {
	grown, span := m.grown(now, count)
	if span < loadEvery {
		return 0
	}
	return int64(float64(grown) / span.Seconds())
}

// grown takes the count as it is now and gives how much it grew in how much time, about the window at most.
func (m *meter) grown(now time.Duration, count uint64) (uint64, time.Duration) {
	if n := len(m.samples); n > 0 && (count < m.samples[n-1].count || now < m.samples[n-1].at) {
		m.samples = m.samples[:0]
	}
	m.samples = append(m.samples, sample{now, count})
	old := 0 // the newest sample that is as old as the window
	for old+1 < len(m.samples) && now-m.samples[old+1].at >= time.Duration(balance.OutputWindow) {
		old++
	}
	m.samples = append(m.samples[:0], m.samples[old:]...)
	return count - m.samples[0].count, now - m.samples[0].at
}
