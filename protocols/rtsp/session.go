package rtsp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"weir/codecs"
	"weir/codecs/rtp"
	"weir/protocols"
	"weir/protocols/listen"
)

// A UDP session is sent at most burst bytes per millisecond, about 65 Mbit/s: the GOP that a viewer starts with would
// otherwise overrun the 200 KB or so that its socket holds.
const burst = 8 << 10

// A session is an RTSP session from its first SETUP to its end. It implements [listen.Client].
type session struct {
	server *Server
	lib    *gortsplib.ServerSession
	stream *gortsplib.ServerStream // what the library knows of the stream: its description
	target
	udp bool

	sent, dropped atomic.Uint64

	feed listen.Feed // the newest; nil before the first. It belongs to Serve

	changed chan struct{} // holds a token when playing has begun
	closed  chan struct{}

	mu    sync.Mutex
	conn  *conn              // the one that PLAY came on; nil while nothing is played
	stop  context.CancelFunc // ends the sending; nil while nothing is sent
	route route              // TCP
	ports [maxMedia][2]int   // UDP: of the client, for RTP and RTCP; zero for a medium that was not set up
	ended bool
	err   error // why, when closed is closed; nil when the other side left in order
}

func newSession(server *Server, lib *gortsplib.ServerSession, t target, udp bool) (*session, error) {
	s := &session{
		server: server, lib: lib, target: t, udp: udp,
		changed: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	for i := range s.route {
		s.route[i] = -1
	}
	s.stream = &gortsplib.ServerStream{Server: server.lib, Desc: describe(t.layout)}
	if err := s.stream.Initialize(); err != nil {
		return nil, fmt.Errorf("describing the stream to the library: %w", err)
	}
	return s, nil
}

// agree notes how the client wants a medium.
func (s *session) agree(medium int, t headers.Transport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.udp && t.ClientPorts != nil:
		s.ports[medium] = *t.ClientPorts
	case !s.udp && t.InterleavedIDs != nil:
		s.route[medium] = t.InterleavedIDs[0]
	}
}

// play begins to send, on c if it is over TCP.
func (s *session) play(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *session) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = nil
	if s.stop != nil {
		s.stop()
	}
}

// end is called once, when the library has ended the session.
func (s *session) end(err error) {
	var torn liberrors.ErrServerSessionTornDown
	var unused liberrors.ErrServerSessionNotInUse
	var terminated liberrors.ErrServerTerminated
	if errors.As(err, &torn) || errors.As(err, &unused) || errors.As(err, &terminated) {
		err = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.err, s.ended = nil, err, true
	if s.stop != nil {
		s.stop()
	}
	close(s.closed)
}

// Serve implements [listen.Client]. The router is not asked again: a source outlives the failures of the session.
func (s *session) Serve(ctx context.Context, _ listen.Router) error {
	for {
		playing, c, stop := s.begin(ctx)
		if c == nil {
			stop()
			select {
			case <-s.changed:
				continue
			case <-s.closed:
				return s.reason()
			case <-ctx.Done():
				return fmt.Errorf("waiting for PLAY: %w", ctx.Err())
			}
		}
		err := s.carry(playing, c)
		paused := playing.Err() != nil && ctx.Err() == nil
		stop()
		if errors.Is(err, listen.ErrCut) {
			_ = s.Close()
			if !errors.Is(err, os.ErrDeadlineExceeded) { // the connection is gone, and the library is about to say why
				<-s.closed
				return s.reason()
			}
		}
		select {
		case <-s.closed:
			return s.reason()
		default:
		}
		switch {
		case paused && !errors.Is(err, listen.ErrCut):
			continue
		case err == nil || errors.Is(err, errChanged):
			s.bye(c)
			_ = s.Close()
			if err != nil {
				s.server.deps.Log.Info("RTSP session ends: the client must ask anew", slog.String("stream", s.name()), slog.Any("err", err))
			}
			return nil
		case ctx.Err() == nil:
			_ = s.Close()
		}
		return fmt.Errorf("playing %s: %w", s.name(), err)
	}
}

// begin returns the connection to send on, or nil, and a context that ends when the session is paused or closed. stop
// must be called.
func (s *session) begin(ctx context.Context) (playing context.Context, c *conn, stop func()) {
	playing, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = cancel
	if s.ended {
		s.conn = nil
	}
	return playing, s.conn, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stop = nil
	}
}

func (s *session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return fmt.Errorf("RTSP session of %s: %w", s.name(), s.err)
	}
	return nil
}

// carry sends the stream until it ends or ctx does.
func (s *session) carry(ctx context.Context, c *conn) error {
	s.feed = listen.JoinAgain(s.source, form, func(int64) codecs.Encoder {
		return newEncoder(s.source.Name(), s.server.deps.Log)
	}, s.feed)
	f := &layoutFeed{Feed: listen.Counted(listen.UntilSilent(s.feed), &s.dropped), signature: s.layout.Signature}
	defer f.Close()
	if s.udp {
		return s.carryUDP(ctx, f)
	}
	s.mu.Lock()
	route := s.route
	s.mu.Unlock()
	if !route.plain(len(s.layout.Media)) {
		f.route = &route
	}
	return listen.Carry(ctx, c.media(), f, &s.sent)
}

// carryUDP sends each packet in a datagram of its own.
func (s *session) carryUDP(ctx context.Context, f *layoutFeed) error {
	to := s.addresses()
	var pause *time.Timer
	bufs := make([][]byte, 0, 256)
	for {
		var err error
		bufs, err = f.Next(ctx, bufs[:0])
		budget := burst
		for _, b := range bufs {
			for channel, packet := range split(b) {
				addr := to[channel/2%maxMedia][channel%2]
				if !addr.IsValid() {
					continue
				}
				if budget -= len(packet); budget < 0 {
					budget = burst
					if pause == nil {
						pause = time.NewTimer(time.Millisecond)
						defer pause.Stop()
					} else {
						pause.Reset(time.Millisecond)
					}
					select {
					case <-pause.C:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				n, werr := s.server.udp[channel%2].WriteToUDPAddrPort(packet, addr)
				if werr != nil {
					return fmt.Errorf("sending to %s: %w", addr, werr)
				}
				s.sent.Add(uint64(n))
			}
		}
		clear(bufs)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for media: %w", err)
		}
	}
}

// addresses are where RTP and RTCP of each medium go over UDP; invalid for a medium that was not set up.
func (s *session) addresses() (to [maxMedia][2]netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client := s.request.Remote.Addr()
	for i, p := range s.ports {
		if p[0] > 0 && p[0] < 1<<16 && p[1] > 0 && p[1] < 1<<16 {
			to[i] = [2]netip.AddrPort{netip.AddrPortFrom(client, uint16(p[0])), netip.AddrPortFrom(client, uint16(p[1]))}
		}
	}
	return to
}

// bye tells the client that the media has ended (RFC 3550, 6.6), which players otherwise guess from silence.
func (s *session) bye(c *conn) {
	to := s.addresses()
	s.mu.Lock()
	route := s.route
	s.mu.Unlock()
	var all []byte
	for i, m := range s.layout.Media {
		packet := rtp.Bye(m.SSRC)
		if s.udp && to[i][1].IsValid() {
			_, _ = s.server.udp[1].WriteToUDPAddrPort(packet, to[i][1])
		}
		if !s.udp && route[i] >= 0 {
			all = append(appendHead(all, byte(route[i]+1), len(packet)), packet...)
		}
	}
	if len(all) > 0 {
		n, _ := c.write(all)
		s.sent.Add(uint64(n))
	}
}

// Move implements [listen.Mover]: REDIRECT (RFC 2326, 10.10). What the client answers no longer matters.
func (s *session) Move(ctx context.Context, locate func(context.Context, listen.Request) listen.Answer) bool {
	a := locate(ctx, s.request)
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	if a.Verdict != listen.Redirect || a.Location == "" || c == nil || strings.ContainsAny(a.Location, "\r\n ") {
		return false
	}
	_, err := c.write(fmt.Appendf(nil, "REDIRECT rtsp://%s%s RTSP/1.0\r\nCSeq: 1\r\nLocation: %s\r\nRange: npt=now-\r\n\r\n",
		s.request.Host, s.request.Path, a.Location))
	return err == nil
}

func (s *session) name() string { return s.request.Streams[0] }

// Close implements [listen.Client].
func (s *session) Close() error {
	s.lib.Close()
	return nil
}

// Stats implements [listen.Client].
func (s *session) Stats() listen.ClientStats {
	return listen.ClientStats{
		Protocol: protocols.RTSP,
		Remote:   s.request.Remote,
		Stream:   s.name(),
		BytesOut: s.sent.Load(),
		Dropped:  s.dropped.Load(),
	}
}
