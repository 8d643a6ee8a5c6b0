package timeline

import "weir/codecs"

// A Clock puts the timestamps of several streams of one source on one timeline that goes forward: they wrap, encoders
// restart their counters, and the streams of a source do not restart in the same instant.
type Clock struct {
	// Wrap is the number of ticks after which timestamps begin again at 0; zero if they do not.
	Wrap int64

	// FromZero says that the timeline starts at 0, instead of where the timestamps do.
	FromZero bool

	started bool
	raw     int64 // the last timestamp of any stream, unwrapped
	shift   int64 // what streams that follow the newest jump are moved by
	begun   bool  // a DTS has been given out
	latest  int64 // the latest of them
}

// A Place is one stream's place on the timeline of a [Clock]. The zero Place is that of a stream that has not begun.
type Place struct {
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

// At returns the DTS of a unit of the stream at p, and says whether the stream has jumped. The DTS of a stream never
// stands still.
func (c *Clock) At(p *Place, timestamp int64) (dts int64, jumped bool) {
	switch {
	case !c.started:
		c.raw, c.started = timestamp, true
		if c.FromZero {
			c.shift = -timestamp
		}
	case c.Wrap > 0:
		c.raw += c.shorter(timestamp - c.raw)
	default:
		c.raw = timestamp
	}
	if !p.started {
		p.shift = c.shift
	}
	if !c.fits(p, p.shift) {
		jumped = p.started
		if !c.fits(p, c.shift) {
			c.shift = max(p.last, c.latest) + joint - c.raw
		}
		p.shift = c.shift
	}
	dts = c.raw + p.shift
	if p.started && dts <= p.last {
		dts = p.last + 1
	}
	p.started, p.last = true, dts
	if !c.begun || dts > c.latest {
		c.begun, c.latest = true, dts
	}
	return dts, jumped
}

// fits says whether the stream at p goes on at the newest timestamp, moved by shift.
func (c *Clock) fits(p *Place, shift int64) bool {
	at := c.raw + shift
	if !p.started {
		return !c.begun || at >= c.latest-maxAhead && at <= c.latest+maxAhead
	}
	return at >= p.last-maxBack && at <= max(p.last, c.latest)+maxAhead
}

// shorter returns the distance of two timestamps by the shorter way round.
func (c *Clock) shorter(distance int64) int64 {
	if c.Wrap == 0 {
		return distance
	}
	half := c.Wrap / 2
	if distance = (distance + half) % c.Wrap; distance < 0 {
		distance += c.Wrap
	}
	return distance - half
}

// PictureAt is [Clock.At] for a unit that has a PTS too.
func (c *Clock) PictureAt(p *Place, dts, pts int64) (movedDTS, movedPTS int64, jumped bool) {
	composition := c.shorter(pts - dts)
	if composition < -maxAhead || composition > maxAhead {
		composition = 0
	}
	dts, jumped = c.At(p, dts)
	return dts, max(c.raw+p.shift+composition, dts), jumped
}
