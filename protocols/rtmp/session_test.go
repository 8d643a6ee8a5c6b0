package rtmp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"

	"weir/codecs"
	"weir/protocols/listen"
)

// A session serves a connection as a supervised actor does: it starts again after a failure.
type session struct {
	t      *testing.T
	c      *conn
	d      listen.Router
	cancel context.CancelFunc
	ended  chan error
}

func (s *session) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				s.ended <- errors.New("panic")
			}
		}()
		s.ended <- s.c.Serve(ctx, s.d)
	}()
}

func supervised(t *testing.T, d listen.Router) (*session, *peer) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, c: newConn(<-accepted, slog.New(slog.DiscardHandler)), d: d}
	s.start()
	t.Cleanup(func() {
		_ = s.c.Close()
		_ = conn.Close()
		<-s.ended
	})
	return s, shakeOn(t, conn)
}

func TestRestartedSessionOfAViewerGoesOnOnItsSocket(t *testing.T) {
	h := liveHub()
	d := newRouter(h)
	s, p := supervised(t, d)
	p.play("live", "cam1")
	p.code()
	p.code()
	video := func() packet {
		for {
			m, err := p.chunks.next()
			if err != nil {
				t.Fatal(err)
			}
			if m.typ == 20 {
				t.Fatalf("a command in the middle of the media: %q", m.body)
			}
			if m.typ == 9 && m.body[1] == 1 {
				return m
			}
		}
	}
	for i := range 3 {
		if m := video(); m.timestamp != uint32(i)*40 {
			t.Fatalf("timestamp %d, want %d", m.timestamp, i*40)
		}
	}
	s.cancel()
	if err := receive(t, s.ended, "the end of the session"); !errors.Is(err, context.Canceled) {
		t.Fatalf("Serve = %v, want %v", err, context.Canceled)
	}
	_ = h.Write(&codecs.AccessUnit{DTS: h.base + 900000, PTS: h.base + 900000, RandomAccess: true, Payload: idrBody[5:]})
	s.start()
	if m := video(); m.timestamp != 10000 || m.body[0] != 0x17 {
		t.Errorf("after the restart: timestamp %d, first byte %#x, want 10000, a random access point", m.timestamp, m.body[0])
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(d.asked) != 1 || h.joined.Load() != 2 || len(h.left) != 1 {
		t.Errorf("the router was asked %d times, %d joins, %d of them again; want 1, 2, 1", len(d.asked), h.joined.Load(), len(h.left))
	}
}

func TestRestartedSessionOfAPublisherGoesOnWithTheNextMessage(t *testing.T) {
	h := newHub("cam1")
	d := newRouter(h)
	s, p := supervised(t, d)
	p.publish("live", "cam1")
	p.code()
	p.tag(9, 0, avcHeader)
	p.tag(18, 0, pictures)
	p.tag(9, 0, idrBody)
	h.wait(t, "a unit", func() bool { return len(h.units) == 1 })

	// Cancelled in the middle of a message, and of a chunk header.
	half := appendMessage(nil, 128, csVideo, 9, mediaStream, 40, sliceBody, nil)
	p.send(half[:9])
	s.cancel()
	if err := receive(t, s.ended, "the end of the session"); !errors.Is(err, context.Canceled) {
		t.Fatalf("Serve = %v, want %v", err, context.Canceled)
	}
	s.start()
	p.send(half[9:15])
	p.send(half[15:])
	h.wait(t, "the unit that was cut", func() bool { return len(h.units) == 2 })

	// A panic loses its message and nothing else.
	h.change(func() { h.panics = 1 })
	p.tag(9, 80, sliceBody)
	if err := receive(t, s.ended, "the panic"); err == nil || err.Error() != "panic" {
		t.Fatalf("Serve = %v, want a panic", err)
	}
	s.start()
	p.tag(9, 120, sliceBody)
	h.wait(t, "the unit behind the panic", func() bool { return len(h.units) == 3 })
	if got := h.units[2].DTS; got != 120*90 {
		t.Errorf("DTS = %d, want %d", got, 120*90)
	}
	if len(d.asked) != 1 || h.closed {
		t.Errorf("the router was asked %d times, closed %v, want once, open", len(d.asked), h.closed)
	}
	if err := s.c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	h.wait(t, "closing", func() bool { return h.closed })
}

func TestClosingBetweenSessionsEndsThePublication(t *testing.T) {
	h := newHub("cam1")
	s, p := supervised(t, newRouter(h))
	p.publish("live", "cam1")
	p.code()
	s.cancel()
	receive(t, s.ended, "the end of the session")
	s.ended <- nil // for the cleanup
	if h.closed {
		t.Fatal("the publication was closed although the session may come back")
	}
	_ = s.c.Close()
	_ = s.c.Close()
	if !h.closed {
		t.Error("the publication is open although the connection is closed")
	}
	if err := s.c.Serve(t.Context(), s.d); err != nil {
		t.Errorf("Serve after Close = %v, want nil", err)
	}
}
