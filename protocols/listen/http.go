package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"weir/protocols"
)

// Limits of HTTP requests.
const (
	headTimeout = 10 * time.Second // from accept, or from the first byte, to the end of a request's head
	idleTimeout = 2 * time.Minute  // between two requests
	maxHead     = 24 << 10         // a client that has proved nothing may not hold much memory

	maxStreams = 100      // requests at one time on a connection of HTTP/2
	maxUnread  = 64 << 10 // what a client may send of bodies before it is read, on a connection of HTTP/2
)

// An HTTPServer serves everything that comes over HTTP, on any number of listeners. It leaves a line about each
// connection that sends something and no request, about which net/http says nothing.
type HTTPServer struct {
	http http.Server
	deps Deps

	mu   sync.Mutex
	open map[net.Conn]*httpConn // guarded by mu; connections that net/http has
}

// An httpConn says what has come on an open connection.
type httpConn struct {
	conn      net.Conn // see [connOf]
	sent      bool     // something has come; belongs to the connection's goroutine
	requested atomic.Bool
	body      atomic.Int64 // by when the body of its request must have come, in Unix nanoseconds; 0 when it has
}

// A Reserver is a handler that says which requests may use the connections that are kept above the limits, see [Limits].
type Reserver interface {
	// Reserved says whether a request is of another node or for the API.
	Reserved(r *http.Request) bool
}

// A body notes when the body of a request has come.
type body struct {
	io.ReadCloser
	of *httpConn
}

// Read implements [io.Reader].
func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.of.body.Store(0)
	}
	return n, err
}

type httpConnKey struct{}

// NewHTTPServer returns a server whose requests h answers.
func NewHTTPServer(h http.Handler, d Deps) *HTTPServer {
	s := &HTTPServer{deps: d, open: map[net.Conn]*httpConn{}}
	reserver, _ := h.(Reserver)
	s.http = http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, ok := r.Context().Value(httpConnKey{}).(*httpConn)
			if ok {
				c.requested.Store(true)
			}
			if r.Body != nil && r.Body != http.NoBody {
				// A body that has not come by then ends the connection, also when h does not read it: net/http does. The
				// deadline of a request without a body would end its context, however long its answer takes.
				by := time.Now().Add(d.Limiter.bodyTime())
				_ = http.NewResponseController(w).SetReadDeadline(by) // a recorder of a test has none
				if ok {
					c.body.Store(by.UnixNano())
					r.Body = body{r.Body, c}
				}
			}
			if ok && d.Limiter.reserved(c.conn) && (reserver == nil || !reserver.Reserved(r)) {
				w.Header().Set("Connection", "close")
				w.Header().Set("Retry-After", "10")
				http.Error(w, "as many clients are connected as may be", http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		ConnContext: s.opened, ConnState: s.changed,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxUnread, MaxReceiveBufferPerStream: maxUnread,
			SendPingTimeout: keepAlive.Idle, PingTimeout: WriteDeadline, WriteByteTimeout: WriteDeadline,
		},
		ErrorLog: log.New(debugLines{d.Log}, "", 0),
	}
	return s
}

// Serve accepts connections from l until ctx ends, and closes l. Requests that are under way go on.
func (s *HTTPServer) Serve(ctx context.Context, l net.Listener) error {
	l = forHTTP{Guard(l, protocols.HTTP, s.deps)}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	err := s.http.Serve(l)
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Close closes all connections that no client has taken over.
func (s *HTTPServer) Close() error { return s.http.Close() }

func (s *HTTPServer) opened(ctx context.Context, conn net.Conn) context.Context {
	c := &httpConn{conn: conn}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[conn] = c
	if Secure(conn) {
		ctx = context.WithValue(ctx, secureKey{}, true)
	}
	return context.WithValue(ctx, httpConnKey{}, c)
}

func (s *HTTPServer) changed(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	c := s.open[conn]
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.open, conn)
	}
	s.mu.Unlock()
	if c != nil && state == http.StateIdle {
		c.body.Store(0)
	}
	switch {
	case c == nil:
	case state == http.StateActive:
		c.sent = true
	case state == http.StateClosed && c.late(time.Now()):
		s.deps.Limiter.Refuse(LimitBody, httpOf(conn), conn.RemoteAddr().String())
	case state == http.StateClosed && c.sent && !c.requested.Load():
		s.deps.Log.Debug("not an HTTP client", slog.String("proto", string(httpOf(conn))),
			slog.String("client", conn.RemoteAddr().String()))
	}
}

// httpOf is HTTP or HTTPS.
func httpOf(conn net.Conn) protocols.Protocol {
	if _, ok := conn.(*tls.Conn); ok {
		return protocols.HTTPS
	}
	return protocols.HTTP
}

// late says whether the body of a request has not come in time.
func (c *httpConn) late(now time.Time) bool {
	by := c.body.Load()
	return by != 0 && now.UnixNano() >= by
}

// debugLines writes the complaints of net/http, such as those about garbage, as debug lines.
type debugLines struct{ log *slog.Logger }

// Write implements [io.Writer].
func (d debugLines) Write(b []byte) (int, error) {
	d.log.Debug("net/http complains", slog.String("err", string(b)))
	return len(b), nil
}
