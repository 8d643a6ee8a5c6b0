package controller

import (
	"context"
	"fmt"

	"weir/actors/act"
	"weir/cluster/control"
)

// Messages to the control actor besides the [control.Event]s that are sent to it as they are.
type (
	stateAsked struct {
		from  string
		seen  control.Seen
		want  []string
		reply *act.Reply[*control.State]
	}
	publishWanted struct {
		stream, free string
		reply        *act.Reply[control.PublishAnswer]
	}
	releaseAsked struct {
		stream, from string
		answer       func(released bool) // may be called by any goroutine
	}
	explain struct {
		stream string
		reply  *act.Reply[*control.Explanation] // nil: there is no such stream
	}
	forecast struct {
		without []string
		reply   *act.Reply[*control.Forecast]
	}
	ping struct{ reply *act.Reply[struct{}] }
)

// A Client puts questions to the control actor. Its methods may be called by any goroutine; those that take a context
// block until the actor answers or the context ends, so that no actor may call them.
type Client struct {
	// Send delivers a message to the control actor.
	Send func(msg any)
}

// AskState puts a peer's question for this node's state; see [control.StateAsked].
func (c Client) AskState(from string, seen control.Seen, want []string, reply *act.Reply[*control.State]) {
	c.Send(stateAsked{from, seen, want, reply})
}

// WantPublish asks whether a publisher may have a stream here; see [control.PublishWanted].
func (c Client) WantPublish(stream, free string, reply *act.Reply[control.PublishAnswer]) {
	c.Send(publishWanted{stream, free, reply})
}

// AskRelease asks on behalf of the node from to let go of a stream; see [control.ReleaseAsked]. answer is called in the
// mailbox of the control actor.
func (c Client) AskRelease(stream, from string, answer func(released bool)) {
	c.Send(releaseAsked{stream, from, answer})
}

// State is [Client.AskState] that waits.
func (c Client) State(ctx context.Context, from string, seen control.Seen, want []string) (*control.State, error) {
	return wait(ctx, func(reply *act.Reply[*control.State]) { c.AskState(from, seen, want, reply) })
}

// Explain says why a stream is where it is; nil if there is no such stream.
func (c Client) Explain(ctx context.Context, stream string) (*control.Explanation, error) {
	return wait(ctx, func(reply *act.Reply[*control.Explanation]) { c.Send(explain{stream, reply}) })
}

// Forecast says where the streams would be without some nodes.
func (c Client) Forecast(ctx context.Context, without []string) (*control.Forecast, error) {
	return wait(ctx, func(reply *act.Reply[*control.Forecast]) { c.Send(forecast{without, reply}) })
}

// Ping returns nil once the control actor has taken a message.
func (c Client) Ping(ctx context.Context) error {
	_, err := wait(ctx, func(reply *act.Reply[struct{}]) { c.Send(ping{reply}) })
	return err
}

func wait[T any](ctx context.Context, ask func(*act.Reply[T])) (T, error) {
	reply := act.NewReply[T]()
	ask(reply)
	answer, err := reply.Wait(ctx)
	if err != nil {
		return answer, fmt.Errorf("the control plane does not answer: %w", err)
	}
	return answer, nil
}
