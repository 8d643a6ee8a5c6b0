package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"

	"weir/actors/act"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/control"
	"weir/cluster/identity"
	"weir/cluster/wire"
	"weir/protocols"
	"weir/protocols/listen"
)

// responder answers the questions of other nodes to a stream that is captured here.
type responder struct {
	self     func() string
	send     func(to *actor.PID, msg any)
	streams  *actor.PID
	control  *actor.PID
	sessions *session.Registry
}

// answer is called in the mailbox of the stream.
func (r *responder) answer(live *stream.Live, is stream.Snapshot, msg any, later func(any)) any {
	q, ok := msg.(wire.Question)
	if !ok {
		return nil
	}
	if err := wire.Check(q); err != nil {
		return wire.Refuse(q, wire.Refused_WHY_PROTOCOL, err.Error())
	}
	if w, ok := msg.(*wire.Window); ok { // it may own the stream no longer
		r.send(r.streams, stream.HandOver{Stream: w.Stream, To: w.Node, Reply: func(handed bool) {
			if !handed {
				later(wire.Refuse(w, wire.Refused_WHY_NOT_NOW, "this node makes no segments of the stream"))
				return
			}
			later(windowed(w, r.self(), live.Store))
		}})
		return nil
	}
	if is.Role != stream.Capturing && is.Publisher == "" {
		return wire.Refuse(q, wire.Refused_WHY_ELSEWHERE, "this node does not capture the stream")
	}
	switch q := msg.(type) {
	case *wire.Describe:
		return r.describe(q, live, is)
	case *wire.Claim:
		c := &wire.Claimed{Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream, Node: r.self()}
		switch {
		case is.Publisher != "":
			c.Reason = "it is published at " + c.Node
		case slices.ContainsFunc(is.Inputs, func(i stream.InputState) bool { return i.Own && i.Active }):
			c.Reason = c.Node + " captures it from an input of its own"
		default:
			c.Granted = true
		}
		return c
	case *wire.Kick:
		if q.Session != "" {
			return wire.Refuse(q, wire.Refused_WHY_UNSUPPORTED, "only the publisher can be kicked from another node")
		}
		k := &wire.Kicked{Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream}
		if is.Publisher != "" {
			k.Sessions = 1
			r.send(r.streams, stream.Kick{Stream: q.Stream, Why: "kicked: " + q.Reason})
		}
		return k
	case *wire.Release:
		r.send(r.control, releaseAsked{stream: q.Stream, from: q.Node, answer: func(released bool) {
			if !released {
				later(wire.Refuse(q, wire.Refused_WHY_NOT_NOW, "this node comes first for the stream"))
				return
			}
			later(&wire.Released{Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream, Node: r.self()})
		}})
		return nil
	}
	return wire.Refuse(q, wire.Refused_WHY_UNSUPPORTED, fmt.Sprintf("%T is not answered by this version", msg))
}

func (r *responder) describe(q *wire.Describe, live *stream.Live, is stream.Snapshot) *wire.Description {
	d := &wire.Description{
		Protocol: wire.Protocol, Ask: q.Ask, Stream: q.Stream, Node: r.self(),
		State: wire.State_STATE_STARTING, Publisher: is.Publisher, Clients: uint64(viewers(r.sessions, q.Stream)),
	}
	if live.Hub.Written() > 0 {
		d.State = wire.State_STATE_RUNNING
	}
	for _, in := range is.Inputs {
		d.Inputs = append(d.Inputs, &wire.Input{Url: in.URL, Active: in.Active, Error: in.Err})
	}
	for _, t := range live.Hub.Tracks() {
		d.Tracks = append(d.Tracks, &wire.Track{
			Codec: t.Codec.String(), Width: uint32(t.Width), Height: uint32(t.Height),
			SampleRate: uint32(t.SampleRate), Channels: uint32(t.Channels),
		})
	}
	return d
}

// watches says whether a session is a client of this node's: a viewer, or a node outside the group that restreams. What
// a peer relays is counted there.
func watches(s listen.ClientStats) bool {
	return !s.Publisher && (s.Protocol != protocols.Relay || s.Edge)
}

// viewers counts the sessions here that watch a stream.
func viewers(r *session.Registry, name string) (n int) {
	for _, s := range r.List() {
		if s.Stream == name && watches(s.ClientStats) {
			n++
		}
	}
	return n
}

// claimer asks for a name on behalf of a publisher.
type claimer struct {
	self    func() string
	control func(msg any)
	cluster *cluster.Cluster // nil for a node without peers
}

// claim returns nil once the control plane has granted the name to a publisher here. Whoever is known to have a
// publisher is asked first, since it knows best.
func (c *claimer) claim(ctx context.Context, name string) error {
	free := ""
	for range 3 {
		a, err := c.want(ctx, name, free)
		if err != nil {
			return err
		}
		switch a.Verdict {
		case control.Granted:
			return nil
		case control.Busy:
			return fmt.Errorf("%w: %q", listen.ErrBusy, name)
		case control.Elsewhere:
			return fmt.Errorf("%w here: %q; publish it at %s", listen.ErrNotFound, name, a.Node)
		case control.NotFound:
			return fmt.Errorf("%w: %q", listen.ErrNotFound, name)
		case control.AskNode:
			if err := c.ask(ctx, name, a.Node); err != nil {
				return err
			}
			free = a.Node
		}
	}
	return fmt.Errorf("%w: its owner changes as it is asked for", listen.ErrUnavailable)
}

func (c *claimer) want(ctx context.Context, name, free string) (control.PublishAnswer, error) {
	reply := act.NewReply[control.PublishAnswer]()
	c.control(publishWanted{stream: name, free: free, reply: reply})
	a, err := reply.Wait(ctx)
	if err != nil {
		return a, fmt.Errorf("%w: the control plane has not answered: %w", listen.ErrUnavailable, err)
	}
	return a, nil
}

// ask returns nil if the owner says that it has no publisher, or no longer knows the stream.
func (c *claimer) ask(ctx context.Context, name, node string) error {
	if c.cluster == nil {
		return nil
	}
	answer, err := identity.Ask(ctx, c.cluster, name, &wire.Claim{Protocol: wire.Protocol, Stream: name, Node: c.self()})
	switch {
	case errors.Is(err, identity.ErrNoOwner), errors.Is(err, identity.ErrNoAnswer):
		// It fell silent, or let go of the stream just now. Two publishers would be settled by the static order.
		return nil
	case err != nil:
		var refused *identity.RefusedError
		if errors.As(err, &refused) && refused.Why == wire.Refused_WHY_ELSEWHERE {
			return nil
		}
		return fmt.Errorf("%w: asking %s: %w", listen.ErrUnavailable, node, err)
	}
	if a, ok := answer.(*wire.Claimed); ok && !a.Granted {
		return fmt.Errorf("%w: %s", listen.ErrBusy, a.Reason)
	}
	return nil
}

// release asks the owner of a stream to let go of it, until it has or a second has passed. It returns an error if the
// owner keeps it, or does not answer.
func (c *claimer) release(ctx context.Context, name string) error {
	if c.cluster == nil {
		return errNoKey
	}
	_, err := identity.Ask(ctx, c.cluster, name, &wire.Release{Protocol: wire.Protocol, Stream: name, Node: c.self()})
	var refused *identity.RefusedError
	if errors.As(err, &refused) && refused.Why == wire.Refused_WHY_ELSEWHERE {
		return nil // it does not capture the stream
	}
	return err
}

// unclaim gives the name back after no publication came of the claim.
func (c *claimer) unclaim(name string) { c.control(control.PublishEnded{Stream: name}) }
