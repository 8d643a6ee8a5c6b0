package control

import (
	"fmt"
	"slices"
	"testing"

	"weir/cluster/place"
)

// outrankedName is a stream for which each of the nodes comes before the next in the static order.
func outrankedName(t *testing.T, order ...string) string {
	t.Helper()
	for i := range 10_000 {
		name := fmt.Sprintf("live%d", i)
		ok := true
		for k := range order[1:] {
			ok = ok && place.Before(name, "", "", order[k], order[k+1])
		}
		if ok {
			return name
		}
	}
	t.Fatalf("no name has the order %v", order)
	return ""
}

// stage returns a settled world of nodes with the default timeouts, all of which take publishers of a stream for which the
// nodes come in the given order.
func stage(t *testing.T, seed uint64, nodes int, order ...string) (*world, string) {
	w := newWorld(t, seed)
	w.fetch, w.stale = 2*Second, 10*Second
	name := outrankedName(t, order...)
	w.add(nodes, []Stream{{Name: name, Kind: Published}})
	w.bootAll()
	w.run(15 * Second)
	w.reset()
	return w, name
}

// claim is the dialogue by which a publisher gets a name, in no time. It returns the last verdict.
func (m *machine) claim(stream string) PublishAnswer {
	var asked []string
	for {
		m.publish(stream, asked...)
		v := m.verdict()
		if v.Verdict != AskNode {
			return v
		}
		o := m.w.machine(v.Node)
		cut := m.w.cut[[2]string{m.name, o.name}] || m.w.cut[[2]string{o.name, m.name}]
		if c := o.captures[stream]; o.up && !o.paused && !cut && c != nil && (c.state == Starting || c.state == Running) {
			return PublishAnswer{Verdict: Busy, Node: o.name}
		}
		if slices.Contains(asked, v.Node) {
			m.w.t.Fatalf("%s is to be asked again", v.Node)
		}
		asked = append(asked, v.Node)
	}
}

// wantOwner fails unless all live machines, or those named, take a machine for the owner of a stream.
func (w *world) wantOwner(stream, owner string, at ...string) {
	w.t.Helper()
	for _, m := range w.nodes {
		if !m.up || len(at) > 0 && !slices.Contains(at, m.name) {
			continue
		}
		if v := m.n.View().Stream(stream); v == nil || v.Owner != owner {
			w.t.Errorf("at %d ms: %s takes %+v for the owner of %s, want %q", w.now/Millisecond, m.name, v, stream, owner)
		}
	}
}

func TestPublisherThatComesBackAfterACrashIsHeardAtOnce(t *testing.T) {
	for seed := range uint64(20) {
		w, live := stage(t, seed, 3, "n3", "n1")
		if v := w.machine("n3").claim(live); v.Verdict != Granted {
			t.Fatalf("the first publisher: %v", v)
		}
		w.run(5 * Second)
		w.machine("n3").crash()
		w.run(700 * Millisecond)
		m := w.machine("n1")
		if v := m.claim(live); v.Verdict != Granted {
			t.Fatalf("seed %d: the publisher that comes back: %v, want granted", seed, v)
		}
		w.wantOwner(live, "n1", "n1")
		w.run(w.fetch*11/10 + 2*w.delay)
		w.wantOwner(live, "n1")
		for range 12 {
			w.run(Second)
			if c := m.captures[live]; c.state != Running {
				t.Fatalf("seed %d: the publisher is %v, want running", seed, c.state)
			}
			w.wantOwner(live, "n1")
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Both nodes live and their publishers send, while neither reaches the other. As soon as they do the order settles it.
func TestTwoPublishersOfNodesThatDoNotReachEachOtherAreSettledOnceTheyDo(t *testing.T) {
	for _, order := range [][]string{{"n3", "n1"}, {"n1", "n3"}} {
		w, live := stage(t, 1, 3, order...)
		first, second := w.machine("n3"), w.machine("n1")
		first.claim(live)
		w.run(5 * Second)
		link := [][2]string{{"n1", "n3"}, {"n3", "n1"}}
		for _, l := range link {
			w.cut[l] = true
		}
		w.run(Second)
		if v := second.claim(live); v.Verdict != Granted {
			t.Fatalf("%v: the second publisher: %v, want granted", order, v)
		}
		for range 30 {
			w.run(Second)
			w.wantOwner(live, "n1", "n1")
			for _, m := range []*machine{first, second} {
				if c := m.captures[live]; c.state != Starting && c.state != Running {
					t.Fatalf("%v: the publisher at %s is %v while the two do not reach each other", order, m.name, c.state)
				}
			}
		}
		for _, l := range link {
			delete(w.cut, l)
		}
		w.run(3 * w.fetch)
		winner, loser := w.machine(order[0]), w.machine(order[1])
		if c := winner.captures[live]; c.state != Running {
			t.Errorf("%v: the winner is %v, want running", order, c.state)
		}
		if c := loser.captures[live]; c.state != Idle {
			t.Errorf("%v: the loser is %v, want idle", order, c.state)
		}
		w.wantOwner(live, winner.name)
	}
}

func TestPublisherThatMovesTwiceWithinSIsHeard(t *testing.T) {
	for seed := range uint64(10) {
		w, live := stage(t, seed, 4, "n4", "n3", "n2", "n1")
		for _, at := range []string{"n4", "n3", "n2"} {
			m := w.machine(at)
			if v := m.claim(live); v.Verdict != Granted {
				t.Fatalf("seed %d: the publisher at %s: %v, want granted", seed, at, v)
			}
			w.run(w.fetch*11/10 + 2*w.delay)
			w.wantOwner(live, at)
			if at != "n2" {
				m.crash()
				w.run(300 * Millisecond)
			}
		}
		for range 12 {
			w.run(Second)
			w.wantOwner(live, "n2")
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestPublisherComesBackAtTheNodeThatRestarted(t *testing.T) {
	w, live := stage(t, 1, 3, "n3", "n1")
	m := w.machine("n3")
	m.claim(live)
	w.run(5 * Second)
	m.crash()
	w.run(500 * Millisecond)
	m.boot()
	m.publish(live)
	w.run(2 * w.fetch)
	if v := m.verdict(); v.Verdict != Granted {
		t.Errorf("at the node that restarted: %v, want granted once it is warm", v)
	}
	w.wantOwner(live, "n3")
	if v := w.machine("n1").claim(live); v.Verdict != Busy {
		t.Errorf("another publisher: %v, want busy", v)
	}
}

// n2 has restarted and hears of the dead owner only what n4 passes on.
func TestRelayedClaimOfADeadNodeLeadsNobodyAfterTheGrant(t *testing.T) {
	w, live := stage(t, 1, 4, "n3", "n1")
	w.machine("n3").claim(live)
	w.run(5 * Second)
	w.machine("n2").crash()
	w.machine("n3").crash()
	w.run(100 * Millisecond)
	w.machine("n2").boot()
	w.run(600 * Millisecond)
	if v := w.machine("n1").claim(live); v.Verdict != Granted {
		t.Fatalf("the publisher that comes back: %v, want granted", v)
	}
	w.run(w.fetch*11/10 + 2*w.delay)
	for range 12 {
		w.wantOwner(live, "n1")
		w.run(Second)
	}
}

func TestTwoPublishersAtOnceAfterTheCrashAreSettledByTheOrder(t *testing.T) {
	for seed := range uint64(10) {
		w, live := stage(t, seed, 3, "n3", "n2", "n1")
		w.machine("n3").claim(live)
		w.run(5 * Second)
		w.machine("n3").crash()
		w.run(700 * Millisecond)
		for _, at := range []string{"n1", "n2"} {
			if v := w.machine(at).claim(live); v.Verdict != Granted {
				t.Fatalf("seed %d: the publisher at %s: %v, want granted", seed, at, v)
			}
		}
		w.run(3 * w.fetch)
		if c := w.machine("n1").captures[live]; c.state != Idle {
			t.Errorf("seed %d: the loser is %v, want idle", seed, c.state)
		}
		w.wantOwner(live, "n2")
	}
}

// The claim of a node is in an answer that was asked for before this node granted the name, and that arrives later.
func TestNoPublisherYieldsToAnAnswerFromBeforeItsGrant(t *testing.T) {
	live := outrankedName(t, "n2", "n1")
	p := newProbe(t, []string{"n2"})
	p.step(ConfigChanged{Config: Config{
		Self: "n1", Hash: "h", Peers: p.n.cfg.Peers, Streams: []Stream{{Name: live, Kind: Published}},
	}})
	p.say("n2", State{Seq: 1})
	p.pass(3 * Second)
	p.step(PublishWanted{Stream: live, Token: 1})
	p.step(CaptureUp{Stream: live})
	claim := Claim{Stream: live, State: ClaimRunning, Why: PublishedHere, Epoch: 1}
	for _, e := range p.say("n2", State{Seq: 2, Claims: []Claim{claim}}) {
		if _, ok := e.(StopCapture); ok {
			t.Error("the publisher is sent away for an answer that was asked for before it came")
		}
	}
	p.pass(3 * Second)
	stopped := false
	for _, e := range p.say("n2", State{Seq: 3, Version: 2, Same: true}) {
		_, ok := e.(StopCapture)
		stopped = stopped || ok
	}
	if !stopped {
		t.Error("the publisher stays although the node of the other one, which comes first, has answered since")
	}
}

// The control plane has granted the name and has yielded it before the publisher came to the stream.
func TestPublisherWhoseGrantHasEndedIsSentAway(t *testing.T) {
	w := studio(t, 1)
	m := w.machine("n1")
	m.captures["live"] = &capture{state: Running}
	var stopped []StopCapture
	w.onStop = func(_ *machine, e StopCapture) { stopped = append(stopped, e) }
	m.step(CaptureUp{Stream: "live"})
	if len(stopped) != 1 || stopped[0].Why != Ungranted {
		t.Errorf("stopped %v, want the publisher that was not granted the name", stopped)
	}
}

// A control plane that fails is followed by one that knows what the publishers of its node have superseded.
func TestSupersededClaimsOutliveTheControlPlane(t *testing.T) {
	w, live := stage(t, 1, 3, "n3", "n1")
	w.machine("n3").claim(live)
	w.run(5 * Second)
	w.machine("n3").crash()
	w.run(700 * Millisecond)
	m := w.machine("n1")
	m.claim(live)
	w.run(Second)
	v := m.n.View().Stream(live)
	cfg := m.cfg
	cfg.Instance, cfg.Inc = fmt.Sprintf("n1/%d", m.boots), 1
	m.n = New(cfg, m.clock())
	m.step(Resumed{Captures: []Capture{{Stream: live, Epoch: v.Epoch, Up: true, Supersedes: v.Supersedes}}})
	m.step(Tick{})
	for range 12 {
		w.run(Second)
		w.wantOwner(live, "n1")
	}
	if c := m.captures[live]; c.state != Running {
		t.Errorf("the publisher is %v, want running", c.state)
	}
}

// The first node of the order hangs with its publisher, who goes to another node. When the first node goes on it still has a publisher
// whose connection brings what was sent before, and lets go of it.
func TestPublisherOfANodeThatHungGivesWayToTheNewerOne(t *testing.T) {
	for seed := range uint64(20) {
		w, live := stage(t, seed, 3, "n3", "n1")
		first, second := w.machine("n3"), w.machine("n1")
		first.claim(live)
		w.run(5 * Second)
		first.pause(17 * Second)
		w.run(700 * Millisecond)
		if v := second.claim(live); v.Verdict != Granted {
			t.Fatalf("seed %d: the publisher that comes back: %v, want granted", seed, v)
		}
		w.run(30 * Second)
		if c := second.captures[live]; c.state != Running {
			t.Errorf("seed %d: the newer publisher is %v, want running", seed, c.state)
		}
		if c := first.captures[live]; c.state != Idle {
			t.Errorf("seed %d: the publisher of the node that hung is %v, want idle", seed, c.state)
		}
		w.wantOwner(live, "n1")
		if t.Failed() {
			return
		}
	}
}

// supersededAt returns a probe with a published stream that it does not have, and a claim of n2 to it that is superseded since an
// instant. n2 has answered no later question.
func supersededAt(t *testing.T) (p *probe, s *stream, n2 *peer, at Instant) {
	p = probeOf(t, []string{"n2", "n3"}, Stream{Name: "live", Kind: Published})
	p.say("n2", State{Seq: 3, Claims: []Claim{{Stream: "live", State: ClaimRunning, Why: PublishedHere}}})
	p.say("n3", State{Seq: 1})
	s, n2, at = p.n.byName["live"], p.n.peer("n2"), p.now
	p.n.supersede(s, Supersession{Node: "n2", Said: n2.Said, At: at})
	return p, s, n2, at
}

// An answer that a third node passes on may have been asked for up to S before it was given.
func TestRelayedClaimIsSupersededForSMore(t *testing.T) {
	p, s, n2, at := supersededAt(t)
	n2.Direct, n2.RelayedFull, n2.Relayed = false, true, evidence{n2.Said.Instance, n2.Said.Inc, 9}
	for _, tt := range []struct {
		after Instant
		want  bool
	}{{Second, true}, {p.n.stale, true}, {p.n.stale + 1, false}} {
		n2.RelayedAt = at + tt.after
		if got := p.n.superseded(s, n2); got != tt.want {
			t.Errorf("a claim that was heard %d ms after the grant is superseded: %t, want %t", tt.after/Millisecond, got, tt.want)
		}
	}
}

func TestSupersessionIsForgottenOnceNothingFromBeforeItCanCome(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after Instant
		alive bool
		kept  bool
	}{
		{"its node is dead, and evidence may come", 2 * probeStale, false, true},
		{"its node is dead", 2*probeStale + 1, false, false},
		{"its node lives, and has not answered since", 2*probeStale + 1, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, s, n2, at := supersededAt(t)
			p.n.now, n2.Alive = at+tt.after, tt.alive
			p.n.forgetSuperseded(s)
			if kept := len(s.Superseded) > 0; kept != tt.kept {
				t.Errorf("it is kept: %t, want %t", kept, tt.kept)
			}
		})
	}
}

// A publisher may come back and go again: what counts is the newest grant, and the newest evidence from before it.
func TestLaterGrantReplacesASupersession(t *testing.T) {
	p, s, n2, at := supersededAt(t)
	later := Supersession{Node: "n2", Said: evidence{n2.Said.Instance, n2.Said.Inc, 7}, At: at + Second}
	before := s.Supersessions
	p.n.supersede(s, later)
	if s.Superseded[0] != later || s.Supersessions == before {
		t.Errorf("it is %+v after %d changes, want %+v after one more than %d", s.Superseded[0], s.Supersessions, later, before)
	}
	p.n.supersede(s, Supersession{Node: "n2", Said: n2.Said, At: at})
	if s.Superseded[0] != later {
		t.Errorf("an older grant replaces it: %+v, want %+v", s.Superseded[0], later)
	}
}

// A third node that hears the new owner only through this one has to know what its claim supersedes.
func TestSupersessionsArePassedOnWithTheClaim(t *testing.T) {
	p := probeOf(t, []string{"n2", "n3"}, Stream{Name: "live", Kind: Published})
	p.say("n2", State{Seq: 1, Claims: []Claim{{
		Stream: "live", State: ClaimRunning, Why: PublishedHere, Supersedes: &[]Superseded{{Node: "n3", Instance: "in3", Inc: 1, Seq: 4, Age: 500}},
	}}})
	p.pass(Second)
	p.step(StateAsked{From: "n3", Token: 1, Question: &Question{Want: []string{"n2"}}})
	for _, e := range p.out {
		r, ok := e.(Reply)
		if !ok {
			continue
		}
		for _, a := range r.State.Ages {
			if a.Node == "n2" && len(a.Claims) == 1 && a.Claims[0].Supersedes != nil && (*a.Claims[0].Supersedes)[0].Age >= 1500 {
				return
			}
		}
		t.Errorf("the answer tells %+v, want the claim of n2 with what it supersedes, 1500 ms ago", r.State.Ages)
	}
}

// A peer that has seen the claim is told it anew when it supersedes more.
func TestClaimIsToldAnewWhenItSupersedesMore(t *testing.T) {
	p := probeOf(t, []string{"n2", "n3"}, Stream{Name: "live", Kind: Published})
	p.say("n2", State{Seq: 1})
	p.say("n3", State{Seq: 1})
	p.granted("live", 1)
	s := p.n.byName["live"]
	p.n.supersede(s, Supersession{Node: "n2", Said: p.n.peer("n2").Said, At: p.now})
	var st State
	p.n.changed()
	p.n.fillClaims(&st, Seen{})
	seen := Seen{Instance: p.n.cfg.Instance, Inc: p.n.inc, Version: p.n.version}
	p.n.supersede(s, Supersession{Node: "n3", Said: p.n.peer("n3").Said, At: p.now})
	p.n.changed()
	var next State
	p.n.fillClaims(&next, seen)
	if len(next.Claims) != 1 || next.Claims[0].Supersedes == nil || len(*next.Claims[0].Supersedes) != 2 {
		t.Errorf("the difference tells %+v, want the claim with two supersessions", next.Claims)
	}
}
