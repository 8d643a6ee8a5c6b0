package listen_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/codecs"
	"weir/protocols"
	"weir/protocols/listen"
)

// A router gives everybody the same answer and keeps what was asked last.
type router struct {
	answer listen.Answer

	mu    sync.Mutex
	asked listen.Request
}

func (d *router) Play(_ context.Context, r listen.Request) listen.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = r
	return d.answer
}

func (d *router) Publish(context.Context, listen.Request) (listen.Publication, error) {
	return nil, listen.ErrNotFound
}

// A sessions hands each client to the test, which serves it.
type sessions chan listen.Client

func (h sessions) Enter(c listen.Client) { h <- c }

// A source gives each feed the texts that the test sends, after a prologue.
type source struct {
	tracks codecs.Tracks
	texts  chan string // closed when the stream ends
	joined chan string // the forms that were asked for
}

func newSource() *source {
	return &source{texts: make(chan string, 100), joined: make(chan string, 10)}
}

func (s *source) Name() string           { return "cam/1" }
func (s *source) Tracks() codecs.Tracks  { return s.tracks }
func (s *source) Units() listen.UnitFeed { return nil }

func (s *source) Join(form string, mk func(int64) codecs.Encoder) listen.Feed {
	s.joined <- form
	return &feed{source: s, prologue: mk(90000).Prologue(nil)}
}

type feed struct {
	source   *source
	prologue []byte
	dropped  uint64
}

func (f *feed) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	if p := f.prologue; p != nil {
		f.prologue = nil
		return append(bufs, p), nil
	}
	select {
	case text, ok := <-f.source.texts:
		if !ok {
			return bufs, io.EOF
		}
		f.dropped++
		return append(bufs, []byte(text)), nil
	case <-ctx.Done():
		return bufs, ctx.Err()
	}
}

func (f *feed) Dropped() uint64 { return f.dropped }
func (f *feed) Close()          {}

type encoder struct{ base int64 }

func (e encoder) Prologue(codecs.Tracks) []byte    { return fmt.Appendf(nil, "[%d]", e.base) }
func (e encoder) Encode(*codecs.AccessUnit) []byte { return nil }
func newEncoder(base int64) codecs.Encoder         { return encoder{base} }
func refuseAll(codecs.Tracks) error                { return errors.New("no text in it") }
func handler(d listen.Router, h listen.Sessions) http.Handler {
	form := listen.BodyForm{Protocol: protocols.TS, ContentType: "text/x-form", New: newEncoder, Check: refuseAll}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		listen.NewBodyServer(listen.Deps{Router: d, Sessions: h}, form).ServeStream(w, r, listen.HTTPRequest(r, form.Protocol, "cam/1"), "")
	})
}

var verdictTests = []struct {
	name    string
	method  string
	path    string
	answer  listen.Answer
	status  int
	headers map[string]string
	body    string
}{
	{
		name: "redirect", path: "/cam%2F1/mpegts?token=a%20b", status: 302, body: "The stream is at http://two:8080/cam%2F1/mpegts?token=a%20b&weir_hops=1\n",
		answer:  listen.Answer{Verdict: listen.Redirect, Location: "http://two:8080/cam%2F1/mpegts?token=a%20b&weir_hops=1"},
		headers: map[string]string{"Location": "http://two:8080/cam%2F1/mpegts?token=a%20b&weir_hops=1", "Cache-Control": "no-store"},
	},
	{
		name: "redirect with a reason", path: "/x?weir_hops=1&b=2", status: 302, body: "elsewhere\n",
		answer:  listen.Answer{Verdict: listen.Redirect, Location: "http://two/x?b=2&weir_hops=2", Reason: "elsewhere"},
		headers: map[string]string{"Location": "http://two/x?b=2&weir_hops=2"},
	},
	{name: "not found", answer: listen.Answer{Verdict: listen.NotFound}, status: 404, body: "There is no such stream.\n"},
	{
		name: "unavailable", answer: listen.Answer{Verdict: listen.Unavailable, Reason: "its owner\r\nis silent", RetryAfter: 1100 * time.Millisecond},
		status: 503, headers: map[string]string{"Retry-After": "2", "Cache-Control": "no-store"}, body: "its owner  is silent\n",
	},
	{name: "unavailable for no time", answer: listen.Answer{Verdict: listen.Unavailable}, status: 503, headers: map[string]string{"Retry-After": "1"}, body: "The stream is not available now.\n"},
	{name: "refused", answer: listen.Answer{Verdict: listen.Refused, Reason: "wrong token"}, status: 403, body: "wrong token\n"},
	{name: "proxy, which is not for endless bodies", answer: listen.Answer{Verdict: listen.Fetch}, status: 500, body: "This request cannot be answered here.\n"},
	{name: "no verdict", status: 500, body: "This request cannot be answered here.\n"},
	{
		name: "a form that cannot carry the stream", status: 415, body: "This stream cannot be sent as mpegts: no text in it.\n",
		answer: listen.Answer{Verdict: listen.Serve, Source: &source{tracks: codecs.Tracks{{Codec: codecs.Opus}}}},
	},
	{
		name: "HEAD of a stream", method: "HEAD", status: 200, headers: map[string]string{"Content-Type": "text/x-form", "Cache-Control": "no-store"},
		answer: listen.Answer{Verdict: listen.Serve, Source: newSource()},
	},
	{name: "HEAD of none", method: "HEAD", status: 404, answer: listen.Answer{Verdict: listen.NotFound}},
	{name: "OPTIONS", method: "OPTIONS", status: 204, headers: map[string]string{"Allow": "GET, HEAD, OPTIONS"}},
	{name: "POST", method: "POST", status: 405, headers: map[string]string{"Allow": "GET, HEAD, OPTIONS"}, body: "Only GET, HEAD and OPTIONS are answered here.\n"},
}

func TestEveryAnswerHasItsStatusAndCORS(t *testing.T) {
	for _, test := range verdictTests {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(handler(&router{answer: test.answer}, make(sessions, 1)))
			defer s.Close()
			path := test.path
			if path == "" {
				path = "/cam/1/mpegts"
			}
			method := test.method
			if method == "" {
				method = "GET"
			}
			req, err := http.NewRequest(method, s.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status || string(body) != test.body {
				t.Errorf("status %d with body %q, want %d with %q", resp.StatusCode, body, test.status, test.body)
			}
			for name, want := range test.headers {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("Access-Control-Allow-Origin: %q, want *", got)
			}
		})
	}
}

// An open body is a viewer with the client that serves it.
type open struct {
	conn   net.Conn
	r      *bufio.Reader
	head   *http.Response
	client listen.Client
}

// ask opens a body over HTTP/1.1 with a plain socket.
func ask(t *testing.T, s *source) open {
	t.Helper()
	h := make(sessions, 1)
	server := httptest.NewServer(handler(&router{answer: listen.Answer{Verdict: listen.Serve, Source: s}}, h))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET /cam/1/mpegts HTTP/1.1\r\nHost: weir\r\n\r\nwhat follows has no meaning"); err != nil {
		t.Fatal(err)
	}
	o := open{conn: conn, r: bufio.NewReader(conn), client: <-h}
	t.Cleanup(func() { o.client.Close() })
	if o.head, err = http.ReadResponse(o.r, nil); err != nil {
		t.Fatal(err)
	}
	return o
}

// expect reads exactly want.
func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("read %q with error %v, want %q", b, err, want)
	}
}

func TestBodyIsSentUntilTheStreamEnds(t *testing.T) {
	s := newSource()
	o := ask(t, s)
	if !o.head.Close || o.head.ContentLength != -1 || len(o.head.TransferEncoding) != 0 || o.head.StatusCode != 200 ||
		o.head.Header.Get("Content-Type") != "text/x-form" || o.head.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("response head %+v", o.head)
	}
	served := make(chan error, 1)
	go func() { served <- o.client.Serve(context.Background(), nil) }()
	s.texts <- "one"
	s.texts <- "two"
	expect(t, o.r, "[90000]onetwo")
	if form := <-s.joined; form != "mpegts" {
		t.Errorf("joined form %q, want text", form)
	}
	close(s.texts)
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v, want nil", err)
	}
	st := o.client.Stats()
	remote := netip.MustParseAddrPort(o.conn.LocalAddr().String())
	if st.Protocol != protocols.TS || st.Stream != "cam/1" || st.BytesOut != 13 || st.Dropped != 2 || st.Remote != remote || st.Publisher {
		t.Errorf("stats %+v", st)
	}
	if err := errors.Join(o.client.Close(), o.client.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if rest, err := io.ReadAll(o.r); len(rest) > 0 || err != nil {
		t.Errorf("the body ends with %q and error %v, want an orderly end", rest, err)
	}
	if err := o.client.Serve(context.Background(), nil); err != nil {
		t.Errorf("Serve after Close = %v, want nil", err)
	}
}

func TestRestartedSessionGoesOnOnTheSameConnection(t *testing.T) {
	s := newSource()
	o := ask(t, s)
	served := make(chan error, 1)
	ctx, restart := context.WithCancel(context.Background())
	go func() { served <- o.client.Serve(ctx, nil) }()
	s.texts <- "one"
	expect(t, o.r, "[90000]one")
	restart()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Fatalf("Serve() = %v, want %v", err, context.Canceled)
	}
	go func() { served <- o.client.Serve(context.Background(), nil) }()
	s.texts <- "two"
	expect(t, o.r, "[90000]two")
	if n := o.client.Stats().Dropped; n != 1 && n != 2 { // the second may not have been counted yet
		t.Errorf("%d dropped, want those of both sessions", n)
	}
	o.client.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve() of a closed client = %v, want nil", err)
	}
}

func TestViewerThatLeavesASilentStreamIsNoticed(t *testing.T) {
	s := newSource()
	o := ask(t, s)
	served := make(chan error, 1)
	go func() { served <- o.client.Serve(context.Background(), nil) }()
	expect(t, o.r, "[90000]")
	o.conn.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v, want nil", err)
	}
}

// A serving sessions serves each client at once, as the node does.
type serving struct{ served chan error }

func (h serving) Enter(c listen.Client) {
	go func() {
		err := c.Serve(context.Background(), nil)
		c.Close()
		h.served <- err
	}()
}

// askTwo opens a body over HTTP/2.
func askTwo(t *testing.T, s *source) (*http.Response, serving) {
	t.Helper()
	h := serving{make(chan error, 1)}
	server := httptest.NewUnstartedServer(handler(&router{answer: listen.Answer{Verdict: listen.Serve, Source: s}}, h))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	resp, err := server.Client().Get(server.URL + "/cam/1/mpegts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("%s, status %d, headers %v", resp.Proto, resp.StatusCode, resp.Header)
	}
	return resp, h
}

func TestBodyIsSentOverHTTP2(t *testing.T) {
	s := newSource()
	resp, h := askTwo(t, s)
	expect(t, resp.Body, "[90000]")
	s.texts <- "one"
	expect(t, resp.Body, "one") // without waiting for more
	close(s.texts)
	if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
		t.Errorf("the body ends with %q and error %v, want an orderly end", rest, err)
	}
	if err := <-h.served; err != nil {
		t.Errorf("Serve() = %v, want nil", err)
	}
}

func TestViewerThatLeavesOverHTTP2IsNoticed(t *testing.T) {
	s := newSource()
	resp, h := askTwo(t, s)
	expect(t, resp.Body, "[90000]")
	resp.Body.Close()
	if err := <-h.served; err != nil {
		t.Errorf("Serve() = %v, want nil", err)
	}
}

func TestViewerThatDoesNotReadOverHTTP2HoldsNobodyUp(t *testing.T) {
	s := newSource()
	h := make(sessions, 1)
	returned := make(chan struct{})
	inner := handler(&router{answer: listen.Answer{Verdict: listen.Serve, Source: s}}, h)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(returned)
		inner.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	c := <-h
	served := make(chan error, 1)
	go func() { served <- c.Serve(context.Background(), nil) }()
	for range 16 { // more than any window of flow control
		s.texts <- strings.Repeat("x", 1<<20)
	}
	expect(t, resp.Body, "[90000]")
	c.Close()
	<-returned
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v, want nil", err)
	}
}

var requestTests = []struct {
	name string
	line string // of the request
	want listen.Request
}{
	{"plain", "/cam/mpegts", listen.Request{Path: "/cam/mpegts"}},
	{"escaped", "/a%2Fb%20c/mpegts?token=x%26y", listen.Request{Path: "/a%2Fb%20c/mpegts", Query: "token=x%26y"}},
	{"hops", "/x?a=1&weir_hops=2", listen.Request{Path: "/x", Query: "a=1&weir_hops=2", Hops: 2}},
	{"negative hops", "/x?weir_hops=-2", listen.Request{Path: "/x", Query: "weir_hops=-2"}},
	{"too many hops", "/x?weir_hops=99999", listen.Request{Path: "/x", Query: "weir_hops=99999", Hops: 100}},
	{"hops of somebody else", "/x?weir_hops=beer", listen.Request{Path: "/x", Query: "weir_hops=beer"}},
	{"absolute", "http://other/x?y", listen.Request{Path: "/x", Query: "y"}},
}

func TestHTTPRequestIsUnderstood(t *testing.T) {
	for _, test := range requestTests {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + test.line + " HTTP/1.1\r\nHost: node:80\r\nUser-Agent: vlc\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = "[::ffff:192.0.2.7]:999"
		r.URL.Path = "/stripped by a router"
		if test.name == "absolute" {
			r.URL.Path = "/x"
		}
		got := listen.HTTPRequest(r, protocols.FLV, "cam")
		w := test.want
		if got.Path != w.Path || got.Query != w.Query || got.Hops != w.Hops || got.Protocol != protocols.FLV || len(got.Streams) != 1 || got.Streams[0] != "cam" ||
			got.Remote != netip.MustParseAddrPort("192.0.2.7:999") || got.Secure || got.Agent != "vlc" {
			t.Errorf("HTTPRequest(%s) = %+v, want %+v", test.name, got, w)
		}
	}
}

var hopsTests = []struct {
	query string
	n     int
	want  string
}{
	{"", 1, "weir_hops=1"},
	{"a=b&c", 1, "a=b&c&weir_hops=1"},
	{"weir_hops=1&token=%2F&&x", 2, "token=%2F&x&weir_hops=2"},
	{"weir_hopsize=1", 2, "weir_hopsize=1&weir_hops=2"},
}

func TestWithHopsKeepsTheRestOfTheQuery(t *testing.T) {
	for _, test := range hopsTests {
		if got := listen.WithHops(test.query, test.n); got != test.want {
			t.Errorf("WithHops(%q, %d) = %q, want %q", test.query, test.n, got, test.want)
		}
	}
}

func FuzzHops(f *testing.F) {
	for _, test := range hopsTests {
		f.Add(test.query, test.n)
	}
	f.Fuzz(func(t *testing.T, query string, n int) {
		n = min(max(n, 0), 100)
		out := listen.WithHops(query, n)
		r := &http.Request{URL: &url.URL{RawQuery: out}}
		if got := listen.HTTPRequest(r, protocols.TS, "").Hops; got != n {
			t.Errorf("a request with %q has %d hops, want %d", out, got, n)
		}
		if again := listen.WithHops(out, n); again != out {
			t.Errorf("WithHops(%q) = %q, want no change", out, again)
		}
	})
}
