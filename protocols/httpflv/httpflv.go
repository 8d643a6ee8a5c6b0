// Package httpflv sends streams as HTTP-FLV: an FLV file as the body of a response, without end.
//
// It knows no route: its caller has found the stream's name in the URL. The tags are made by package flv, and sent by
// package listen.
package httpflv

import (
	"net/http"

	"weir/codecs/flv"
	"weir/protocols"
	"weir/protocols/listen"
)

// form is shared by all viewers of a stream on a node.
var form = listen.BodyForm{
	Protocol:    protocols.FLV,
	ContentType: "video/x-flv",
	Head:        flv.FileHeader,
	New:         flv.NewEncoder,
	Check:       flv.Check,
}

// A Server answers viewers of HTTP-FLV. Its methods may be called by any goroutine.
type Server struct{ deps listen.Deps }

// New returns a server.
func New(d listen.Deps) *Server { return &Server{d} }

// ServeStream answers q, which is what r asks for. It may block for as long as the router does,
// and with HTTP/2 for as long as the viewer watches.
func (s *Server) ServeStream(w http.ResponseWriter, r *http.Request, q listen.Request, _ string) {
	listen.Body(w, r, s.deps, form, q)
}
