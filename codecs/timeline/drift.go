package timeline

import "weir/codecs"

// Rules of what counts as drift, in ticks.
const (
	window     = 5 * codecs.ClockRate      // of sound, in which the distance to the pictures is measured
	maxSpread  = codecs.ClockRate / 2      // of the distances in a window; beyond it, the order of arrival says nothing
	maxStep    = codecs.ClockRate / 20     // between two windows: 1 %, more than any clock is off; a larger one is a change of the order
	audible    = 3 * codecs.ClockRate / 50 // a difference that viewers notice (ITU-R BT.1359 puts it at 45 ms)
	slowest    = 100                       // one part of this many of its length is what a unit of sound is moved by at most
	maxDrifted = 3600 * codecs.ClockRate   // beyond it the measurement is wrong
)

// A drift measures by how much the sound is ahead of the pictures that arrive with it. What matters is not the distance, which is a
// matter of the sender, but that it grows: then two clocks run at different speeds, and pictures and sound that were made together are
// shown apart.
type drift struct {
	correction int64 // added to the timestamps of the sound
	owed       int64 // still to be added to the correction

	since       int64 // length of the window so far
	least, most int64 // distances in it
	measured    bool  // before and distance hold
	before      int64 // the distance in the last window
	distance    int64 // by how much it has grown since the beginning, without steps
}

// reset forgets the distance, as after a jump.
func (d *drift) reset() { *d = drift{correction: d.correction} }

// heard takes a unit of sound that has its place, and moves those that follow.
func (d *drift) heard(t *Track, s sound) {
	length := s.ticks()
	if step := max(-length/slowest, min(length/slowest, d.owed)); step != 0 {
		d.correction += step
		d.owed -= step
	}
	v := t.l.video
	if v == nil || !v.started {
		return
	}
	ahead := t.last - v.last
	if d.since == 0 {
		d.least, d.most = ahead, ahead
	}
	d.least, d.most = min(d.least, ahead), max(d.most, ahead)
	if d.since += max(length, 1); d.since < window {
		return
	}
	d.since = 0
	d.measure(t, (d.least+d.most)/2, d.most-d.least)
}

// measure takes the distance of a window.
func (d *drift) measure(t *Track, distance, spread int64) {
	if spread > maxSpread {
		d.measured, d.distance, d.owed = false, 0, 0
		return
	}
	if step := distance - d.before; d.measured && step < maxStep && -step < maxStep {
		d.distance += step
	}
	d.before, d.measured = distance, true
	if d.owed == 0 && (d.distance > audible || -d.distance > audible) && max(d.correction, -d.correction) < maxDrifted {
		t.l.repaired()
		d.owed = -d.distance
	}
}
