package timeline

import (
	"weir/codecs"
	"weir/codecs/order"
	"weir/codecs/reception"
)

// A Track is one track of a [Timeline]. It belongs to the goroutine of the timeline.
type Track struct {
	Name string // for reports

	l      *Timeline
	video  bool
	broken int // breaks of the timeline that it has followed
	again  int // repetitions of the input that are over

	started bool
	shift   int64
	raw     int64 // the last timestamp, unwrapped, of what became the DTS
	last    int64 // the last DTS given out
	mark    bool  // the next unit is the first behind a jump

	candidate    int64 // the shift of a timeline to which the last unit may have jumped
	hasCandidate bool

	interval int64 // usual distance of pictures; 0 until there are two
	still    int   // units in a row whose timestamps did not rise
	stalled  bool
	lead     int64 // by how much the DTS is moved forward, because of a PTS before it

	explicit bool // some pictures have a DTS
	reorder  reorder
	gaps     gaps
	grid     grid
	drift    drift
}

// The length of a unit of sound is in samples, of which there are rate in a second.
type sound struct{ samples, rate int64 }

func (s sound) ticks() int64 { return s.samples * codecs.ClockRate / s.rate }

// A unit is an access unit with its times in unwrapped timestamps.
type unit struct {
	au       *codecs.AccessUnit
	dts, pts int64
	picture  order.Picture
	sound    sound // of the zero sound, if it is a picture
}

// stillLimit is how many units in a row have timestamps that do not rise before the track is said to stand still.
const stillLimit = 8

// Picture puts an access unit of video on the timeline, and returns the access units that have their place now, in the order in which
// they came: none while one waits for the time of another. DTS, PTS and Discontinuity are set.
func (t *Track) Picture(au *codecs.AccessUnit, at Stamp, p order.Picture) []*codecs.AccessUnit {
	if t.repeats(at) {
		return nil
	}
	u := unit{au: au, picture: p}
	switch {
	case !at.hasPTS:
		return t.gaps.without(t, u)
	case at.hasDTS:
		t.explicit = true
		u.dts = t.l.unwrap(at.dts)
		composition := t.l.shorter(at.pts - at.dts)
		if composition < -maxLead || composition > maxAhead {
			composition = 0
			t.l.repaired()
		}
		u.pts = u.dts + composition
		t.reorder.note(u.pts, p, t.distance())
	default:
		u.pts = t.l.unwrap(at.pts)
		u.dts = t.reorder.dts(u.pts, p, t.distance())
		if t.explicit && u.pts+t.shift > t.last {
			u.dts = u.pts
		}
	}
	return t.gaps.with(t, u)
}

// Sound puts an access unit of sound on the timeline, which has so many samples, of which there are rate in a second. It returns nil
// for one that has no place, because there has been no timestamp yet. DTS, PTS and Discontinuity are set.
func (t *Track) Sound(au *codecs.AccessUnit, at Stamp, samples, rate int) *codecs.AccessUnit {
	if t.repeats(at) {
		return nil
	}
	u := unit{au: au, sound: sound{int64(samples), int64(rate)}}
	switch {
	case at.hasPTS:
		u.dts = t.l.unwrap(at.pts)
	case !t.started:
		t.l.cfg.Report.Count(reception.SkippedUnits, 1, nil)
		return nil
	default:
		if !at.follows {
			t.l.repaired()
		}
		u.dts = t.grid.next(u.sound.rate) - t.shift - t.drift.correction
	}
	u.pts = u.dts
	return t.place(u)
}

// repeats says whether a unit is one that has come before, of an input that may repeat some. What has no time follows on what is before it.
func (t *Track) repeats(at Stamp) bool {
	if t.again == t.l.again {
		return false
	}
	if t.started && t.broken == t.l.broken && at.hasPTS {
		raw := at.pts
		if at.hasDTS {
			raw = at.dts
		}
		behind := t.l.shorter(raw - t.raw)
		if behind > 0 || behind < -maxRepeated {
			t.again = t.l.again
			return false
		}
	} else if !t.started || t.broken != t.l.broken {
		t.again = t.l.again
		return false
	}
	t.l.cfg.Report.Count(reception.SkippedUnits, 1, errRepeated)
	return true
}

// Renew says that the access units that follow are coded otherwise: the next one is marked as a discontinuity if there was one before.
func (t *Track) Renew() {
	t.mark = t.mark || t.started
	t.grid, t.reorder.counts = grid{}, nil
}

// Flush places what waits for a time, because nothing follows.
func (t *Track) Flush() []*codecs.AccessUnit { return t.gaps.flush(t) }

// Break says that the next timestamp is of another timeline, as after a discontinuity of HLS. It is called for each track. Where the
// timestamps happen to go on, within a second, they are kept.
func (t *Track) Break() {
	if t.broken == t.l.broken { // else another track was the first to follow
		t.l.broken++
	}
}

// distance is that of two pictures, as far as it is known.
func (t *Track) distance() int64 {
	if t.interval > 0 {
		return t.interval
	}
	return usual
}

// place gives an access unit its place.
func (t *Track) place(u unit) *codecs.AccessUnit {
	if u.pts < u.dts-t.lead {
		t.lead = min(u.dts-u.pts, maxLead)
	}
	raw := u.dts - t.lead + t.drift.correction
	outlier := t.settle(raw, u)
	dts := raw + t.shift
	moved := false // the DTS is not what the timestamp says
	switch rose := !t.started || raw > t.raw; {
	case outlier:
		t.candidate, t.hasCandidate = max(t.last, t.l.latest)+joint-raw, true
		dts, moved = t.last+t.distance(), true
		if !t.video {
			dts = t.grid.next(u.sound.rate)
		}
		t.l.repaired()
	case rose && dts > t.last || !t.started:
		t.pace(dts)
		t.still = 0
	default:
		if rose {
			t.still = 0
		} else {
			t.still++
		}
		dts, moved = t.behind(u.sound), t.still >= stillLimit
		t.l.repaired()
	}
	t.stall()
	if !t.video {
		if dts = t.grid.place(dts, u.sound, 2*t.l.cfg.Rounded); t.started && dts <= t.last {
			dts = t.last + 1
		}
	}
	if !outlier {
		t.raw = raw
	}
	t.started, t.last = true, dts
	if !t.l.begun || dts > t.l.latest {
		t.l.begun, t.l.latest = true, dts
	}
	u.au.DTS = dts
	switch {
	case !t.video:
		u.au.PTS = dts
		t.drift.heard(t, u.sound)
	case moved:
		u.au.PTS = dts + max(0, u.pts-u.dts)
	default:
		u.au.PTS = max(dts, u.pts+t.shift)
	}
	u.au.Discontinuity, t.mark = t.mark, false
	return u.au
}

// settle finds the shift of the timeline to which a timestamp belongs. It says whether the timestamp is an outlier so far.
func (t *Track) settle(raw int64, u unit) (outlier bool) {
	l := t.l
	switch {
	case t.started && t.broken != l.broken:
		t.follow(raw)
	case !t.started:
		if !t.fits(raw, l.shift, maxBack, maxAhead) {
			l.shift = l.latest + joint - raw
		}
		t.shift, t.broken = l.shift, l.broken
		return false
	case raw == t.raw || t.fits(raw, t.shift, maxBack, maxAhead):
	case t.shift != l.shift && t.fits(raw, l.shift, maxBack, maxAhead): // another track has jumped there
		t.jump(l.shift)
	case t.hasCandidate && t.fits(raw, t.candidate, maxBack, maxAhead):
		l.shift = t.candidate
		t.jump(l.shift)
	case t.video && u.au.RandomAccess:
		before := t.shift
		l.shift = max(t.last, l.latest) + joint - raw
		t.jump(l.shift)
		t.candidate, t.hasCandidate = before, true // in case that it is an outlier after all
		return false
	default:
		return true
	}
	t.hasCandidate = false
	return false
}

// follow finds the shift behind a break. The first track that comes decides whether the timestamps happen to go on.
func (t *Track) follow(raw int64) {
	l := t.l
	first := l.joined != l.broken
	t.broken, l.joined = l.broken, l.broken
	switch {
	case first && t.fits(raw, t.shift, -1, afterBreak):
		l.shift = t.shift
	case first || !t.fits(raw, l.shift, maxBack, maxAhead):
		l.shift = max(t.last, l.latest) + joint - raw
	}
	if t.shift != l.shift {
		t.jump(l.shift)
	}
	t.mark = true
}

func (t *Track) jump(shift int64) {
	t.shift, t.mark, t.still = shift, true, 0
	t.raw = min(t.raw, t.last-shift)
	t.drift.reset()
	t.grid = grid{}
	t.l.repaired()
}

// fits says whether the track goes on at a timestamp, moved by shift: not more than back behind itself, nor more than ahead before all
// tracks.
func (t *Track) fits(raw, shift, back, ahead int64) bool {
	at := raw + shift
	if !t.started {
		return !t.l.begun || at >= t.l.latest-ahead && at <= t.l.latest+ahead
	}
	return at >= t.last-back && at <= max(t.last, t.l.latest)+ahead
}

// behind is the place of a unit whose timestamp is not behind the one before.
func (t *Track) behind(s sound) int64 {
	switch {
	case !t.video:
		return max(t.grid.next(s.rate)-s.ticks()/slowest, t.last+1)
	case t.still >= stillLimit:
		return t.last + t.distance()
	}
	return t.last + max(min(t.interval/2, usual), least)
}

// pace learns the usual distance of pictures.
func (t *Track) pace(dts int64) {
	d := dts - t.last
	if !t.video || !t.started || d > maxInterval {
		return
	}
	if t.interval == 0 {
		t.interval = d
	}
	t.interval += (d - t.interval) / 8
}

// stall reports that the timestamps stand still, and that they go on.
func (t *Track) stall() {
	if stalled := t.still >= stillLimit; stalled != t.stalled {
		t.stalled = stalled
		reason := ""
		if stalled {
			reason = "the timestamps of " + t.Name + " stand still"
		}
		t.l.cfg.Report.Meet(reception.Stalled, reason)
	}
}
