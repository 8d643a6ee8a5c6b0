package rtsp

import (
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"weir/protocols/listen"
)

// firstRequest is how long a new connection may take until its first request is complete.
const firstRequest = 10 * time.Second

// errGarbage says that what came first is no request.
var errGarbage = errors.New("this is not RTSP")

// A conn is a connection whose requests the library serves and onto which a session writes media. Both write whole
// messages under its lock.
type conn struct {
	*listen.Conn
	opened time.Time

	mu sync.Mutex // held for the length of a write

	// What follows belongs to the goroutines of the library, which take turns.

	first     []byte // the first bytes that were read, up to four
	requested bool   // a request has come
	sent      func() // called once, after the next message of the library has been written
	answered  *described
	setup     *setup
}

// described is what a DESCRIBE on this connection was answered with, so that the SETUP that follows means the same.
type described struct {
	path, query string
	target
}

// Read implements [net.Conn]. It fails on bytes that begin no request: the library would pass over garbage until a
// deadline.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if have := len(c.first); have < 4 && n > 0 {
		c.first = append(c.first, b[:min(n, 4-have)]...)
		if !begins(c.first) {
			return 0, errGarbage
		}
	}
	return n, err
}

// begins says whether a request can begin so.
func begins(b []byte) bool {
	for _, method := range []string{
		"OPTI", "DESC", "SETU", "PLAY", "PAUS", "TEAR", "GET_", "SET_", "ANNO", "RECO", "REDI",
		"GET ", "POST", // tunnels, which are refused in words
	} {
		if strings.HasPrefix(method, string(b)) {
			return true
		}
	}
	return false
}

// SetReadDeadline implements [net.Conn]: the library's deadline, but none later than that of the first request.
func (c *conn) SetReadDeadline(t time.Time) error {
	if limit := c.opened.Add(firstRequest); !c.requested && (t.IsZero() || t.After(limit)) {
		t = limit
	}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements [net.Conn]. The library calls it before its writes, which set their own: it must not
// move that of media that is being written.
func (*conn) SetWriteDeadline(time.Time) error { return nil }

// Write implements [net.Conn] for the library, which writes each message with one call.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.write(b)
	if sent := c.sent; sent != nil {
		c.sent = nil
		sent()
	}
	return n, err
}

func (c *conn) write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.Conn.SetWriteDeadline(time.Now().Add(listen.WriteDeadline)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// media is the connection as [listen.Carry] uses it.
func (c *conn) media() net.Conn {
	return struct {
		*listen.Conn
		sync.Locker
	}{c.Conn, &c.mu}
}
