package listen

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// serveThrough serves c through a response writer that does not give its connection away, and returns when c has ended.
func (c *bodyClient) serveThrough(w http.ResponseWriter, r *http.Request, sessions Sessions, head []byte) {
	conn := &responseConn{
		w: w, control: http.NewResponseController(w), done: make(chan struct{}),
		remote: net.TCPAddrFromAddrPort(c.remote), local: &net.TCPAddr{},
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		conn.local = a
	}
	c.conn = conn
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_ = conn.SetWriteDeadline(time.Now().Add(headDeadline))
	_, _ = conn.Write(head) // an error comes again with the first media
	_ = conn.SetWriteDeadline(time.Time{})
	sessions.Enter(c)
	select {
	case <-r.Context().Done():
	case <-conn.done:
	}
	_ = c.Close()
	conn.end()
}

// A responseConn is a response writer in the shape of a connection. Its Read waits until it is closed.
type responseConn struct {
	control       *http.ResponseController
	local, remote net.Addr

	done chan struct{} // closed by Close
	once sync.Once

	writing sync.Mutex // held while the response writer is in use
	w       http.ResponseWriter

	deadlines sync.Mutex
	ended     bool // guarded by writing and deadlines: read under either, written under both
}

// end waits until a write that is under way is over, and makes all later ones fail: the response writer must not be
// used once the handler has returned.
func (c *responseConn) end() {
	if !c.writing.TryLock() {
		_ = c.SetWriteDeadline(time.Unix(1, 0)) // of the write that is under way, maybe to a client that does not read
		c.writing.Lock()
	}
	c.deadlines.Lock()
	c.ended = true
	c.deadlines.Unlock()
	c.writing.Unlock()
}

// Write implements [net.Conn].
func (c *responseConn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.ended {
		return 0, net.ErrClosed
	}
	n, err := c.w.Write(b)
	if err == nil {
		if err = c.control.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	return n, err
}

// Read implements [net.Conn].
func (c *responseConn) Read([]byte) (int, error) {
	<-c.done
	return 0, io.EOF
}

// Close implements [net.Conn].
func (c *responseConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// SetWriteDeadline implements [net.Conn].
func (c *responseConn) SetWriteDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	if err := c.control.SetWriteDeadline(t); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func (c *responseConn) SetDeadline(t time.Time) error   { return c.SetWriteDeadline(t) }
func (c *responseConn) SetReadDeadline(time.Time) error { return nil }
func (c *responseConn) LocalAddr() net.Addr             { return c.local }
func (c *responseConn) RemoteAddr() net.Addr            { return c.remote }
