// Package httpts sends streams as HTTP MPEG-TS: a transport stream as the body of a response, without end.
//
// It knows no route: its caller has found the stream's name in the URL. The packets are made by package mpegts, and
// sent by package listen.
package httpts

import (
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

// New returns a server.
func New(d listen.Deps) *listen.BodyServer { return listen.NewBodyServer(d, form) }
