package identity

import (
	"context"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"weir/cluster/trust"
	"weir/cluster/wire"
)

// intruder is a raw gRPC client of a node's remote.
func intruder(t *testing.T, addr string, creds credentials.TransportCredentials) remote.RemotingClient {
	t.Helper()
	cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return remote.NewRemotingClient(cc)
}

func clientTLS(t *testing.T, key string) *tls.Config {
	t.Helper()
	c, err := trust.Derive(key).ClientTLS()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send sends one message on a stream of its own and returns how the node ended it: nil after a half-close in order.
func send(t *testing.T, cl remote.RemotingClient, m *remote.RemoteMessage) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	st, err := cl.Receive(ctx)
	if err != nil {
		return err
	}
	if err := st.Send(m); err != nil && err != io.EOF { // EOF: the cause comes with Recv
		return err
	}
	_ = st.CloseSend()
	for {
		if _, err := st.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// payload is a batch with one real message, changed.
func payload(to, target string, m proto.Message, change func(*remote.MessageBatch)) *remote.RemoteMessage {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	b := &remote.MessageBatch{
		TypeNames: []string{string(proto.MessageName(m))},
		Targets:   []*actor.PID{actor.NewPID(to, target)},
		Senders:   []*actor.PID{actor.NewPID(to, "future$none")},
		Envelopes: []*remote.MessageEnvelope{{MessageData: data}},
	}
	if change != nil {
		change(b)
	}
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}}
}

func TestAttacksOnTheRemoteChangeNothing(t *testing.T) {
	n := boot(t, "n1")
	to := n.member.Addr
	publish([]Member{n.member}, "victim=n1", n)
	n.must(order{Do: "spawn", Stream: "victim"})
	victim := StreamID("victim")
	good := payload(to, victim, &wire.Describe{Protocol: wire.Protocol, Stream: "victim"}, nil)

	t.Run("without the key", func(t *testing.T) {
		shown := clientTLS(t, clusterKey)
		shown.Certificates = nil
		unproven := clientTLS(t, "another")
		unproven.VerifyConnection = nil
		for name, creds := range map[string]credentials.TransportCredentials{
			"no TLS":         insecure.NewCredentials(),
			"no certificate": credentials.NewTLS(shown),
			"another key":    credentials.NewTLS(unproven),
		} {
			if err := send(t, intruder(t, to, creds), good); status.Code(err) != codes.Unavailable {
				t.Errorf("%s: error = %v, want %v", name, err, codes.Unavailable)
			}
		}
	})

	keyed := intruder(t, to, credentials.NewTLS(clientTLS(t, clusterKey)))
	describe := &wire.Describe{Protocol: wire.Protocol, Stream: "victim"}
	topology := &cluster.ClusterTopology{Members: []*cluster.Member{{Id: "evil", Host: "192.0.2.1", Port: 1}}}
	denied := []struct {
		name string
		m    *remote.RemoteMessage
		want codes.Code
	}{
		{"stop", payload(to, victim, &actor.Stop{}, nil), codes.PermissionDenied},
		{"poison", payload(to, victim, &actor.PoisonPill{}, nil), codes.PermissionDenied},
		{"watch", payload(to, victim, &actor.Watch{Watcher: actor.NewPID(to, "x")}, nil), codes.PermissionDenied},
		{"terminated", payload(to, victim, &actor.Terminated{Who: actor.NewPID(to, "x")}, nil), codes.PermissionDenied},
		{"topology", payload(to, "eventstream", topology, nil), codes.PermissionDenied},
		{"spawn", payload(to, "activator", &remote.ActorPidRequest{Name: "x", Kind: "stream"}, nil), codes.PermissionDenied},
		{"question to an inner actor", payload(to, "EndpointSupervisor", describe, nil), codes.PermissionDenied},
		{"target elsewhere", payload("192.0.2.1:1", victim, describe, nil), codes.PermissionDenied},
		{"sender elsewhere", payload(to, victim, describe, func(b *remote.MessageBatch) {
			b.Senders[0].Address, b.Envelopes[0].Sender = "192.0.2.1:1", 1
		}), codes.PermissionDenied},
		{"unknown type", payload(to, victim, describe, func(b *remote.MessageBatch) { b.TypeNames[0] = "no.such.Type" }), codes.PermissionDenied},
		{"type index", payload(to, victim, describe, func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = 99 }), codes.PermissionDenied},
		{"negative type index", payload(to, victim, describe, func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = -1 }), codes.PermissionDenied},
		{"target index", payload(to, victim, describe, func(b *remote.MessageBatch) { b.Envelopes[0].Target = 99 }), codes.PermissionDenied},
		{"negative target index", payload(to, victim, describe, func(b *remote.MessageBatch) { b.Envelopes[0].Target = -1 }), codes.PermissionDenied},
		{"sender index", payload(to, victim, describe, func(b *remote.MessageBatch) { b.Envelopes[0].Sender = 99 }), codes.PermissionDenied},
		{"negative sender index", payload(to, victim, describe, func(b *remote.MessageBatch) { b.Envelopes[0].Sender = -9 }), codes.PermissionDenied},
		{"serializer", payload(to, victim, describe, func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = 7 }), codes.PermissionDenied},
		{"no type", payload(to, victim, describe, func(b *remote.MessageBatch) { b.TypeNames = nil }), codes.PermissionDenied},
		{"nothing at all", &remote.RemoteMessage{}, codes.PermissionDenied},
		{"payload that is not its type", payload(to, victim, describe, func(b *remote.MessageBatch) { b.Envelopes[0].MessageData = []byte{0xff} }), codes.Unknown},
		{"too large", payload(to, victim, &wire.Describe{Stream: strings.Repeat("x", maxMessage)}, nil), codes.ResourceExhausted},
	}
	t.Run("with the key", func(t *testing.T) {
		for _, tt := range denied {
			if err := send(t, keyed, tt.m); status.Code(err) != tt.want {
				t.Errorf("%s: error = %v, want %v", tt.name, err, tt.want)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := keyed.ListProcesses(ctx, &remote.ListProcessesRequest{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("ListProcesses: error = %v, want %v", err, codes.Unimplemented)
		}
		if _, err := keyed.GetProcessDiagnostics(ctx, &remote.GetProcessDiagnosticsRequest{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("GetProcessDiagnostics: error = %v, want %v", err, codes.Unimplemented)
		}
	})

	// The victim is alive, got this one message and none before it.
	if err := send(t, keyed, good); err != nil {
		t.Fatalf("good message: %v", err)
	}
	r := n.must(order{Do: "await", Stream: "victim", Count: 1})
	if r.Count != 1 {
		t.Errorf("the victim got %d messages, want 1", r.Count)
	}
	wantRefused := 0
	for _, tt := range denied {
		if tt.want == codes.PermissionDenied {
			wantRefused++
		}
	}
	if r.Refused != wantRefused {
		t.Errorf("%d refusals were told, want %d", r.Refused, wantRefused)
	}
	if r := n.do(order{Do: "ask", Stream: "victim"}); r.Node != "n1" {
		t.Errorf("after the attacks: %+v, want an answer of n1", r)
	}
}
