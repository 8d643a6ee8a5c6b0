package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/codecs"
	"weir/codecs/reception"
	"weir/protocols/listen"
)

// A hub is a stream in memory: all access units since its start, for any number of viewers.
type hub struct {
	reception.Report

	name   string
	base   int64
	joined atomic.Int32

	mu      sync.Mutex
	more    chan struct{} // closed when something was added
	tracks  codecs.Tracks
	units   []*codecs.AccessUnit
	ended   bool
	closed  bool
	fail    error // of the next Write
	panics  int   // Writes that panic
	heard   int   // messages that brought no access unit
	over    context.CancelCauseFunc
	lasts   context.Context // of the publication
	dropped uint64
	left    []listen.Feed // of viewers who came again
}

func newHub(name string) *hub {
	h := &hub{Report: reception.Discard, name: name, more: make(chan struct{})}
	h.lasts, h.over = context.WithCancelCause(context.Background())
	return h
}

func (h *hub) Context() context.Context { return h.lasts }
func (h *hub) Heard()                   { h.change(func() { h.heard++ }) }

func (h *hub) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.more)
	h.more = make(chan struct{})
}

func (h *hub) Name() string { return h.name }
func (h *hub) Tracks() codecs.Tracks {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tracks
}
func (h *hub) SetTracks(t codecs.Tracks) { h.change(func() { h.tracks = t }) }
func (h *hub) Close() {
	h.over(errors.New("closed"))
	h.change(func() { h.closed = true })
}
func (h *hub) end() { h.change(func() { h.ended = true }) }

func (h *hub) Write(au *codecs.AccessUnit) error {
	var err error
	h.change(func() {
		switch {
		case h.panics > 0:
			h.panics--
			panic("planted")
		case h.closed:
			err = errors.New("closed")
		case h.fail != nil:
			err = h.fail
		default:
			h.units = append(h.units, au)
		}
	})
	return err
}

// wait waits until cond holds, and fails the test if it never does.
func (h *hub) wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		h.mu.Lock()
		ok, more := cond(), h.more
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("%s did not happen", what)
		}
	}
}

func (h *hub) Units() listen.UnitFeed { panic("not used by RTMP") }

// Join starts a viewer at the last random access point.
func (h *hub) Join(name string, mk func(int64) codecs.Encoder) listen.Feed {
	if name != form {
		panic("joined as " + name)
	}
	h.joined.Add(1)
	return &feed{hub: h, enc: mk(h.base), at: -1}
}

// JoinAgain implements [listen.Returner].
func (h *hub) JoinAgain(name string, mk func(int64) codecs.Encoder, left listen.Feed) listen.Feed {
	h.change(func() { h.left = append(h.left, left) })
	return h.Join(name, mk)
}

type feed struct {
	hub  *hub
	enc  codecs.Encoder
	at   int // the next unit; -1 before the first
	told codecs.Tracks
}

func (f *feed) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	for {
		f.hub.mu.Lock()
		if f.at < 0 {
			for i, au := range f.hub.units {
				if au.RandomAccess {
					f.at = i
				}
			}
		}
		if f.at >= 0 && !f.told.Equal(f.hub.tracks) {
			f.told = f.hub.tracks
			bufs = append(bufs, f.enc.Prologue(f.told))
		}
		for ; f.at >= 0 && f.at < len(f.hub.units); f.at++ {
			if b := f.enc.Encode(f.hub.units[f.at]); b != nil {
				bufs = append(bufs, b)
			}
		}
		more, ended := f.hub.more, f.hub.ended
		f.hub.mu.Unlock()
		if len(bufs) > 0 {
			return bufs, nil
		}
		if ended {
			return bufs, io.EOF
		}
		select {
		case <-more:
		case <-ctx.Done():
			return bufs, ctx.Err()
		}
	}
}

func (f *feed) Dropped() uint64 { return f.hub.dropped }
func (f *feed) Close()          {}

// A router answers from what the test put into it.
type router struct {
	hub    *hub
	answer listen.Answer // instead of hub
	refuse error
	asked  chan listen.Request
}

func newRouter(h *hub) *router { return &router{hub: h, asked: make(chan listen.Request, 16)} }

func (d *router) Play(_ context.Context, r listen.Request) listen.Answer {
	d.asked <- r
	if d.answer.Verdict != 0 {
		return d.answer
	}
	return listen.Answer{Verdict: listen.Serve, Source: d.hub, Stream: d.hub.name}
}

func (d *router) Publish(_ context.Context, r listen.Request) (listen.Publication, error) {
	d.asked <- r
	if d.refuse != nil {
		return nil, fmt.Errorf("%s: %w", r.Streams[0], d.refuse)
	}
	return d.hub, nil
}

// A server accepts connections and serves each once.
type server struct {
	addr  string
	conns chan *conn
	ended chan error // what each Serve returned
}

func serve(t testing.TB, d listen.Router) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), conns: make(chan *conn, 64), ended: make(chan error, 64)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := newConn(nc, slog.New(slog.DiscardHandler))
			s.conns <- c
			running.Go(func() {
				s.ended <- c.Serve(ctx, d)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		cancel()
		running.Wait()
	})
	return s
}

func (s *server) url(path string) string { return "rtmp://" + s.addr + path }

// receive takes the next value of a channel, or fails the test.
func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}
