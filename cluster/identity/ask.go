package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"google.golang.org/protobuf/proto"

	"weir/cluster/wire"
)

var (
	// ErrNoOwner means that no live node that can be asked owns the stream, as far as this node knows.
	ErrNoOwner = errors.New("nobody owns the stream")

	// ErrNoAnswer means that the owner did not answer, or is no longer the owner, each time it was asked.
	ErrNoAnswer = errors.New("the owner of the stream does not answer")
)

// A question is asked three times: the first may be lost in a link that is closing or meet the owner of a moment ago,
// the third is for a take-over in between. An answer takes well under a millisecond on a local network.
const (
	AskTries = 3
	AskLimit = 300 * time.Millisecond // for an answer
	AskPause = 20 * time.Millisecond  // before the next time
)

// Ask puts a question to the node that owns the stream and returns the answer, at the latest after about a second or when
// ctx ends. It blocks, so no actor may call it: it is for API handlers and their like. A question is asked again when
// no answer came, so it must bear being answered twice. The error is [ErrNoOwner], [ErrNoAnswer], a [*RefusedError] or
// ctx's.
//
// It does not go through cluster.Request, which starts a goroutine per call, cannot be cancelled, and caches where a
// stream was.
func Ask(ctx context.Context, c *cluster.Cluster, stream string, msg proto.Message) (proto.Message, error) {
	return ask(ctx, c.ActorSystem, stream, msg, func() *actor.PID { return c.Get(stream, Kind) })
}

// AskAt is [Ask] for the stream's actor on the node whose remote listens at addr, whether or not it is the owner.
func AskAt(ctx context.Context, c *cluster.Cluster, addr, stream string, msg proto.Message) (proto.Message, error) {
	return ask(ctx, c.ActorSystem, stream, msg, func() *actor.PID {
		if addr == "" {
			return nil
		}
		return actor.NewPID(addr, StreamID(stream))
	})
}

func ask(ctx context.Context, sys *actor.ActorSystem, stream string, msg proto.Message, whom func() *actor.PID) (proto.Message, error) {
	var last error
	for try := range AskTries {
		if try > 0 {
			select {
			case <-time.After(AskPause):
			case <-ctx.Done():
				return nil, fmt.Errorf("asking for %q: %w", stream, ctx.Err())
			}
		}
		pid := whom()
		if pid == nil {
			last = ErrNoOwner
			continue
		}
		answer, err := askOnce(ctx, sys, pid, msg)
		if err == nil {
			return answer, nil
		}
		var refused *RefusedError
		if ctx.Err() != nil || errors.As(err, &refused) && refused.Why != wire.Refused_WHY_ELSEWHERE {
			return nil, fmt.Errorf("asking %s for %q: %w", pid.Address, stream, err)
		}
		last = fmt.Errorf("asking %s: %w", pid.Address, err)
	}
	return nil, fmt.Errorf("stream %q: %w", stream, last)
}

// A RefusedError is the answer of an owner that could be asked and refused.
type RefusedError struct {
	Why    wire.Refused_Why
	Reason string
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("refused (%v): %s", e.Why, e.Reason) }

func askOnce(ctx context.Context, sys *actor.ActorSystem, to *actor.PID, msg proto.Message) (proto.Message, error) {
	f := sys.Root.RequestFuture(to, msg, AskLimit)
	var res any
	var err error
	done := make(chan struct{})
	go func() { // ends with the future, so within AskLimit
		res, err = f.Result()
		close(done)
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-done:
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	switch m := res.(type) {
	case *wire.Refused:
		return nil, &RefusedError{Why: m.GetWhy(), Reason: m.GetReason()}
	case proto.Message:
		return m, nil
	default:
		return nil, fmt.Errorf("%w: a %T came back", ErrNoAnswer, res)
	}
}
