package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"weir/protocols"
)

// keepAlive finds a client that has vanished without closing its connection, within a minute of the last packet.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// The pause after an error that may pass, such as a lack of file descriptors, doubles from the first to the last.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// Bind listens on a TCP address such as ":1935". Its error names the port and what to do about it.
func Bind(addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err == nil {
		return l, nil
	}
	_, port, splitErr := net.SplitHostPort(addr)
	switch {
	case splitErr != nil:
		return nil, fmt.Errorf("address %q is not of the form HOST:PORT: %w", addr, err)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %s (%s) is in use: stop the program that listens there, or choose another port: %w", port, addr, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %s (%s) may not be opened by this user: choose one above 1023, or grant CAP_NET_BIND_SERVICE: %w", port, addr, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("address %s is not one of this machine's: leave the host out to listen on all of them: %w", addr, err)
	}
	return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
}

// Accept calls serve for each connection that l accepts, within the limits, until ctx ends or l fails, and closes l.
// serve must not block; it owns the connection. The error is nil when ctx ended.
func Accept(ctx context.Context, l net.Listener, p protocols.Protocol, d Deps, serve func(*Conn)) error {
	l = Guard(l, p, d)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer func() { _ = l.Close() }()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accepting on %s: %w", l.Addr(), err)
		}
		serve(conn.(*Conn)) // of the guard
	}
}

// Guard wraps the listener l of a protocol for servers that accept by themselves. Its Accept waits out errors that may pass,
// closes connections above the limits, and returns connections that are a [*Conn].
func Guard(l net.Listener, p protocols.Protocol, d Deps) net.Listener {
	return &guarded{Listener: l, protocol: p, limiter: d.Limiter, log: d.Log, closed: make(chan struct{})}
}

type guarded struct {
	net.Listener

	protocol  protocols.Protocol
	limiter   *Limiter
	log       *slog.Logger
	closed    chan struct{}
	closeOnce sync.Once
}

// Close implements [net.Listener]; connections that were accepted live on.
func (g *guarded) Close() error {
	g.closeOnce.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// Accept implements [net.Listener].
func (g *guarded) Accept() (net.Conn, error) {
	pause := time.Duration(0)
	for {
		inner, err := g.Listener.Accept()
		if err != nil {
			if !passes(err) {
				return nil, err
			}
			pause = min(max(2*pause, firstPause), lastPause)
			if pause == firstPause || pause == lastPause {
				g.log.Warn("cannot accept a connection, trying again", slog.Any("err", err))
			}
			select {
			case <-time.After(pause):
				continue
			case <-g.closed:
				return nil, net.ErrClosed
			}
		}
		pause = 0

		conn, p := accepted(inner), g.protocol
		if conn.tls != nil {
			p = protocols.OverTLS(p).Protocol
		}
		if g.limiter.takes(conn, p) {
			return conn, nil
		}
	}
}

// Take gives a connection that a server has accepted by itself a place under the limits. Without room for it the connection is closed, and
// ok is false. The place is given back by Close of conn, which the server has to call also where it closes c.
func (l *Limiter) Take(c net.Conn, p protocols.Protocol) (conn *Conn, ok bool) {
	conn = &Conn{Conn: c}
	return conn, l.takes(conn, p)
}

// accepted is a connection as a [*Conn], which those of [BehindProxies] and [OverTLS] are already.
func accepted(c net.Conn) *Conn {
	if conn, ok := c.(*Conn); ok {
		return conn
	}
	return &Conn{Conn: c}
}

// takes gives a new connection a place under the limits, or closes it.
func (l *Limiter) takes(c *Conn, p protocols.Protocol) bool {
	if l == nil {
		return true
	}
	c.limiter, c.protocol = l, p
	c.network, _ = l.Network(RemoteAddr(c).Addr())
	taken, evicted := l.admit(c)
	if evicted != nil {
		_ = evicted.Conn.Close() // its server closes it once more
	}
	if !taken {
		_ = c.Conn.Close()
	}
	return taken
}

// passes says whether accepting may work again after an error: the machine lacks something, or the client left too
// early.
func passes(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// RemoteAddr is the address of the other side, an IPv4 one always in four bytes; the zero AddrPort when there is none.
func RemoteAddr(conn net.Conn) netip.AddrPort {
	a := conn.RemoteAddr()
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	if a == nil {
		return netip.AddrPort{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Secure says whether the client on the other side of conn uses TLS: to this node, or to a trusted proxy that says so.
func Secure(conn net.Conn) bool {
	c, ok := conn.(*Conn)
	return ok && (c.secure || c.tls != nil)
}

// A Conn is an accepted connection: it gives its place under the limits back when it is closed.
type Conn struct {
	net.Conn // carries the bytes as they are on the network

	tls    *tls.Conn   // what is read and written goes through it; nil without TLS
	closes atomic.Bool // Close has been called

	remote net.Addr // of the client of a proxy; nil: the connection's own
	secure bool     // a proxy says that its client uses TLS
	early  []byte   // read behind the header of a proxy; belongs to the reader

	limiter  *Limiter // nil: nothing is limited
	protocol protocols.Protocol
	network  netip.Prefix // of the client; the zero one if its connections do not count for an address
	place    place        // guarded by limiter.mu
}

// counted says whether the connection counts for the address of its client.
func (c *Conn) counted() bool { return c.network.IsValid() }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.Conn.RemoteAddr()
}

// Read implements [net.Conn].
func (c *Conn) Read(b []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Read(b)
	}
	return c.read(b)
}

// read reads what is on the network.
func (c *Conn) read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// Write implements [net.Conn].
func (c *Conn) Write(b []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Write(b)
	}
	return c.Conn.Write(b)
}

// Gathers implements [BuffersWriter]: TLS seals one record after the other.
func (c *Conn) Gathers() bool { return c.tls == nil }

// WriteBuffers implements [BuffersWriter].
func (c *Conn) WriteBuffers(v *net.Buffers) (int64, error) {
	if c.tls != nil {
		return v.WriteTo(c.tls)
	}
	return v.WriteTo(c.Conn)
}

// SetNoDelay turns Nagle's algorithm off (true, as in a new connection) or on; it does nothing where there is none.
func (c *Conn) SetNoDelay(on bool) error {
	if nd, ok := c.Conn.(interface{ SetNoDelay(bool) error }); ok {
		return nd.SetNoDelay(on)
	}
	return nil
}

// CloseWrite ends the outgoing direction only: the other side can read the bytes that are still under way.
func (c *Conn) CloseWrite() error {
	if c.tls != nil {
		return c.tls.CloseWrite()
	}
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Prove notes that the other side is a node of the cluster.
func (c *Conn) Prove() {
	if c.limiter != nil {
		c.limiter.prove(c)
	}
}

// Close implements [net.Conn]. With TLS it tells the client that there is no more, if its socket takes that soon.
func (c *Conn) Close() error {
	if c.tls != nil {
		c.closes.Store(true)
		return c.tls.Close() // and, through it, end
	}
	return c.end()
}

// end closes the connection on the network and gives its place back.
func (c *Conn) end() error {
	err := c.Conn.Close()
	if c.limiter != nil {
		c.limiter.leave(c)
	}
	return err
}
