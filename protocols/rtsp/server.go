// Package rtsp serves RTSP: it describes streams, sets sessions up over TCP and UDP, and sends each of them the
// stream's RTP packets, which are made once for all. [Pull] is the client.
//
// It does not know which streams there are or where; the [listen.Router] says so. As with the other protocols each session
// follows the hub with a cursor of its own and sends all that is pending with one write, so that it starts at a random access
// point, a slow one loses whole GOPs, and none holds up another.
//
// Neither side is the library's (gortsplib), of which only the writing of descriptions and of RTP payload formats is used. Its
// client ends the session for a request of the server other than OPTIONS, for a line that it cannot read, and for media before
// the answer to PLAY; it refuses a description for one bad medium, and pictures whose times step back. Its server closes the
// connection for a track that is not there, a session that it does not know, a header line that it cannot read and a request
// without CSeq, and does not answer methods that it does not know. Nothing of that can be changed from outside.
package rtsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

// Config is what an operator says about RTSP.
type Config struct {
	// Host is the address of the UDP ports from which RTP and RTCP are sent; empty stands for all interfaces.
	Host string
}

// udpBuffer is the size that is asked for the send buffer of the UDP sockets, which all sessions share: the start of a
// GOP goes out faster than the network takes it.
const udpBuffer = 4 << 20

// A Server serves RTSP on any number of listeners. Its sessions outlive their listener: Serve can fail and be called
// again without any viewer noticing.
type Server struct {
	cfg  Config
	deps listen.Deps

	ctx     context.Context // ends with the server
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	udp      [2]*net.UDPConn // RTP and RTCP; nil before the first Serve, immutable afterwards
	conns    map[*conn]struct{}
	sessions map[string]*session
	sent     map[sentKey]*sentOn
}

// New returns a server.
func New(cfg Config, d listen.Deps) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		cfg: cfg, deps: d, ctx: ctx, cancel: cancel,
		conns: map[*conn]struct{}{}, sessions: map[string]*session{}, sent: map[sentKey]*sentOn{},
	}
}

// Serve accepts connections from l until ctx ends, and closes l. Connections that it accepted live on.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if err := s.start(); err != nil {
		_ = l.Close()
		return err
	}
	return listen.Accept(ctx, l, protocols.RTSP, s.deps, func(nc *listen.Conn) {
		if _, ok := nc.RemoteAddr().(*net.TCPAddr); !ok {
			s.deps.Log.Error("RTSP is served over TCP only", slog.String("client", fmt.Sprint(nc.RemoteAddr())))
			_ = nc.Close()
			return
		}
		c := &conn{Conn: nc, opened: time.Now()}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ctx.Err() != nil {
			_ = nc.Close()
			return
		}
		s.conns[c] = struct{}{}
		s.running.Go(func() { s.converse(c) })
	})
}

// converse serves a connection until it ends.
func (s *Server) converse(c *conn) {
	err := (&handler{s, c}).run()
	_ = c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	for _, o := range c.sessions {
		o.disconnected()
	}
	s.deps.Log.Debug("RTSP connection closed", slog.String("client", c.RemoteAddr().String()), slog.Any("err", err))
}

// start opens the UDP ports; after the first success it does nothing.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.udp[0] != nil {
		return nil
	}
	if s.ctx.Err() != nil {
		return net.ErrClosed
	}
	pair, err := bindUDP(s.cfg.Host)
	if err != nil {
		return err
	}
	s.udp = pair
	for _, socket := range pair {
		s.running.Go(func() { s.hear(socket) })
	}
	s.running.Go(s.expire)
	return nil
}

// hear takes what the clients of UDP sessions send, which says that they are there (RFC 2326, 10.5), until the server ends.
func (s *Server) hear(socket *net.UDPConn) {
	b := make([]byte, 2048)
	for {
		_, from, err := socket.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // what the network says about packets that were sent
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		s.mu.Lock()
		for _, o := range s.sessions {
			o.heard(from)
		}
		s.mu.Unlock()
	}
}

// expire ends UDP sessions whose clients say nothing, until the server ends.
func (s *Server) expire() {
	tick := time.NewTicker(sessionTimeout / 12)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		s.mu.Lock()
		var over []*session
		for _, o := range s.sessions {
			if o.expired() {
				over = append(over, o)
			}
		}
		s.forgetSent(time.Now())
		s.mu.Unlock()
		for _, o := range over {
			o.end(errSilentClient)
		}
	}
}

// Close ends all sessions and waits for their connections.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	var all []*session
	for _, o := range s.sessions {
		all = append(all, o)
	}
	for _, socket := range s.udp {
		if socket != nil {
			_ = socket.Close()
		}
	}
	s.mu.Unlock()
	for _, o := range all {
		o.end(nil)
	}
	s.running.Wait()
	return nil
}

// session returns the session of an identifier, or nil.
func (s *Server) session(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// A sentKey names what a client asked for when it was sent on.
type sentKey struct {
	client             netip.Addr
	agent, path, query string
}

// sentOn is how often it was, and when last.
type sentOn struct {
	times int
	last  time.Time
}

// A client that has been sent on so often within so long is served here, by relaying the stream. Nodes that take each other for the
// owner would send it to and fro, and a redirect of RTSP has no place for a count of hops: GStreamer loses the query. Many
// viewers of one stream behind one address cost no more than one relay.
const (
	maxSent    = 2
	sentWindow = 2 * time.Second
)

// mustServe says whether a client has been sent on too often to be sent on again.
func (s *Server) mustServe(k sentKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.sent[k]
	return o != nil && o.times >= maxSent && time.Since(o.last) < sentWindow
}

// sending notes that a client is sent on.
func (s *Server) sending(k sentKey) {
	const most = 10000
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) >= most {
		s.forgetSent(now)
	}
	o := s.sent[k]
	if o == nil || now.Sub(o.last) >= sentWindow {
		o = &sentOn{}
		if len(s.sent) < most {
			s.sent[k] = o
		}
	}
	o.times, o.last = o.times+1, now
}

// forgetSent drops what is too old to count. The caller holds the lock.
func (s *Server) forgetSent(now time.Time) {
	for k, o := range s.sent {
		if now.Sub(o.last) >= sentWindow {
			delete(s.sent, k)
		}
	}
}

// bindUDP opens a free even port for RTP and the next one for RTCP (RFC 3550, 11).
func bindUDP(host string) (pair [2]*net.UDPConn, err error) {
	const tries = 100 // every second port is even
	for range tries {
		if pair[0], err = bindOne(host, 0); err != nil {
			break
		}
		if port := pair[0].LocalAddr().(*net.UDPAddr).Port; port%2 != 0 {
			err = fmt.Errorf("port %d is odd", port)
		} else if pair[1], err = bindOne(host, port+1); err == nil {
			for _, c := range pair {
				_ = c.SetWriteBuffer(udpBuffer) // what the system allows
			}
			return pair, nil
		}
		_ = pair[0].Close()
	}
	return pair, fmt.Errorf("no free pair of UDP ports for RTP was found: %w", err)
}

func bindOne(host string, port int) (*net.UDPConn, error) {
	network := "udp"
	if host == "0.0.0.0" {
		network = "udp4"
	}
	addr, err := net.ResolveUDPAddr(network, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return net.ListenUDP(network, addr)
}
