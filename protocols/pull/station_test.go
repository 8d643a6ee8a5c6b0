package pull_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
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

	// answer may answer a request in the station's place: with a status and a body, with 0 for not, or with unanswered.
	answer func(s *station, r *http.Request, file string) (int, []byte)

	// playlist may change the lines of a media playlist, file a segment before it is sent.
	playlist func(s *station, lines []string) []string
	file     func(s *station, number int64, b []byte) []byte

	mu       sync.Mutex
	requests []string
}

const stationBase = 1000

// unanswered is the status of a request that the station never answers.
const unanswered = -1

func patternOf(t testing.TB) *fake.Pattern {
	t.Helper()
	p, err := fake.New(fake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newStation(t *testing.T) *station {
	t.Helper()
	return &station{pattern: patternOf(t), began: time.Now(), window: 6, first: stationBase}
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
	if status == unanswered {
		<-r.Context().Done()
		return nil, r.Context().Err()
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
	for n := s.first - int64(s.window) - 1; n <= s.newest(); n++ {
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
