// Package rtsp holds the RTSP server: it describes streams, sets sessions up over TCP and UDP, and sends each of them
// the stream's RTP packets, which are made once for all.
//
// It does not know which streams there are or where; the [listen.Router] says so. Requests, sessions and RTP payload
// formats are the library's (gortsplib); the media is not: as with the other protocols each session follows the hub
// with a cursor of its own and sends what is pending with one write, so that it starts at a random access point, a slow
// one loses whole GOPs, and none holds up another.
package rtsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/bluenviron/gortsplib/v5"

	"weir/protocols/listen"
)

// Config is what an operator says about RTSP. The zero Config is complete.
type Config struct {
	// UDPPort is the even port from which RTP is sent; RTCP has the next one. Zero takes a free pair; a negative one
	// leaves UDP out.
	UDPPort int

	// Limits bound the connections.
	Limits listen.Limits
}

// udpBuffer is the size that is asked for the send buffer of the UDP sockets, which all sessions share: the start of a
// GOP goes out faster than the network takes it.
const udpBuffer = 4 << 20

// A Server serves RTSP on any number of listeners. Its sessions outlive their listener: Serve can fail and be called
// again without any viewer noticing.
type Server struct {
	cfg      Config
	router   listen.Router
	sessions listen.Sessions
	log      *slog.Logger

	ctx    context.Context // ends with the server
	cancel context.CancelFunc
	funnel *funnel

	mu  sync.Mutex
	lib *gortsplib.Server // nil before Open
	udp [2]*net.UDPConn   // RTP and RTCP; nil without UDP. Immutable once lib is set.
}

// NewServer returns a server that has nothing open yet.
func NewServer(cfg Config, d listen.Router, h listen.Sessions, log *slog.Logger) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{
		cfg: cfg, router: d, sessions: h, log: log, ctx: ctx, cancel: cancel,
		funnel: &funnel{conns: make(chan net.Conn), done: ctx.Done()},
	}
}

// Open opens the UDP ports on host, which is that of the listener and may be empty; Serve does it otherwise. It is
// there so that a port in use is found before anything runs. After the first success it does nothing.
func (s *Server) Open(host string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lib != nil {
		return nil
	}
	if s.ctx.Err() != nil {
		return net.ErrClosed
	}
	lib := &gortsplib.Server{
		Handler:     &handler{s},
		RTSPAddress: "funnel:0",
		Listen:      func(string, string) (net.Listener, error) { return s.funnel, nil },
		// The library's own writers carry nothing here.
		WriteQueueSize:           8,
		DisableRTCPSenderReports: true,
	}
	if s.cfg.UDPPort >= 0 {
		pair, err := bindUDP(host, s.cfg.UDPPort)
		if err != nil {
			return err
		}
		s.udp = pair
		lib.UDPRTPAddress = pair[0].LocalAddr().String()
		lib.UDPRTCPAddress = pair[1].LocalAddr().String()
		lib.ListenPacket = func(_, address string) (net.PacketConn, error) {
			if address == lib.UDPRTPAddress {
				return pair[0], nil
			}
			return pair[1], nil
		}
	}
	if err := lib.Start(); err != nil {
		for _, c := range s.udp {
			if c != nil {
				_ = c.Close()
			}
		}
		return fmt.Errorf("starting RTSP: %w", err)
	}
	s.lib = lib
	return nil
}

// Serve accepts connections from l until ctx ends, and closes l. Connections that it accepted live on.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	host, _, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		host = ""
	}
	if err := s.Open(host); err != nil {
		_ = l.Close()
		return err
	}
	return listen.Accept(ctx, l, s.cfg.Limits, s.log, func(c net.Conn) {
		if _, ok := c.RemoteAddr().(*net.TCPAddr); !ok {
			s.log.Error("RTSP is served over TCP only", slog.String("peer", fmt.Sprint(c.RemoteAddr())))
			_ = c.Close()
			return
		}
		opened := time.Now()
		_ = c.SetReadDeadline(opened.Add(greeting))
		s.funnel.pass(&conn{Conn: c, opened: opened})
	})
}

// Close ends all sessions and waits for them.
func (s *Server) Close() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lib != nil {
		s.lib.Close()
	}
}

// UDPPorts are the ports of RTP and RTCP, both zero before Open or without UDP.
func (s *Server) UDPPorts() (rtp, rtcp int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lib == nil || s.udp[0] == nil {
		return 0, 0
	}
	return s.udp[0].LocalAddr().(*net.UDPAddr).Port, s.udp[1].LocalAddr().(*net.UDPAddr).Port
}

// bindUDP opens an even port and the next one; any pair if port is zero.
func bindUDP(host string, port int) (pair [2]*net.UDPConn, err error) {
	if port%2 != 0 {
		return pair, fmt.Errorf("the RTP port %d is not even", port)
	}
	tries := 1
	if port == 0 {
		tries = 50
	}
	for range tries {
		if pair, err = tryPair(host, port); err == nil {
			for _, c := range pair {
				_ = c.SetWriteBuffer(udpBuffer) // what the system allows
			}
			return pair, nil
		}
	}
	switch {
	case port == 0:
		return pair, fmt.Errorf("no free pair of UDP ports for RTP was found: %w", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return pair, fmt.Errorf("UDP port %d or %d, for RTP and RTCP, is in use: stop the program that has it, or choose another pair: %w", port, port+1, err)
	}
	return pair, fmt.Errorf("opening UDP ports %d and %d for RTP and RTCP: %w", port, port+1, err)
}

var errOdd = errors.New("the free port was odd")

func tryPair(host string, port int) (pair [2]*net.UDPConn, err error) {
	first, err := bindOne(host, port)
	if err != nil {
		return pair, err
	}
	got := first.LocalAddr().(*net.UDPAddr).Port
	if got%2 != 0 {
		_ = first.Close()
		// Its neighbours are as likely to be free as any.
		if first, err = bindOne(host, got-1); err != nil {
			return pair, fmt.Errorf("%w: %w", errOdd, err)
		}
		got--
	}
	second, err := bindOne(host, got+1)
	if err != nil {
		_ = first.Close()
		return pair, err
	}
	return [2]*net.UDPConn{first, second}, nil
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

// A funnel is the one listener of the library: it accepts what all real listeners have accepted.
type funnel struct {
	conns chan net.Conn
	done  <-chan struct{}
}

func (f *funnel) pass(c net.Conn) {
	select {
	case f.conns <- c:
	case <-f.done:
		_ = c.Close()
	}
}

// Accept implements [net.Listener].
func (f *funnel) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. The library closes it when the server ends it.
func (*funnel) Close() error { return nil }

// Addr implements [net.Listener].
func (*funnel) Addr() net.Addr { return &net.TCPAddr{} }
