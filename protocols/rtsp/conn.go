package rtsp

import (
	"errors"
	"net"
	"sync"
	"time"

	"weir/protocols/listen"
)

const (
	// firstRequest is how long a new connection may take until its first request is complete.
	firstRequest = 10 * time.Second

	// sessionTimeout is how long a client may say nothing, unless it plays over the connection itself.
	sessionTimeout = 60 * time.Second
)

// errGarbage says that what came first is no request.
var errGarbage = errors.New("this is not RTSP")

// A conn is a connection on which requests come and are answered, and onto which a session writes media. Both write whole
// messages under its lock.
type conn struct {
	*listen.Conn
	opened time.Time

	mu sync.Mutex // held for the length of a write

	// What follows belongs to the goroutine that reads.

	first     []byte // the first bytes that were read, up to four
	requested bool   // a request has come
	answered  *described
	sessions  []*session // that were set up on this connection
}

// described is what a DESCRIBE on this connection was answered with, so that the SETUP that follows means the same.
type described struct {
	path, query string
	target
}

// Read implements [io.Reader] for the reader of requests. It fails on bytes that begin no request, and when the client has said nothing
// for too long.
func (c *conn) Read(b []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(c.deadline()); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if have := len(c.first); have < 4 && n > 0 {
		c.first = append(c.first, b[:min(n, 4-have)]...)
		for _, first := range c.first {
			if (first < 'A' || first > 'Z') && first != '_' && first != ' ' && first != '\r' && first != '\n' {
				return 0, errGarbage
			}
		}
	}
	return n, err
}

// deadline is when the next bytes must have come. While media is sent on the connection, its writes tell whether the client is there.
func (c *conn) deadline() time.Time {
	if !c.requested {
		return c.opened.Add(firstRequest)
	}
	for _, s := range c.sessions {
		if s.plays(c) {
			return time.Time{}
		}
	}
	return time.Now().Add(sessionTimeout)
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
