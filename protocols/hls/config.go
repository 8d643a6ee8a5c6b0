package hls

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

// A Router decides where a stream's segments come from. Its method blocks until there is an answer, until its hold limit,
// or until ctx ends, when the answer is Unavailable. It is called by any number of goroutines, for every request.
type Router interface {
	// Window finds the stream that a viewer asks for. With the verdict Serve the store is not nil and a packager fills
	// it, although it may still be empty. With Proxy the stream is fetched from Answer.Upstream, and with Redirect too
	// if Answer.Upstream is set and the request is not for a multivariant playlist: a reload is never redirected.
	Window(ctx context.Context, r listen.Request) (*cmaf.Store, listen.Answer)
}

// A Config bounds what viewers and other nodes can make a server do. The zero value of each field means its default.
type Config struct {
	// Hold is the longest time that a request waits for a stream that is being taken over. Default 12 s.
	Hold time.Duration

	// FetchTimeout is how long another node may take for a playlist, or be silent within a segment. It is shorter than
	// players wait for a playlist. Default 800 ms.
	FetchTimeout time.Duration

	// Forget is how long after its last change a playlist is known: repeated while the stream cannot be had, and a
	// bound below which no sequence number is served. Default 10 min.
	Forget time.Duration

	// Stubborn is how long a playlist is repeated although only one with lower numbers is to be had. Players of the
	// former are dead when the latter is served, and new ones see old media until then. Default 1 min.
	Stubborn time.Duration

	// CacheBytes bounds the segments held that came from other nodes. Default 256 MB.
	CacheBytes int64

	// SegmentBytes bounds one segment of another node. Default 128 MB.
	SegmentBytes int64

	// Viewers is the number of viewers that are sessions; more are served but not counted. Default 100,000.
	Viewers int

	// WriteDeadline is how long a client may accept nothing. Default [listen.WriteDeadline].
	WriteDeadline time.Duration
}

func (c Config) withDefaults() Config {
	durations := []struct {
		d *time.Duration
		v time.Duration
	}{
		{&c.Hold, 12 * time.Second},
		{&c.FetchTimeout, 800 * time.Millisecond},
		{&c.Forget, 10 * time.Minute},
		{&c.Stubborn, time.Minute},
		{&c.WriteDeadline, listen.WriteDeadline},
	}
	for _, x := range durations {
		if *x.d <= 0 {
			*x.d = x.v
		}
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = 256 << 20
	}
	if c.SegmentBytes <= 0 {
		c.SegmentBytes = 128 << 20
	}
	if c.Viewers <= 0 {
		c.Viewers = 100_000
	}
	return c
}

// Around is what a server needs from its surroundings besides the router.
type Around struct {
	// Sessions takes the viewers in as sessions. Nil: nobody counts them.
	Sessions listen.Sessions

	// Transport fetches from other nodes. Nil: a transport of the server's own.
	Transport http.RoundTripper

	// Random gives session identifiers; it is read by one goroutine at a time. Nil: crypto/rand.
	Random io.Reader

	// Log is told what failed at other nodes. Nil: nobody.
	Log *slog.Logger
}
