// Package rtsp serves RTSP: it describes streams, sets sessions up over TCP and UDP, and sends each of them the
// stream's RTP packets, which are made once for all. [Pull] is the client.
//
// It does not know which streams there are or where; the [listen.Router] says so. Requests, sessions and RTP payload
// formats of the server are the library's (gortsplib); the media is not: as with the other protocols each session follows the hub
// with a cursor of its own and sends all that is pending with one write, so that it starts at a random access point, a slow
// one loses whole GOPs, and none holds up another.
//
// The client is not the library's, because it has to bear what cameras do. The library's ends the session for a request of the
// server other than OPTIONS, for a line that it cannot read, and for media before the answer to PLAY; it refuses a description for
// one bad medium, and pictures whose times step back. None of that can be changed from outside.
package rtsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"

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

	ctx      context.Context // ends with the server
	cancel   context.CancelFunc
	accepted *accepted

	mu  sync.Mutex
	lib *gortsplib.Server // nil before the first Serve
	udp [2]*net.UDPConn   // RTP and RTCP; immutable once lib is set
}

// New returns a server.
func New(cfg Config, d listen.Deps) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{cfg: cfg, deps: d, ctx: ctx, cancel: cancel, accepted: &accepted{conns: make(chan net.Conn), done: ctx.Done()}}
}

// Serve accepts connections from l until ctx ends, and closes l. Connections that it accepted live on.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if err := s.start(); err != nil {
		_ = l.Close()
		return err
	}
	return listen.Accept(ctx, l, s.deps, func(c *listen.Conn) {
		if _, ok := c.RemoteAddr().(*net.TCPAddr); !ok {
			s.deps.Log.Error("RTSP is served over TCP only", slog.String("client", fmt.Sprint(c.RemoteAddr())))
			_ = c.Close()
			return
		}
		opened := time.Now()
		_ = c.SetReadDeadline(opened.Add(firstRequest))
		s.accepted.pass(&conn{Conn: c, opened: opened})
	})
}

// start opens the UDP ports and starts the library; after the first success it does nothing.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lib != nil {
		return nil
	}
	if s.ctx.Err() != nil {
		return net.ErrClosed
	}
	pair, err := bindUDP(s.cfg.Host)
	if err != nil {
		return err
	}
	lib := &gortsplib.Server{
		Handler:     &handler{s},
		RTSPAddress: "accepted:0",
		Listen:      func(string, string) (net.Listener, error) { return s.accepted, nil },
		// The library's own writers carry nothing here.
		WriteQueueSize:           8,
		DisableRTCPSenderReports: true,
		UDPRTPAddress:            pair[0].LocalAddr().String(),
		UDPRTCPAddress:           pair[1].LocalAddr().String(),
	}
	lib.ListenPacket = func(_, address string) (net.PacketConn, error) {
		if address == lib.UDPRTPAddress {
			return pair[0], nil
		}
		return pair[1], nil
	}
	if err := lib.Start(); err != nil {
		return errors.Join(fmt.Errorf("starting RTSP: %w", err), pair[0].Close(), pair[1].Close())
	}
	s.lib, s.udp = lib, pair
	return nil
}

// Close ends all sessions and waits for them.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lib != nil {
		s.lib.Close()
	}
	return nil
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

// accepted is the one listener of the library: it accepts what all listeners of the server have accepted.
type accepted struct {
	conns chan net.Conn
	done  <-chan struct{}
}

func (a *accepted) pass(c net.Conn) {
	select {
	case a.conns <- c:
	case <-a.done:
		_ = c.Close()
	}
}

// Accept implements [net.Listener].
func (a *accepted) Accept() (net.Conn, error) {
	select {
	case c := <-a.conns:
		return c, nil
	case <-a.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. The library closes it when the server ends it.
func (*accepted) Close() error { return nil }

// Addr implements [net.Listener].
func (*accepted) Addr() net.Addr { return &net.TCPAddr{} }
