package identity

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

func three(t *testing.T) (n1, n2, n3 *proc, all []Member) {
	t.Helper()
	n1, n2, n3 = boot(t, "n1"), boot(t, "n2"), boot(t, "n3")
	return n1, n2, n3, []Member{n1.member, n2.member, n3.member}
}

func TestQuestionReachesTheOwnerFromEveryNodeAndFollowsIt(t *testing.T) {
	n1, n2, n3, all := three(t)
	const stream = "live/cam 01"
	for _, n := range []*proc{n1, n2, n3} {
		n.must(order{Do: "view", View: &View{Self: n.name, Members: all, Owner: map[string]string{stream: "n1"}}})
	}
	n1.must(order{Do: "spawn", Stream: stream})
	for _, n := range []*proc{n1, n2, n3} {
		for _, how := range []string{"ask", "request"} {
			if r := n.do(order{Do: how, Stream: stream}); r.Node != "n1" {
				t.Errorf("%s from %s: answered by %q, %s, want n1", how, n.name, r.Node, r.Err)
			}
		}
	}

	n1.must(order{Do: "stop", Stream: stream})
	n2.must(order{Do: "spawn", Stream: stream})
	for _, n := range []*proc{n1, n2, n3} {
		n.must(order{Do: "view", View: &View{Self: n.name, Members: all, Owner: map[string]string{stream: "n2"}}})
	}
	for _, n := range []*proc{n1, n2, n3} {
		for _, how := range []string{"ask", "request"} {
			if r := n.do(order{Do: how, Stream: stream}); r.Node != "n2" {
				t.Errorf("after the move, %s from %s: answered by %q, %s, want n2", how, n.name, r.Node, r.Err)
			}
		}
	}
}

func TestQuestionMeetsTheNewOwnerAfterTheOldOneWasKilled(t *testing.T) {
	n1, n2, n3, all := three(t)
	publish(all, "cam01=n1", n1, n2, n3)
	n1.must(order{Do: "spawn", Stream: "cam01"})
	if r := n3.do(order{Do: "ask", Stream: "cam01"}); r.Node != "n1" {
		t.Fatalf("answered by %q, %s, want n1", r.Node, r.Err)
	}
	n1.kill()
	if r := n3.do(order{Do: "ask", Stream: "cam01"}); !r.NoAnswer {
		t.Errorf("owner dead, view old: %+v, want no answer", r)
	}
	n2.must(order{Do: "spawn", Stream: "cam01"})
	publish(all[1:], "cam01=n2", n2, n3)
	if r := n3.do(order{Do: "ask", Stream: "cam01"}); r.Node != "n2" {
		t.Errorf("answered by %q, %s, want n2", r.Node, r.Err)
	}
}

func TestNodeThatWasTakenForDeadIsReachedAgain(t *testing.T) {
	n1, n2 := boot(t, "n1"), boot(t, "n2")
	both := []Member{n1.member, n2.member}
	publish(both, "a=n1 b=n2", n1, n2)
	n1.must(order{Do: "spawn", Stream: "a"})
	n2.must(order{Do: "spawn", Stream: "b"})
	for gen := range 4 {
		for _, n := range []*proc{n1, n2} {
			for _, stream := range []string{"a", "b"} {
				if r := n.do(order{Do: "ask", Stream: stream}); r.Err != "" {
					t.Errorf("generation %d: %s asks for %s: %s", gen, n.name, stream, r.Err)
				}
			}
		}
		// Each loses sight of the other, and finds it again at once.
		publish([]Member{n1.member}, "a=n1 b=n1", n1)
		publish([]Member{n2.member}, "a=n2 b=n2", n2)
		for i := range both {
			both[i].Gen = gen + 1
		}
		publish(both, "a=n1 b=n2", n1, n2)
	}
}

func TestRestartedNodeIsReachedUnderItsNewSystem(t *testing.T) {
	n1, n2 := boot(t, "n1"), boot(t, "n2")
	publish([]Member{n1.member, n2.member}, "b=n2", n1, n2)
	n2.must(order{Do: "spawn", Stream: "b"})
	if r := n1.do(order{Do: "ask", Stream: "b"}); r.Node != "n2" {
		t.Fatalf("answered by %q, %s, want n2", r.Node, r.Err)
	}
	addr := n2.member.Addr
	n2.kill()
	publish([]Member{n1.member}, "b=n1", n1)

	again := launch(t, "n2")
	r := again.must(order{Do: "start", Listen: addr, Key: clusterKey})
	again.member = Member{Name: "n2", Addr: r.Addr, SysID: r.SysID, Gen: 1}
	publish([]Member{n1.member, again.member}, "b=n2", n1, again)
	again.must(order{Do: "spawn", Stream: "b"})
	if r := n1.do(order{Do: "ask", Stream: "b"}); r.Node != "n2" {
		t.Errorf("answered by %q, %s, want n2", r.Node, r.Err)
	}
}

func TestAskSaysWhyThereIsNoAnswer(t *testing.T) {
	n1, n2 := boot(t, "n1"), boot(t, "n2")
	if r := n1.do(order{Do: "ask", Stream: "x"}); !r.NoOwner {
		t.Errorf("before the first view: %+v, want no owner", r)
	}
	publish([]Member{n1.member, n2.member}, "empty=n2 away=n2", n1, n2)
	if r := n1.do(order{Do: "ask", Stream: "nowhere"}); !r.NoOwner {
		t.Errorf("stream that nobody owns: %+v, want no owner", r)
	}
	if r := n1.do(order{Do: "ask", Stream: "empty"}); !r.NoAnswer || !strings.Contains(r.Err, n2.member.Addr) {
		t.Errorf("owner without the actor: %+v, want no answer of %s", r, n2.member.Addr)
	}
	n2.must(order{Do: "spawn away", Stream: "away"})
	if r := n1.do(order{Do: "ask", Stream: "away"}); !strings.Contains(r.Err, "not here") {
		t.Errorf("owner that says elsewhere: %+v, want its reason", r)
	}
	if r := n2.must(order{Do: "await", Stream: "away", Count: AskTries}); r.Count != AskTries {
		t.Errorf("it was asked %d times, want %d", r.Count, AskTries)
	}
}

func TestAskEndsWithItsContext(t *testing.T) {
	c, p := unbooted(t)
	p.Publish(&View{Self: "n1", Members: two.Members, Owner: map[string]string{}})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Ask(ctx, c, "x", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
}

func TestPortInUseIsAnErrorThatNamesIt(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := launch(t, "n1").do(order{Do: "start", Listen: ln.Addr().String(), Key: clusterKey})
	if !strings.Contains(r.Err, ln.Addr().String()) || !strings.Contains(r.Err, "address already in use") {
		t.Errorf("error = %q, want the address and the cause", r.Err)
	}
}

func TestStartRefusesWhatCannotWork(t *testing.T) {
	for _, o := range []order{
		{Do: "start", Listen: "127.0.0.1:0"},                     // no key
		{Do: "start", Listen: "0.0.0.0:0", Key: clusterKey},      // nothing to advertise
		{Do: "start", Listen: "127.0.0.1", Key: clusterKey},      // no port
		{Do: "start", Listen: "127.0.0.1:http", Key: clusterKey}, // no number
		{Do: "start", Listen: "127.0.0.1:0", Advertise: ":x", Key: clusterKey},
	} {
		if r := launch(t, "n1").do(o); r.Err == "" {
			t.Errorf("%+v: no error", o)
		}
	}
}

func TestAdvertisedHostIsWhereTheOthersAsk(t *testing.T) {
	n1, n2 := boot(t, "n1"), launch(t, "n2")
	r := n2.must(order{Do: "start", Listen: "0.0.0.0:0", Advertise: "localhost", Key: clusterKey})
	if !strings.HasPrefix(r.Addr, "localhost:") || strings.HasSuffix(r.Addr, ":0") {
		t.Fatalf("advertised %q, want localhost and the port", r.Addr)
	}
	n2.member = Member{Name: "n2", Addr: r.Addr, SysID: r.SysID}
	publish([]Member{n1.member, n2.member}, "b=n2", n1, n2)
	n2.must(order{Do: "spawn", Stream: "b"})
	if r := n1.do(order{Do: "ask", Stream: "b"}); r.Node != "n2" {
		t.Errorf("answered by %q, %s, want n2", r.Node, r.Err)
	}
}

func TestPeerWithAnotherKeyIsNotReached(t *testing.T) {
	n1, n2 := boot(t, "n1"), launch(t, "n2")
	r := n2.must(order{Do: "start", Listen: "127.0.0.1:0", Key: "another"})
	n2.member = Member{Name: "n2", Addr: r.Addr, SysID: r.SysID}
	publish([]Member{n1.member, n2.member}, "a=n1 b=n2", n1, n2)
	n1.must(order{Do: "spawn", Stream: "a"})
	n2.must(order{Do: "spawn", Stream: "b"})
	if r := n1.do(order{Do: "ask", Stream: "b"}); !r.NoAnswer {
		t.Errorf("n1 asks n2: %+v, want no answer", r)
	}
	if r := n2.do(order{Do: "ask", Stream: "a"}); !r.NoAnswer {
		t.Errorf("n2 asks n1: %+v, want no answer", r)
	}
	if r := n1.must(order{Do: "await", Stream: "a"}); r.Count != 0 {
		t.Errorf("n1 got %d questions, want 0", r.Count)
	}
}

func TestPeersOwnKeyReplacesTheCommonOneInBothDirections(t *testing.T) {
	n1, n2 := launch(t, "n1"), launch(t, "n2")
	r1 := n1.must(order{Do: "start", Listen: "127.0.0.1:0", Key: clusterKey, Other: "theirs"})
	r2 := n2.must(order{Do: "start", Listen: "127.0.0.1:0", Key: "theirs"})
	all := []Member{{Name: "n1", Addr: r1.Addr, SysID: r1.SysID}, {Name: "n2", Addr: r2.Addr, SysID: r2.SysID}}
	publish(all, "a=n1 b=n2", n1, n2)
	n1.must(order{Do: "spawn", Stream: "a"})
	n2.must(order{Do: "spawn", Stream: "b"})
	if r := n1.do(order{Do: "ask", Stream: "b"}); r.Node != "n2" {
		t.Errorf("n1 asks n2: %+v, want n2", r)
	}
	if r := n2.do(order{Do: "ask", Stream: "a"}); r.Node != "n1" {
		t.Errorf("n2 asks n1: %+v, want n1", r)
	}
}
