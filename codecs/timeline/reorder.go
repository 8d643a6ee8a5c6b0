package timeline

import (
	"math/bits"
	"slices"

	"weir/codecs/order"
)

// maxInverted bounds what counts as another order. Encoders that do not say how deep theirs is use two at most.
const maxInverted = 4

// A reorder finds the DTS of pictures that have a PTS only. With pictures of which at most depth come before another one and are
// shown after it, the DTS of a picture is the smallest of the last depth+1 PTS: then each picture is decoded when its time has come
// at the latest, and the DTS rises.
type reorder struct {
	depth  int
	times  []int64 // ascending, depth+1 of them from the first picture on
	counts []int   // of the newest pictures since the last reset
}

// dts takes the PTS of the next picture and gives its DTS. Interval is the usual distance of pictures.
func (r *reorder) dts(pts int64, p order.Picture, interval int64) int64 {
	r.note(pts, p, interval)
	return r.times[0]
}

// note takes the PTS of a picture whose DTS may be known.
func (r *reorder) note(pts int64, p order.Picture, interval int64) {
	r.learn(p)
	if n := len(r.times); n > 0 && (pts < r.times[0]-maxBack || pts > r.times[n-1]+maxAhead) {
		r.times = r.times[:0] // it belongs to another timeline
	}
	if len(r.times) == 0 {
		r.times = append(r.times, pts)
	} else {
		r.fill(interval)
		r.times[0] = pts
	}
	r.fill(interval)
	slices.Sort(r.times)
}

// fill adds pictures before the first that there was.
func (r *reorder) fill(interval int64) {
	for len(r.times) <= r.depth {
		r.times = slices.Insert(r.times, 0, r.times[0]-interval)
	}
}

// learn finds the depth from what the stream says, and from the counts of its pictures.
func (r *reorder) learn(p order.Picture) {
	if p.Bounded {
		r.depth = max(r.depth, p.Depth)
	}
	if !p.Counted {
		return
	}
	if p.Reset {
		r.counts = r.counts[:0]
	}
	if n := len(r.counts); n > 0 {
		inverted := 0
		for _, c := range r.counts {
			if c > p.Count {
				inverted++
			}
		}
		if inverted > maxInverted { // a reset was lost
			r.counts, inverted = r.counts[:0], 0
		}
		r.depth = max(r.depth, inverted)
		// Nothing says how deep the order is, but the second picture leaves room for others to come: a pyramid of them, at most.
		if skipped := (p.Count-r.counts[0])/2 - 1; n == 1 && len(r.counts) == 1 && !p.Bounded && skipped > 0 {
			r.depth = max(r.depth, bits.Len(uint(min(skipped, order.MaxDepth))))
		}
	}
	if r.counts = append(r.counts, p.Count); len(r.counts) > order.MaxDepth {
		r.counts = slices.Delete(r.counts, 0, 1)
	}
}
