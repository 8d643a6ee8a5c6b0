package node

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// strangers tells of connections to the HTTP port on which something came that was no request, of which net/http says
// nothing.
type strangers struct {
	log *slog.Logger

	mu    sync.Mutex
	known map[net.Conn]*acquaintance // guarded by mu; the open connections
}

// An acquaintance is what is known of one connection.
type acquaintance struct {
	spoke bool        // something came; belongs to the connection's goroutine
	asked atomic.Bool // it was a request
}

type acquainted struct{}

// attach makes s see all connections and requests of h.
func (s *strangers) attach(h *http.Server) {
	s.known = map[net.Conn]*acquaintance{}
	h.ConnContext, h.ConnState = s.meet, s.changed
	next := h.Handler
	h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a, ok := r.Context().Value(acquainted{}).(*acquaintance); ok {
			a.asked.Store(true)
		}
		next.ServeHTTP(w, r)
	})
}

func (s *strangers) meet(ctx context.Context, c net.Conn) context.Context {
	a := &acquaintance{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[c] = a
	return context.WithValue(ctx, acquainted{}, a)
}

func (s *strangers) changed(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	a := s.known[c]
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.known, c)
	}
	s.mu.Unlock()
	switch {
	case a == nil:
	case state == http.StateActive:
		a.spoke = true
	case state == http.StateClosed && a.spoke && !a.asked.Load():
		s.log.Debug("not an HTTP client", slog.String("proto", "http"), slog.String("peer", c.RemoteAddr().String()))
	}
}
