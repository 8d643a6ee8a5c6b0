// Package httpflv answers requests for a stream as FLV in an HTTP body without end.
//
// It knows no path and no router: the name of the stream comes from its caller. What a tag holds is codecs/flv's, how
// it reaches the socket is listen's.
package httpflv

import (
	"net/http"

	"weir/codecs/flv"
	"weir/protocols"
	"weir/protocols/listen"
)

// A Server answers such requests. Its methods may be called by any goroutine.
type Server struct {
	router   listen.Router
	sessions listen.Sessions
}

// New returns a Server that asks d about its clients and enters those who are served into h.
func New(d listen.Router, h listen.Sessions) *Server { return &Server{router: d, sessions: h} }

// ServeStream answers a request whose path names stream, unescaped.
func (s *Server) ServeStream(w http.ResponseWriter, r *http.Request, stream string) {
	listen.Body(w, r, s.router, s.sessions, listen.BodyForm{
		Protocol:    protocols.FLV,
		Name:        flv.Form,
		ContentType: "video/x-flv",
		Head:        flv.FileHeader,
		New:         flv.NewEncoder,
		Check:       flv.Check,
	}, stream)
}
