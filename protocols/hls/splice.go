package hls

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Servers of a balancer that capture a stream each for itself number its segments each in its own way. A viewer who
// moves from one to another must not see numbers go back (RFC 8216, 6.2.2), so that his playlist is the other server's
// with numbers that go on, and with a discontinuity where he moved. Where both number alike he sees nothing of it.

// lines are a media playlist taken apart.
type lines struct {
	head     []byte // its tags before the first segment, without those below
	sequence int64  // media sequence number of the first segment
	breaks   int64  // discontinuity sequence number of the playlist
	pieces   []listed
}

// A listed is one segment with its tags.
type listed struct {
	number   int64
	broken   bool   // a discontinuity is before it
	init     string // its init segment; empty for none
	tags     []byte // what else stands before the URI
	uri      string
	start    time.Time // zero if it is not given
	duration time.Duration
	raw      int64 // its discontinuity sequence number
}

// parseLines takes a media playlist of this program apart.
func parseLines(text []byte) (*lines, error) {
	l := &lines{}
	p, seen := listed{}, false
	for raw := range bytes.Lines(text) {
		line := strings.TrimSuffix(string(raw), "\n")
		tag, value, _ := strings.Cut(line, ":")
		var err error
		switch {
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			l.sequence, err = strconv.ParseInt(value, 10, 64)
			seen = true
		case tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
			l.breaks, err = strconv.ParseInt(value, 10, 64)
		case line == "#EXT-X-DISCONTINUITY":
			p.broken = true
		case tag == "#EXT-X-MAP":
			p.init = strings.TrimSuffix(strings.TrimPrefix(value, `URI="`), `"`)
		case tag == "#EXT-X-PROGRAM-DATE-TIME":
			p.start, err = time.Parse("2006-01-02T15:04:05.000Z", value)
			p.tags = append(p.tags, raw...)
		case tag == "#EXTINF":
			seconds, _, _ := strings.Cut(value, ",")
			var f float64
			f, err = strconv.ParseFloat(seconds, 64)
			p.duration = time.Duration(f * float64(time.Second))
			p.tags = append(p.tags, raw...)
		case line == "":
		case strings.HasPrefix(line, "#"):
			l.head = append(l.head, raw...) // all others of ours stand at the top
		default:
			p.uri = line
			l.add(p)
			p = listed{init: p.init}
		}
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, errPlaylist)
		}
	}
	if !seen || len(l.pieces) == 0 {
		return nil, fmt.Errorf("no segments: %w", errPlaylist)
	}
	return l, nil
}

func (l *lines) add(p listed) {
	p.number, p.raw = l.sequence+int64(len(l.pieces)), l.breaks
	if n := len(l.pieces); n > 0 {
		p.raw = l.pieces[n-1].raw
	}
	if p.broken {
		p.raw++
	}
	l.pieces = append(l.pieces, p)
}

func (l *lines) last() *listed { return &l.pieces[len(l.pieces)-1] }

// at is the segment of a number, or nil.
func (l *lines) at(number int64) *listed {
	if i := number - l.sequence; i >= 0 && i < int64(len(l.pieces)) {
		return &l.pieces[i]
	}
	return nil
}

// A line is how the playlists of one server are shown to a viewer. The zero line shows them as they are.
type line struct {
	moved  bool
	from   int64 // the first segment that is shown, by the server's number; a discontinuity is before it
	offset int64 // is added to numbers
	breaks int64 // is added to discontinuity sequence numbers
}

// errBehind says that a server has nothing yet that comes after what a viewer was shown.
var errBehind = errors.New("the server is behind what was shown")

// rounding is by how much the dates of one moment may differ.
const rounding = 100 * time.Millisecond

// edge is how many segments before the end a viewer starts who has missed some.
const edge = 3

// follow is how the playlist after is shown to a viewer who was shown before, of another server, by l. It fails with
// errBehind if there is nothing new, unless forced.
func (l line) follow(before, after *lines, forced bool) (line, error) {
	last := before.last()
	end := last.start.Add(last.duration)
	if same := after.at(last.number); same != nil && alike(same.start, last.start) ||
		after.sequence == last.number+1 && alike(after.pieces[0].start, end) {
		return l, nil
	}
	if known := before.at(after.last().number); known != nil && alike(known.start, after.last().start) && !forced {
		return l, errBehind // they number alike, and it is a little late
	}
	at := len(after.pieces)
	for i := range after.pieces {
		if p := &after.pieces[i]; !p.start.Before(end.Add(-p.duration / 2)) {
			at = i
			break
		}
	}
	switch {
	case at == len(after.pieces) && !forced:
		return l, errBehind
	case at == len(after.pieces):
		at--
	case at == 0:
		at = max(0, len(after.pieces)-edge) // it begins later; or its clock differs, and nobody knows what it is
	}
	first := &after.pieces[at]
	return line{
		moved: true, from: first.number,
		offset: last.number + l.offset + 1 - first.number,
		breaks: last.raw + l.breaks + 1 - first.raw,
	}, nil
}

func alike(a, b time.Time) bool {
	d := a.Sub(b)
	return !a.IsZero() && d <= rounding && -d <= rounding
}

// shows says whether anything of a playlist is shown by l.
func (l line) shows(pl *lines) bool { return !l.moved || pl.last().number >= l.from }

// render writes a playlist as it is shown, with prefix before each URI and query behind it.
func (l *lines) render(as line, prefix, query string) []byte {
	pieces := l.pieces
	if as.moved && as.from > l.sequence {
		pieces = pieces[min(as.from-l.sequence, int64(len(pieces))):]
	}
	b := make([]byte, 0, 512+256*len(pieces))
	b = append(b, l.head...)
	broken := func(p *listed) bool { return p.broken || as.moved && p.number == as.from }
	if len(pieces) > 0 {
		first := &pieces[0]
		breaks := first.raw + as.breaks
		if broken(first) {
			breaks--
		}
		b = fmt.Appendf(b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", first.number+as.offset, breaks)
	}
	init := ""
	for i := range pieces {
		p := &pieces[i]
		if broken(p) {
			b = append(b, "#EXT-X-DISCONTINUITY\n"...)
		}
		if p.init != init {
			init = p.init
			b = fmt.Appendf(b, "#EXT-X-MAP:URI=\"%s%s%s\"\n", prefix, p.init, query)
		}
		b = append(b, p.tags...)
		b = append(b, prefix...)
		b = append(b, p.uri...)
		b = append(b, query...)
		b = append(b, '\n')
	}
	return b
}
