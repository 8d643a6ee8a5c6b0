// Package dialer opens the connections to other nodes. It notices when one that leads straight to a node is ended there, and tells a
// machine that refuses connections from everything else that may fail.
//
// It knows neither HTTP nor the control plane. Code that asks over a connection says whether it leads straight to the node.
package dialer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// ErrRefused means that every address of a host refuses connections, and that a connection to one of them has led straight to a
// node before. So nothing in between has refused.
var ErrRefused = errors.New("the machine refuses connections")

// A Dialer opens connections. Its methods may be called by any goroutine.
type Dialer struct {
	// Broken, if not nil, is called with the host:port of a connection that led straight to a node and was ended by the other side.
	// Any goroutine calls it; it must not block.
	Broken func(addr string)

	mu       sync.Mutex
	straight map[string]netip.AddrPort // by host:port, where the last connection led that led straight to a node
}

// DialContext connects to a host:port. The error is [ErrRefused], or that of [net.Dialer].
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var dial net.Dialer
	conn, err := dial.DialContext(ctx, network, addr)
	if refused(err) {
		conn, err = d.dialAll(ctx, network, addr, err)
	}
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: conn, dialer: d, addr: addr}, nil
}

// dialAll tries each address of a host. [net.Dialer] tries them too, but tells the error of the first only.
func (d *Dialer) dialAll(ctx context.Context, network, addr string, first error) (net.Conn, error) {
	d.mu.Lock()
	straight, ok := d.straight[addr]
	d.mu.Unlock()
	if !ok {
		return nil, first
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, first
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, first
	}
	same := false
	for _, ip := range ips {
		to := netip.AddrPortFrom(ip.Unmap().WithZone(""), straight.Port())
		var dial net.Dialer
		conn, err := dial.DialContext(ctx, network, netip.AddrPortFrom(ip, straight.Port()).String())
		switch {
		case err == nil:
			return conn, nil
		case !refused(err) && (to == straight || !noWay(err)):
			return nil, first
		}
		same = same || to == straight
	}
	if !same {
		return nil, first // the name now leads elsewhere
	}
	return nil, ErrRefused
}

// refused says whether a connect was refused. A look-up that was refused is another matter.
func refused(err error) bool {
	if lookup := (*net.DNSError)(nil); errors.As(err, &lookup) {
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// noWay says whether this machine has no way to the kind of the address, as without IPv6, so that nothing was asked.
func noWay(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// A Conn is a connection that a Dialer has opened.
type Conn struct {
	net.Conn
	dialer   *Dialer
	addr     string // as it was dialled
	straight atomic.Bool
	closed   atomic.Bool // by this side
	broken   sync.Once
}

// Ends takes in the addresses of the connection as the other side sees them. If they are the same as here, the connection leads straight
// to the node: no proxy stands in between, nor what translates addresses, which might refuse in the name of the node.
func (c *Conn) Ends(local, remote netip.AddrPort) {
	if !c.straight.Load() && local == addrPort(c.RemoteAddr()) && remote == addrPort(c.LocalAddr()) {
		c.dialer.mu.Lock()
		if c.dialer.straight == nil {
			c.dialer.straight = map[string]netip.AddrPort{}
		}
		c.dialer.straight[c.addr] = local
		c.dialer.mu.Unlock()
		c.straight.Store(true)
	}
}

// addrPort is an address without what has no meaning on another machine.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// Read implements [net.Conn].
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.failed(err)
	return n, err
}

// Write implements [net.Conn].
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.failed(err)
	return n, err
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// failed notices that the other side has ended the connection: by its end, or by a reset. Silence is neither.
func (c *Conn) failed(err error) {
	timeout := net.Error(nil)
	if err == nil || !c.straight.Load() || c.closed.Load() || errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout() {
		return
	}
	c.broken.Do(func() {
		if c.dialer.Broken != nil {
			c.dialer.Broken(c.addr)
		}
	})
}
