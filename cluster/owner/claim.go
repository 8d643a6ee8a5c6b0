package owner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"weir/actors/act"
	"weir/cluster/control"
	"weir/cluster/identity"
	"weir/cluster/wire"
	"weir/protocols/listen"
)

// maxAsked is how many nodes are asked about one publisher. A second one is asked when the stream changes hands
// meanwhile, or when several nodes have died within stale_timeout that had it one after the other.
const maxAsked = 4

// A Claim is the dialogue that gives a publisher the name of a stream. The control plane of the publisher's node is asked
// first; when it names a node that may have a publisher, be it this node itself, the stream's actor there is asked; if it has
// none, or one that gives way, the control plane is asked again, with Asked as [control.PublishWanted.Asked]. A Claim has no
// effect: its caller asks.
type Claim struct {
	Stream string
	Asked  []string // the nodes that have been asked

	// TookOver says that a publisher has given way.
	TookOver bool
}

// Verdict takes the answer of the control plane. With ask that node is to be asked, and its answer given to
// [Claim.Answered]. Otherwise the dialogue is over: the name is granted, or err says why not.
func (c *Claim) Verdict(a control.PublishAnswer) (ask string, err error) {
	switch {
	case a.Verdict == control.Granted:
		return "", nil
	case a.Verdict == control.AskNode && len(c.Asked) == maxAsked:
		return "", fmt.Errorf("%w: the owner of %q changes as it is asked", listen.ErrUnavailable, c.Stream)
	case a.Verdict == control.AskNode, a.Verdict == control.Busy && len(c.Asked) < maxAsked && a.Node != "" && !slices.Contains(c.Asked, a.Node):
		c.Asked = append(c.Asked, a.Node)
		return a.Node, nil
	case a.Verdict == control.Busy:
		return "", fmt.Errorf("%w: %q", listen.ErrBusy, c.Stream)
	case a.Verdict == control.Elsewhere:
		return "", fmt.Errorf("%w here: %q; publish it at %s", listen.ErrNotFound, c.Stream, a.Node)
	default:
		return "", fmt.Errorf("%w: %q", listen.ErrNotFound, c.Stream)
	}
}

// Answered takes the answer of the node that was asked, nil if none came. The control plane is asked again, unless err says
// that the publisher must go. A node that does not answer, or no longer has the stream, does not keep the publisher
// away: the static order would settle two publishers.
func (c *Claim) Answered(answer proto.Message) (err error) {
	a, ok := answer.(*wire.Claimed)
	if ok && !a.Granted {
		return fmt.Errorf("%w: %s", listen.ErrBusy, a.Reason)
	}
	c.TookOver = c.TookOver || ok && a.Reason != ""
	return nil
}

// An Asker asks the owners of streams on behalf of this node. Its methods block, so that no actor may call them.
type Asker struct {
	Self func() string // the announced name of this node

	// Here asks the publisher that the stream has at this node to give way, as [Answerer] does for other nodes.
	Here func(ctx context.Context, stream string) (*wire.Claimed, error)

	// Want asks this node's control plane whether a publisher may have a stream; see [control.PublishWanted].
	Want func(stream string, asked []string, reply *act.Reply[control.PublishAnswer])

	// Ask puts a question to the owner of a stream, and AskAt to the actor of the stream at a certain node, whether or not
	// that is the owner; their errors are those of [identity.Ask].
	Ask   func(ctx context.Context, stream string, question proto.Message) (proto.Message, error)
	AskAt func(ctx context.Context, node, stream string, question proto.Message) (proto.Message, error)
}

// Claim returns nil once the control plane has granted the name of a stream to a publisher of this node. The error is one
// of [listen.Router]'s Publish. With tookOver another publisher has given way, here or at another node.
func (k *Asker) Claim(ctx context.Context, stream string) (tookOver bool, err error) {
	c := Claim{Stream: stream}
	for {
		reply := act.NewReply[control.PublishAnswer]()
		k.Want(stream, slices.Clone(c.Asked), reply)
		verdict, err := reply.Wait(ctx)
		if err != nil {
			return false, fmt.Errorf("%w: the control plane has not answered: %w", listen.ErrUnavailable, err)
		}
		node, err := c.Verdict(verdict)
		if node == "" {
			return c.TookOver, err
		}
		answer, err := k.askFor(ctx, node, stream)
		if err != nil && !silent(err) {
			return false, fmt.Errorf("%w: asking %s: %w", listen.ErrUnavailable, node, err)
		}
		if err := c.Answered(answer); err != nil {
			return false, err
		}
	}
}

// askFor asks a node, which may be this one, for the name of a stream.
func (k *Asker) askFor(ctx context.Context, node, stream string) (proto.Message, error) {
	if node == k.Self() {
		return k.Here(ctx, stream)
	}
	return k.AskAt(ctx, node, stream, &wire.Claim{Protocol: wire.Protocol, Stream: stream, Node: k.Self()})
}

// Release asks the owner of a stream to let go of it. It returns nil once the owner has, or captures the stream no longer,
// and an error if the owner keeps it or does not answer.
func (k *Asker) Release(ctx context.Context, stream string) error {
	_, err := k.Ask(ctx, stream, &wire.Release{Protocol: wire.Protocol, Stream: stream, Node: k.Self()})
	if elsewhere(err) {
		return nil
	}
	return err
}

// silent says whether an error of [identity.Ask] means that no node answers for the stream now.
func silent(err error) bool {
	return errors.Is(err, identity.ErrNoOwner) || errors.Is(err, identity.ErrNoAnswer) || elsewhere(err)
}

// elsewhere says whether an error of [identity.Ask] is the answer of a node that does not capture the stream.
func elsewhere(err error) bool {
	var refused *identity.RefusedError
	return errors.As(err, &refused) && refused.Why == wire.Refused_WHY_ELSEWHERE
}
