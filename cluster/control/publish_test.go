package control

import (
	"testing"

	"weir/cluster/place"
)

// studio returns a settled world of three nodes that all take publishers of "live".
func studio(t *testing.T, seed uint64) *world {
	return calmPublished(t, seed, []Stream{{Name: "live", Kind: Published}})
}

func calmPublished(t *testing.T, seed uint64, streams []Stream) *world {
	w := newWorld(t, seed)
	w.add(3, streams)
	w.bootAll()
	w.run(5 * Second)
	w.reset()
	return w
}

func TestSecondPublisherIsSentToTheFirstUntilThatLeaves(t *testing.T) {
	w := studio(t, 1)
	a, b := w.machine("n1"), w.machine("n3")
	if v := b.n.View().Stream("live"); v.State != StreamWaiting || v.Owner != "" {
		t.Errorf("without publisher: %s on %q, want waiting", v.State, v.Owner)
	}
	a.publish("live")
	if got := a.verdict(); got.Verdict != Granted || got.Epoch != 1 {
		t.Fatalf("first publisher: %+v, want granted in epoch 1", got)
	}
	w.run(2 * Second)
	if v := b.n.View().Stream("live"); v.State != StreamRunning || v.Owner != "n1" || v.Reason != PublishedHere {
		t.Errorf("with publisher: %s on %q, %s, want running on n1, published here", v.State, v.Owner, v.Reason)
	}
	a.publish("live")
	if got := a.verdict(); got.Verdict != Busy {
		t.Errorf("second publisher at the same node: %+v, want busy", got)
	}
	b.publish("live")
	if got := b.verdict(); got.Verdict != AskNode || got.Node != "n1" {
		t.Errorf("second publisher at another node: %+v, want ask n1", got)
	}
	a.leave("live")
	b.publish("live")
	if got := b.verdict(); got.Verdict != AskNode {
		t.Errorf("before the news has come: %+v, want ask node", got)
	}
	b.publish("live", "n1") // n1 has said that it has none
	if got := b.verdict(); got.Verdict != Granted || got.Epoch != 2 {
		t.Errorf("after n1 denied it: %+v, want granted in epoch 2", got)
	}
}

func TestTwoPublishersAtOnceAreSettledByTheStaticOrder(t *testing.T) {
	for seed := range uint64(10) {
		w := studio(t, seed)
		a, b := w.machine("n1"), w.machine("n2")
		a.publish("live")
		b.publish("live")
		w.run(5 * Second)
		winner, loser := a, b
		if place.Before("live", "", "", "n2", "n1") {
			winner, loser = b, a
		}
		if c := winner.captures["live"]; c.state != Running {
			t.Errorf("seed %d: the winner is %v, want running", seed, c.state)
		}
		if c := loser.captures["live"]; c.state != Idle {
			t.Errorf("seed %d: the loser is %v, want idle", seed, c.state)
		}
		w.wantOwners(map[string]string{"live": winner.name})
		for _, m := range w.nodes {
			if v := m.n.View().Stream("live"); v.Owner != winner.name || v.State != StreamRunning {
				t.Errorf("seed %d: %s sees %s on %q, want running on %s", seed, m.name, v.State, v.Owner, winner.name)
			}
		}
	}
}

func TestPublisherIsNeverMovedByPlacement(t *testing.T) {
	w := studio(t, 1)
	m := w.machine("n2")
	m.publish("live")
	w.run(2 * Second)
	w.machine("n1").crash()
	w.run(10 * Second)
	w.wantOwners(map[string]string{"live": "n2"})
	m.crash()
	w.run(10 * Second)
	if v := w.machine("n3").n.View().Stream("live"); v.State != StreamWaiting || w.starts != 0 {
		t.Errorf("after the publisher's node died: %s with %d starts, want waiting and 0", v.State, w.starts)
	}
}

func TestPublisherOfABootingNodeWaitsUntilItIsWarm(t *testing.T) {
	w := newWorld(t, 1)
	w.add(2, []Stream{{Name: "live", Kind: Published}})
	m := w.machine("n1")
	m.boot()
	m.publish("live")
	w.run(w.stale - Millisecond)
	if len(m.answers) != 0 {
		t.Fatalf("answers while cold = %v, want none", m.answers)
	}
	w.run(Millisecond)
	if got := m.verdict(); got.Verdict != Granted {
		t.Errorf("answer once warm = %+v, want granted", got)
	}
}

func TestPublisherOfAForeignStreamIsSentToANodeThatTakesIt(t *testing.T) {
	w := newWorld(t, 1)
	w.add(2, []Stream{{Name: "live", Kind: Published}, {Name: "cam01", Clustered: true}})
	w.nodes[0].cfg.Streams = w.nodes[0].cfg.Streams[1:]
	w.bootAll()
	w.run(5 * Second)
	m := w.nodes[0]
	for stream, want := range map[string]PublishAnswer{
		"live":    {Verdict: Elsewhere, Node: "n2"},
		"cam01":   {Verdict: NotFound}, // nobody publishes to a camera
		"nowhere": {Verdict: NotFound},
	} {
		m.publish(stream)
		if got := m.verdict(); got.Verdict != want.Verdict || got.Node != want.Node {
			t.Errorf("publisher of %s: %v %q, want %v %q", stream, got.Verdict, got.Node, want.Verdict, want.Node)
		}
	}
	w.nodes[1].crash()
	w.run(10 * Second)
	m.publish("live")
	if got := m.verdict(); got.Verdict != NotFound {
		t.Errorf("publisher of a stream whose node is dead: %v, want not found", got.Verdict)
	}
}

func TestSilentPublisherKeepsItsName(t *testing.T) {
	w := studio(t, 1)
	a, b := w.machine("n1"), w.machine("n2")
	a.publish("live")
	w.run(2 * Second)
	a.step(PublisherSilent{Stream: "live"})
	w.run(2 * Second)
	b.publish("live")
	if got := b.verdict(); got.Verdict != AskNode {
		t.Errorf("second publisher while the first is silent: %v, want ask node", got.Verdict)
	}
}

// granted asks for a name on behalf of a publisher, and gives the answer; ok is false without one.
func (p *probe) granted(stream string, token uint64) (a PublishAnswer, ok bool) {
	return p.answered(PublishWanted{Stream: stream, Token: token})
}

// answered gives the answer to a publisher that a step brings; ok is false without one.
func (p *probe) answered(ev Event) (a PublishAnswer, ok bool) {
	for _, e := range p.step(ev) {
		if a, ok := e.(PublishAnswer); ok {
			return a, true
		}
	}
	return a, false
}

func TestPublisherWhoWaitedIsAnsweredOnce(t *testing.T) {
	p := probeOf(t, []string{"n2"}, Stream{Name: "live", Kind: Published})
	if a, ok := p.granted("live", 1); ok {
		t.Fatalf("a node that is not warm answers %+v", a)
	}
	answers := func() (n int) {
		for _, e := range p.out {
			if a, ok := e.(PublishAnswer); ok && a.Token == 1 {
				n++
			}
		}
		return n
	}
	p.say("n2", State{Seq: 1})
	if answers() != 1 {
		t.Fatalf("a publisher who waited for the node to be warm gets %d answers, want 1", answers())
	}
	p.pass(2200 * Millisecond)
	p.now += 8 * Second
	p.step(Tick{})
	p.say("n2", State{Seq: 2})
	if !p.n.warm || answers() != 0 {
		t.Errorf("when the node is warm again (%v) the publisher gets %d more answers, want none", p.n.warm, answers())
	}
}

func TestNameBelongsToAPublisherWhoHasSentNothingYetUntilItLeaves(t *testing.T) {
	p := probeOf(t, nil, Stream{Name: "live", Kind: Published})
	p.pass(probeStale)
	for i, tt := range []struct {
		ev   Event
		want Verdict
	}{
		{nil, Granted},
		{nil, Busy},
		{PublishEnded{Stream: "live"}, Granted},
		{CaptureUp{Stream: "live"}, Busy},
	} {
		if tt.ev != nil {
			p.step(tt.ev)
		}
		if a, ok := p.granted("live", uint64(i)); !ok || a.Verdict != tt.want {
			t.Errorf("publisher %d: %+v, want %v", i+1, a, tt.want)
		}
	}
}

func TestPublisherIsSentToNoNodeThatDrains(t *testing.T) {
	list := []Listed{{Name: "live", Published: true}}
	for _, draining := range []bool{true, false} {
		p := newProbe(t, []string{"n2"}, "a")
		p.say("n2", State{Seq: 1, Draining: draining, List: list, ListHash: hashList(list)})
		want := PublishAnswer{Token: 1, Verdict: Elsewhere, Node: "n2"}
		if draining {
			want = PublishAnswer{Token: 1, Verdict: NotFound}
		}
		if a, _ := p.granted("live", 1); a != want {
			t.Errorf("draining %v: %+v, want %+v", draining, a, want)
		}
	}
}
