// Package httpts sends streams as HTTP MPEG-TS: a transport stream as the body of a response, without end.
//
// It knows no route: who calls it has found the stream's name in the URL. How a body without end is answered is
// package listen's.
package httpts

import (
	"log/slog"
	"net/http"

	"weir/codecs/mpegts"
	"weir/protocols"
	"weir/protocols/listen"
)

// ContentType is the media type of a transport stream (RFC 3555, 4.2.5).
const ContentType = "video/mp2t"

// form is shared by all viewers of a stream on a node.
var form = listen.BodyForm{
	Protocol:    protocols.TS,
	Name:        "mpegts",
	ContentType: ContentType,
	New:         mpegts.NewEncoder,
	Check:       mpegts.Check,
}

// A Server answers viewers of HTTP MPEG-TS.
type Server struct {
	router   listen.Router
	sessions listen.Sessions
	log      *slog.Logger
}

// New makes a server that asks d about its viewers and enters them into h.
func New(d listen.Router, h listen.Sessions, log *slog.Logger) *Server {
	return &Server{router: d, sessions: h, log: log}
}

// ServeStream answers a request for the stream of this name, unescaped. It may block for as long as the router does, and
// with HTTP/2 for as long as the viewer watches.
func (s *Server) ServeStream(w http.ResponseWriter, r *http.Request, stream string) {
	s.log.Debug("viewer asks", slog.String("proto", string(protocols.TS)), slog.String("stream", stream), slog.String("peer", r.RemoteAddr))
	listen.Body(w, r, s.router, s.sessions, form, stream)
}
