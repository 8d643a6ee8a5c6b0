// Package rtmp is RTMP, server and client: the chunk layer, the commands, and the way between messages and access
// units, for publishers and players of any make.
//
// It knows no stream and no other client: the [listen.Router] says what a client may do. [Pull] and [Client] are for
// streams of other servers.
//
// No sender is trusted: chunk streams, messages, partial messages, nesting, counts and silence are limited (limits.go),
// and nothing is allocated for bytes that are merely announced. Crossing a limit costs the sender the connection, and
// weir nothing.
//
// The protocol is Adobe's "Real Time Messaging Protocol 1.0"; clauses are cited as RTMP. The handshake and the numbers
// of messages are go-rtmp's; its chunk layer, connections and AMF0 are not used, because a peer can kill a process
// with them.
package rtmp

import (
	"context"
	"net"
	"time"

	"weir/codecs/flv"
	"weir/protocols"
	"weir/protocols/listen"
)

// form is what [NewEncoder] makes.
var form = protocols.Of(protocols.RTMP).Form

// chunkSize is the size of the chunks that weir sends. It is announced before the first message that needs it, and
// equal for all clients, since they share what is sent.
const chunkSize = 60000

// mediaStream is the message stream on which everything is played and published: createStream always answers it, so
// that all players can share the same bytes.
const mediaStream = 1

// The chunk streams that weir sends on.
const (
	csControl = 2 // RTMP 5.4: the protocol's own messages
	csCommand = 3
	csAudio   = 4
	csData    = 5 // and the status of a stream
	csVideo   = 6
)

const (
	// handshakeTimeout is how long a client has, from accept, to say what it wants to publish or to play.
	handshakeTimeout = 15 * time.Second

	// republishTimeout is how long a client that has stopped publishing has to say what it wants next; SRS waits as long.
	republishTimeout = 3 * time.Minute

	// readTimeout is the silence after which a publisher is dropped. It restarts with every message. Players may be
	// silent.
	readTimeout = 30 * time.Second

	replyTimeout  = 10 * time.Second // for a reply to be taken by the other side's socket
	lingerTimeout = 3 * time.Second  // for a client that was sent away to go; SRS waits as long
	windowSize    = 2500000          // bytes; what SRS and most others announce
)

var _ listen.Client = (*conn)(nil)

// A Server serves RTMP on any number of listeners.
type Server struct{ deps listen.Deps }

// New returns a server.
func New(d listen.Deps) *Server { return &Server{d} }

// Serve accepts clients from l until ctx ends, and closes l. Clients that it accepted live on.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return listen.Accept(ctx, l, protocols.RTMP, s.deps, func(c *listen.Conn) {
		s.deps.Sessions.Enter(newConn(c, s.deps.Log))
	})
}

// tagOf says whether a message type is one of FLV's tags.
func tagOf(typ uint8) bool {
	return typ == flv.TypeAudio || typ == flv.TypeVideo || typ == flv.TypeScript
}
