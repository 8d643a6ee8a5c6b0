package rtp

import "weir/codecs"

// A decodingOrder finds the DTS of pictures, of which RTP carries only the PTS. Where the presentation lags behind by so many
// pictures, the DTS of a picture is the PTS that is next to last, or so many before it, of all that have come: no picture is
// shown before it is decoded, and DTS go forward. It refuses nothing, so that a camera whose times step back keeps its pictures.
type decodingOrder struct {
	newest []int64 // the largest PTS so far, the largest first, one more than the depth
	last   int64   // the last DTS
	begun  bool
}

// What a PTS that steps further than this does is start anew.
const (
	farBack  = codecs.ClockRate
	farAhead = 10 * codecs.ClockRate
)

// nominal is the distance of two pictures that is assumed before the first.
const nominal = codecs.ClockRate / 30

// at returns both times of the next picture. depth is by how many pictures the presentation lags behind.
func (o *decodingOrder) at(pts int64, depth int) (dts, shown int64) {
	if len(o.newest) == 0 || pts < o.newest[len(o.newest)-1]-farBack || pts > o.newest[0]+farAhead {
		if len(o.newest) > 0 {
			o.begun = false // the jump is for others to join
		}
		o.newest = append(o.newest[:0], pts)
	} else {
		i := 0
		for i < len(o.newest) && o.newest[i] > pts {
			i++
		}
		o.newest = append(o.newest, 0)
		copy(o.newest[i+1:], o.newest[i:])
		o.newest[i] = pts
	}
	for len(o.newest) <= depth {
		o.newest = append(o.newest, o.newest[len(o.newest)-1]-nominal)
	}
	o.newest = o.newest[:depth+1]
	dts = o.newest[depth]
	if o.begun && dts <= o.last {
		dts = o.last + 1
	}
	o.last, o.begun = dts, true
	return dts, max(pts, dts)
}
