// Package httpflv sends streams as HTTP-FLV: an FLV file as the body of a response, without end.
//
// It knows no route: its caller has found the stream's name in the URL. The tags are made by package flv, and sent by
// package listen.
package httpflv

import (
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

// New returns a server.
func New(d listen.Deps) *listen.BodyServer { return listen.NewBodyServer(d, form) }
