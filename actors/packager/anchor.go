package packager

import "time"

// renewal is for how many segments an [Anchor] is used. Two clocks of which one runs 1,000 parts per million too fast and the
// other as much too slow differ by less than an eighth of a segment after that.
const renewal = 60

// An Anchor says which segment is being cut, since when, and how long segments last. Other nodes work out from it which
// segment is being cut later, each by its own clock.
type Anchor struct {
	Number int64
	Period time.Duration
	At     time.Duration // when the segment began, by this node's monotonic clock
}

// Until is when the anchor has to be replaced although all segments were of the length that it says: by then the clocks of
// nodes have drifted apart.
func (a Anchor) Until() time.Duration { return a.At + renewal*a.Period }

// Holds says whether the other nodes still work out the number of a segment that begins now within one, although their clocks
// are up to a quarter of a segment behind. The zero Anchor does not hold.
func (a Anchor) Holds(now Anchor) bool {
	if a.Number == 0 || a.Period <= 0 || now.At >= a.Until() {
		return false
	}
	elapsed, cut := now.At-a.At, now.Number-a.Number
	slowest := int64(max(0, elapsed-a.Period/4) / a.Period)
	return cut <= slowest+1 && cut >= int64(elapsed/a.Period)-1
}
