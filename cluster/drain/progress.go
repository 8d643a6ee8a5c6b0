package drain

import (
	"time"

	"weir/protocols/api"
)

const (
	handingOver = "handing over"
	waiting     = "waiting"
)

// quietLimit is how long a node must have served no playlist and no segment before it may end: two target durations. Players that
// got a playlist from another node may still fetch segments from this one.
const quietLimit = 8 * time.Second

// A silence measures for how long no playlist and no segment has been served.
type silence struct {
	served uint64        // the number of playlists and segments
	lasts  time.Duration // for how long the number has not changed
}

// newSilence begins with the number that was served so far. If it is zero, the silence is long enough from the beginning.
func newSilence(served uint64) silence {
	s := silence{served: served}
	if served == 0 {
		s.lasts = quietLimit
	}
	return s
}

// take takes a newer number. Passed is the time since the last one. It reports whether the silence is long enough.
func (s *silence) take(served uint64, passed time.Duration) bool {
	if s.lasts += passed; served != s.served {
		s.served, s.lasts = served, 0
	}
	return s.lasts >= quietLimit
}

// over says whether the node may end: either no client needs it any more, or there is no other node that could serve its viewers.
func over(st api.Drain, quiet bool) bool {
	return st.State == waiting && (st.Alone || st.Left > 0 || st.Viewers == 0 && st.Relays == 0 && quiet)
}
