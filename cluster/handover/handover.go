// Package handover hands the window of a live stream's HLS segments over from the node that has captured the stream to the
// one that captures it now: the question, the answer, and the fetching of the segments.
//
// It does not know which node captures what, how a question reaches another node, nor how a segment is fetched.
package handover

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"weir/actors/act"
	"weir/cluster/wire"
	"weir/protocols/cmaf"
)

const (
	// limit is how long the segments of a stream may take altogether. Those that have not come by then are left out.
	limit = 5 * time.Second

	// maxBytes bounds the segments that are taken, in all forms.
	maxBytes = 256 << 20
)

// Config says how other nodes are reached. Its functions may be called by any goroutine.
type Config struct {
	Self func() string // the announced name of this node

	// Ask puts a question to the actor of a stream at a node, whether or not that node still owns the stream.
	Ask func(ctx context.Context, node, stream string, q *wire.Window) (proto.Message, error)

	// Private is the private URL of a node; empty if it is not known.
	Private func(node string) string

	// Segment fetches a segment of a stream from the node at a private URL.
	Segment func(ctx context.Context, private, stream string, f cmaf.Form, number int64) ([]byte, error)

	Log *slog.Logger
}

// Inherit is [stream.Config.Inherit]: it asks beside the actors.
func Inherit(env act.Env, c Config) func(ctx actor.Context, stream, from string, done func(*cmaf.Handover)) {
	return func(ctx actor.Context, stream, from string, done func(*cmaf.Handover)) {
		env.Go(ctx.Self(), func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			h, err := c.fetch(ctx, stream, from)
			if err != nil {
				c.Log.Info("segments are not continued", slog.String("stream", stream), slog.String("peer", from), slog.Any("err", err))
				done(nil)
				return nil
			}
			c.Log.Info("segments are continued", slog.String("stream", stream), slog.String("peer", from),
				slog.Int64("number", h.Next), slog.Int("segments", len(h.Segments)))
			done(h)
			return nil
		})
	}
}

// fetch fetches the window of a stream from the node that has made it, which makes no more of it. The newest segments come
// first; those for which there is neither time nor room are left out.
func (c Config) fetch(ctx context.Context, stream, from string) (*cmaf.Handover, error) {
	answer, err := c.Ask(ctx, from, stream, &wire.Window{Protocol: wire.Protocol, Stream: stream, Node: c.Self()})
	if err != nil {
		return nil, err
	}
	w, ok := answer.(*wire.Windowed)
	if !ok {
		return nil, fmt.Errorf("%w: a %T", errWindow, answer)
	}
	h, list, err := outlines(w)
	if err != nil {
		return nil, err
	}
	private := c.Private(from)
	if private == "" {
		return &h, nil
	}
	room := maxBytes
	got := make([]*cmaf.Segment, len(list))
	first := len(list)
	for first > 0 {
		s, size, err := c.segment(ctx, private, stream, list[first-1])
		if room -= size; err != nil || room < 0 {
			c.Log.Warn("a segment of another node is left out", slog.String("stream", stream), slog.String("peer", from), slog.Any("err", err))
			break
		}
		first--
		got[first] = s
	}
	h.Segments = got[first:]
	for i, o := range list {
		if !o.Discontinuity {
			continue
		}
		h.Discontinuities++
		if i < first { // one at the first segment that is left is not before it
			h.Before++
		}
	}
	h.Discontinuities += int64(w.DiscontinuitySequence)
	return &h, nil
}

// segment fetches a segment in all forms that can carry its tracks, and gives its size in bytes.
func (c Config) segment(ctx context.Context, private, stream string, o cmaf.Outline) (*cmaf.Segment, int, error) {
	var bytes [2][]byte
	size := 0
	for _, f := range []cmaf.Form{cmaf.TS, cmaf.CMAF} {
		if !o.Generation.Carries(f) {
			continue
		}
		b, err := c.Segment(ctx, private, stream, f, o.Number)
		if err != nil {
			return nil, 0, fmt.Errorf("segment %d: %w", o.Number, err)
		}
		bytes[f], size = b, size+len(b)
	}
	return cmaf.NewSegment(o, bytes), size, nil
}
