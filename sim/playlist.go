package sim

import (
	"slices"
	"time"

	"weir/cluster/directory"
	"weir/protocols"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
)

const (
	// window is how many segments a playlist has.
	window = 5

	// behind is how many segments before the newest one a player begins.
	behind = 3

	// inheritLimit is how long a capture that takes over from one that runs waits for that one's segments.
	inheritLimit = 6 * time.Second
)

// A segment is what a player fetches by its number: the media of the source between two places.
type segment struct {
	number   int64
	from, to time.Duration
	of       *feed
	handed   *feed // the capture that has handed its segments over to of; nil: none
}

// A segmentRun is a sequence of segments that were cut without a break. It ends where end says; zero: not yet.
type segmentRun struct {
	first       int64
	anchor, end time.Duration
	of          *feed
	before      *segmentRun // what the window had before, from the owner before
}

// A list is a playlist as a player gets it. It is immutable.
type list struct {
	segments []segment
	base     *machine // from which segments come; nil: from the host
	boots    int      // of base, or of the host
}

func (l *list) first() int64 { return l.segments[0].number }
func (l *list) last() int64  { return l.segments[len(l.segments)-1].number }

// shown is the playlist of a stream that a node shows its players.
type shown struct {
	boots  int
	repeat playlist.Repeat
	newest *list
	from   int64 // the number of the first segment that players may be shown
}

// goOn gives what players are shown of a list behind the newest one, as [playlist.Numbering.GoOn] has it; false if nothing of
// it comes after that, in number and in time.
func (sh *shown) goOn(l *list) (*list, bool) {
	last := sh.newest.segments[len(sh.newest.segments)-1]
	at := slices.IndexFunc(l.segments, func(s segment) bool { return s.number >= last.number })
	switch {
	case at < 0:
		return l, false
	case l.segments[at].number == last.number && l.segments[at].from == last.from:
		return l.since(sh.from), true
	}
	for _, s := range l.segments[at:] {
		if s.number > last.number && s.from >= last.to-(s.to-s.from)/2 {
			sh.from = s.number
			return l.since(sh.from), true
		}
	}
	return l, false
}

// since is the list from a number on.
func (l *list) since(number int64) *list {
	at := slices.IndexFunc(l.segments, func(s segment) bool { return s.number >= number })
	if at == 0 {
		return l
	}
	return &list{l.segments[at:], l.base, l.boots}
}

// A reader is a player's place in a playlist.
type reader struct {
	of   *feed // of the newest segment
	last int64 // the number of the newest segment that the player has; -1: none
	seen int64 // that of the newest segment in the playlist that the player has got last
}

// cut is the run of the segments of a capture.
func (f *feed) cut() *segmentRun { return &segmentRun{f.first, f.anchor, 0, f, f.before} }

// list is what a node has for a player's playlist; nil if there is no segment yet.
func (f *feed) list(at *machine) *list {
	w := f.m.w
	if f.upAt < 0 || f.waits() {
		return nil
	}
	l := &list{boots: at.boots}
	run := f.cut()
	for n := f.current() - 1; len(l.segments) < window && run != nil; {
		if n < run.first {
			if run = run.before; run != nil {
				n = min(n, run.number(run.end, w.segment)) // the last one is shorter
			}
			continue
		}
		from := run.anchor + time.Duration(n-run.first)*w.segment
		to := from + w.segment
		var handed *feed
		if run.before != nil {
			handed = run.before.of
		}
		if run.end > 0 {
			to = min(to, run.end)
		}
		l.segments = append([]segment{{n, from - run.of.lag(), to - run.of.lag(), run.of, handed}}, l.segments...)
		n--
	}
	if len(l.segments) == 0 {
		return nil
	}
	return l
}

// number is that of the segment which is being cut at an instant.
func (r *segmentRun) number(at, length time.Duration) int64 {
	return r.first + int64((at-r.anchor)/length)
}

// waits says whether the segments of a capture are not shown yet: the owner before it is to hand its own over first.
func (f *feed) waits() bool {
	return f.succeeds && f.before == nil && f.m.w.now-f.upAt < inheritLimit
}

// follows says whether a capture that begins to deliver takes over from one that its node reaches and that runs.
func (f *feed) follows() bool {
	for g := range f.m.w.feeds(f.s) {
		if g != f && g.delivers() && f.m.w.carries(f.m, g.m) {
			return true
		}
	}
	return false
}

// reads lets a player that reads playlists reload, as often as such players do, and fetch what is new.
func (v *viewer) reads(w *world, view *directory.View) {
	if w.now < v.next {
		return
	}
	v.next = w.now + w.segment/2
	defer func() { w.viewers.wake(v.next) }()
	l, settled := v.playlist(w, view)
	if v.phase == away {
		return
	}
	if l == nil {
		v.next = w.now + min(comeBack, w.segment/2)
		switch limit := v.hold(view.Streams[v.s.name].OnDemand); {
		case settled:
			v.end(w, "refused")
		case v.phase == asking && w.now-v.since >= limit:
			v.end(w, "held for too long")
		}
		return
	}
	if v.phase == asking {
		v.phase, v.since = playing, w.now
		w.viewerLine(v, "plays").text("at", v.host.name).causes()
	}
	v.reload(w, l)
}

// reload takes in a playlist, and fetches the segments that are new.
func (v *viewer) reload(w *world, l *list) {
	r := &v.hls
	w.oraclePlaylist(v, l)
	if l.last() != r.seen {
		v.next = w.now + w.segment
	}
	if r.seen = l.last(); r.last < 0 || r.last+1 < l.first() { // the player goes on where it would begin
		r.last = max(r.last, l.first()-1, l.last()-behind)
	}
	for _, s := range l.segments {
		if s.number <= r.last {
			continue
		}
		if !l.fetchable() {
			v.next = min(v.next, w.now+comeBack)
			return
		}
		v.heard = w.now
		again := time.Duration(0)
		switch {
		case r.of == s.of:
		case r.of == s.handed:
			again = mostLag
		default: // the two have cut segments beside each other; see [playlist.Numbering.GoOn]
			again = w.segment/2 + 2*mostLag
		}
		w.oracleSegment(v, s, again)
		v.moves(w, s.to-s.from)
		r.last, r.of = s.number, s.of
	}
}

// fetchable says whether a player gets the segments that a playlist names.
func (l *list) fetchable() bool {
	if l.base == nil {
		return true // the host has fetched it together with the playlist
	}
	return l.base.runs() && l.base.boots == l.boots
}

// playlist is what the host answers to a reload; settled says that it refuses for good.
func (v *viewer) playlist(w *world, view *directory.View) (l *list, settled bool) {
	m := v.host
	at := local{m.index, v.s.index}
	sh := w.viewers.shown[at]
	if sh == nil || sh.boots != m.boots {
		sh = &shown{boots: m.boots}
		w.viewers.shown[at] = sh
	}
	now := time.Unix(0, int64(w.now))
	d := view.Decide(v.request())
	switch d.Kind {
	case directory.Redirect:
		if to := w.announcing(d.Peer); v.phase == asking && to != nil && to != m {
			w.viewerLine(v, "redirected").text("at", m.name).text("to", to.name).causes()
			v.host, v.boots, v.hops = to, to.boots, v.hops+1
			v.next = w.now
			return nil, false
		}
		l = v.fetchList(w, d)
	case directory.Fetch:
		l = v.fetchList(w, d)
	case directory.Here:
		if f := m.captures[v.s.index].feed; f != nil && f.delivers() {
			l = f.list(m)
		}
	case directory.NotFound, directory.Disabled, directory.Loop:
		return nil, true
	}
	if l != nil {
		first, last := l.first(), l.last()
		if sh.newest != nil && sh.repeat.Repeats(now) {
			ok := false
			if l, ok = sh.goOn(l); !ok {
				last = min(last, sh.newest.last()-1)
			}
			first = l.first()
		}
		if sh.repeat.Take(first, last, now) {
			sh.newest = l
		}
	}
	if sh.repeat.Repeats(now) {
		return sh.newest, false
	}
	return nil, false
}

// fetchList lets the host fetch the playlist of the node that has the stream.
func (v *viewer) fetchList(w *world, d directory.Decision) *list {
	to := w.announcing(d.Peer)
	if to == nil || !to.runs() || to == v.host || to.exhausted > 0 || v.host.exhausted > 0 || !w.carries(v.host, to) ||
		w.link(v.host, to).refuse > 0 {
		return nil
	}
	there := w.viewers.directory(to)
	if there == nil {
		return nil
	}
	e := there.Decide(listen.Request{Protocol: protocols.HLS, Streams: []string{v.s.name}, Path: "/"})
	f := to.captures[v.s.index].feed
	if e.Kind != directory.Here || f == nil || !f.delivers() {
		return nil
	}
	l := f.list(to)
	if l != nil && d.Public != "" {
		l.base = to
	}
	return l
}
