package elementary

import "weir/codecs"

// A clock puts the timestamps of several streams of one source on one timeline that goes forward.
type clock struct {
	wrap    uint // bits, or 0
	started bool
	raw     int64 // the last timestamp of any stream, unwrapped
	shift   int64 // what streams that follow the newest jump are moved by
	latest  int64 // the latest DTS given out
}

// A place is one stream's place on the timeline.
type place struct {
	started bool
	shift   int64
	last    int64 // the last DTS given out
}

// Beyond these distances from its last timestamp a stream has jumped: behind itself, and ahead of all streams.
const (
	maxBack  = codecs.ClockRate
	maxAhead = 10 * codecs.ClockRate
	joint    = codecs.ClockRate / 25 // between the last before a jump and the first after it
)

// at moves the timestamps of a unit of the stream at p, and says whether the stream has jumped. The DTS of a stream
// never stands still.
func (c *clock) at(p *place, dts, pts int64) (movedDTS, movedPTS int64, jumped bool) {
	composition := pts - dts
	switch {
	case !c.started:
		c.raw, c.started = dts, true
	case c.wrap > 0:
		half := int64(1) << (c.wrap - 1)
		c.raw += (dts-c.raw+half)&(2*half-1) - half
		composition = (composition+half)&(2*half-1) - half
	default:
		c.raw = dts
	}
	if composition < -maxAhead || composition > maxAhead {
		composition = 0
	}
	if !p.started {
		p.shift = c.shift
	}
	fits := func(shift int64) bool {
		at := c.raw + shift
		if !p.started {
			return c.latest == 0 || at >= c.latest-maxAhead && at <= c.latest+maxAhead
		}
		return at >= p.last-maxBack && at <= max(p.last, c.latest)+maxAhead
	}
	if !fits(p.shift) {
		jumped = p.started
		if !fits(c.shift) {
			c.shift = max(p.last, c.latest) + joint - c.raw
		}
		p.shift = c.shift
	}
	dts = c.raw + p.shift
	pts = dts + composition
	if p.started && dts <= p.last {
		dts = p.last + 1
	}
	p.started, p.last = true, dts
	c.latest = max(c.latest, dts)
	return dts, max(pts, dts), jumped
}
