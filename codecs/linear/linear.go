// Package linear holds media that is a function of time: a stream whose segment of any instant every node can compute
// by itself, with the same bytes under the same media sequence number. Its clips are looped on the timeline of the Unix
// epoch, as if they had been on air since then.
//
// It knows no clock, file or container: an instant comes as ticks, and a clip as an index and a reader of payloads.
package linear

import (
	"fmt"

	"weir/codecs"
)

const clockRate = codecs.ClockRate

// MaxTicks bounds the instants at which a [Timeline] can be asked for media, some 1.6 million years from the epoch. It
// leaves room to add and compare without overflow.
const MaxTicks = 1 << 62

// A Timeline is a stream whose media is a function of time. Its methods are pure: any number of goroutines may call
// them, two nodes that call them with the same argument get equal results.
type Timeline interface {
	// Tracks are the same for the whole timeline.
	Tracks() codecs.Tracks

	// SegmentAt returns the media sequence number of the segment on air at ticks since the Unix epoch: the one whose
	// bounds hold it.
	SegmentAt(ticks int64) int64

	// Bounds returns the DTS of the first access unit of a segment and that of the following segment's, where it ends.
	Bounds(msn int64) (start, end int64)

	// Longest returns the length in ticks that no segment exceeds.
	Longest() int64

	// Segment returns the access units of a segment by ascending DTS, video first where two are equal. The first is a
	// random access point and carries the number as its Cut. Payloads may be shared with other calls; the access
	// units are the caller's.
	Segment(msn int64) ([]*codecs.AccessUnit, error)
}

// Excerpt returns the access units of the first so many seconds of a timeline, from the epoch on, such as a writer of
// clips wants. All of them are held in memory at once.
func Excerpt(t Timeline, seconds int) ([]*codecs.AccessUnit, error) {
	const most = 3600
	if seconds < 0 || seconds > most {
		return nil, fmt.Errorf("an excerpt of %d s: must be 0 to %d s", seconds, most)
	}
	end := int64(seconds) * clockRate
	var units []*codecs.AccessUnit
	for msn := t.SegmentAt(0); ; msn++ {
		if start, _ := t.Bounds(msn); start >= end {
			return units, nil
		}
		segment, err := t.Segment(msn)
		if err != nil {
			return nil, fmt.Errorf("excerpt: %w", err)
		}
		for _, au := range segment {
			if au.DTS < end {
				units = append(units, au)
			}
		}
	}
}

// Interleave merges two lists of access units that are sorted by DTS into one; where two are equal, that of the first
// list comes first.
func Interleave(video, audio []*codecs.AccessUnit) []*codecs.AccessUnit {
	switch {
	case len(video) == 0:
		return audio
	case len(audio) == 0:
		return video
	}
	units := make([]*codecs.AccessUnit, 0, len(video)+len(audio))
	for len(video) > 0 && len(audio) > 0 {
		if video[0].DTS <= audio[0].DTS {
			units, video = append(units, video[0]), video[1:]
		} else {
			units, audio = append(units, audio[0]), audio[1:]
		}
	}
	return append(append(units, video...), audio...)
}
