package source

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"weir/actors/input"
	"weir/cluster/origin"
	"weir/protocols/relay"
)

// Origins holds the functions that pull streams from nodes outside the group.
type Origins struct {
	Directory *origin.Directory

	// Transport gives the transport that proves the key of the link to an origin. URL gives the URL of an origin.
	Transport func(origin string) http.RoundTripper
	URL       func(origin string) string

	// Answer is how long an origin may take to answer: it may hold the request until it has captured the stream.
	Answer func() time.Duration
}

// openOrigin makes the source of a restreamed stream. The stream is relayed from the first origin that has it. When that origin has the
// stream no more, the stream is relayed from the next one.
func openOrigin(o *Opener, in Input) (input.Source, error) {
	return input.Run(func(ctx context.Context, w input.Writer) error {
		for {
			ups, changed := o.Origins.Directory.Upstreams(in.Stream)
			var err error
			out := &watched{Writer: w}
			for _, up := range ups {
				err = o.Origins.pull(ctx, in.Stream, up, out)
				if ctx.Err() != nil || replaced(err) {
					return err
				}
				if out.wrote {
					break
				}
			}
			if err != nil {
				return err
			}
			select { // no origin has the stream now, so the stream will soon be removed
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}), nil
}

func (o *Origins) pull(ctx context.Context, stream string, up origin.Upstream, w input.Writer) error {
	while, cancel := o.Directory.While(ctx, stream, up)
	defer cancel()
	w.Rejoin() // the media before may have come from another origin
	err := relay.Pull(while, o.Transport(up.Source), relay.EdgeURL(o.URL(up.Source), up.Stream), w,
		relay.Options{Silence: RelaySilence, Answer: o.Answer() + RelaySilence})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case while.Err() != nil:
		return fmt.Errorf("source %s has the stream no more", up.Source)
	}
	return fmt.Errorf("source %s: %w", up.Source, err)
}
