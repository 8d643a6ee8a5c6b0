package pull_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/fake"
	"weir/codecs/fmp4"
	"weir/codecs/mpegts"
	"weir/codecs/reception"
	"weir/protocols/pull"
)

// A station is an HLS server whose segments are a function of time. It answers requests at once, in the bubble of a test.
type station struct {
	pattern *fake.Pattern
	first   int64 // the number of the segment that is complete at the beginning
	began   time.Time
	window  int
	ended   int64 // the number of the last segment; 0: it goes on

	// answer may answer a request in the station's place: with a status and a body, or with 0 for not.
	answer func(s *station, r *http.Request, file string) (int, []byte)

	// playlist may change the lines of a media playlist, file a segment before it is sent.
	playlist func(s *station, lines []string) []string
	file     func(s *station, number int64, b []byte) []byte

	mu       sync.Mutex
	requests []string
}

const stationBase = 1000

func newStation(t *testing.T) *station {
	t.Helper()
	p, err := fake.New(fake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &station{pattern: p, began: time.Now(), window: 6, first: stationBase}
}

// newest is the number of the newest complete segment.
func (s *station) newest() int64 {
	start, end := s.pattern.Bounds(s.first)
	n := s.first + ticksSince(s.began)/(end-start)
	if s.ended > 0 {
		n = min(n, s.ended)
	}
	return n
}

func ticksSince(at time.Time) int64 {
	return int64(time.Since(at)) * codecs.ClockRate / int64(time.Second)
}

func (s *station) target() time.Duration {
	start, end := s.pattern.Bounds(s.first)
	return time.Duration(end-start) * time.Second / codecs.ClockRate
}

// patternSegments keeps the segments of the pattern, which take long to make.
var patternSegments sync.Map

func patternSegment(number int64) []*codecs.AccessUnit {
	kept, ok := patternSegments.Load(number)
	if !ok {
		p, err := fake.New(fake.Config{})
		if err != nil {
			panic(err)
		}
		units, err := p.Segment(number)
		if err != nil {
			panic(err)
		}
		kept, _ = patternSegments.LoadOrStore(number, units)
	}
	return kept.([]*codecs.AccessUnit)
}

// of are the access units of a segment, of all tracks or of those of one kind.
func (s *station) of(number int64, kind string) (codecs.Tracks, []*codecs.AccessUnit) {
	tracks, units := s.pattern.Tracks(), patternSegment(number)
	var keep []codecs.Track
	var out []*codecs.AccessUnit
	for i, track := range tracks {
		if kind == "" || (kind == "v") == track.Codec.Video() {
			keep = append(keep, track)
			for _, au := range units {
				if au.Track == i {
					c := *au
					c.Track = len(keep) - 1
					out = append(out, &c)
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *codecs.AccessUnit) int { return cmp.Compare(a.DTS, b.DTS) })
	return keep, out
}

// RoundTrip implements [http.RoundTripper].
func (s *station) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.RequestURI())
	s.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	file := strings.TrimPrefix(r.URL.Path, "/")
	status, b := 0, []byte(nil)
	if s.answer != nil {
		status, b = s.answer(s, r, file)
	}
	if status == 0 {
		if status, b = http.StatusOK, s.serve(file); b == nil {
			status = http.StatusNotFound
		}
	}
	h := http.Header{}
	if status == http.StatusFound {
		h.Set("Location", string(b))
	}
	if rest, ok := bytes.CutPrefix(b, []byte("coding:")); ok {
		name, body, _ := bytes.Cut(rest, []byte("\n"))
		h.Set("Content-Encoding", string(name))
		b = body
	}
	if rest, ok := bytes.CutPrefix(b, []byte("cookie:")); ok {
		name, body, _ := bytes.Cut(rest, []byte("\n"))
		h.Set("Set-Cookie", string(name))
		b = body
	}
	var body io.Reader = bytes.NewReader(b)
	if cut, ok := bytes.CutSuffix(b, []byte("cut off")); ok {
		body = io.MultiReader(bytes.NewReader(cut), brokenReader{})
	}
	if bytes.Equal(b, []byte("hangs")) {
		body = hangingReader{r.Context()}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(body), Request: r, ContentLength: -1}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A hangingReader brings a byte a second.
type hangingReader struct{ ctx context.Context }

func (r hangingReader) Read(b []byte) (int, error) {
	select {
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	case <-time.After(time.Second):
		return 1, nil
	}
}

// serve makes a file: NAME.m3u8, where the name begins with the kind of its tracks (v, a, or any other for all) and of its segments
// (t for transport streams, m for fragmented MP4, p for packed sound), or one of its segments.
func (s *station) serve(file string) []byte {
	name, rest, _ := strings.Cut(file, ".")
	name, number, _ := strings.Cut(name, "-")
	kind, form := "", name[len(name)-1]
	if name[0] == 'v' || name[0] == 'a' {
		kind = name[:1]
	}
	n, _ := strconv.ParseInt(number, 10, 64)
	switch rest {
	case "m3u8":
		return s.list(name, form)
	case "ts":
		tracks, units := s.of(n, kind)
		return s.sent(n, mpegts.Segment(tracks, units))
	case "aac":
		tracks, units := s.of(n, "a")
		b := append([]byte("ID3\x04\x00\x00\x00\x00\x00\x3f"), "PRIV\x00\x00\x00\x35\x00\x00com.apple.streaming.transportStreamTimestamp\x00"...)
		b = binary.BigEndian.AppendUint64(b, uint64(units[0].PTS)&(1<<33-1))
		header, err := aac.NewADTS(tracks[0].Config)
		if err != nil {
			panic(err)
		}
		for _, au := range units {
			h := header.Header(len(au.Payload))
			b = append(append(b, h[:]...), au.Payload...)
		}
		return s.sent(n, b)
	case "mp4":
		tracks, _ := s.of(s.first, kind)
		b, err := fmp4.Init(tracks)
		if err != nil {
			panic(err)
		}
		return b
	case "m4s":
		tracks, units := s.of(n, kind)
		next := make([]int64, len(tracks))
		_, after := s.of(n+1, kind)
		for i := range next {
			next[i] = after[slices.IndexFunc(after, func(au *codecs.AccessUnit) bool { return au.Track == i })].DTS
		}
		return s.sent(n, fmp4.Fragment(tracks, uint32(n), units, next))
	}
	return nil
}

func (s *station) sent(number int64, b []byte) []byte {
	if s.file != nil {
		return s.file(s, number, b)
	}
	return b
}

func (s *station) list(name string, form byte) []byte {
	last := s.newest()
	first := max(s.first-int64(s.window), last-int64(s.window)+1)
	lines := []string{"#EXTM3U", "#EXT-X-VERSION:6", fmt.Sprintf("#EXT-X-TARGETDURATION:%d", int(s.target()/time.Second)), fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d", first)}
	suffix := map[byte]string{'t': "ts", 'm': "m4s", 'p': "aac"}[form]
	if form == 'm' {
		lines = append(lines, fmt.Sprintf(`#EXT-X-MAP:URI="%s-0.mp4"`, name))
	}
	for n := first; n <= last; n++ {
		lines = append(lines, fmt.Sprintf("#EXTINF:%.3f,\n%s-%d.%s", s.target().Seconds(), name, n, suffix))
	}
	if s.ended > 0 && last == s.ended {
		lines = append(lines, "#EXT-X-ENDLIST")
	}
	if s.playlist != nil {
		lines = s.playlist(s, lines)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// A pulled is what came of a pull.
type pulled struct {
	taker
	record reception.Record
	meets  []string // what it was told of conditions, in order
	told   []int    // how many tracks were announced, each time
	times  []time.Time
	video  []bool
	ill    time.Time // since when something has been unavailable; zero if all can be had
}

func (p *pulled) SetTracks(t codecs.Tracks) {
	p.told = append(p.told, len(t))
	p.taker.SetTracks(t)
}

func (p *pulled) Write(au *codecs.AccessUnit) error {
	p.times, p.video = append(p.times, time.Now()), append(p.video, p.tracks[au.Track].Codec.Video())
	return p.taker.Write(au)
}

// Meet implements [reception.Report].
func (p *pulled) Meet(c reception.Condition, reason string) {
	p.record.Meet(c, reason)
	switch {
	case c != reception.Unavailable:
	case reason == "":
		p.ill = time.Time{}
	case p.ill.IsZero():
		p.ill = time.Now()
	}
	if n := len(p.meets); n == 0 || p.meets[n-1] != reason {
		p.meets = append(p.meets, reason)
	}
}

// LeaveOut implements [reception.Report].
func (p *pulled) LeaveOut(l []reception.LeftOut) { p.record.LeaveOut(l) }

// Count implements [reception.Report].
func (p *pulled) Count(c reception.Counter, n int, why error) { p.record.Count(c, n, why) }

// pullFor pulls for so long of the bubble's time.
func pullFor(t *testing.T, s *station, file string, d time.Duration, o pull.Options) (*pulled, error) {
	t.Helper()
	p := &pulled{}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	o.Transport, o.Report = s, p
	err := pull.HLS(ctx, "http://user:secret@station/"+file, o, p)
	return p, err
}

// pictures are the DTS of the pictures that came, and how many of them are marked as discontinuities.
func (p *pulled) pictures() (dts []int64, marked int) {
	for i, au := range p.units {
		if p.video[i] {
			dts = append(dts, au.DTS)
			if au.Discontinuity {
				marked++
			}
		}
	}
	return dts, marked
}

func (p *pulled) sounds() (n int) {
	for _, video := range p.video {
		if !video {
			n++
		}
	}
	return n
}

// atPace checks that pictures do not come in bursts, and that their times have no gap where nothing is lost.
func (p *pulled) atPace(t *testing.T, whole bool) {
	t.Helper()
	const most = 40 // in a second, of 25 and a tenth
	var at []time.Time
	last := int64(-1)
	for i, au := range p.units {
		if !p.video[i] {
			continue
		}
		if at = append(at, p.times[i]); len(at) > most && at[len(at)-1].Sub(at[len(at)-1-most]) < time.Second {
			t.Fatalf("picture %d comes less than a second after the one %d before it", len(at), most)
		}
		if whole && last >= 0 && au.DTS-last > codecs.ClockRate/2 {
			t.Fatalf("a gap of %d ticks between pictures", au.DTS-last)
		}
		last = au.DTS
	}
}

// inTime checks that all access units have the times that they have in the segments, so that sound and pictures belong together.
func (s *station) inTime(t *testing.T, p *pulled) {
	t.Helper()
	times := [2]map[int64]bool{{}, {}}
	for n := s.first - 10; n <= s.newest(); n++ {
		tracks, units := s.of(n, "")
		for _, au := range units {
			kind := 0
			if tracks[au.Track].Codec.Video() {
				kind = 1
			}
			times[kind][au.DTS&(1<<33-1)] = true
		}
	}
	for i, au := range p.units {
		kind, near := 0, false
		if p.video[i] {
			kind = 1
		}
		for d := int64(-2); d <= 2; d++ {
			near = near || times[kind][(au.DTS+d)&(1<<33-1)]
		}
		if !near {
			t.Fatalf("access unit %d, video %t, is at %d, and none of the segments is", i, p.video[i], au.DTS&(1<<33-1))
		}
	}
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

func encrypted(b, key, iv []byte) []byte {
	n := aes.BlockSize - len(b)%aes.BlockSize
	b = append(bytes.Clone(b), bytes.Repeat([]byte{byte(n)}, n)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(b, b)
	return b
}

func ivOf(number int64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8), uint64(number)) }

var stationKey = []byte("0123456789abcdef")

// numberOf is the number of a segment by the name of its file; 0 for another file.
func numberOf(file string) int64 {
	_, rest, _ := strings.Cut(file, "-")
	rest, _, _ = strings.Cut(rest, ".")
	n, _ := strconv.ParseInt(rest, 10, 64)
	return n
}

// plenty is no multiple of a segment's duration, nor of a token's.
const plenty = 61 * time.Second

// hlsCases are servers that a pull has to live with. Lost is how many segments may be missing of those of a minute.
var hlsCases = []struct {
	name  string
	file  string
	set   func(*station)
	lost  int
	marks int    // discontinuities at most
	says  string // a condition that is met on the way
	named string // of a track that is left out
}{
	{name: "transport streams", file: "xt.m3u8"},
	{name: "fragmented MP4", file: "xm.m3u8"},
	{name: "sound alone, packed", file: "ap.m3u8"},
	{name: "sound of its own, packed", file: "multi.m3u8", set: multi("vt.m3u8", "ap.m3u8")},
	{name: "sound of its own, in fragments", file: "multi.m3u8", set: multi("vm.m3u8", "am.m3u8")},
	{name: "sound of its own beside a variant with sound", file: "multi.m3u8", set: multi("xt.m3u8", "at.m3u8"), named: "AAC"},
	{name: "sound whose playlist is missing", file: "multi.m3u8", set: multi("vt.m3u8", "nothing.txt"), says: "404"},
	{name: "the first segments are forbidden for ten seconds", file: "xt.m3u8", set: refuses(http.StatusForbidden, 0, 10*time.Second), lost: 4, says: "403"},
	{name: "the server fails for ten seconds in the middle", file: "xt.m3u8", set: refuses(http.StatusInternalServerError, 20*time.Second, 30*time.Second), says: "500"},
	{name: "everything is missing for ten seconds", file: "multi.m3u8", set: both(multi("xt.m3u8", ""), refusesAll(20*time.Second, 30*time.Second)), says: "503"},
	{name: "a segment is missing for ever", file: "xt.m3u8", set: without(5, http.StatusNotFound), lost: 1, marks: 2, says: "404"},
	{name: "each fifth segment is missing once", file: "xm.m3u8", set: missingOnce},
	{name: "a segment is empty", file: "xt.m3u8", set: broken(5, func([]byte) []byte { return nil }), lost: 1, marks: 2, says: "empty"},
	{name: "a segment is cut off", file: "xt.m3u8", set: broken(5, func(b []byte) []byte { return append(bytes.Clone(b[:len(b)/2]), "cut off"...) }), lost: 1, marks: 2, says: "cut off"},
	{name: "a segment is a page", file: "xt.m3u8", set: broken(5, func([]byte) []byte { return []byte("<html>busy</html>") }), lost: 1, marks: 2, says: "<html>"},
	{name: "a gap that is announced", file: "xt.m3u8", set: changed(func(s *station, l string) string {
		return strings.Replace(l, "#EXTINF", ifSegment(l, stationBase+5, "#EXT-X-GAP\n")+"#EXTINF", 1)
	}), lost: 1, marks: 2},
	{name: "AES-128, an IV", file: "xt.m3u8", set: keyed(`#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x0000000000000000000000000000002A`, func(int64) []byte { return ivOf(42) })},
	{name: "AES-128, numbers as IV", file: "xm.m3u8", set: both(keyed(`#EXT-X-KEY:METHOD=AES-128,URI="key"`, ivOf), clearInit)},
	{name: "AES-128 in TS, numbers as IV", file: "xt.m3u8", set: keyed(`#EXT-X-KEY:METHOD=AES-128,URI="key"`, ivOf)},
	{name: "AES-128, a key that is had late", file: "xt.m3u8", set: both(keyed(`#EXT-X-KEY:METHOD=AES-128,URI="key"`, ivOf), refusesFile("key", 5*time.Second)), lost: 2, says: "key"},
	{name: "gzip that is announced", file: "xt.m3u8", set: coded("gzip", zipped)},
	{name: "gzip that is not", file: "xt.m3u8", set: func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			return http.StatusOK, zipped(s.serve(file))
		}
	}},
	{name: "a variant that is missing", file: "multi.m3u8", set: variants("nothing.txt", "xt.m3u8")},
	{name: "a variant whose segments are missing", file: "multi.m3u8", set: variants("nowhere/xt.m3u8", "xt.m3u8"), lost: 1},
	{name: "a variant that ceases", file: "multi.m3u8", set: both(variants("xm.m3u8", "xt.m3u8"), refusesFrom("xm", 20*time.Second)), marks: 2, lost: 2, says: "404"},
	{name: "a token that changes with each playlist", file: "multi.m3u8", set: tokens(8 * time.Second), says: "403"},
	{name: "segments are forbidden in the middle", file: "xt.m3u8", set: refuses(http.StatusForbidden, 20*time.Second, 26*time.Second), says: "403"},
	{name: "a segment hangs once", file: "xt.m3u8", set: hangsOnce(5), lost: 1, says: "did not come"},
	{name: "a variant whose segments cease", file: "multi.m3u8", set: both(variants("xm.m3u8", "xt.m3u8"), refusesFrom("xm-", 20*time.Second)), marks: 3, lost: 5, says: "404"},
	{name: "a variant whose playlist stands still", file: "multi.m3u8", set: both(variants("xm.m3u8", "xt.m3u8"), standsStill), marks: 3, lost: 5, says: "nothing new"},
	{name: "a key that is replaced under its URL", file: "xt.m3u8", set: rekeyed, says: "decrypted"},
	{name: "a target duration of an hour", file: "xt.m3u8", set: func(s *station) {
		s.playlist = func(_ *station, lines []string) []string {
			lines[2] = "#EXT-X-TARGETDURATION:3600"
			return lines
		}
	}},
	{name: "cookies", file: "xt.m3u8", set: cookies},
	{name: "a redirect to another host", file: "xt.m3u8", set: redirects},
	{name: "sequence numbers begin anew", file: "xt.m3u8", set: func(s *station) {
		s.playlist = func(s *station, lines []string) []string {
			if time.Since(s.began) > 20*time.Second {
				lines[3] = fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d", s.newest()-stationBase-5)
			}
			return lines
		}
	}, marks: 2},
	{name: "an old playlist now and then", file: "xt.m3u8", set: func(s *station) {
		n := 0
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if n++; !strings.HasSuffix(file, "m3u8") || n%5 != 0 {
				return 0, nil
			}
			began := s.began
			s.began = began.Add(4 * s.target())
			defer func() { s.began = began }()
			return http.StatusOK, s.serve(file)
		}
	}},
	{name: "a playlist of another kind of writer", file: "xt.m3u8", set: func(s *station) {
		s.playlist = func(_ *station, lines []string) []string {
			return append([]string{"\ufeff" + lines[0] + "\r", "", "# a comment", "#EXT-X-SOMETHING:NEW=1"}, strings.Split(strings.Join(lines[1:], "\r\n\r\n"), "\n")...)
		}
	}},
	{name: "another timeline behind a discontinuity", file: "xt.m3u8", set: both(changed(func(_ *station, l string) string {
		return strings.Replace(l, "#EXTINF", ifSegment(l, stationBase+8, "#EXT-X-DISCONTINUITY\n")+"#EXTINF", 1)
	}), otherTimes(8)), marks: 2},
	{name: "a timeline five seconds on behind a discontinuity", file: "xt.m3u8", set: both(markedAt(8), timesMoved(8, 5)), marks: 2},
	{name: "a timeline five seconds on behind a discontinuity, in fragments", file: "xm.m3u8", set: both(markedAt(8), timesMoved(8, 5)), marks: 2},
	{name: "a redirect of the variants to another folder", file: "multi.m3u8", set: func(s *station) {
		variants("xt.m3u8")(s)
		below := s.answer
		s.answer = func(s *station, r *http.Request, file string) (int, []byte) {
			inner, ok := strings.CutPrefix(file, "folder/")
			switch {
			case file == "multi.m3u8":
				return http.StatusFound, []byte("/folder/multi.m3u8")
			case !ok:
				return http.StatusNotFound, nil
			}
			if status, b := below(s, r, inner); status != 0 {
				return status, b
			}
			if b := s.serve(inner); b != nil {
				return http.StatusOK, b
			}
			return http.StatusNotFound, nil
		}
	}},
	{name: "nothing for half a minute", file: "xt.m3u8", set: refusesAll(12*time.Second, 42*time.Second), lost: 8, marks: 2, says: "503"},
	{name: "another timeline without one", file: "xt.m3u8", set: otherTimes(8), marks: 2},
}

func both(sets ...func(*station)) func(*station) {
	return func(s *station) {
		var answers []func(*station, *http.Request, string) (int, []byte)
		for _, set := range sets {
			s.answer = nil
			set(s)
			if s.answer != nil {
				answers = append(answers, s.answer)
			}
		}
		s.answer = func(s *station, r *http.Request, file string) (int, []byte) {
			for i := len(answers) - 1; i >= 0; i-- {
				if status, b := answers[i](s, r, file); status != 0 {
					return status, b
				}
			}
			return 0, nil
		}
	}
}

func between(s *station, from, to time.Duration) bool {
	at := time.Since(s.began)
	return at >= from && at < to
}

func refuses(status int, from, to time.Duration) func(*station) {
	return func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if numberOf(file) > 0 && between(s, from, to) {
				return status, nil
			}
			return 0, nil
		}
	}
}

func refusesAll(from, to time.Duration) func(*station) {
	return func(s *station) {
		s.answer = func(s *station, _ *http.Request, _ string) (int, []byte) {
			if between(s, from, to) {
				return http.StatusServiceUnavailable, nil
			}
			return 0, nil
		}
	}
}

func refusesFile(name string, to time.Duration) func(*station) {
	return func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if file == name && between(s, 0, to) {
				return http.StatusServiceUnavailable, nil
			}
			return 0, nil
		}
	}
}

func refusesFrom(prefix string, from time.Duration) func(*station) {
	return func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if strings.HasPrefix(file, prefix) && between(s, from, time.Hour) {
				return http.StatusNotFound, nil
			}
			return 0, nil
		}
	}
}

func without(offset int64, status int) func(*station) {
	return func(s *station) {
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if numberOf(file) == stationBase+offset {
				return status, nil
			}
			return 0, nil
		}
	}
}

func missingOnce(s *station) {
	seen := map[string]bool{}
	s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
		if n := numberOf(file); n%5 == 0 && n > 0 && !seen[file] {
			seen[file] = true
			return http.StatusNotFound, nil
		}
		return 0, nil
	}
}

func hangsOnce(offset int64) func(*station) {
	return func(s *station) {
		hung := false
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if numberOf(file) == stationBase+offset && !hung {
				hung = true
				return http.StatusOK, []byte("hangs")
			}
			return 0, nil
		}
	}
}

func standsStill(s *station) {
	var last []byte
	s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
		if file != "xm.m3u8" {
			return 0, nil
		}
		if between(s, 0, 20*time.Second) {
			last = s.serve(file)
		}
		return http.StatusOK, last
	}
}

// rekeyed replaces the key, whose URL stays, by another one.
func rekeyed(s *station) {
	keyed(`#EXT-X-KEY:METHOD=AES-128,URI="key"`, ivOf)(s)
	other := []byte("fedcba9876543210")
	of := func(n int64) []byte {
		if n < stationBase+5 {
			return stationKey
		}
		return other
	}
	s.file = func(_ *station, n int64, b []byte) []byte { return encrypted(b, of(n), ivOf(n)) }
	s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
		if file == "key" {
			return http.StatusOK, of(s.newest())
		}
		return 0, nil
	}
}

func broken(offset int64, with func([]byte) []byte) func(*station) {
	return func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if numberOf(file) == stationBase+offset {
				return http.StatusOK, with(s.serve(file))
			}
			return 0, nil
		}
	}
}

func changed(line func(*station, string) string) func(*station) {
	return func(s *station) {
		s.playlist = func(s *station, lines []string) []string {
			for i := range lines {
				lines[i] = line(s, lines[i])
			}
			return lines
		}
	}
}

func ifSegment(line string, number int64, text string) string {
	if strings.Contains(line, fmt.Sprintf("-%d.", number)) {
		return text
	}
	return ""
}

func keyed(tag string, iv func(int64) []byte) func(*station) {
	return func(s *station) {
		s.playlist = func(_ *station, lines []string) []string { return slices.Insert(lines, 4, tag) }
		s.file = func(_ *station, number int64, b []byte) []byte { return encrypted(b, stationKey, iv(number)) }
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if file == "key" {
				return http.StatusOK, stationKey
			}
			return 0, nil
		}
	}
}

// clearInit puts the key behind the init segment, which is not encrypted then.
func clearInit(s *station) {
	before := s.playlist
	s.playlist = func(s *station, lines []string) []string {
		lines = before(s, lines)
		lines[4], lines[5] = lines[5], lines[4]
		return lines
	}
}

func coded(name string, with func([]byte) []byte) func(*station) {
	return func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			return http.StatusOK, append([]byte("coding:"+name+"\n"), with(s.serve(file))...)
		}
	}
}

func multi(pictures, sound string) func(*station) {
	text := "#EXTM3U\n"
	attribute := ""
	if sound != "" {
		text += fmt.Sprintf("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"other\",URI=\"nothing.txt\"\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"main\",DEFAULT=YES,URI=%q\n", sound)
		attribute = ",AUDIO=\"a\""
	}
	text += "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000000,URI=\"nothing.txt\"\n#EXT-X-STREAM-INF:BANDWIDTH=100000" + attribute + "\n" + pictures + "\n"
	return func(s *station) {
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if file == "multi.m3u8" {
				return http.StatusOK, []byte(text)
			}
			return 0, nil
		}
	}
}

func variants(list ...string) func(*station) {
	text := "#EXTM3U\n"
	for i, name := range slices.Backward(list) { // the best is the last
		text += fmt.Sprintf("#EXT-X-STREAM-INF:BANDWIDTH=%d,CODECS=\"avc1.42c01e,mp4a.40.2\"\n%s\n", 900000/(i+1), name)
	}
	text += "#EXT-X-STREAM-INF:BANDWIDTH=99000000,CODECS=\"av01.0.05M.08\"\nnothing.txt\n"
	return func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			switch {
			case file == "multi.m3u8":
				return http.StatusOK, []byte(text)
			case strings.HasPrefix(file, "nowhere/") && strings.HasSuffix(file, ".m3u8"):
				return http.StatusOK, s.serve(strings.TrimPrefix(file, "nowhere/"))
			case strings.HasPrefix(file, "nowhere/"):
				return http.StatusNotFound, nil
			}
			return 0, nil
		}
	}
}

// tokens wants a token in each URL that is valid for so long after the multivariant playlist gave it.
func tokens(valid time.Duration) func(*station) {
	return func(s *station) {
		s.answer = func(s *station, r *http.Request, file string) (int, []byte) {
			if file == "multi.m3u8" {
				return http.StatusOK, fmt.Appendf(nil, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nxt.m3u8?token=%d\n", time.Since(s.began))
			}
			given, err := strconv.ParseInt(r.URL.Query().Get("token"), 10, 64)
			if err != nil || time.Since(s.began)-time.Duration(given) > valid {
				return http.StatusForbidden, nil
			}
			return http.StatusOK, bytes.ReplaceAll(s.serve(file), []byte(".ts\n"), fmt.Appendf(nil, ".ts?token=%d\n", given))
		}
	}
}

func cookies(s *station) {
	s.answer = func(s *station, r *http.Request, file string) (int, []byte) {
		c, err := r.Cookie("session")
		switch {
		case strings.HasSuffix(file, "m3u8"):
			return http.StatusOK, append([]byte("cookie:session=1; Path=/\n"), s.serve(file)...)
		case err != nil || c.Value != "1":
			return http.StatusForbidden, nil
		}
		return 0, nil
	}
}

func redirects(s *station) {
	s.answer = func(_ *station, r *http.Request, file string) (int, []byte) {
		switch {
		case r.URL.Host == "station" && file == "xt.m3u8":
			return http.StatusFound, []byte("http://edge/xt.m3u8")
		case r.URL.Host != "edge":
			return http.StatusNotFound, nil
		}
		return 0, nil
	}
}

// markedAt puts a discontinuity before the segment with an offset.
func markedAt(offset int64) func(*station) {
	return changed(func(_ *station, l string) string {
		return strings.Replace(l, "#EXTINF", ifSegment(l, stationBase+offset, "#EXT-X-DISCONTINUITY\n")+"#EXTINF", 1)
	})
}

// timesMoved moves the timestamps of segments from the one with an offset on, forward by so many seconds.
func timesMoved(offset, seconds int64) func(*station) {
	return func(s *station) {
		s.file = func(s *station, number int64, b []byte) []byte {
			if number < stationBase+offset {
				return b
			}
			tracks, units := s.of(number, "")
			for _, au := range units {
				au.DTS += seconds * codecs.ClockRate
				au.PTS += seconds * codecs.ClockRate
			}
			if b[0] == 'G' {
				return mpegts.Segment(tracks, units)
			}
			next := make([]int64, len(tracks))
			_, after := s.of(number+1, "")
			for i := range next {
				next[i] = after[slices.IndexFunc(after, func(au *codecs.AccessUnit) bool { return au.Track == i })].DTS + seconds*codecs.ClockRate
			}
			return fmp4.Fragment(tracks, uint32(number), units, next)
		}
	}
}

// otherTimes moves the timestamps of segments from the one with an offset on.
func otherTimes(offset int64) func(*station) {
	return func(s *station) {
		s.file = func(s *station, number int64, b []byte) []byte {
			if number < stationBase+offset {
				return b
			}
			tracks, units := s.of(number, "")
			for _, au := range units {
				au.DTS -= 3600 * codecs.ClockRate
				au.PTS -= 3600 * codecs.ClockRate
			}
			return mpegts.Segment(tracks, units)
		}
	}
}

func TestHLSOfAllServersIsPlayed(t *testing.T) {
	for _, tt := range hlsCases {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				if tt.set != nil {
					tt.set(s)
				}
				p, err := pullFor(t, s, tt.file, plenty, pull.Options{})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("the pull ends with %v, after %v", err, s.requests)
				}
				dts, marked := p.pictures()
				_, of := s.of(s.first, "v")
				want := int(plenty/s.target()) - 1 - tt.lost
				if strings.HasPrefix(tt.file, "a") {
					if n := p.sounds(); n < want*80 {
						t.Errorf("%d access units of sound came, want those of %d segments", n, want)
					}
					return
				}
				if len(dts) < want*len(of) {
					t.Errorf("%d pictures came, want at least those of %d segments of %d; counts %v", len(dts), want, len(of), p.record.Counts)
				}
				if marked > tt.marks {
					t.Errorf("%d discontinuities, want at most %d", marked, tt.marks)
				}
				if !slices.IsSorted(dts) {
					t.Error("times go back")
				}
				if apart := strings.HasPrefix(tt.name, "sound of its own"); apart && !slices.Equal(p.told, []int{2}) {
					t.Errorf("tracks were announced %d times, want both at once: %v", len(p.told), p.told)
				}
				if n := p.sounds(); n < want*60 && !strings.Contains(tt.name, "is missing") {
					t.Errorf("%d access units of sound came", n)
				}
				p.atPace(t, tt.lost == 0)
				if c := p.record.Counts; tt.lost == 0 && c[reception.Damaged]+c[reception.ContinuityErrors] > 0 {
					t.Errorf("counts %v: something is damaged that was sent whole", c)
				}
				if tt.marks == 0 || strings.Contains(tt.name, "own") {
					s.inTime(t, p)
				}
				if tt.says != "" && !slices.ContainsFunc(p.meets, func(m string) bool { return strings.Contains(m, tt.says) }) {
					t.Errorf("it was said to be %q, want %q among it", p.meets, tt.says)
				}
				if tt.says == "" && len(p.meets) > 0 && p.meets[0] != "" && tt.lost == 0 && tt.marks == 0 && !strings.Contains(tt.name, "missing") && !strings.Contains(tt.name, "variant") {
					t.Errorf("it was said to be %q", p.meets)
				}
				if r := p.record.Conditions[reception.Unavailable]; r != "" && time.Since(p.ill) > 4*time.Second && !strings.Contains(tt.name, "playlist is missing") {
					t.Errorf("in the end it is still unavailable: %s", r)
				}
				if tt.named != "" && (len(p.record.LeftOut) == 0 || p.record.LeftOut[0].Codec != tt.named) {
					t.Errorf("left out is %v, want %s", p.record.LeftOut, tt.named)
				}
			})
		})
	}
}

// TestHLSComesAtItsPace has segments of sound and pictures arrive apart and at once. They leave in the order of their times, at their
// pace.
func TestHLSComesAtItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		multi("vt.m3u8", "ap.m3u8")(s)
		p, _ := pullFor(t, s, "multi.m3u8", plenty, pull.Options{})
		last := [2]int64{}
		for i, au := range p.units {
			if i < len(p.units)/4 {
				last[au.Track] = au.DTS
				continue
			}
			if other := last[1-au.Track]; au.DTS < other-codecs.ClockRate/10 {
				t.Fatalf("%d of track %d comes after %d of the other", au.DTS, au.Track, other)
			}
			last[au.Track] = au.DTS
			if d := p.times[i].Sub(p.times[i-1]); d > 200*time.Millisecond {
				t.Fatalf("nothing comes for %v", d)
			}
		}
	})
}

func TestHLSSaysWhyItCannotBePlayed(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		set        func(*station)
		want       string
	}{
		{"no such playlist", "nothing.txt", nil, "404"},
		{"a page", "x.m3u8", broken2("<html>", "x.m3u8"), "no playlist"},
		{"all variants are missing", "multi.m3u8", variants("nothing.txt", "no.txt"), "404"},
		{"SAMPLE-AES", "xt.m3u8", keyed(`#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"`, ivOf), "encrypted, not supported: SAMPLE-AES"},
		{"keys of a DRM", "xt.m3u8", keyed(`#EXT-X-KEY:METHOD=AES-128,URI="x",KEYFORMAT="urn:uuid:x"`, ivOf), "encrypted, not supported"},
		{"a coding that is not known", "xt.m3u8", coded("br", func(b []byte) []byte { return b }), `"br"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				if tt.set != nil {
					tt.set(s)
				}
				if _, err := pullFor(t, s, tt.file, time.Minute, pull.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
					t.Errorf("HLS = %v, want %q in it", err, tt.want)
				}
			})
		})
	}
}

func broken2(text, name string) func(*station) {
	return func(s *station) {
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if file == name {
				return http.StatusOK, []byte(text)
			}
			return 0, nil
		}
	}
}

// TestRequestsCarryWhatTheInputSays looks at each request of each kind of pull.
func TestRequestsCarryWhatTheInputSays(t *testing.T) {
	for name, read := range map[string]func(context.Context, string, pull.Options, codecs.Writer) error{"TS": pull.TS, "FLV": pull.FLV, "HLS": pull.HLS} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				n := 0
				s.answer = func(_ *station, r *http.Request, _ string) (int, []byte) {
					n++
					user, password, _ := r.BasicAuth()
					if r.UserAgent() != "camera" || r.Header.Get("X-Token") != "t1" || user != "user" || password != "secret" {
						t.Errorf("%s carries %v", r.URL.Path, r.Header)
					}
					return 0, nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_ = read(ctx, "http://user:secret@station/xt.m3u8", pull.Options{Transport: s, Agent: "camera", Header: http.Header{"x-token": {"t1"}}}, &taker{})
				if n == 0 {
					t.Error("nothing is asked for")
				}
			})
		})
	}
}

func TestHLSToItsEnd(t *testing.T) {
	for _, file := range []string{"xt.m3u8", "xm.m3u8", "multi.m3u8"} {
		t.Run(file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				multi("vt.m3u8", "ap.m3u8")(s)
				s.first, s.window, s.ended = stationBase, 20, stationBase+5
				p, err := pullFor(t, s, file, 5*time.Minute, pull.Options{})
				if !errors.Is(err, pull.ErrEnded) {
					t.Fatalf("HLS = %v, want %v", err, pull.ErrEnded)
				}
				dts, _ := p.pictures()
				s.inTime(t, p)
				if _, of := s.of(s.ended, "v"); len(dts) < 3*len(of) || dts[len(dts)-1]%(1<<33) != of[len(of)-1].DTS%(1<<33) {
					t.Errorf("the last of %d pictures is at %d, want %d", len(dts), dts[len(dts)-1], of[len(of)-1].DTS)
				}
			})
		})
	}
}

// TestHLSOfARecordingPassesOverWhatIsMissing has segments of a recording be missing for ever, some at the end.
func TestHLSOfARecordingPassesOverWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		s.first, s.window, s.ended = stationBase, 12, stationBase
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if n := numberOf(file) - (stationBase - 12); n == 4 || n == 5 || n == 6 || n > 10 && n < 13 {
				return http.StatusNotFound, nil
			}
			return 0, nil
		}
		p, err := pullFor(t, s, "xt.m3u8", 5*time.Minute, pull.Options{})
		_, of := s.of(s.first, "v")
		if dts, _ := p.pictures(); !errors.Is(err, pull.ErrEnded) || len(dts) < 7*len(of) {
			t.Errorf("HLS = %v after %d pictures, want the end after those of 7 segments of %d", err, len(dts), len(of))
		}
		if n := p.record.Counts[reception.LostSegments]; n != 5 {
			t.Errorf("%d segments are lost, want 5", n)
		}
	})
}

// TestInitSegmentsAreReadAnewBehindADiscontinuity has an encoder begin anew and write over its init segment.
func TestInitSegmentsAreReadAnewBehindADiscontinuity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		changed(func(_ *station, l string) string {
			return strings.Replace(l, "#EXTINF", ifSegment(l, stationBase+5, "#EXT-X-DISCONTINUITY\n")+"#EXTINF", 1)
		})(s)
		inits := 0
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if strings.HasSuffix(file, ".mp4") {
				inits++
			}
			return 0, nil
		}
		_, _ = pullFor(t, s, "xm.m3u8", plenty, pull.Options{})
		if inits != 2 {
			t.Errorf("the init segment was read %d times, want 2", inits)
		}
	})
}

// TestSecretsStayAtTheServerOfTheInput has playlists and redirects lead to other servers.
func TestSecretsStayAtTheServerOfTheInput(t *testing.T) {
	for _, tt := range []struct {
		where string // the segments are
		own   bool
	}{
		{"http://station/", true},
		{"http://STATION:80/", true},
		{"https://station/", true},
		{"http://station:8080/", false},
		{"http://edge/", false},
		{"http://station.edge/", false},
	} {
		for _, redirected := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				media := 0
				s.playlist = func(_ *station, lines []string) []string {
					for i := range lines {
						if at := "\n" + tt.where; !redirected {
							lines[i] = strings.Replace(lines[i], "\nxt-", at+"xt-", 1)
						}
					}
					return lines
				}
				s.answer = func(_ *station, r *http.Request, file string) (int, []byte) {
					at := r.URL.Scheme + "://" + r.URL.Host + "/"
					if redirected && numberOf(file) > 0 && r.URL.RawQuery == "" {
						return http.StatusFound, []byte(tt.where + file + "?x")
					}
					if numberOf(file) == 0 {
						return 0, nil
					}
					media++
					h := r.Header
					_, _, login := r.BasicAuth()
					secret := h.Get("X-Token") == "t1" && strings.Contains(h.Get("Cookie"), "c=1") && login && r.Host == "name"
					none := h.Get("X-Token") == "" && h.Get("Cookie") == "" && !login && r.Host != "name"
					if at != tt.where || tt.own && !secret || !tt.own && !none || h.Get("Referer") != "http://page/" || h.Get("User-Agent") != "camera" {
						t.Errorf("%s, redirected %t: %s%s carries %v, host %q", tt.where, redirected, at, file, h, r.Host)
					}
					return 0, nil
				}
				header := http.Header{"X-Token": {"t1"}, "Cookie": {"c=1"}, "Referer": {"http://page/"}, "Host": {"name"}}
				_, _ = pullFor(t, s, "xt.m3u8", 10*time.Second, pull.Options{Agent: "camera", Header: header})
				if media == 0 {
					t.Errorf("%s, redirected %t: no segment was asked for", tt.where, redirected)
				}
			})
		}
	}
}

// FuzzPlaylist has a server send any playlist. Nothing may be asked for but by http and https, and no more than the playlist lists.
func FuzzPlaylist(f *testing.F) {
	f.Add("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nxt-1000.ts\n#EXT-X-ENDLIST\n")
	f.Add("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nxt.m3u8\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"ap.m3u8\"\n")
	f.Add("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x1\n#EXT-X-MAP:URI=\"x-0.mp4\",BYTERANGE=\"10@5\"\n#EXT-X-BYTERANGE:10\n#EXTINF:1e3,\nfile:///etc/passwd\n")
	f.Add("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
	f.Add("#EXTM3U\n#EXT-X-DEFINE:NAME=\"x\",VALUE=\"{$x}\"\n#EXTINF:{$x},\n{$x\n")
	f.Fuzz(func(t *testing.T, text string) {
		synctest.Test(t, func(t *testing.T) {
			s := newStation(t)
			s.answer = func(_ *station, r *http.Request, file string) (int, []byte) {
				if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
					t.Errorf("asks for %v", (&url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path}).String())
				}
				if file == "fuzz.m3u8" {
					return http.StatusOK, []byte(text)
				}
				return 0, nil
			}
			p, err := pullFor(t, s, "fuzz.m3u8", 20*time.Second, pull.Options{})
			if err == nil {
				t.Error("the pull ends without saying why")
			}
			for _, au := range p.units {
				if au.Track < 0 || au.Track >= len(p.tracks) {
					t.Fatalf("access unit of track %d of %d", au.Track, len(p.tracks))
				}
			}
		})
	})
}
