package drain

import (
	"time"

	"weir/protocols/api"
)

const (
	handingOver = "handing over"
	waiting     = "waiting"
)

// quietLimit is how long no playlist and no segment must have been asked for before a node that served some may end: two
// target durations. Players at other nodes hold playlists that name segments of this one.
const quietLimit = 8 * time.Second

// A silence measures for how long no playlist and no segment has been served.
type silence struct {
	served uint64
	lasts  time.Duration
}

// newSilence begins with the number that was served so far. A node that has served none has nothing to wait for.
func newSilence(served uint64) silence {
	s := silence{served: served}
	if served == 0 {
		s.lasts = quietLimit
	}
	return s
}

// take takes in the number, some time after the one before, and says whether the silence is long enough.
func (s *silence) take(served uint64, passed time.Duration) bool {
	if s.lasts += passed; served != s.served {
		s.served, s.lasts = served, 0
	}
	return s.lasts >= quietLimit
}

// over says whether a node in a state may end, because nobody needs it any more, or because there is no node to which
// viewers could be sent.
func over(st api.Drain, quiet bool) bool {
	return st.State == waiting && (st.Alone || st.Left > 0 || st.Viewers == 0 && st.Relays == 0 && quiet)
}
