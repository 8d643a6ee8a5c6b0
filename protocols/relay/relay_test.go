package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/protocols"
	"weir/protocols/listen"
)

// A source is a stream whose media the test writes; every viewer gets all of it. It implements [listen.Source].
type source struct {
	name   string
	tracks codecs.Tracks

	mu       sync.Mutex
	enc      codecs.Encoder
	encoders int
	wires    [][]byte
	ended    bool
	wake     chan struct{}
	joined   chan struct{} // receives one for each viewer
}

func newSource(name string, tracks codecs.Tracks) *source {
	return &source{name: name, tracks: tracks, wake: make(chan struct{}), joined: make(chan struct{}, 16)}
}

func (s *source) Name() string           { return s.name }
func (s *source) Tracks() codecs.Tracks  { return s.tracks }
func (s *source) Units() listen.UnitFeed { panic("a relay asks for its form") }

func (s *source) Join(name string, mk func(int64) codecs.Encoder) listen.Feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != form {
		panic("unexpected form " + name)
	}
	if s.enc == nil {
		s.enc = mk(0)
		s.encoders++
		s.wires = append(s.wires, s.enc.Prologue(s.tracks))
	}
	s.joined <- struct{}{}
	return &cursor{s: s}
}

func (s *source) write(au *codecs.AccessUnit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wires = append(s.wires, s.enc.Encode(au))
	s.wakeAll()
}

func (s *source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.wakeAll()
}

func (s *source) wakeAll() {
	close(s.wake)
	s.wake = make(chan struct{})
}

type cursor struct {
	s    *source
	next int
}

func (c *cursor) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	for {
		c.s.mu.Lock()
		wake, ended := c.s.wake, c.s.ended
		pending := c.s.wires[c.next:]
		c.next = len(c.s.wires)
		c.s.mu.Unlock()
		if len(pending) > 0 {
			return append(bufs, pending...), nil
		}
		if ended {
			return bufs, io.EOF
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return bufs, ctx.Err()
		}
	}
}

func (*cursor) Dropped() uint64 { return 0 }
func (*cursor) Close()          {}

// router answers every request alike and keeps the last.
type router struct {
	answer listen.Answer
	last   atomic.Pointer[listen.Request]
}

func (d *router) Play(_ context.Context, r listen.Request) listen.Answer {
	d.last.Store(&r)
	return d.answer
}

func (*router) Publish(context.Context, listen.Request) (listen.Publication, error) {
	return nil, listen.ErrDenied
}

// sessions serves clients as a session does, and can restart them.
type sessions struct {
	router listen.Router
	wg     sync.WaitGroup

	mu      sync.Mutex
	clients []listen.Client
	cancels []context.CancelFunc
	ended   chan error
}

func newSessions(d listen.Router) *sessions { return &sessions{router: d, ended: make(chan error, 16)} }

func (h *sessions) Enter(c listen.Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients = append(h.clients, c)
	h.cancels = append(h.cancels, nil)
	h.serve(len(h.clients) - 1)
}

// serve starts Serve of the i-th client; h.mu is held.
func (h *sessions) serve(i int) {
	ctx, cancel := context.WithCancel(context.Background())
	h.cancels[i] = cancel
	c := h.clients[i]
	h.wg.Go(func() { h.ended <- c.Serve(ctx, h.router) })
}

func (h *sessions) client(i int) listen.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clients[i]
}

func (h *sessions) restart(t *testing.T, i int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cancels[i]()
	if err := <-h.ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("Serve that was cancelled = %v, want %v", err, context.Canceled)
	}
	h.serve(i)
}

func (h *sessions) close() {
	h.mu.Lock()
	for i, c := range h.clients {
		c.Close()
		h.cancels[i]()
	}
	h.mu.Unlock()
	h.wg.Wait()
}

func serveRelay(t *testing.T, d *router) (base string, h *sessions) {
	t.Helper()
	h = newSessions(d)
	s := httptest.NewServer(New(listen.Deps{Router: d, Sessions: h, Log: quiet}))
	t.Cleanup(func() { h.close(); s.Close() })
	return s.URL, h
}

// A sink is a [codecs.Writer] that sends on what it gets.
// usual is the patience of a node that pulls.
var usual = Options{Answer: 5 * time.Second, Silence: 3 * time.Second}

type sink chan any

func (s sink) SetTracks(t codecs.Tracks)         { s <- t }
func (s sink) Write(au *codecs.AccessUnit) error { s <- au; return nil }

func pullInto(ctx context.Context, url string, o Options) (sink, <-chan error) {
	s, ended := make(sink), make(chan error, 1)
	go func() { ended <- Pull(ctx, http.DefaultTransport, url, s, o) }()
	return s, ended
}

func expect(t *testing.T, s sink, ended <-chan error, want any) {
	t.Helper()
	select {
	case got := <-s:
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("relayed %.200v, want %.200v", got, want)
		}
	case err := <-ended:
		t.Fatalf("the relay ended: %v", err)
	}
}

var tracks = codecs.Tracks{video, audio}

func unit(n int64) *codecs.AccessUnit {
	return &codecs.AccessUnit{DTS: n, PTS: n, RandomAccess: true, Payload: []byte{byte(n)}}
}

func TestRelayBringsMediaUntilTheStreamEnds(t *testing.T) {
	src := newSource("live/cam 1", tracks)
	d := &router{answer: listen.Answer{Verdict: listen.Serve, Source: src}}
	base, h := serveRelay(t, d)
	s, ended := pullInto(t.Context(), URL(base, "live/cam 1", 2), usual)
	expect(t, s, ended, tracks)
	for n := range int64(3) {
		src.write(unit(n))
		expect(t, s, ended, unit(n))
	}
	src.end()
	if err := <-ended; !errors.Is(err, ErrEnded) {
		t.Errorf("Pull = %v, want %v", err, ErrEnded)
	}
	if err := <-h.ended; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	r := d.last.Load()
	if r.Protocol != protocols.Relay || r.Hops != 2 || !reflect.DeepEqual(r.Streams, []string{"live/cam 1"}) || !r.Remote.IsValid() {
		t.Errorf("the router was asked %+v", r)
	}
	st := h.client(0).Stats()
	if st.Protocol != protocols.Relay || st.Stream != "live/cam 1" || st.BytesOut == 0 || st.Remote == (netip.AddrPort{}) {
		t.Errorf("Stats = %+v", st)
	}
}

func TestTwoPullersShareOneEncoder(t *testing.T) {
	src := newSource("a", tracks)
	d := &router{answer: listen.Answer{Verdict: listen.Serve, Source: src}}
	base, _ := serveRelay(t, d)
	s1, e1 := pullInto(t.Context(), URL(base, "a", 1), usual)
	s2, e2 := pullInto(t.Context(), URL(base, "a", 1), usual)
	expect(t, s1, e1, tracks)
	expect(t, s2, e2, tracks)
	src.write(unit(7))
	expect(t, s1, e1, unit(7))
	expect(t, s2, e2, unit(7))
	if src.encoders != 1 {
		t.Errorf("%d encoders were made, want 1", src.encoders)
	}
}

func TestRestartedSessionGoesOnAndAStreamThatLeftIsMoved(t *testing.T) {
	src := newSource("a", tracks)
	d := &router{answer: listen.Answer{Verdict: listen.Serve, Source: src}}
	base, h := serveRelay(t, d)
	s, ended := pullInto(t.Context(), URL(base, "a", 1), usual)
	expect(t, s, ended, tracks)
	h.restart(t, 0)
	expect(t, s, ended, tracks) // the new feed's prologue
	src.write(unit(1))
	expect(t, s, ended, unit(1))

	d.answer = listen.Answer{Verdict: listen.Redirect, Location: "elsewhere"}
	h.restart(t, 0)
	if err := <-ended; !errors.Is(err, ErrMoved) {
		t.Errorf("Pull = %v, want %v", err, ErrMoved)
	}
}

// A resumer is a source that notes where its viewers want to go on.
type resumer struct {
	*source
	after chan int64
}

func (r *resumer) JoinAfter(form string, mk func(int64) codecs.Encoder, dts int64) listen.Feed {
	r.after <- dts
	return r.Join(form, mk)
}

func TestRelayGoesOnAfterWhatTheAskerHas(t *testing.T) {
	src := &resumer{newSource("a", tracks), make(chan int64, 1)}
	base, h := serveRelay(t, &router{answer: listen.Answer{Verdict: listen.Serve, Source: src}})
	const newest = -90_000 * 1_795_000_000
	s, ended := pullInto(t.Context(), After(URL(base, "a", 1), newest), usual)
	expect(t, s, ended, tracks)
	if got := <-src.after; got != newest {
		t.Errorf("the relay goes on after %d, want %d", got, newest)
	}
	h.restart(t, 0)
	expect(t, s, ended, tracks)
	select {
	case got := <-src.after:
		t.Errorf("a restarted session goes on after %d again, although the asker has more by now", got)
	default:
	}
}

func TestServeReturnsNilWhenThePullerLeaves(t *testing.T) {
	src := newSource("a", tracks)
	base, h := serveRelay(t, &router{answer: listen.Answer{Verdict: listen.Serve, Source: src}})
	ctx, cancel := context.WithCancel(t.Context())
	s, ended := pullInto(ctx, URL(base, "a", 1), usual)
	expect(t, s, ended, tracks)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Pull = %v, want %v", err, context.Canceled)
	}
	if err := <-h.ended; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestClosedClientEndsThePull(t *testing.T) {
	src := newSource("a", tracks)
	base, h := serveRelay(t, &router{answer: listen.Answer{Verdict: listen.Serve, Source: src}})
	s, ended := pullInto(t.Context(), URL(base, "a", 1), usual)
	expect(t, s, ended, tracks)
	h.client(0).Close()
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("Pull = %v, want a broken connection", err)
	}
	if err := <-h.ended; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

var refusalTests = []struct {
	name   string
	answer listen.Answer
	query  string
	status int
	err    error
	retry  string
}{
	{name: "elsewhere", answer: listen.Answer{Verdict: listen.Redirect, Location: "http://other/"}, status: 409, err: ErrNotHere},
	{name: "proxied", answer: listen.Answer{Verdict: listen.Fetch, Upstream: "http://other"}, status: 409, err: ErrNotHere},
	{name: "nowhere", answer: listen.Answer{Verdict: listen.NotFound, Reason: "no stream a"}, status: 404, err: ErrNotFound},
	{name: "starting", answer: listen.Answer{Verdict: listen.Unavailable, RetryAfter: 1500 * time.Millisecond}, status: 503, err: ErrUnavailable, retry: "2"},
	{name: "forbidden", answer: listen.Answer{Verdict: listen.Refused}, status: 403, err: ErrRefused},
	{name: "a source that is not", answer: listen.Answer{Verdict: listen.Serve}, status: 409, err: ErrNotHere},
	{name: "third hop", query: "?hops=3", status: 409, err: ErrNotHere},
	{name: "no hop", query: "?hops=0", status: 400, err: ErrRefused},
	{name: "garbage", query: "?hops=x", status: 400, err: ErrRefused},
	{name: "garbage for an instant", query: "?after=x", status: 400, err: ErrRefused},
}

func TestRefusalSaysWhatTheAskerShouldDo(t *testing.T) {
	for _, c := range refusalTests {
		t.Run(c.name, func(t *testing.T) {
			d := &router{answer: c.answer}
			base, _ := serveRelay(t, d)
			url := base + Path + "a" + c.query
			res, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != c.status || res.Header.Get("Retry-After") != c.retry || res.Header.Get("Location") != "" {
				t.Errorf("status %d, Retry-After %q, Location %q; want %d, %q, none",
					res.StatusCode, res.Header.Get("Retry-After"), res.Header.Get("Location"), c.status, c.retry)
			}
			if c.query != "" && d.last.Load() != nil {
				t.Error("the router was asked although the request was refused")
			}
			if err := Pull(t.Context(), http.DefaultTransport, url, make(sink), usual); !errors.Is(err, c.err) {
				t.Errorf("Pull = %v, want %v", err, c.err)
			}
		})
	}
}

func TestOnlyOneSegmentIsAStream(t *testing.T) {
	for path, want := range map[string]string{
		Path + "a":            "a",
		Path + "live%2Fa%20b": "live/a b",
		Path + "live/a":       "",
		Path:                  "",
		"/cluster/state":      "",
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if got, ok := streamOf(r); got != want && ok || ok != (want != "") {
			t.Errorf("streamOf(%s) = %q, %v, want %q", path, got, ok, want)
		}
	}
}

func TestHeadersOfTheHandlersAroundAreSent(t *testing.T) {
	src := newSource("a", tracks)
	d := &router{answer: listen.Answer{Verdict: listen.Serve, Source: src}}
	h := newSessions(d)
	inner := New(listen.Deps{Router: d, Sessions: h, Log: quiet})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proof", "abc")
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { h.close(); s.Close() })
	res, err := http.Get(URL(s.URL, "a", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("X-Proof") != "abc" || res.Header.Get("Content-Type") != MediaType {
		t.Errorf("head = %v", res.Header)
	}
}

// rawServer answers one request with the head of a relay and what body writes.
func rawServer(t *testing.T, body func(net.Conn)) (url string) {
	t.Helper()
	l, err := listen.Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var b [4096]byte
		if _, err := conn.Read(b[:]); err != nil {
			return // the asker gave up first
		}
		body(conn)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String() + Path + "a"
}

func TestNodeThatDiesWithinAnAccessUnitIsABrokenRelay(t *testing.T) {
	half := encode([]any{tracks, &codecs.AccessUnit{Payload: make([]byte, 1000)}})
	half = half[:len(half)-500]
	url := rawServer(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+string(half))
	})
	s, ended := pullInto(t.Context(), url, usual)
	expect(t, s, ended, tracks)
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Pull = %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestNodeThatHangsWithinAnAccessUnitIsSilent(t *testing.T) {
	half := encode([]any{tracks, &codecs.AccessUnit{Payload: make([]byte, 1000)}})
	half = half[:len(half)-500]
	url := rawServer(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+string(half))
		_, _ = io.Copy(io.Discard, c) // until the puller gives up
	})
	s, ended := pullInto(t.Context(), url, Options{Answer: usual.Answer, Silence: 300 * time.Millisecond})
	expect(t, s, ended, tracks)
	if err := <-ended; !errors.Is(err, ErrSilent) {
		t.Errorf("Pull = %v, want %v", err, ErrSilent)
	}
}

func TestNodeThatDoesNotAnswerIsSilent(t *testing.T) {
	url := rawServer(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	err := Pull(t.Context(), http.DefaultTransport, url, make(sink), Options{Answer: 50 * time.Millisecond, Silence: time.Minute})
	if !errors.Is(err, ErrSilent) {
		t.Errorf("Pull = %v, want %v", err, ErrSilent)
	}
}

// pipeListener accepts the other ends of what dial returns: connections that live in a synctest bubble.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	l <- a
	return b, nil
}

func TestIdleStreamIsKeptAliveAndASilentNodeIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("a", tracks)
		d := &router{answer: listen.Answer{Verdict: listen.Serve, Source: src}}
		h := newSessions(d)
		l := make(pipeListener)
		server := &http.Server{Handler: New(listen.Deps{Router: d, Sessions: h, Log: quiet})}
		go func() { _ = server.Serve(l) }()

		s, ended := make(sink), make(chan error, 1)
		rt := &http.Transport{DialContext: l.dial}
		go func() { ended <- Pull(t.Context(), rt, URL("http://node", "a", 1), s, usual) }()
		expect(t, s, ended, tracks)
		time.Sleep(time.Hour)
		src.write(unit(1))
		expect(t, s, ended, unit(1))

		// The node stops: nothing is sent any more, and the connection stays.
		h.mu.Lock()
		h.cancels[0]()
		h.mu.Unlock()
		start := time.Now()
		if err := <-ended; !errors.Is(err, ErrSilent) {
			t.Errorf("Pull = %v, want %v", err, ErrSilent)
		}
		if took, want := time.Since(start), 3*time.Second; took > want {
			t.Errorf("silence was noticed after %v, want %v", took, want)
		}
		h.close()
		close(l)
		server.Close()
		rt.CloseIdleConnections()
	})
}

func TestKeepAlivesCostNothingWhileMediaFlows(t *testing.T) {
	var dropped atomic.Uint64
	k := &keptAlive{Feed: listen.Counted(busy{}, &dropped)}
	defer k.Close()
	ctx := t.Context()
	bufs := make([][]byte, 0, 4)
	got := testing.AllocsPerRun(100, func() {
		if b, err := k.Next(ctx, bufs[:0]); err != nil || len(b) != 1 {
			t.Fatalf("Next = %v, %v", b, err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations per batch, want 0", got)
	}
}

// busy is a feed that always has media.
type busy struct{}

var one = []byte("x")

func (busy) Next(_ context.Context, bufs [][]byte) ([][]byte, error) { return append(bufs, one), nil }
func (busy) Dropped() uint64                                         { return 3 }
func (busy) Close()                                                  {}

func TestEdgeIsKnownFromAPeer(t *testing.T) {
	src := newSource("a/b", tracks)
	d := &router{answer: listen.Answer{Verdict: listen.Serve, Source: src}}
	base, h := serveRelay(t, d)
	for i, url := range []string{URL(base, "a/b", 1), EdgeURL(base, "a/b")} {
		ctx, cancel := context.WithCancel(t.Context())
		s, ended := pullInto(ctx, url, usual)
		expect(t, s, ended, tracks)
		edge := i == 1
		if r := d.last.Load(); r.Edge != edge || r.Hops != 1 || r.Streams[0] != "a/b" {
			t.Errorf("%s: request %+v, want an edge: %t", url, r, edge)
		}
		if st := h.client(i).Stats(); st.Edge != edge {
			t.Errorf("%s: the client is an edge: %t, want %t", url, st.Edge, edge)
		}
		cancel()
		<-ended
	}
}
