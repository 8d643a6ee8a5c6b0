package m3u8

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Follower finds out which segments of a media playlist are new, from reload to reload. The zero Follower has seen none.
type Follower struct {
	started bool
	next    int64  // the number that follows the last segment that was given out
	seen    []seen // the last segments that were given out or passed over, the newest last
	behind  int    // reloads in a row whose numbers have gone back
	idle    int    // reloads in a row that brought nothing new
	target  time.Duration
	ended   bool
	anew    bool // the server counts otherwise than before, of which the news has not been given
}

// A seen is a segment that was given out or passed over.
type seen struct {
	identity string
	number   int64
	ended    time.Time // when it was the newest one of the server
}

const (
	// edge is how many target durations before the end of a live playlist reading begins (6.3.3).
	edge = 3

	// believed is for how many reloads a playlist whose numbers go back is taken for an old one, as caches give it out. After that the
	// server is taken to have begun anew.
	believed = 3

	maxSeen = 256

	// mostMissed bounds how far before the end of a playlist that counts otherwise reading goes on.
	mostMissed = time.Minute
)

// News is what a reload brought.
type News struct {
	Segments []Segment // the new ones
	Lost     int64     // how many segments were in the window and are no more, before the first of the new ones
	Restart  bool      // the server has begun anew: nothing is known of what is missing
}

// Take takes in a media playlist that has come now.
func (f *Follower) Take(p *Playlist, now time.Time) (n News) {
	f.target, f.ended = p.Target, p.Ended
	defer func() {
		ended := now
		for _, s := range n.Segments {
			ended = ended.Add(-s.Duration)
		}
		for _, s := range n.Segments {
			ended = ended.Add(s.Duration)
			f.see(s, ended)
		}
		if f.idle++; len(n.Segments) > 0 {
			f.idle = 0
			n.Restart, f.anew = n.Restart || f.anew, false
		}
	}()
	if len(p.Segments) == 0 {
		return News{}
	}
	first, last := p.Segments[0].Number, p.Segments[len(p.Segments)-1].Number
	if at, ok := f.follows(p); ok {
		f.recount(p.Segments[at-1].Number)
	}
	switch {
	case !f.started:
		f.started = true
		at := min(p.begin(), p.before(min(f.missed(now), mostMissed)))
		for _, s := range p.Segments[:at] {
			f.see(s, now)
		}
		return f.give(p.Segments[at:])
	case last+1 < f.next:
		if f.behind++; f.behind < believed {
			return News{}
		}
		f.behind = 0
		return f.restart(p, now)
	case last+1 == f.next:
		f.behind = 0
		return News{}
	}
	f.behind = 0
	if first > f.next {
		lost := first - f.next
		if time.Duration(min(lost, 1<<20))*f.target > 2*f.missed(now)+mostMissed {
			return f.restart(p, now)
		}
		n = f.give(p.Segments)
		n.Lost = lost
		return n
	}
	return f.give(p.Segments[f.next-first:])
}

// recount takes the number that the last segment has now, by its name. Caches give out old playlists with old numbers; another number
// is that of a server that counts otherwise.
func (f *Follower) recount(number int64) {
	by := number - f.seen[len(f.seen)-1].number
	if by == 0 {
		return
	}
	for i := range f.seen {
		f.seen[i].number += by
	}
	f.next, f.anew = number+1, true
}

// give gives segments out.
func (f *Follower) give(list []Segment) News {
	if len(list) > 0 {
		f.next = list[len(list)-1].Number + 1
	}
	return News{Segments: list}
}

// restart goes on with a playlist that counts otherwise and does not list the last segment: as far before its end as that segment was
// its end, and a little more, since what is repeated is known by its times and what is passed over is lost.
func (f *Follower) restart(p *Playlist, now time.Time) News {
	at := min(p.begin(), p.before(min(f.missed(now), mostMissed)))
	for i, s := range p.Segments {
		if p.distinct() && slices.ContainsFunc(f.seen, func(o seen) bool { return o.identity == identity(s) }) {
			at = i + 1
		}
	}
	n := f.give(p.Segments[at:])
	f.next = p.Segments[len(p.Segments)-1].Number + 1
	n.Restart = len(n.Segments) > 0
	return n
}

// missed is how long ago the last segment that was seen was the newest of the server.
func (f *Follower) missed(now time.Time) time.Duration {
	if len(f.seen) == 0 {
		return 0
	}
	return now.Sub(f.seen[len(f.seen)-1].ended)
}

// follows is the index of the segment behind the last one that was seen, as far as names say: not where they do not differ, or come
// round again.
func (f *Follower) follows(p *Playlist) (at int, ok bool) {
	if len(f.seen) == 0 || !p.distinct() {
		return 0, false
	}
	last := f.seen[len(f.seen)-1].identity
	if slices.ContainsFunc(f.seen[:len(f.seen)-1], func(o seen) bool { return o.identity == last }) {
		return 0, false
	}
	at = slices.IndexFunc(p.Segments, func(s Segment) bool { return identity(s) == last })
	return at + 1, at >= 0
}

// begin is the index of the segment with which reading begins.
func (p *Playlist) begin() int {
	if p.Complete {
		return 0
	}
	return p.before(edge * p.Target)
}

// before is the index of the last segment from which on there is so much, or 0.
func (p *Playlist) before(left time.Duration) int {
	for i := len(p.Segments) - 1; i > 0; i-- {
		if left -= p.Segments[i].Duration; left <= 0 {
			return i
		}
	}
	return 0
}

// identity names a segment without the query of its URI, which may be a token that changes from reload to reload.
func identity(s Segment) string {
	uri, _, _ := strings.Cut(s.URI, "?")
	if s.Bytes.Length > 0 {
		uri += "@" + strconv.FormatInt(s.Bytes.Offset, 10)
	}
	return uri
}

// distinct says whether the segments can be told apart by their identities.
func (p *Playlist) distinct() bool {
	return len(p.Segments) < 2 || identity(p.Segments[0]) != identity(p.Segments[1])
}

func (f *Follower) see(s Segment, ended time.Time) {
	if len(f.seen) >= maxSeen {
		f.seen = slices.Delete(f.seen, 0, maxSeen/2)
	}
	f.seen = append(f.seen, seen{identity(s), s.Number, ended})
}

// Ended says that the playlist that was taken in last is the last one.
func (f *Follower) Ended() bool { return f.ended }

// Reload is how long after the last request the playlist is asked for again (6.3.4): its target duration, or half of it when it has not
// changed.
func (f *Follower) Reload() time.Duration {
	d := max(f.target, 500*time.Millisecond)
	if f.idle > 0 {
		d /= 2
	}
	return d
}

// Resume has the segment with a number be the next one, of those that have been given out already.
func (f *Follower) Resume(number int64) {
	f.next = number
	before := int64(math.MaxInt64)
	for n := len(f.seen); n > 0 && f.seen[n-1].number >= number && f.seen[n-1].number < before; n-- {
		before = f.seen[n-1].number
		f.seen = f.seen[:n-1]
	}
}
