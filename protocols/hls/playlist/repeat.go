package playlist

import "time"

const (
	// RepeatFor is how long after its last change a playlist is kept: it is repeated while the stream cannot be had, and no
	// lower sequence number is served.
	RepeatFor = 10 * time.Minute

	// RefuseLowerFor is how long a playlist is repeated although only one with lower numbers is to be had. Players of the
	// former are dead when the latter is served, and new ones see old media until then.
	RefuseLowerFor = time.Minute
)

// A Repeat says whether a newer playlist is served under a URL, or the one before it once more: players are not shown media
// sequence numbers that go back, which stops a player for good (RFC 8216, 6.2.2). The zero Repeat has served none.
type Repeat struct {
	served      bool
	first, last int64     // of the playlist that was served
	changed     time.Time // when that was taken last
	lower       time.Time // since when only lower numbers are offered; zero if not
}

// Take says whether a playlist with these first and last numbers is served now. Otherwise the one before is repeated.
func (r *Repeat) Take(first, last int64, now time.Time) bool {
	if r.Repeats(now) && (first < r.first || last < r.last) {
		if r.lower.IsZero() {
			r.lower = now
		}
		if now.Sub(r.lower) < RefuseLowerFor {
			return false
		}
	}
	*r = Repeat{served: true, first: first, last: last, changed: now}
	return true
}

// Repeats says whether there is a playlist that may be repeated.
func (r *Repeat) Repeats(now time.Time) bool { return r.served && now.Sub(r.changed) < RepeatFor }
