package oracle

import (
	"fmt"
	"time"
)

// A Viewer is what players can tell of one that they play, and what the source can tell of who has media. It judges that
// player alone.
type Viewer struct {
	heard time.Duration // when media, an answer or an end came last
	media time.Duration // when media came last, or the player came
	told  bool          // that it waits for too long, since then
	mute  bool          // that it gets neither media nor an end, since then

	source        uint64        // of the newest access unit
	place         time.Duration // in the source's media, of the newest access unit; -1: none
	number        int64         // of the newest segment; -1: none
	first, newest int64         // of the newest playlist; -1: none
	breaks        int64         // the discontinuity sequence number of the newest playlist; -1: none
}

// NewViewer makes the judgment of a player that comes at an instant.
func NewViewer(at time.Duration) *Viewer {
	return &Viewer{heard: at, media: at, place: -1, number: -1, first: -1, newest: -1, breaks: -1}
}

// came notes that media has come.
func (v *Viewer) came(at time.Duration) { v.heard, v.media, v.told, v.mute = at, at, false, false }

// Unit judges an access unit by its place in the media of its source: I31. Each publisher is a source of its own, after which
// another one may begin anywhere. It returns what is wrong, or nothing.
func (v *Viewer) Unit(at time.Duration, source uint64, place time.Duration) string {
	v.came(at)
	if source != v.source {
		v.source, v.place = source, -1
	}
	was := v.place
	v.place = max(v.place, place)
	if place < was {
		return fmt.Sprintf("the media goes back by %v", was-place)
	}
	return ""
}

// Playlist judges the numbers of a playlist: I31, and RFC 8216, 6.2.2.
func (v *Viewer) Playlist(first, last int64) string {
	wasFirst, was := v.first, v.newest
	v.first, v.newest = first, last
	switch {
	case last < was:
		return fmt.Sprintf("the playlist ends with segment %d, and ended with %d before", last, was)
	case first < wasFirst:
		return fmt.Sprintf("the playlist begins with segment %d, and began with %d before", first, wasFirst)
	}
	return ""
}

// Discontinuities judges the discontinuity sequence number of a playlist: I31, and RFC 8216, 6.2.2.
func (v *Viewer) Discontinuities(sequence int64) string {
	was := v.breaks
	v.breaks = sequence
	if sequence < was {
		return fmt.Sprintf("the playlist has the discontinuity sequence number %d, and had %d before", sequence, was)
	}
	return ""
}

// Segment judges a segment that the player fetches, by its number and the places of its media: I31. Where one node goes on
// after another without having heard of its last segment, less than again may come twice.
func (v *Viewer) Segment(at time.Duration, number int64, from, to, again time.Duration) string {
	v.came(at)
	wasNumber, was := v.number, v.place
	v.number, v.place = number, to
	switch {
	case number <= wasNumber:
		return fmt.Sprintf("segment %d comes after segment %d", number, wasNumber)
	case was >= 0 && from < was-again:
		return fmt.Sprintf("segment %d repeats %v of segment %d", number, was-from, wasNumber)
	}
	return ""
}

// Ended notes that the connection ended, or that the player was refused. It begins anew, from wherever it likes.
func (v *Viewer) Ended(at time.Duration) {
	*v = Viewer{heard: at, media: v.media, told: v.told, place: -1, number: -1, first: -1, newest: -1, breaks: -1}
}

// Waits judges a player that its node keeps, at an instant: I30. Since is since when somebody whom the node reaches has the
// media. It returns for how long the player has been waiting then, and what is wrong, or nothing.
func (v *Viewer) Waits(at, since, bound time.Duration) (waits time.Duration, wrong string) {
	waits = at - max(v.media, since)
	if waits <= bound || v.told {
		return waits, ""
	}
	v.told = true
	return waits, fmt.Sprintf("waits for %v although somebody has the media, want at most %v", waits, bound)
}

// Silent judges that a player gets media or an end: I33. Since is since when the node to which it is connected runs.
func (v *Viewer) Silent(at, since, bound time.Duration) string {
	silent := at - max(v.heard, since)
	if silent <= bound || v.mute {
		return ""
	}
	v.mute = true
	return fmt.Sprintf("neither media nor an end for %v, want at most %v", silent, bound)
}

// KeptBound is the longest that a player whose node keeps it waits for media that a node has whom its own node reaches: until
// its node has given up the owner before (stale), has fetched the state of the new one (poll), and has turned to it.
func KeptBound(stale, poll, delay, late, turn time.Duration) time.Duration {
	return stale + poll + 6*delay + late + turn
}

// CoworkerBound is how much longer a player waits whose stream a server of SRS may have: until its node has noticed that the server from
// which it fetched is quiet, or asks again because no server had the stream, and has got an answer and a connection.
func CoworkerBound(pause, quiet, ask time.Duration) time.Duration { return pause + 2*quiet + 3*ask }
