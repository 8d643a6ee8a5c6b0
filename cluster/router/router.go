// Package router decides about the clients of a node: a viewer is served here, sent to the node that has the stream, or
// told to wait; a publisher gets its stream or is turned away. It implements [listen.Router], [listen.Authorizer] and
// [hls.Router].
//
// It knows no socket, no file and no tree of actors: where streams are it reads from the directory, media it asks of the
// supervisor of streams, and names of the control plane; see [Config].
package router

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"weir/actors/stream"
	"weir/cluster/directory"
	"weir/cluster/srs"
	"weir/protocols/hls"
	"weir/protocols/listen"
)

// retryAfter is what a client is told that came during a take-over.
const retryAfter = 2 * time.Second

// lookPause is how often it is looked whether a stream that a client waits for has failed meanwhile.
const lookPause = 250 * time.Millisecond

// StartUp is how long a client of an on-demand stream waits for its source, beyond the hold limit: for its connection, and
// for a picture from which a player can start.
const StartUp = 15 * time.Second

// A Config joins a router to its node. Its functions may be called by any goroutine, and do not block unless they take a
// context.
type Config struct {
	Directory *directory.Directory
	Registry  *stream.Registry // the streams that are here
	Instances *Instances
	SRS       *srs.Cluster
	Hooks     Hooks
	Log       *slog.Logger

	// Relayed is why the node that has a stream, of which a relay has been asked for, has no media of it; ok is false if it has, or may get
	// some.
	Relayed func(stream string) (reason string, ok bool)

	// Streams sends a message to the supervisor of all streams.
	Streams func(msg any)

	// Hold is how long a request may wait for a stream that is being taken over.
	Hold func() time.Duration

	// Reserved says why a stream cannot have a name; nil means that it can.
	Reserved func(name string) error

	// Demanded tells the control plane that a client wants an on-demand stream, for so long at least.
	Demanded func(stream string, least time.Duration)

	// Claim returns nil once a publisher of this node may have a stream, and Unclaim gives the stream back when no
	// publication came of that. With tookOver another publisher has given way. The error is one of [listen.Router]'s Publish.
	Claim   func(ctx context.Context, stream string) (tookOver bool, err error)
	Unclaim func(stream string)
}

// Hooks are asked once about each client, and may turn it away: the error wraps [listen.ErrDenied]. vh is the virtual host
// of the request, or nil. [srs.Hooks] implements it.
type Hooks interface {
	Connect(ctx context.Context, vh *srs.Vhost, q listen.Request) error
	Publish(ctx context.Context, vh *srs.Vhost, q listen.Request) error
	Play(ctx context.Context, vh *srs.Vhost, q listen.Request) error

	// Published is told that a client that Publish let pass publishes a stream; over is called once it does so no more. Neither
	// waits.
	Published(remote netip.AddrPort, stream string) (over func())

	// Watch is Play for viewers of playlists, each of whom sends many requests.
	Watch(ctx context.Context, vh *srs.Vhost, q listen.Request) error

	// Dismissed is told of a client that Play let pass and that is not served.
	Dismissed(remote netip.AddrPort)
}

// A Router decides about clients. Its methods run in the goroutines of sessions and listeners, never in an actor's.
type Router struct {
	cfg    Config
	demand demand
}

var (
	_ listen.Router     = (*Router)(nil)
	_ listen.Authorizer = (*Router)(nil)
	_ hls.Router        = (*Router)(nil)
)

// New returns a router.
func New(cfg Config) *Router { return &Router{cfg: cfg, demand: demand{waiting: map[string]int{}}} }

// A request is what a client wants, resolved: with the names that this node has for the stream. It is made once, where a
// client's request enters the router.
type request struct {
	listen.Request
	vhost *srs.Vhost // nil: none is configured
}

func (r *Router) resolve(q listen.Request) request {
	named, vhost := r.cfg.SRS.Resolve(q)
	return request{named, vhost}
}

// Connect implements [listen.Authorizer].
func (r *Router) Connect(ctx context.Context, q listen.Request) error {
	c := r.resolve(q)
	return r.cfg.Hooks.Connect(ctx, c.vhost, c.Request)
}

// view is the newest view of the cluster.
func (r *Router) view() *directory.View {
	v, _ := r.cfg.Directory.View()
	return v
}
