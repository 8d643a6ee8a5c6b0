package identity

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/proto"

	"weir/cluster/wire"
)

const (
	selfAddr = "10.0.0.1:8090"
	peerAddr = "10.0.0.2:8090"
)

func testAllow() *allow {
	a := newAllow(func(addr string) bool { return addr == peerAddr })
	a.self = selfAddr
	return a
}

func batchOf(change func(*remote.MessageBatch)) *remote.RemoteMessage {
	b := &remote.MessageBatch{
		TypeNames: []string{"weir.wire.v1.Describe"},
		Targets:   []*actor.PID{actor.NewPID(selfAddr, "node/streams/cam01")},
		Senders:   []*actor.PID{actor.NewPID(peerAddr, "future$1")},
		Envelopes: []*remote.MessageEnvelope{{Sender: 1}},
	}
	if change != nil {
		change(b)
	}
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}}
}

func target(id string) func(*remote.MessageBatch) {
	return func(b *remote.MessageBatch) { b.Targets[0].Id = id }
}

func typeAndTarget(name, id string) func(*remote.MessageBatch) {
	return func(b *remote.MessageBatch) { b.TypeNames[0], b.Targets[0].Id = name, id }
}

// allowTests are what a peer with the key may send, and what not; the fuzz target starts from them.
var allowTests = []struct {
	name string
	in   *remote.RemoteMessage
	ok   bool
}{
	{"question", batchOf(nil), true},
	{"question without sender", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0].Sender = 0 }), true},
	{"answer to a future", batchOf(typeAndTarget("weir.wire.v1.Description", "future$4a")), true},
	{"answer to a session", batchOf(typeAndTarget("weir.wire.v1.Claimed", "node/sessions/7")), true},
	{"dead letter", batchOf(typeAndTarget("actor.DeadLetterResponse", "future$4a")), true},
	{"nothing", batchOf(func(b *remote.MessageBatch) { *b = remote.MessageBatch{} }), true},
	{"connect", &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ServerConnection{ServerConnection: &remote.ServerConnection{SystemId: "B", Address: peerAddr}},
	}}}, true},

	{"connect as a client", &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{
		ConnectionType: &remote.ConnectRequest_ClientConnection{ClientConnection: &remote.ClientConnection{}},
	}}}, false},
	{"connect as nobody", &remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectRequest{}}, false},
	{"disconnect", &remote.RemoteMessage{MessageType: &remote.RemoteMessage_DisconnectRequest{}}, false},
	{"empty", &remote.RemoteMessage{}, false},
	{"stop", batchOf(typeAndTarget("actor.Stop", "node/streams/cam01")), false},
	{"poison", batchOf(typeAndTarget("actor.PoisonPill", "node/streams/cam01")), false},
	{"watch", batchOf(typeAndTarget("actor.Watch", "node/streams/cam01")), false},
	{"terminated", batchOf(typeAndTarget("actor.Terminated", "node/streams/cam01")), false},
	{"topology", batchOf(typeAndTarget("cluster.ClusterTopology", "eventstream")), false},
	{"type that is a part of an answer", batchOf(typeAndTarget("weir.wire.v1.Input", "node/streams/cam01")), false},
	{"unknown type", batchOf(typeAndTarget("no.such.Type", "node/streams/cam01")), false},
	{"unused type", batchOf(func(b *remote.MessageBatch) { b.TypeNames = append(b.TypeNames, "actor.Stop") }), false},
	{"question to a child of a stream", batchOf(target("node/streams/cam01/core")), false},
	{"question to control", batchOf(target("node/control")), false},
	{"question to all streams", batchOf(target("node/streams/")), false},
	{"question to a future", batchOf(target("future$1")), false},
	{"question to eventstream", batchOf(target("eventstream")), false},
	{"answer to eventstream", batchOf(typeAndTarget("weir.wire.v1.Description", "eventstream")), false},
	{"answer to activator", batchOf(typeAndTarget("weir.wire.v1.Description", "activator")), false},
	{"relay", batchOf(func(b *remote.MessageBatch) { b.Targets[0].Address = peerAddr }), false},
	{"local address by its internal name", batchOf(func(b *remote.MessageBatch) { b.Targets[0].Address = "nonhost" }), false},
	{"no target", batchOf(func(b *remote.MessageBatch) { b.Targets[0] = nil }), false},
	{"unknown sender", batchOf(func(b *remote.MessageBatch) { b.Senders[0].Address = "192.0.2.1:1" }), false},
	{"no sender", batchOf(func(b *remote.MessageBatch) { b.Senders[0] = nil }), false},
	{"type index", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = 1 }), false},
	{"negative type index", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = -1 }), false},
	{"target index", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0].Target = 1 }), false},
	{"negative target index", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0].Target = -1 }), false},
	{"sender index", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0].Sender = 2 }), false},
	{"negative sender index", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0].Sender = -1 }), false},
	{"serializer", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = 1 }), false},
	{"negative serializer", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = -1 }), false},
	{"no envelope", batchOf(func(b *remote.MessageBatch) { b.Envelopes[0] = nil }), false},
}

func TestAllow(t *testing.T) {
	a := testAllow()
	for _, tt := range allowTests {
		if err := a.message(tt.in); (err == nil) != tt.ok {
			t.Errorf("%s: message(…) = %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

func TestEveryMessageOfOursIsAllowedSomewhere(t *testing.T) {
	a := testAllow()
	for _, n := range wire.Questions() {
		if err := a.message(batchOf(typeAndTarget(n, StreamID("live/x")))); err != nil {
			t.Errorf("question %s: %v", n, err)
		}
	}
	for _, n := range wire.Answers() {
		if err := a.message(batchOf(typeAndTarget(n, "future$1"))); err != nil {
			t.Errorf("answer %s: %v", n, err)
		}
	}
}

// What passes must be safe to use as the library does, without looking.
func FuzzAllow(f *testing.F) {
	for _, tt := range allowTests {
		if b, err := proto.Marshal(tt.in); err == nil {
			f.Add(b)
		}
	}
	a := testAllow()
	f.Fuzz(func(t *testing.T, in []byte) {
		var m remote.RemoteMessage
		if proto.Unmarshal(in, &m) != nil || a.message(&m) != nil {
			return
		}
		b := m.GetMessageBatch()
		for _, e := range b.GetEnvelopes() {
			if e.GetSender() != 0 {
				if addr := b.Senders[e.Sender-1].Address; addr != selfAddr && addr != peerAddr {
					t.Errorf("sender at %q passed", addr)
				}
			}
			to := b.Targets[e.Target]
			if to.Address != selfAddr || !isStream(to.Id) && !isAsker(to.Id) {
				t.Errorf("target %v passed", to)
			}
			_, _ = remote.Deserialize(e.MessageData, b.TypeNames[e.TypeId], e.SerializerId)
		}
	})
}
