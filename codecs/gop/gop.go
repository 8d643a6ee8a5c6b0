// Package gop says which access unit of a stream a new viewer needs first, so that the viewer sees a picture at once and
// not only at the next random access point.
//
// It keeps sequence numbers, never media, and does not know where the access units are.
package gop

import (
	"slices"

	"weir/codecs"
)

// audioTicks is how far back a viewer of a stream without video starts: enough for a player to fill its buffer and
// begin, little enough not to be late.
const audioTicks = codecs.ClockRate

// maxPoints bounds the points that an Index keeps, even if the index is never trimmed. The oldest are dropped first: at
// one point for each access unit of video at 60 per second, an all-intra stream, it is a minute.
const maxPoints = 4096

// An Index tracks the random access points of one stream. The zero Index is empty and ready to use. It belongs to one
// goroutine.
type Index struct {
	points []point // by sequence number, strictly ascending
	video  bool    // a video track is there, and only its random access points count
	newest int64   // DTS of the newest access unit; for streams without video
}

type point struct {
	seq uint64
	dts int64
}

// Add takes note of the access unit with this sequence number. Sequence numbers ascend; one that does not is ignored.
// video says whether the stream has a video track: a viewer can then start only at a random access point of the first
// one, which is track 0, and audio decodes from there by itself. When that changes, so do the tracks, and everything
// before is dropped, because no viewer can start there any more. Without video a discontinuity is such a change too.
func (x *Index) Add(seq uint64, au *codecs.AccessUnit, video bool) {
	if n := len(x.points); n > 0 && seq <= x.points[n-1].seq {
		return
	}
	if video != x.video {
		x.Reset()
		x.video = video
	}
	if !video && au.Discontinuity {
		x.Reset() // or a viewer would be given the break within its first second
	}
	x.newest = au.DTS
	if !au.RandomAccess || video && au.Track != 0 {
		return
	}
	if len(x.points) == maxPoints {
		x.points = append(x.points[:0], x.points[1:]...)
	}
	x.points = append(x.points, point{seq: seq, dts: au.DTS})
}

// Newest returns the sequence number at which a new viewer starts: of the newest random access point, or without
// video of an access unit about a second old. ok is false when there is none yet.
func (x *Index) Newest() (seq uint64, ok bool) {
	if len(x.points) == 0 {
		return 0, false
	}
	i := len(x.points) - 1
	if !x.video {
		for i > 0 && x.newest-x.points[i-1].dts <= audioTicks && x.points[i-1].dts <= x.points[i].dts {
			i--
		}
	}
	return x.points[i].seq, true
}

// Before returns the sequence number of the last random access point that is not later than an instant: where a viewer
// that has everything up to that instant goes on, and gets some of it again. ok is false when there is none any more.
func (x *Index) Before(dts int64) (seq uint64, ok bool) {
	for _, p := range slices.Backward(x.points) {
		if p.dts <= dts {
			return p.seq, true
		}
	}
	return 0, false
}

// Trim drops the points before oldest, the sequence number of the oldest access unit that is still held.
func (x *Index) Trim(oldest uint64) {
	n := 0
	for n < len(x.points) && x.points[n].seq < oldest {
		n++
	}
	x.points = append(x.points[:0], x.points[n:]...)
}

// Reset drops all points.
func (x *Index) Reset() { *x = Index{points: x.points[:0]} }
