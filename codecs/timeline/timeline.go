// Package timeline puts the timestamps of an input's tracks on one timeline that goes forward. Every input goes through it.
//
// It knows no container and no clock: timestamps are what the input says, and repairing them waits for nothing.
package timeline

// A Stamp is what an input says of the time of an access unit, in ticks. The zero Stamp says nothing; see [At] and [Presented].
type Stamp struct {
	dts, pts       int64
	hasDTS, hasPTS bool
}

// At is the stamp of an access unit with both times.
func At(dts, pts int64) Stamp { return Stamp{dts, pts, true, true} }

// Presented is the stamp of an access unit that has a PTS only: of sound, or of a picture whose DTS follows from the order of the
// pictures.
func Presented(pts int64) Stamp { return Stamp{pts: pts, hasPTS: true} }

// Times returns both times; ok is false if the stamp says nothing.
func (s Stamp) Times() (dts, pts int64, ok bool) {
	if !s.hasDTS {
		return s.pts, s.pts, s.hasPTS
	}
	return s.dts, s.pts, true
}
