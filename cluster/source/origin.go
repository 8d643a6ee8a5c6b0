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

// Origins say how streams of nodes outside the group are reached.
type Origins struct {
	Directory *origin.Directory

	// Transport proves the key of the link to an origin, and URL is the origin's.
	Transport func(origin string) http.RoundTripper
	URL       func(origin string) string

	// Answer is how long an origin may take to answer: it may hold the request until it has the stream itself.
	Answer func() time.Duration
}

// openOrigin makes the source of a stream that an origin has. It is relayed from the first origin that has it, and from the
// next one when that changes.
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
			select { // no origin has it now, and the stream is about to vanish
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
	w.Rejoin() // the origin before may have been another
	err := relay.Pull(while, o.Transport(up.Source), relay.EdgeURL(o.URL(up.Source), up.Stream), w,
		relay.Options{Silence: relaySilence, Answer: o.Answer() + relaySilence})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case while.Err() != nil:
		return fmt.Errorf("source %s has the stream no more", up.Source)
	}
	return fmt.Errorf("source %s: %w", up.Source, err)
}
