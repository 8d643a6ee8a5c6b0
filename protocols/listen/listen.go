// Package listen holds what the servers of all protocols share: how connections are accepted, what a server asks the
// node about a client, and the one loop that carries a stream to a socket.
//
// It knows no protocol and no actor. A protocol turns bytes into a [Request] and obeys the [Answer]; the node behind
// the [Router] decides.
package listen

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"weir/codecs"
	"weir/codecs/reception"
	"weir/protocols"
)

// Deps are what a node gives the server of each protocol.
type Deps struct {
	Router   Router
	Sessions Sessions
	Limiter  *Limiter // of all listeners of a node; nil: nothing is limited
	Log      *slog.Logger
}

// A Request is what a client wants, as its server understood it.
type Request struct {
	Protocol protocols.Protocol

	// Streams are the names that the client may mean, unescaped, the best first. RTMP's rtmp://node/APP/NAME means
	// APP/NAME if there is such a stream and NAME otherwise; the other protocols give one.
	Streams []string

	// Path is the path of the URL as the client wrote it, still escaped, with its leading slash, and Query what
	// followed its question mark. Both are kept in a redirect.
	Path, Query string

	Remote netip.AddrPort
	Host   string // the host, and port if any, under which the client addressed this node
	Secure bool   // the client came over TLS, to this node or to a proxy before it
	Agent  string // User-Agent or flashVer

	// Proxied says that the client reached this node through something that does not tell reliably whether the client uses
	// TLS. It may not reach other nodes under the URLs by which this one knows them.
	Proxied bool

	// Hops counts the nodes that have already sent this client on, or relay the stream to the asker.
	Hops int

	// App and Name are the two halves of what an RTMP client wants, TCURL and PageURL where it says that it comes from,
	// all as it sent them, App and Name without queries. They are empty for other protocols.
	App, Name, TCURL, PageURL string

	// Here says that a balancer has chosen this node to serve the client itself: the client is not sent on, and gets
	// segments from here too.
	Here bool

	// Redirects says that this client is known to follow redirects although its protocol's clients generally do not.
	Redirects bool

	// Edge says that the client is a node, and one of another group: its viewers are counted by no other node of this
	// group, and it is treated like any viewer.
	Edge bool
}

// MayLeave says whether the client may be sent to a URL of another node, or be given one. A client that came over TLS is
// sent only to where TLS is. A client behind a proxy is sent to a URL without TLS only if the configuration gives it as the public one.
func (r *Request) MayLeave(secure, given bool) bool {
	return secure || !r.Secure && (given || !r.Proxied)
}

// A Verdict is the kind of an [Answer].
type Verdict uint8

// What becomes of a request.
const (
	// Serve: the stream has media here; Answer.Source gives it.
	Serve Verdict = iota + 1
	// Redirect: send the client to Answer.Location.
	Redirect
	// Fetch: take playlists and segments from Answer.Upstream and answer under the asked URL. Only HLS and DASH are told so.
	Fetch
	// NotFound: the stream is configured nowhere.
	NotFound
	// Unavailable: the stream exists but could not be had within the hold limit; try again after Answer.RetryAfter.
	Unavailable
	// Refused: the client must not; Answer.Reason says why.
	Refused
)

// An Answer is what the node decided about a [Request] to play.
type Answer struct {
	Verdict Verdict
	Stream  string // the one of Request.Streams that was meant
	Reason  string // a sentence for the client and the log; empty for Serve

	Source Source // Serve

	// Location is the complete URL of a redirect in the client's protocol; its path and query are those of the request,
	// with one hop more (see [HopsParameter]).
	Location string

	// Upstream is where to fetch from for a Fetch: the private URL of the node that has the stream, without path.
	// Public is the URL, without path, under which viewers reach that node; empty when segments too must come
	// through the asked node (hls=relay).
	Upstream, Public string

	RetryAfter time.Duration

	// Failing says of Unavailable that waiting is of no use now, because the inputs of the stream fail again and again.
	Failing bool
}

// A Router decides about clients. Its methods block until there is an answer, at most for the hold limit of a request,
// and may be called by any goroutine but an actor's.
type Router interface {
	// Play finds the stream that a viewer asks for.
	Play(ctx context.Context, r Request) Answer

	// Publish opens a stream for a publisher. The error is one of [ErrBusy], [ErrReserved], [ErrNotFound],
	// [ErrDenied], [ErrUnavailable], wrapped with what a person should know.
	Publish(ctx context.Context, r Request) (Publication, error)
}

// An Authorizer is a [Router] that is also asked about clients that have not yet said what they want. Only RTMP has
// such a moment: its connect.
type Authorizer interface {
	// Connect returns an error, which the client is told, if it must go. Streams of the request is empty.
	Connect(ctx context.Context, r Request) error
}

// The reasons for which a publisher is turned away.
var (
	ErrBusy        = errors.New("somebody publishes this stream already")
	ErrReserved    = errors.New("this name is reserved")
	ErrNotFound    = errors.New("no such stream is configured")
	ErrDenied      = errors.New("not allowed")
	ErrUnavailable = errors.New("cannot be published here now")
)

// A Source is a stream that has media on this node.
type Source interface {
	// Name is the stream's name, unescaped.
	Name() string

	// Tracks are the tracks that are in force now.
	Tracks() codecs.Tracks

	// Join adds a viewer who wants the stream in the wire form named form. All viewers of one form share one encoder;
	// mk makes the encoder for the first of them. base is the DTS that wire forms with short timestamps count from; it
	// is the same for all forms and viewers of the stream on this node.
	Join(form string, mk func(base int64) codecs.Encoder) Feed

	// Units adds a viewer who wants the access units themselves.
	Units() UnitFeed
}

// A Resumer is a [Source] that lets a viewer go on where the source of the same stream at another node has ended.
type Resumer interface {
	// JoinAfter is Join for a viewer that has everything up to the instant dts: the feed starts at the last random
	// access point that leaves nothing out, if that is still there and not long ago, else where Join starts.
	JoinAfter(form string, mk func(base int64) codecs.Encoder, dts int64) Feed
}

// A Returner is a [Source] that lets a viewer go on where its own last feed has ended.
type Returner interface {
	// JoinAgain is Join for the viewer of a feed that has been closed, as when its session failed: the new feed starts
	// at a random access point behind all that the old one brought. A feed of another source counts for nothing.
	JoinAgain(form string, mk func(base int64) codecs.Encoder, left Feed) Feed
}

// JoinAgain is [Returner.JoinAgain] of a source that is one, and Join of any other; left may be nil.
func JoinAgain(s Source, form string, mk func(base int64) codecs.Encoder, left Feed) Feed {
	if r, ok := s.(Returner); ok && left != nil {
		return r.JoinAgain(form, mk, left)
	}
	return s.Join(form, mk)
}

// A Feed brings one viewer one stream in one wire form. It belongs to one goroutine. It starts at a random access
// point; a viewer too slow for the ring jumps to the newest one, and the jump is counted.
type Feed interface {
	// Next waits until something is pending and appends it to bufs, the prologue first, at most about a megabyte at a
	// time. The slices are shared: they are read, never changed. It returns io.EOF when the stream ends and the
	// context's error when that ends.
	Next(ctx context.Context, bufs [][]byte) ([][]byte, error)

	// Dropped is the number of access units skipped so far because the viewer was too slow.
	Dropped() uint64

	// Close gives the cursor back. It may be called twice.
	Close()
}

// A UnitFeed is a [Feed] of access units.
type UnitFeed interface {
	// Next waits until something is pending and appends it to dst. When the tracks have changed since the call before,
	// the first call included, it returns them alone, and the units that follow belong to them. Errors are those of
	// [Feed].
	Next(ctx context.Context, dst []*codecs.AccessUnit) (units []*codecs.AccessUnit, changed codecs.Tracks, err error)

	Dropped() uint64
	Close()
}

// A Publication takes the media of one publisher. It belongs to one goroutine. The DTS and PTS of access units count
// from any zero: the publication anchors them to the wall clock. Write returns an error when the publisher must go: it
// was kicked, has given way to another publisher, or lost the name to another node.
type Publication interface {
	codecs.Writer
	reception.Report

	// Context ends with the publication, also when the publisher sends nothing; its cause is the error of Write.
	Context() context.Context

	// Heard notes that the publisher sends, although no access unit has come of it yet. A publisher that sends nothing gives
	// way to another one.
	Heard()

	// Close ends the publication; Write fails from then on. It may be called twice.
	Close()
}

// A Client is one connection, from accept to close: what a session actor supervises.
type Client interface {
	// Serve runs the connection until it ends or ctx does. When it is called again for a connection that had been
	// served before, because its session was restarted, it goes on: a viewer at the next random access point, a
	// publisher with the next message. It returns nil when the other side left in order.
	Serve(ctx context.Context, d Router) error

	// Close ends the connection, from any goroutine, at any time, any number of times.
	Close() error

	// Stats describes the connection as it is now; any goroutine may ask.
	Stats() ClientStats
}

// A Mover is a [Client] that can be told, in the middle of its session, to go on at another node.
type Mover interface {
	// Move asks locate where the stream is now, which admits nobody anew, and sends the client there. It reports
	// whether there was a place and the client was told; the session ends then. Any goroutine may call it.
	Move(ctx context.Context, locate func(context.Context, Request) Answer) bool
}

// ClientStats describes a connection.
type ClientStats struct {
	Protocol          protocols.Protocol
	Remote            netip.AddrPort
	Stream            string // empty until it is known
	Publisher         bool
	Edge              bool // as in [Request]
	BytesIn, BytesOut uint64
	Dropped           uint64 // access units skipped because the viewer was too slow
}

// Sessions admit connections: each client that enters becomes a session, is served, and is closed when that ends.
type Sessions interface {
	Enter(Client)
}
