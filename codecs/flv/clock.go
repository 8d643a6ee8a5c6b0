package flv

// A clock turns the 32-bit milliseconds of a publisher into one timeline that starts at zero and goes forward: the
// wire wraps after 49.7 days, encoders restart their counters, and audio and video do not restart in the same message.
// The zero clock is ready.
type clock struct {
	started bool
	last    uint32 // as it was on the wire
	raw     int64  // last, unwrapped
	shift   int64  // what makes raw a time of the timeline, for tracks that follow the newest restart
	top     int64  // the latest time given to any track
}

// A trackClock is one track's place on the timeline. The zero trackClock is ready.
type trackClock struct {
	started bool
	shift   int64
	at      int64 // the last time given
}

// The limits of what is taken for jitter. Beyond them the sender has restarted its counter.
const (
	maxBack    = 1000  // ms behind the track's own last time
	maxAhead   = 10000 // ms ahead of the latest time of any track
	maxLate    = 9000  // ms by which a track may begin behind the others
	restartGap = 40    // ms put between the last time before a restart and the first after it
)

// time returns the time of a message of track t that carries ts, in milliseconds, and whether the timeline was broken
// there.
func (c *clock) time(t *trackClock, ts uint32) (ms int64, broken bool) {
	if !c.started {
		c.started, c.last, c.raw, c.shift = true, ts, int64(ts), -int64(ts)
	}
	c.raw += int64(int32(ts - c.last))
	c.last = ts
	if !t.started {
		t.started, t.shift, t.at = true, c.shift, c.top-maxLate+maxBack
	}
	fits := func(ms int64) bool { return ms >= t.at-maxBack && ms <= c.top+maxAhead }
	ms = c.raw + t.shift
	if !fits(ms) {
		broken = true
		if ms = c.raw + c.shift; !fits(ms) {
			ms = c.top + restartGap
			c.shift = ms - c.raw
		}
		t.shift = c.shift
	}
	t.at = ms
	c.top = max(c.top, ms)
	return ms, broken
}

// A grid gives audio frames the exact times that their sample count implies; the wire's milliseconds only say where
// the grid lies. The zero grid has no place yet.
type grid struct {
	placed  bool
	anchor  int64 // ticks
	samples int64 // since anchor
}

// gridSlack is how far, in ticks, the wire may be off the grid: a millisecond of rounding, and as much again for
// senders that round twice.
const gridSlack = 180

// place returns the DTS, in ticks, of a frame of n samples that the wire puts at dts.
func (g *grid) place(dts, n, rate int64) int64 {
	on := g.anchor + g.samples*90000/rate
	if !g.placed || dts < on-gridSlack || dts > on+gridSlack {
		g.placed, g.anchor, g.samples, on = true, dts, 0, dts
	}
	g.samples += n
	return on
}
