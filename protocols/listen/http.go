package listen

import (
	"context"
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
	maxHead     = 64 << 10

	// bodyTimeout is for the whole body of a request, from the end of its head. All bodies are short ones.
	bodyTimeout = time.Minute
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
	sent      bool // something has come; belongs to the connection's goroutine
	requested atomic.Bool
}

type httpConnKey struct{}

// NewHTTPServer returns a server whose requests h answers.
func NewHTTPServer(h http.Handler, d Deps) *HTTPServer {
	s := &HTTPServer{deps: d, open: map[net.Conn]*httpConn{}}
	s.http = http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, ok := r.Context().Value(httpConnKey{}).(*httpConn); ok {
				c.requested.Store(true)
			}
			if r.Body != nil && r.Body != http.NoBody {
				// A body that has not come by then ends the connection, also when h does not read it: net/http does. The
				// deadline of a request without a body would end its context, however long its answer takes.
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder of a test has none
			}
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		ConnContext: s.opened, ConnState: s.changed,
		ErrorLog: log.New(debugLines{d.Log}, "", 0),
	}
	return s
}

// Serve accepts connections from l until ctx ends, and closes l. Requests that are under way go on.
func (s *HTTPServer) Serve(ctx context.Context, l net.Listener) error {
	l = Guard(l, s.deps)
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
	c := &httpConn{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[conn] = c
	return context.WithValue(ctx, httpConnKey{}, c)
}

func (s *HTTPServer) changed(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	c := s.open[conn]
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.open, conn)
	}
	s.mu.Unlock()
	switch {
	case c == nil:
	case state == http.StateActive:
		c.sent = true
	case state == http.StateClosed && c.sent && !c.requested.Load():
		s.deps.Log.Debug("not an HTTP client", slog.String("proto", string(protocols.HTTP)),
			slog.String("client", conn.RemoteAddr().String()))
	}
}

// debugLines writes the complaints of net/http, such as those about garbage, as debug lines.
type debugLines struct{ log *slog.Logger }

// Write implements [io.Writer].
func (d debugLines) Write(b []byte) (int, error) {
	d.log.Debug("net/http complains", slog.String("err", string(b)))
	return len(b), nil
}
