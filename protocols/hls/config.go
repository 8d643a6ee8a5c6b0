package hls

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

// A Router decides where a stream's segments come from. Window blocks until there is an answer, until its hold limit,
// or until ctx ends, when the answer is Unavailable. The methods are called by any number of goroutines, for every request.
type Router interface {
	// Names are the names that the node has for the streams of a request, in their order: streams of one name in several
	// virtual hosts have different ones.
	Names(r listen.Request) []string

	// Window finds the stream that a viewer asks for. With the verdict Serve the store is not nil and a packager fills
	// it, although it may still be empty. With Fetch the stream is fetched from Answer.Upstream, and with Redirect too
	// if Answer.Upstream is set and the request is not for a multivariant playlist: a reload is never redirected.
	Window(ctx context.Context, r listen.Request) (*cmaf.Store, listen.Answer)
}

// A Config bounds what viewers and other nodes can make a server do. The zero value of each field means its default.
type Config struct {
	// Hold is the longest time that a request waits for a stream that is being taken over. Default 12 s.
	Hold time.Duration

	// Viewers is the number of viewers that are sessions; more are served but not counted. Default 100,000.
	Viewers int

	// PerAddress is the number of viewers of one address that are sessions; 0 means any number. Nil: any number.
	PerAddress func() int

	// silence is how long another node may take for a playlist, or be silent within a segment. It is shorter than players
	// wait for a playlist. Default 800 ms, but for tests.
	silence time.Duration
}

func (c Config) withDefaults() Config {
	c.Hold = cmp.Or(c.Hold, 12*time.Second)
	c.Viewers = cmp.Or(c.Viewers, 100_000)
	if c.PerAddress == nil {
		c.PerAddress = func() int { return 0 }
	}
	c.silence = cmp.Or(c.silence, 800*time.Millisecond)
	return c
}

// Deps are what a server is given of the node.
type Deps struct {
	Router Router

	// Sessions takes the viewers in as sessions. Nil: they are not counted.
	Sessions listen.Sessions

	// Limiter says which addresses are limited, and counts viewers above their limits. It may be nil.
	Limiter *listen.Limiter

	// Transport carries the requests to other nodes.
	Transport http.RoundTripper

	// Log is told what failed at other nodes.
	Log *slog.Logger
}
