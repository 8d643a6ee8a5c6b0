package identity

import (
	"errors"
	"fmt"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"weir/cluster/wire"
)

// allow says what a peer that has the cluster key may send. protoactor itself would let it stop any actor, fake the
// membership, have messages relayed, or crash the process with an index that is out of range.
type allow struct {
	self      string            // this node's own address, set before the remote listens; nothing is relayed
	peers     func(string) bool // addresses to which answers may be dialled, besides self
	questions map[string]bool   // full protobuf names
	answers   map[string]bool
}

func newAllow(peers func(string) bool) *allow {
	a := &allow{peers: peers, questions: map[string]bool{}, answers: map[string]bool{}}
	for _, n := range wire.Questions() {
		a.questions[n] = true
	}
	for _, n := range wire.Answers() {
		a.answers[n] = true
	}
	// What protoactor answers on its own when the asked actor does not exist.
	a.answers[string(proto.MessageName(&actor.DeadLetterResponse{}))] = true
	return a
}

// message checks one message of a remote's stream.
func (a *allow) message(m *remote.RemoteMessage) error {
	switch t := m.GetMessageType().(type) {
	case *remote.RemoteMessage_ConnectRequest:
		if t.ConnectRequest.GetServerConnection() == nil {
			return errors.New("not a node's connection")
		}
		return nil
	case *remote.RemoteMessage_MessageBatch:
		return a.batch(t.MessageBatch)
	default:
		return errors.New("unknown message")
	}
}

func (a *allow) batch(m *remote.MessageBatch) error {
	for _, n := range m.GetTypeNames() {
		if !a.questions[n] && !a.answers[n] {
			return fmt.Errorf("type %.64q", n)
		}
	}
	for _, t := range m.GetTargets() {
		if t == nil || t.GetAddress() != a.self {
			return fmt.Errorf("target at %.64q", t.GetAddress())
		}
	}
	for _, s := range m.GetSenders() {
		if s == nil || s.GetAddress() != a.self && !a.peers(s.GetAddress()) {
			return fmt.Errorf("sender at %.64q", s.GetAddress())
		}
	}
	for _, e := range m.GetEnvelopes() {
		// The library uses each of these unchecked; a negative one is out of range as a uint. A sender counts from 1.
		if e == nil || e.GetSerializerId() != 0 || uint(e.GetTypeId()) >= uint(len(m.GetTypeNames())) ||
			uint(e.GetTarget()) >= uint(len(m.GetTargets())) || uint(e.GetSender()) > uint(len(m.GetSenders())) {
			return errors.New("malformed envelope")
		}
		name, id := m.GetTypeNames()[e.GetTypeId()], m.GetTargets()[e.GetTarget()].GetId()
		if !(a.questions[name] && isStream(id) || a.answers[name] && isAsker(id)) {
			return fmt.Errorf("%s to target %.64q", name, id)
		}
	}
	return nil
}

// isStream says whether an id is that of a stream's actor, not of one below it.
func isStream(id string) bool {
	name, ok := strings.CutPrefix(id, streams)
	return ok && name != "" && !strings.Contains(name, "/")
}

// isAsker says whether an id can be that of an asker: an actor of the node's tree, or a future.
func isAsker(id string) bool {
	return strings.HasPrefix(id, "node/") || strings.HasPrefix(id, "future$")
}

// checked is a stream of a remote whose messages are checked before the library sees them.
type checked struct {
	grpc.ServerStream
	allow   *allow
	refused func(error)
}

// RecvMsg implements grpc.ServerStream. An error ends this stream, not the process.
func (c checked) RecvMsg(m any) error {
	if err := c.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	rm, ok := m.(*remote.RemoteMessage)
	if !ok {
		return status.Errorf(codes.Internal, "unexpected %T", m)
	}
	if err := c.allow.message(rm); err != nil {
		c.refused(err)
		return status.Error(codes.PermissionDenied, err.Error())
	}
	return nil
}
