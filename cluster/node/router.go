package node

import (
	"context"

	"google.golang.org/protobuf/proto"

	"weir/cluster/handover"
	"weir/cluster/identity"
	"weir/cluster/owner"
)

// asker asks the owners of streams for this node.
func (n *Node) asker() *owner.Asker {
	return &owner.Asker{Self: n.name, Want: n.WantPublish, Ask: func(ctx context.Context, stream string, q proto.Message) (proto.Message, error) {
		if n.cluster == nil { // a node without peers
			return nil, identity.ErrNoOwner
		}
		return identity.Ask(ctx, n.cluster, stream, q)
	}}
}

// answerer answers other nodes for the streams that this node captures.
func (n *Node) answerer() *owner.Answerer {
	return &owner.Answerer{
		Self: n.name, Viewers: n.sessions.Viewers, Window: handover.Window,
		Streams: func(m any) { n.sys.Root.Send(n.Streams(), m) },
		Release: func(stream, from string, answer func(bool)) {
			n.controller().AskRelease(stream, from, answer)
		},
	}
}
