package listen

import (
	"crypto/tls"
	"net"
	"time"
)

// lastWords is how long a closing connection may take to tell its client that it closes.
const lastWords = 50 * time.Millisecond

// OverTLS wraps l so that its connections speak TLS, and what is read and written is what TLS carries. The handshake comes with the
// first read or write, under the deadlines of the protocol that is spoken within, so that a client that does not shake hands holds
// up no other and is closed as one that says nothing.
//
// A header of the PROXY protocol comes before TLS: the listener of [BehindProxies] is the inner one.
func OverTLS(l net.Listener, c *tls.Config) net.Listener { return tlsListener{l, c} }

type tlsListener struct {
	net.Listener
	config *tls.Config
}

// Accept implements [net.Listener].
func (t tlsListener) Accept() (net.Conn, error) {
	inner, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := accepted(inner)
	c.tls = tls.Server(tlsNetwork{c}, t.config)
	return c, nil
}

// A tlsNetwork is what the TLS of a connection reads and writes.
type tlsNetwork struct{ *Conn }

// Read implements [net.Conn].
func (n tlsNetwork) Read(b []byte) (int, error) { return n.read(b) }

// Write implements [net.Conn].
func (n tlsNetwork) Write(b []byte) (int, error) {
	if n.closes.Load() { // the last words of TLS, for which a socket that takes nothing is not waited for
		_ = n.Conn.Conn.SetWriteDeadline(time.Now().Add(lastWords))
	}
	return n.Conn.Conn.Write(b)
}

// Close implements [net.Conn].
func (n tlsNetwork) Close() error { return n.end() }

// A forHTTP gives package net/http connections with TLS as it knows them, for it then shakes hands by itself, and speaks HTTP/2 to
// clients that ask for it.
type forHTTP struct{ net.Listener }

// Accept implements [net.Listener].
func (l forHTTP) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if c, ok := conn.(*Conn); ok && c.tls != nil {
		return c.tls, err
	}
	return conn, err
}

// connOf is the connection that was accepted, of one that package net/http has; nil if none of this package's.
func connOf(conn net.Conn) *Conn {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	switch c := conn.(type) {
	case *Conn:
		return c
	case tlsNetwork:
		return c.Conn
	}
	return nil
}
