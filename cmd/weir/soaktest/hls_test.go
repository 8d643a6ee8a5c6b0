package soaktest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/fmp4"
	"weir/codecs/mpegts"
)

// The segments of a station last two seconds, and six are listed.
const (
	length = 2 * second
	listed = 6
)

// A station is what a source of HLS knows of its segments.
type station struct {
	s    *source
	kind string // ts, fmp4, aes, apart, variants

	mu       sync.Mutex
	segments map[int64]*segment
	stale    map[string]string // the playlists that are given again and again, by name
	began    int64             // the number of the first segment that is listed
}

// A segment is what became of one.
type segment struct {
	form  int
	shift int64
	cut   bool   // a discontinuity is before it
	fault string // what is wrong with it: "" nothing
	asked int    // how many times for its pictures
	well  int    // playlists that listed it while all was well
}

// faultsOf are what may be wrong with a segment, each as often as the others.
var faultsOf = []string{"missing once", "missing", "empty", "empty once", "short", "short once", "reset once", "page once", "late once"}

// of returns what is known of a segment, which is decided when it is listed first. The mutex is held.
func (h *station) of(n int64) *segment {
	g := h.segments[n]
	if g != nil {
		return g
	}
	trouble, form, shift, _ := h.s.look()
	g = &segment{form: form, shift: shift}
	if before := h.segments[n-1]; before != nil {
		g.cut = before.shift != shift && n%2 == 0 || before.form != form // a jump may be unmarked
	}
	h.s.mu.Lock()
	calm := h.s.calm
	h.s.mu.Unlock()
	if !calm && h.s.chance(12) && trouble == "" {
		g.fault = pick(h.s, faultsOf...)
		h.s.r.fault("segment " + g.fault)
	}
	h.segments[n] = g
	return g
}

// settle looks at segments that are listed no more.
func (h *station) settle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n, g := range h.segments {
		if n > now()/length-listed-6 {
			continue
		}
		delete(h.segments, n)
		if g.asked == 0 && g.well >= 4 { // it could be had: it counts as sent, and is lost
			h.sent(n)
		}
	}
}

// sent notes the pictures of a segment.
func (h *station) sent(n int64) {
	for p := n * length / picture; p < (n+1)*length/picture; p++ {
		h.s.r.send(p)
	}
}

func (h *station) playlist(name, query string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	trouble := h.s.now()
	if trouble == "stale" && h.stale[name] != "" {
		return strings.ReplaceAll(h.stale[name], "QUERY", query)
	}
	last := now()/length - 1
	if h.began == 0 {
		h.began = last - 3
	}
	first := max(h.began, last-listed+1)
	h.s.mu.Lock()
	numbers := h.s.numbers
	h.s.mu.Unlock()
	suffix := "ts"
	b := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", first+numbers)
	if h.kind == "aes" {
		b += "#EXT-X-KEY:METHOD=AES-128,URI=\"key?QUERY\",IV=0x0000000000000000000000000000002A\n"
	}
	form := -1
	for n := first; n <= last; n++ {
		g := h.of(n)
		if g.cut && n > first {
			b += "#EXT-X-DISCONTINUITY\n"
		}
		if h.kind == "fmp4" {
			suffix = "m4s"
			if g.form != form {
				form = g.form
				b += fmt.Sprintf("#EXT-X-MAP:URI=\"init%d.mp4?QUERY\"\n", form)
			}
		}
		b += fmt.Sprintf("#EXTINF:2.0,\n%s-%d.%s?QUERY\n", name, n, suffix)
		if trouble == "" && name != "a" && name != "low" {
			g.well++
		}
	}
	h.stale[name] = b
	return strings.ReplaceAll(b, "QUERY", query)
}

// media makes the bytes of a segment.
func (h *station) media(name string, n int64, g *segment) []byte {
	tracks := h.s.m.tracks(g.form)
	keep, kind := tracks, 2
	switch {
	case h.kind == "apart" && name == "v":
		keep, kind = tracks[:1], 0
	case name == "a":
		keep, kind = tracks[1:], 1
	}
	cutOut := func(from, to int64) (units []*codecs.AccessUnit) {
		for _, au := range h.s.m.between(g.form, from, to) {
			if kind == 2 || au.Track == kind {
				if kind != 2 {
					au.Track = 0
				}
				au.DTS, au.PTS = au.DTS+g.shift, au.PTS+g.shift
				units = append(units, au)
			}
		}
		return units
	}
	units := cutOut(n*length, (n+1)*length)
	switch h.kind {
	case "fmp4":
		next := make([]int64, len(keep))
		for _, au := range cutOut((n+1)*length, (n+1)*length+second) {
			if next[au.Track] == 0 {
				next[au.Track] = au.DTS
			}
		}
		return fmp4.Fragment(keep, uint32(n), units, next)
	case "aes":
		return encrypted(mpegts.Segment(keep, units), binary.BigEndian.AppendUint64(make([]byte, 8), 42))
	}
	return mpegts.Segment(keep, units)
}

var key = []byte("0123456789abcdef")

func encrypted(b, iv []byte) []byte {
	n := aes.BlockSize - len(b)%aes.BlockSize
	b = append(b, bytes.Repeat([]byte{byte(n)}, n)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(b, b)
	return b
}

// serveHLS answers one request on each connection. Tokens are good for eight seconds.
func serveHLS(s *source, c net.Conn) {
	h := s.hls
	br := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if !h.answer(c, r) {
			return
		}
	}
}

func (h *station) answer(c net.Conn, r *http.Request) bool {
	trouble := h.s.now()
	file := strings.TrimPrefix(r.URL.Path, "/")
	say := func(status int, body []byte, lines ...string) bool {
		lines = append([]string{fmt.Sprintf("HTTP/1.1 %d %s", status, http.StatusText(status)), fmt.Sprintf("Content-Length: %d", len(body))}, lines...)
		_, err := c.Write(append([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), body...))
		return err == nil
	}
	name, rest, _ := strings.Cut(file, "-")
	text, _, segmented := strings.Cut(rest, ".")
	switch {
	case strings.HasPrefix(trouble, "status "):
		status, _ := strconv.Atoi(trouble[len("status "):])
		return say(status, nil)
	case trouble == "segments missing" && segmented:
		return say(http.StatusNotFound, nil)
	case trouble == "hangs":
		<-time.After(time.Duration(h.s.random(4000)) * time.Millisecond)
	case trouble == "no key" && file == "key":
		return say(http.StatusServiceUnavailable, nil)
	case trouble == "no sound" && name == "a", trouble == "no sound" && file == "a.m3u8":
		return say(http.StatusNotFound, nil)
	case trouble == "no best" && (name == "x" || file == "x.m3u8"):
		return say(http.StatusNotFound, nil)
	}
	switch file {
	case "index.m3u8":
		query := fmt.Sprintf("token=%d", time.Now().UnixMilli())
		text := "#EXTM3U\n"
		switch h.kind {
		case "apart":
			text += "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a.m3u8?" + query + "\"\n#EXT-X-STREAM-INF:BANDWIDTH=200000,AUDIO=\"a\"\nv.m3u8?" + query + "\n"
		case "variants":
			text += "#EXT-X-STREAM-INF:BANDWIDTH=100000\nlow.m3u8?" + query + "\n#EXT-X-STREAM-INF:BANDWIDTH=200000\nx.m3u8?" + query + "\n"
		default:
			text += "#EXT-X-STREAM-INF:BANDWIDTH=200000\nx.m3u8?" + query + "\n"
		}
		return say(http.StatusOK, []byte(text), "Set-Cookie: session=1; Path=/")
	case "key":
		return say(http.StatusOK, key)
	case "init0.mp4", "init1.mp4":
		b, err := fmp4.Init(h.s.m.tracks(int(file[4] - '0')))
		return err == nil && say(http.StatusOK, b)
	}
	if !segmented {
		given, err := strconv.ParseInt(strings.TrimPrefix(r.URL.RawQuery, "token="), 10, 64)
		if err != nil || time.Since(time.UnixMilli(given)) > 30*time.Second {
			return say(http.StatusForbidden, nil)
		}
		if cookie, err := r.Cookie("session"); err != nil || cookie.Value != "1" {
			return say(http.StatusForbidden, nil)
		}
		b := []byte(h.playlist(strings.TrimSuffix(file, ".m3u8"), r.URL.RawQuery))
		if h.s.chance(3) {
			return say(http.StatusOK, zipped(b), "Content-Encoding: gzip")
		}
		return say(http.StatusOK, b)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return say(http.StatusNotFound, nil)
	}
	return h.send(c, name, n, trouble, say)
}

// send answers a request for a segment.
func (h *station) send(c net.Conn, name string, n int64, trouble string, say func(int, []byte, ...string) bool) (goesOn bool) {
	given := false
	h.mu.Lock()
	g := h.segments[n]
	if g == nil {
		h.mu.Unlock()
		return say(http.StatusNotFound, nil)
	}
	pictures := name != "a"
	fault, once := strings.CutSuffix(g.fault, " once")
	if once && g.asked > 0 || !pictures {
		fault = ""
	}
	if pictures {
		g.asked++
	}
	h.mu.Unlock()
	b := h.media(name, n, g)
	defer func() {
		what := "given"
		if !given {
			what = "not given: " + fault
		}
		h.s.r.note(fmt.Sprintf("%s%d %s", name, n, what))
	}()
	switch fault {
	case "missing":
		return say(http.StatusNotFound, nil)
	case "empty":
		return say(http.StatusOK, nil)
	case "page":
		return say(http.StatusOK, []byte("<html>busy</html>"))
	case "short", "reset":
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(b))
		_, _ = c.Write(b[:len(b)/2])
		if t, ok := c.(*net.TCPConn); ok && fault == "reset" {
			_ = t.SetLinger(0)
		}
		return false
	case "late":
		<-time.After(1500 * time.Millisecond)
	}
	ok := false
	switch {
	case trouble == "slow":
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(b))
		_, _ = c.Write(b[:len(b)/2])
		<-time.After(time.Duration(h.s.random(1500)) * time.Millisecond)
		_, err := c.Write(b[len(b)/2:])
		ok = err == nil
	case h.kind != "aes" && h.s.chance(5):
		ok = say(http.StatusOK, zipped(b))
	default:
		ok = say(http.StatusOK, b)
	}
	if given = ok; ok && pictures {
		h.sent(n)
	}
	return ok
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}
