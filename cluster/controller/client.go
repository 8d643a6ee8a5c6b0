package controller

import (
	"context"
	"fmt"

	"weir/actors/act"
	"weir/cluster/control"
)

// Messages to the control actor, besides the events of package control.
type (
	stateAsked struct {
		from     string
		question control.Question
		reply    *act.Reply[*control.State]
	}
	publishWanted struct {
		stream string
		asked  []string
		reply  *act.Reply[control.PublishAnswer]
	}
	releaseAsked struct {
		stream, from string
		answer       func(released bool) // may be called by any goroutine
	}
	explain struct {
		stream string
		reply  *act.Reply[*control.Explanation] // given nil if there is no such stream
	}
	forecast struct {
		without []string
		reply   *act.Reply[*control.Forecast]
	}
	ping struct{ reply *act.Reply[struct{}] }
)

// A Client asks the control actor questions. Any goroutine may call its methods. The methods that take a context block until the
// actor answers or the context ends, so no actor may call them.
type Client struct {
	// Send delivers a message to the control actor.
	Send func(msg any)
}

// AskState asks for this node's state on behalf of the peer `from`; see [control.StateAsked].
func (c Client) AskState(from string, q control.Question, reply *act.Reply[*control.State]) {
	c.Send(stateAsked{from, q, reply})
}

// WantPublish asks whether a publisher may publish a stream at this node; see [control.PublishWanted].
func (c Client) WantPublish(stream string, asked []string, reply *act.Reply[control.PublishAnswer]) {
	c.Send(publishWanted{stream, asked, reply})
}

// AskRelease asks, on behalf of the node `from`, to stop capturing a stream; see [control.ReleaseAsked]. The control actor calls
// answer in its mailbox.
func (c Client) AskRelease(stream, from string, answer func(released bool)) {
	c.Send(releaseAsked{stream, from, answer})
}

// State is [Client.AskState], but waits for the answer.
func (c Client) State(ctx context.Context, from string, q control.Question) (*control.State, error) {
	return wait(ctx, func(reply *act.Reply[*control.State]) { c.AskState(from, q, reply) })
}

// Explain says why a stream is at the node where it is; nil if there is no such stream.
func (c Client) Explain(ctx context.Context, stream string) (*control.Explanation, error) {
	return wait(ctx, func(reply *act.Reply[*control.Explanation]) { c.Send(explain{stream, reply}) })
}

// Forecast says where the streams would be if some nodes were gone.
func (c Client) Forecast(ctx context.Context, without []string) (*control.Forecast, error) {
	return wait(ctx, func(reply *act.Reply[*control.Forecast]) { c.Send(forecast{without, reply}) })
}

// Ping returns nil once the control actor has answered a message.
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
