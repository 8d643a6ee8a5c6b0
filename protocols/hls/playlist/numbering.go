package playlist

import (
	"errors"
	"time"
)

// A Numbering is how the playlists of one server are renumbered for one viewer. The zero Numbering changes nothing.
//
// Each server of a balancer may capture a stream for itself, and then numbers its segments in its own way. A viewer that
// is moved from one server to another must not see numbers go back (RFC 8216, 6.2.2). The viewer's playlist after the move
// is the new server's with numbers that go on, and with a discontinuity at the first segment of the new server. Where
// both servers number alike the numbering stays as it is.
type Numbering struct {
	moved           bool
	from            int64 // the first segment that the viewer is shown, by the server's number; a discontinuity is before it
	offset          int64 // is added to media sequence numbers
	discontinuities int64 // is added to discontinuity sequence numbers
}

// ErrBehind says that a server has no segment yet that comes after those that a viewer was shown.
var ErrBehind = errors.New("the server is behind the last playlist")

const (
	// tolerance is by how much two servers may differ about the instant at which one segment starts.
	tolerance = 100 * time.Millisecond

	// clocksAgree is how many segments the newest segment of one node may begin before the newest of another ends. Of live streams
	// it is one or two; what is more comes from clocks that differ.
	clocksAgree = 5

	// liveEdge is how many segments before the end a viewer goes on that has missed some.
	liveEdge = 3
)

// Follow returns the numbering by which the playlist after is shown to a viewer that was shown before, of another server,
// by n. The error is ErrBehind if after has no newer segment; with force the viewer is shown the last one all the same.
func (n Numbering) Follow(before, after *Playlist, force bool) (Numbering, error) {
	last := before.last()
	end := last.Start.Add(last.Duration)
	if same := after.at(last.Number); same != nil && alike(same.Start, last.Start) ||
		after.First() == last.Number+1 && alike(after.Segments[0].Start, end) {
		return n, nil // both servers number alike
	}
	newest := after.last()
	if same := before.at(newest.Number); same != nil && alike(same.Start, newest.Start) && !force {
		return n, ErrBehind // both servers number alike, and the new one is a little late
	}
	at := len(after.Segments)
	for i, s := range after.Segments {
		if !s.Start.Before(end.Add(-s.Duration / 2)) {
			at = i
			break
		}
	}
	switch {
	case at == len(after.Segments) && !force:
		return n, ErrBehind
	case at == len(after.Segments):
		at--
	case at == 0: // segments are missing in between, or the clocks of the servers differ
		at = max(0, len(after.Segments)-liveEdge)
	}
	first := after.Segments[at]
	return Numbering{
		moved: true, from: first.Number,
		offset:          last.Number + n.offset + 1 - first.Number,
		discontinuities: last.sequence + n.discontinuities + 1 - first.sequence,
	}, nil
}

// GoOn returns the numbering by which the playlist after of a node of the group is shown behind before, which n numbered. The
// numbers stay as they are. It says false if after has no segment that comes after those of before, in number and in time.
//
// Two nodes that did not hear each other have given the same numbers to different segments, and one of them goes on. Viewers
// of the other are shown what follows on the last segment that they know, with a discontinuity, and the discontinuity
// sequence number goes up by one.
func (n Numbering) GoOn(before, after *Playlist) (Numbering, bool) {
	last, first, newest := before.last(), after.Segments[0], after.last()
	end := last.Start.Add(last.Duration)
	agree := !newest.Start.IsZero() && end.Sub(newest.Start) < clocksAgree*last.Duration
	follows := func(s Segment) bool {
		return s.Number > last.Number && (!agree || !s.Start.Before(end.Add(-s.Duration/2)))
	}
	same := after.at(last.Number)
	switch {
	case after.Last() < last.Number:
		return n, false
	case same != nil && (same.Start.IsZero() || alike(same.Start, last.Start)):
		n.discontinuities += last.sequence - same.sequence
		return n, true
	case follows(first) && (first.sequence > last.sequence || first.Number == last.Number+1 && first.sequence == last.sequence):
		return n, true
	}
	for _, s := range after.Segments {
		if follows(s) {
			return Numbering{moved: true, from: s.Number, discontinuities: last.sequence + n.discontinuities + 1 - s.sequence}, true
		}
	}
	return n, false
}

// First is the number of the first segment of a playlist that the viewer is shown.
func (n Numbering) First(p *Playlist) int64 {
	if n.moved {
		return max(p.First(), n.from)
	}
	return p.First()
}

func alike(a, b time.Time) bool { return !a.IsZero() && a.Sub(b).Abs() <= tolerance }

// Shows says whether the viewer is shown any segment of a playlist.
func (n Numbering) Shows(p *Playlist) bool { return !n.moved || p.Last() >= n.from }

// breaks says whether a discontinuity stands before a segment.
func (n Numbering) breaks(s Segment) bool { return s.Discontinuity || n.moved && s.Number == n.from }
