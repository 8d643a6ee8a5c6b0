package rtsp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	rtspconn "github.com/bluenviron/gortsplib/v5/pkg/conn"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/protocols/listen"
)

var quiet = slog.New(slog.DiscardHandler)

// A source is a stream whose media the test writes. A viewer starts at the newest random access point of video.
type source struct {
	name string

	mu       sync.Mutex
	tracks   codecs.Tracks
	enc      codecs.Encoder
	encoders int
	items    []any // codecs.Tracks and *codecs.AccessUnit
	wires    [][]byte
	start    int // of a viewer that joins now
	ended    bool
	wake     chan struct{}
	joined   chan struct{}
}

func newSource(name string) *source {
	return &source{name: name, wake: make(chan struct{}), joined: make(chan struct{}, 64)}
}

func (s *source) Name() string           { return s.name }
func (s *source) Units() listen.UnitFeed { panic("RTSP asks for its form") }

func (s *source) Tracks() codecs.Tracks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracks
}

func (s *source) Join(name string, mk func(int64) codecs.Encoder) listen.Feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name != form {
		panic("unexpected form " + name)
	}
	if s.enc == nil {
		s.enc = mk(0)
		s.encoders++
		for _, item := range s.items {
			s.encode(item)
		}
	}
	s.joined <- struct{}{}
	return &cursor{s: s, next: s.start, fresh: true}
}

func (s *source) encode(item any) {
	switch item := item.(type) {
	case codecs.Tracks:
		s.wires = append(s.wires, s.enc.Prologue(item))
	case *codecs.AccessUnit:
		s.wires = append(s.wires, s.enc.Encode(item))
	}
}

func (s *source) write(items ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range items {
		switch item := item.(type) {
		case codecs.Tracks:
			s.tracks = item
		case *codecs.AccessUnit:
			if item.RandomAccess && (s.tracks.Video() < 0 || item.Track == s.tracks.Video()) {
				s.start = len(s.items)
			}
		}
		s.items = append(s.items, item)
		if s.enc != nil {
			s.encode(item)
		}
	}
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
	s     *source
	next  int
	fresh bool // wants the newest prologue first
}

func (c *cursor) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	for {
		c.s.mu.Lock()
		wake, ended := c.s.wake, c.s.ended
		if c.fresh {
			c.fresh = false
			for i := c.next - 1; i >= 0; i-- {
				if _, ok := c.s.items[i].(codecs.Tracks); ok {
					bufs = append(bufs, c.s.wires[i])
					break
				}
			}
		}
		pending := c.s.wires[c.next:min(len(c.s.wires), c.next+256)]
		c.next += len(pending)
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

// pattern is a source with the given number of segments of 4 s of the test pattern, of 25 pictures a second.
func pattern(t *testing.T, name string, segments int) *source {
	t.Helper()
	p, err := fake.New(fake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := newSource(name)
	s.write(p.Tracks())
	start := 0
	for n := range segments {
		units, err := p.Segment(440_000_000 + int64(n))
		if err != nil {
			t.Fatal(err)
		}
		for _, au := range units {
			s.write(au)
			if start == 0 && au.RandomAccess && au.Track == p.Tracks().Video() {
				start = len(s.items) - 1
			}
		}
	}
	s.start = start // all of it for whoever joins before more is written
	return s
}

// router answers by the name of the stream; unknown ones are not found.
type router struct {
	mu      sync.Mutex
	answers map[string]listen.Answer
	asked   []listen.Request
}

func (d *router) Play(_ context.Context, r listen.Request) listen.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, r)
	if a, ok := d.answers[r.Streams[0]]; ok {
		return a
	}
	return listen.Answer{Verdict: listen.NotFound, Reason: "no stream " + r.Streams[0]}
}

func (d *router) requests() []listen.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]listen.Request(nil), d.asked...)
}

func (*router) Publish(context.Context, listen.Request) (listen.Publication, error) {
	return nil, listen.ErrDenied
}

func serving(sources ...*source) *router {
	d := &router{answers: map[string]listen.Answer{}}
	for _, s := range sources {
		d.answers[s.name] = listen.Answer{Verdict: listen.Serve, Stream: s.name, Source: s}
	}
	return d
}

// sessions serves clients as sessions do, and can restart them.
type sessions struct {
	router listen.Router
	ended  chan error
	wg     sync.WaitGroup

	mu      sync.Mutex
	clients []listen.Client
	cancels []context.CancelFunc
}

func (h *sessions) Enter(c listen.Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients = append(h.clients, c)
	h.cancels = append(h.cancels, nil)
	h.serve(len(h.clients) - 1)
}

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

// A node is a running server.
type node struct {
	*Server
	sessions *sessions
	router   *router
	addr     string
}

func (n *node) url(stream string) string { return "rtsp://" + n.addr + "/" + stream }

func start(t *testing.T, d *router) *node {
	t.Helper()
	l, err := listen.Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &sessions{router: d, ended: make(chan error, 64)}
	n := &node{Server: New(Config{Host: "127.0.0.1"}, listen.Deps{Router: d, Sessions: h, Log: quiet}), sessions: h, router: d, addr: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- n.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Server.Serve = %v, want nil", err)
		}
		n.Server.Close()
		h.wg.Wait() // every session has ended
	})
	return n
}

// A player is a client that speaks RTSP by hand.
type player struct {
	t    *testing.T
	net  net.Conn
	conn *rtspconn.Conn
	url  string
	cseq int
	id   string // of the session
}

func dial(t *testing.T, n *node, stream string) *player {
	t.Helper()
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &player{t: t, net: c, conn: rtspconn.NewConn(bufio.NewReader(c), c), url: n.url(stream)}
}

// send writes a request; url is appended to the player's.
func (p *player) send(method base.Method, url string, header ...string) {
	p.t.Helper()
	p.cseq++
	r := fmt.Sprintf("%s %s%s RTSP/1.0\r\nCSeq: %d\r\n", method, p.url, url, p.cseq)
	if p.id != "" {
		r += "Session: " + p.id + "\r\n"
	}
	for _, h := range header {
		r += h + "\r\n"
	}
	if _, err := io.WriteString(p.net, r+"\r\n"); err != nil {
		p.t.Fatal(err)
	}
}

// ask sends a request and returns the response, passing over media.
func (p *player) ask(method base.Method, url string, header ...string) *base.Response {
	p.t.Helper()
	p.send(method, url, header...)
	for {
		what, err := p.conn.Read()
		if err != nil {
			p.t.Fatalf("%s: %v", method, err)
		}
		if r, ok := what.(*base.Response); ok {
			if s := r.Header["Session"]; len(s) > 0 {
				p.id, _, _ = strings.Cut(s[0], ";")
			}
			return r
		}
	}
}

func (p *player) ok(method base.Method, url string, header ...string) *base.Response {
	p.t.Helper()
	r := p.ask(method, url, header...)
	if r.StatusCode != base.StatusOK {
		p.t.Fatalf("%s %s: %d %s", method, url, r.StatusCode, r.StatusMessage)
	}
	return r
}

// play sets up both media, interleaved on the usual channels, and plays.
func (p *player) play() {
	p.t.Helper()
	p.ok(base.Setup, "/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
	p.ok(base.Setup, "/trackID=1", "Transport: RTP/AVP/TCP;unicast;interleaved=2-3")
	p.ok(base.Play, "")
}

// packet reads the next interleaved packet; nil when the connection has ended.
func (p *player) packet() (channel int, payload []byte) {
	p.t.Helper()
	what, err := p.conn.Read()
	if err != nil {
		return -1, nil
	}
	f, ok := what.(*base.InterleavedFrame)
	if !ok {
		p.t.Fatalf("read %T, want a packet", what)
	}
	return f.Channel, f.Payload
}
