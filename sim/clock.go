package sim

import (
	"math/bits"
	"time"
)

// A clock is the monotonic clock of a machine, and its wall clock. Whole nanoseconds and parts per million only, so
// that no rounding differs between machines.
type clock struct {
	true0  time.Duration // the true instant at which the clock read local0
	local0 time.Duration
	ppm    int64 // that it is too fast
	still  bool  // it does not go: the machine is suspended
	wall   time.Duration
}

// million parts, of which a rate is given some more or fewer.
const million = 1_000_000

func scale(d time.Duration, numerator, denominator int64) time.Duration {
	hi, lo := bits.Mul64(uint64(d), uint64(numerator))
	q, _ := bits.Div64(hi, lo, uint64(denominator))
	return time.Duration(q)
}

// at reads the clock at a true instant.
func (c *clock) at(now time.Duration) time.Duration {
	d := now - c.true0
	switch {
	case c.still || d <= 0:
		return c.local0
	case c.ppm == 0:
		return c.local0 + d
	}
	return c.local0 + scale(d, million+c.ppm, million)
}

// when gives the first true instant, not before now, at which the clock reads local or later.
func (c *clock) when(local, now time.Duration) time.Duration {
	d := local - c.local0
	if d <= 0 {
		return now
	}
	t := d
	if c.ppm != 0 {
		t = scale(d, million, million+c.ppm)
		for c.local0+scale(t, million+c.ppm, million) < local {
			t++
		}
	}
	return max(now, c.true0+t)
}

// set lets the clock go on from now with another rate, or stand still.
func (c *clock) set(now time.Duration, ppm int64, still bool) {
	c.local0 = c.at(now)
	c.true0, c.ppm, c.still = now, ppm, still
}
