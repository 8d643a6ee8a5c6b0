package rtsp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	home   *conn // on which it was set up
	id     string
	path   string
	target
	controls []string // the URLs of the media
	udp      bool

	sent, dropped atomic.Uint64

	feed listen.Feed // the newest; nil before the first. It belongs to Serve

	changed chan struct{} // holds a token when playing has begun
	closed  chan struct{}

	mu    sync.Mutex
	conn  *conn              // the one that PLAY came on; nil while nothing is played
	stop  context.CancelFunc // ends the sending; nil while nothing is sent
	route route              // TCP
	ports [maxMedia][2]int   // UDP: of the client, for RTP and RTCP; zero for a medium that was not set up
	last  time.Time          // when the client was heard
	ended bool
	err   error // why, when closed is closed; nil when the other side left in order
}

func newSession(server *Server, home *conn, t target, at resource, udp bool) *session {
	s := &session{
		server: server, home: home, path: at.path, target: t, udp: udp, last: time.Now(),
		changed: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	for i := range s.route {
		s.route[i] = -1
	}
	for i := range t.layout.Media {
		s.controls = append(s.controls, at.control(i))
	}
	return s
}

// enter makes a session known.
func (s *Server) enter(c *conn, o *session) {
	o.id = rand.Text()
	s.mu.Lock()
	if s.ctx.Err() == nil {
		s.sessions[o.id] = o
	}
	s.mu.Unlock()
	c.sessions = slices.DeleteFunc(c.sessions, func(other *session) bool { return s.session(other.id) != other })
	c.sessions = append(c.sessions, o)
	s.deps.Sessions.Enter(o)
}

// header is the Session line (RFC 2326, 12.37).
func (s *session) header() string {
	return fmt.Sprintf("%s;timeout=%d", s.id, int(sessionTimeout/time.Second))
}

// info is the RTP-Info line (RFC 2326, 12.33), of the media that were set up. Where they begin says the sender report before them.
func (s *session) info() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for i, control := range s.controls {
		if s.route[i] >= 0 || s.ports[i][0] != 0 {
			list = append(list, "url="+control)
		}
	}
	return strings.Join(list, ",")
}

// medium is the index of the medium that a SETUP is for.
func (s *session) medium(at resource) (int, *response) {
	switch n := len(s.layout.Media); {
	case at.track < 0 && !at.bad && n == 1:
		return 0, nil
	case at.track < 0 && !at.bad:
		return 0, because(459, "media are set up one by one")
	case at.bad || at.track >= n:
		return 0, because(404, "the stream has no such track")
	}
	return at.track, nil
}

// agree notes how the client gets a medium, and returns the Transport line of the answer. Channels that are taken are replaced by
// free ones.
func (s *session) agree(medium int, w wish) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	source := fmt.Sprintf(";ssrc=%08X", s.layout.Media[medium].SSRC)
	if s.udp {
		s.ports[medium] = w.ports
		port := s.server.udp[0].LocalAddr().(*net.UDPAddr).Port
		return fmt.Sprintf("%s;unicast;client_port=%d-%d;server_port=%d-%d%s", w.spec, w.ports[0], w.ports[1], port, port+1, source)
	}
	s.route[medium] = -1
	channel := w.channels[0]
	for next := 0; channel < 0 || s.taken(channel); next += 2 {
		channel = next
	}
	s.route[medium] = channel
	return fmt.Sprintf("%s;unicast;interleaved=%d-%d%s", w.spec, channel, channel+1, source)
}

// taken says whether a pair of channels meets one that is in use.
func (s *session) taken(channel int) bool {
	for _, c := range s.route {
		if c >= 0 && channel <= c+1 && channel >= c-1 {
			return true
		}
	}
	return false
}

// touch notes that the client was heard.
func (s *session) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
}

// heard notes that a datagram came, if it is the session's.
func (s *session) heard(from netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.udp || from.Addr() != s.request.Remote.Addr() {
		return
	}
	for _, p := range s.ports {
		if int(from.Port()) == p[0] || int(from.Port()) == p[1] {
			s.last = time.Now()
		}
	}
}

// expired says whether nothing was heard of the client for too long. A session over TCP ends with its connection.
func (s *session) expired() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.udp && time.Since(s.last) > sessionTimeout
}

// plays says whether media goes over that connection.
func (s *session) plays(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.udp && s.conn == c
}

func (s *session) playing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

// disconnected is called when the connection on which the session was set up is gone. One that plays over UDP goes on.
func (s *session) disconnected() {
	if s.udp && s.playing() {
		return
	}
	s.end(nil)
}

// play begins to send, on c if it is over TCP.
func (s *session) play(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.conn != nil {
		return
	}
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

// end ends the session; err is nil when the client left in order. After the first call it does nothing.
func (s *session) end(err error) {
	s.server.mu.Lock()
	delete(s.server.sessions, s.id)
	s.server.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
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
			if !errors.Is(err, os.ErrDeadlineExceeded) { // the client is gone
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
	a.Location = withoutHops(a.Location)
	_, err := c.write(fmt.Appendf(nil, "REDIRECT rtsp://%s%s RTSP/1.0\r\nCSeq: 1\r\nLocation: %s\r\nRange: npt=now-\r\n\r\n",
		s.request.Host, s.request.Path, a.Location))
	return err == nil
}

func (s *session) name() string { return s.source.Name() }

// Close implements [listen.Client]. The connection is closed too, which is how a client over UDP learns of it.
func (s *session) Close() error {
	s.end(nil)
	_ = s.home.Close()
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
