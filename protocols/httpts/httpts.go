// Package httpts sends streams as HTTP MPEG-TS: a transport stream as the body of a response, without end.
//
// It knows no route: its caller has found the stream's name in the URL. The packets are made by package mpegts, and
// sent by package listen.
package httpts

import (
	"net/http"

	"weir/codecs/mpegts"
	"weir/protocols"
	"weir/protocols/listen"
)

// form is shared by all viewers of a stream on a node.
var form = listen.BodyForm{
	Protocol:    protocols.TS,
	ContentType: "video/mp2t", // RFC 3555, 4.2.5
	New:         mpegts.NewEncoder,
	Check:       mpegts.Check,
}

// A Server answers viewers of HTTP MPEG-TS. Its methods may be called by any goroutine.
type Server struct{ deps listen.Deps }

// New returns a server.
func New(d listen.Deps) *Server { return &Server{d} }

// ServeStream answers q, which is what r asks for. It may block for as long as the router does,
// and with HTTP/2 for as long as the viewer watches.
func (s *Server) ServeStream(w http.ResponseWriter, r *http.Request, q listen.Request, _ string) {
	listen.Body(w, r, s.deps, form, q)
}
