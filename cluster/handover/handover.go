// Package handover passes the window of a live stream's HLS segments from the node that has captured the stream to the node that
// captures it now. The new node asks the old one for a description of the window, and then fetches the segments.
//
// The package does not know which node captures a stream, how a question reaches another node, or how a segment is fetched.
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
	// limit is how long the hand-over of a stream may take. Segments that have not been fetched by then are left out.
	limit = 5 * time.Second

	// maxBytes is how many bytes of segments are fetched at most, all forms together.
	maxBytes = 256 << 20
)

// Config holds the functions that reach other nodes. Any goroutine may call them.
type Config struct {
	Self func() string // the announced name of this node

	// Ask sends a question to the actor of a stream at a node, whether or not that node still owns the stream, and waits for the
	// answer.
	Ask func(ctx context.Context, node, stream string, q proto.Message) (proto.Message, error)

	// Private is the private URL of a node; empty if it is not known.
	Private func(node string) string

	// Segment fetches a segment of a stream from the node at a private URL.
	Segment func(ctx context.Context, private, stream string, f cmaf.Form, number int64) ([]byte, error)

	Log *slog.Logger
}

// Inherit makes [stream.Config.Inherit]: a function that fetches the window beside the actors and passes it to done.
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

// fetch fetches the window of a stream from the node that has made it and makes no further segments. The newest segments are
// fetched first. The oldest are left out if there is no time or room for them.
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
		if i < first { // a discontinuity at the first segment that was fetched is not before it
			h.Before++
		}
	}
	h.Discontinuities += int64(w.DiscontinuitySequence)
	return &h, nil
}

// segment fetches a segment in all forms that can carry its tracks. Its size is that of all forms together, in bytes.
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
