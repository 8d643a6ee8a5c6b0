package hls

import (
	"bytes"
	"context"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/protocols"
	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file below testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}

// noon is the number of a segment of the test pattern in the year 2026.
const noon = 446_500_000

var pattern = func() *fake.Pattern {
	p, err := fake.New(fake.Config{Width: 256, Height: 144})
	if err != nil {
		panic(err)
	}
	return p
}()

// A script is a feed that brings what it has and ends.
type script struct {
	tracks codecs.Tracks
	units  []*codecs.AccessUnit
}

func (s *script) Next(_ context.Context, dst []*codecs.AccessUnit) ([]*codecs.AccessUnit, codecs.Tracks, error) {
	if t := s.tracks; t != nil {
		s.tracks = nil
		return dst, t, nil
	}
	return append(dst, s.units...), nil, io.EOF
}

func (s *script) Dropped() uint64 { return 0 }
func (s *script) Close()          {}

// pack fills store with the test pattern up to the segment before number: with a whole window, or less with a
// pattern that is no function of time.
func pack(tb testing.TB, store *cmaf.Store, number int64) *cmaf.Store {
	tb.Helper()
	units, err := pattern.Segment(number)
	if err != nil {
		tb.Fatal(err)
	}
	err = cmaf.Pack(context.Background(), &script{pattern.Tracks(), units[:1]}, store, cmaf.Options{
		Backfill: pattern.Segment, NumberAt: pattern.SegmentAt, Longest: 4 * time.Second,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if got := store.Window().Last(); got != number-1 {
		tb.Fatalf("packed up to %d, want %d", got, number-1)
	}
	return store
}

// stored is a store with the segments before number.
func stored(tb testing.TB, number int64) *cmaf.Store {
	tb.Helper()
	return pack(tb, cmaf.NewStore(cmaf.Config{}), number)
}

// A router gives the answer that was set last.
type router struct {
	mu      sync.Mutex
	store   *cmaf.Store
	a       listen.Answer
	asked   []listen.Request
	changed chan struct{} // closed by set, if a request waits
	holds   bool          // requests are held while the stream is unavailable, as a node does
}

func (*router) Names(r listen.Request) []string { return r.Streams }

func (d *router) Window(ctx context.Context, r listen.Request) (*cmaf.Store, listen.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, r)
	for d.holds && d.a.Verdict == listen.Unavailable {
		if d.changed == nil {
			d.changed = make(chan struct{})
		}
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
			d.mu.Lock()
		case <-ctx.Done():
			d.mu.Lock()
			return nil, listen.Answer{Verdict: listen.Unavailable}
		}
	}
	return d.store, d.a
}

func (d *router) set(store *cmaf.Store, a listen.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.store, d.a = store, a
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

func (d *router) serve(store *cmaf.Store) { d.set(store, listen.Answer{Verdict: listen.Serve}) }

// proxy says that the stream is at upstream, and viewers reach it at public.
func (d *router) proxy(upstream, public string) {
	d.set(nil, listen.Answer{Verdict: listen.Fetch, Upstream: upstream, Public: public})
}

// A node is a server behind real HTTP.
type node struct {
	*router
	server *Server
	http   *httptest.Server

	mu       sync.Mutex
	requests []string // paths and queries, in order
	hook     func(path string)
}

// newServer is a server whose dependencies are d, a router and what all tests have.
func newServer(c Config, r Router, d Deps) *Server {
	d.Router, d.Log = r, slog.New(slog.DiscardHandler)
	d.Transport = &transport{RoundTripper: &http.Transport{DisableCompression: true}}
	return New(c, d)
}

// A transport counts requests that failed.
type transport struct {
	http.RoundTripper
	failed atomic.Int64
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		t.failed.Add(1)
	}
	return resp, err
}

func newNode(tb testing.TB, c Config, d Deps) *node {
	tb.Helper()
	n := &node{router: &router{}}
	n.server = newServer(c, n.router, d)
	n.http = httptest.NewServer(http.HandlerFunc(n.answer))
	tb.Cleanup(func() {
		n.http.CloseClientConnections()
		n.http.Close()
		_ = n.server.Close()
	})
	return n
}

func (n *node) answer(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	n.requests = append(n.requests, r.RequestURI)
	hook := n.hook
	n.mu.Unlock()
	if hook != nil {
		hook(r.URL.Path)
	}
	i := strings.LastIndexByte(r.URL.Path, '/')
	n.server.ServeStream(w, r, listen.HTTPRequest(r, protocols.HLS, strings.TrimPrefix(r.URL.Path[:i], "/")), r.URL.Path[i+1:])
}

// before has f called with the path of each request that follows, before it is answered.
func (n *node) before(f func(path string)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hook = f
}

// count returns how many requests had a path that ends so.
func (n *node) count(suffix string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := 0
	for _, r := range n.requests {
		path, _, _ := strings.Cut(r, "?")
		if strings.HasSuffix(path, suffix) {
			c++
		}
	}
	return c
}

// A reply is an answer with its body read.
type reply struct {
	*http.Response
	body string
}

// get asks the node for a path below /cam/.
func (n *node) get(tb testing.TB, path string) reply {
	tb.Helper()
	return fetchURL(tb, http.MethodGet, n.http.URL+"/cam/"+path)
}

func fetchURL(tb testing.TB, method, url string) reply {
	tb.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
		tb.Errorf("%s %s: Access-Control-Allow-Origin = %q, want *", method, url, got)
	}
	return reply{resp, string(body)}
}

// is fails unless the answer has the status.
func (r reply) is(tb testing.TB, status int) reply {
	tb.Helper()
	if r.StatusCode != status {
		tb.Fatalf("%s = %d %q, want %d", r.Request.URL, r.StatusCode, r.body, status)
	}
	return r
}

// starts returns the media sequence of a playlist.
func (r reply) starts(tb testing.TB) int64 {
	tb.Helper()
	for line := range strings.Lines(r.is(tb, http.StatusOK).body) {
		if v, ok := strings.CutPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err == nil {
				return n
			}
		}
	}
	tb.Fatalf("%s has no media sequence: %q", r.Request.URL, r.body)
	return 0
}

// uris returns the lines that are no tags.
func (r reply) uris() []string {
	var uris []string
	for line := range strings.Lines(r.body) {
		if line[0] != '#' {
			uris = append(uris, strings.TrimSpace(line))
		}
	}
	return uris
}

// silentNode is the URL of a listener that accepts connections and never answers.
func silentNode(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var all []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			all = append(all, c)
		}
		for _, c := range all {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return "http://" + l.Addr().String()
}

// deadNode is a URL at which connections are refused: no system gives port 1 away.
const deadNode = "http://127.0.0.1:1"

// quick are bounds short enough for tests of what happens when they are reached.
var quick = Config{Hold: 600 * time.Millisecond, silence: 200 * time.Millisecond}

// patient are bounds that no test reaches.
var patient = Config{Hold: time.Minute, silence: 30 * time.Second}
