package control

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// A probe drives one node by hand: it plays all peers.
type probe struct {
	t   *testing.T
	n   *Node
	now Instant
	ids map[string][]uint64 // fetches that were not answered
	out []Effect
}

const probeStale = 10 * Second

// newProbe returns a node n1 with the given peers and one stream for each name, after its first step.
func newProbe(t *testing.T, peers []string, streams ...string) *probe {
	list := make([]Stream, len(streams))
	for i, s := range streams {
		list[i] = Stream{Name: s, Clustered: true}
	}
	return probeOf(t, peers, list...)
}

// probeOf is newProbe for streams of any kind.
func probeOf(t *testing.T, peers []string, streams ...Stream) *probe {
	cfg := Config{Self: "n1", Named: true, Instance: "i1", ReturnHolddown: 30 * Second, Hash: "h", Streams: streams}
	for _, host := range peers {
		cfg.Peers = append(cfg.Peers, Peer{Entry: host + ":80", Host: host, Name: host, Fetch: 2 * Second, Stale: probeStale})
	}
	p := &probe{t: t, n: New(cfg, 1000), now: 1000, ids: map[string][]uint64{}}
	p.step(Tick{})
	return p
}

func (p *probe) step(ev Event) []Effect {
	p.out = slices.Clone(p.n.Step(p.now, ev))
	for _, e := range p.out {
		if f, ok := e.(Fetch); ok {
			p.ids[f.Peer] = append(p.ids[f.Peer], f.ID)
		}
	}
	return p.out
}

// pass lets time go by, as the node's own wake-ups say.
func (p *probe) pass(d Instant) {
	until := p.now + d
	for p.n.wake < until {
		p.now = p.n.wake
		p.step(Tick{})
	}
	p.now = until
	p.step(Tick{})
}

// say answers the newest open fetch of a peer; those before it are lost.
func (p *probe) say(host string, st State) []Effect {
	p.t.Helper()
	ids := p.ids[host+":80"]
	if len(ids) == 0 {
		p.t.Fatalf("no fetch of %s is under way", host)
	}
	p.ids[host+":80"] = nil
	st.V, st.Warm = Protocol, true
	if st.Node == "" {
		st.Node = host
	}
	if st.Instance == "" {
		st.Instance = "i" + host
	}
	if st.Hash == "" {
		st.Hash = "h"
	}
	if st.ListHash == "" {
		st.ListHash, st.List = p.n.ownHash, slices.Clone(p.n.own)
	}
	if st.Version == 0 {
		st.Version = st.Seq
	}
	return p.step(Fetched{Peer: host + ":80", ID: ids[len(ids)-1], State: &st})
}

func (p *probe) started() (out []string) {
	for _, e := range p.out {
		if s, ok := e.(StartCapture); ok {
			out = append(out, s.Stream)
		}
	}
	return out
}

func (p *probe) stopped() (out []string) {
	for _, e := range p.out {
		if s, ok := e.(StopCapture); ok {
			out = append(out, s.Stream+">"+s.To)
		}
	}
	return out
}

func (p *probe) noted(kind NoteKind) bool {
	return slices.ContainsFunc(p.out, func(e Effect) bool {
		n, ok := e.(Note)
		return ok && n.Kind == kind
	})
}

// home returns a stream whose home is a node, of those that the probe has.
func (p *probe) home(node string) string {
	p.t.Helper()
	for _, s := range p.n.streams {
		if s.Home == node {
			return s.Name
		}
	}
	p.t.Fatalf("no stream has its home at %s", node)
	return ""
}

var camNames = []string{"a", "b", "c", "d", "e", "f"}

func claimOf(stream string, state ClaimState, p *probe) Claim {
	return Claim{Stream: stream, State: state, Home: p.n.byName[stream].Home}
}

func TestPeerIsStaleExactlyAtS(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	p.say("n2", State{Seq: 1})
	at := p.now
	p.pass(probeStale - 1)
	if !p.n.View().Peer("n2").Alive {
		t.Fatal("the peer is dead before S")
	}
	if len(p.started()) != 0 {
		t.Fatalf("started %v before S", p.started())
	}
	p.pass(1)
	if p.now != at+probeStale || p.n.View().Peer("n2").Alive {
		t.Fatal("the peer is alive at S")
	}
	if got := len(p.started()); got != 3 {
		t.Errorf("%d streams were taken over at S, want the 3 of the dead peer", got)
	}
}

func TestAnswerToAnAbandonedFetchIsIgnored(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	p.say("n2", State{Seq: 1})
	p.pass(2200 * Millisecond)
	open := p.ids["n2:80"]
	if len(open) == 0 {
		t.Fatal("no fetch is under way")
	}
	p.pass(probeStale)
	p.ids["n2:80"] = open
	p.say("n2", State{Seq: 2})
	if !p.noted(NoteLate) || p.n.View().Peer("n2").Alive {
		t.Error("an answer that took S revived the peer")
	}
	p.step(Fetched{Peer: "n2:80", ID: 1 << 50, State: &State{}})
	if !p.noted(NoteLate) {
		t.Error("an answer that nobody asked for was not refused")
	}
}

func TestAnswerThatTakesExactlySIsTooLate(t *testing.T) {
	for _, late := range []Instant{-1, 0} {
		p := newProbe(t, []string{"n2"}, camNames...)
		p.now += probeStale + late // before any tick
		p.say("n2", State{Seq: 1})
		if got := p.n.View().Peer("n2").Alive; got != (late < 0) {
			t.Errorf("alive after an answer at S%+d ns = %v, want %v", late, got, late < 0)
		}
	}
}

func TestOlderReplyChangesNothing(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	s := p.home("n2")
	p.say("n2", State{Seq: 5, Claims: []Claim{claimOf(s, ClaimRunning, p)}})
	p.pass(2200 * Millisecond)
	p.say("n2", State{Seq: 4})
	if !p.noted(NoteOld) {
		t.Error("a reply with a lower number was taken in")
	}
	if v := p.n.View().Stream(s); v.Owner != "n2" {
		t.Errorf("owner of %s = %q after an older reply, want n2", s, v.Owner)
	}
}

func TestReplyOfAReplacedInstanceIsIgnored(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	p.say("n2", State{Instance: "old", Inc: 7, Seq: 100})
	p.pass(2200 * Millisecond)
	p.say("n2", State{Instance: "new", Inc: 0, Seq: 1}) // it has not met its own memory yet
	if !p.noted(NoteRestarted) {
		t.Fatal("a new instance with a lower inc was not taken in")
	}
	p.pass(2200 * Millisecond)
	p.say("n2", State{Instance: "old", Inc: 7, Seq: 101})
	if !p.noted(NoteOld) || p.n.View().Peer("n2").Instance != "new" {
		t.Error("a late reply of the old instance was taken in")
	}
}

// A slow link brings questions and answers in another order. An instance that this node has never met may have answered between two
// questions to its successor, and its answer come last.
func TestReplyOfAnInstanceBetweenTwoQuestionsIsIgnored(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	p.pass(6600 * Millisecond)
	ids := p.ids["n2:80"] // of three polls at least
	if len(ids) < 3 {
		t.Fatalf("%d questions are under way, want 3", len(ids))
	}
	answer := func(id uint64, st State) {
		p.ids["n2:80"] = []uint64{id}
		p.say("n2", st)
	}
	answer(ids[2], State{Instance: "new", Seq: 1})
	answer(ids[0], State{Instance: "new", Seq: 2})
	answer(ids[1], State{Instance: "between", Seq: 9})
	if !p.noted(NoteOld) || p.n.View().Peer("n2").Instance != "new" {
		t.Error("a late reply of an instance that is over was taken in")
	}
}

func TestHearsayOfAReplacedInstanceProvesNothing(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	s := p.home("n2")
	p.say("n3", State{Seq: 1})
	p.say("n2", State{Instance: "old", Inc: 7, Seq: 100})
	p.pass(2200 * Millisecond)
	p.say("n2", State{Instance: "new", Inc: 0, Seq: 1, Claims: []Claim{claimOf(s, ClaimRunning, p)}})
	p.pass(2200 * Millisecond)
	p.say("n3", State{Seq: 2, Ages: []Age{{Node: "n2", Instance: "old", Inc: 7, Seq: 101, Age: 10}}})
	if v := p.n.View().Stream(s); v.Owner != "n2" {
		t.Errorf("owner of %s = %q, want n2 as its new instance says", s, v.Owner)
	}
	// Nor does an instance that this node has not met and that is no later than the one it has.
	p.pass(2200 * Millisecond)
	p.say("n3", State{Seq: 3, Ages: []Age{{Node: "n2", Instance: "third", Inc: 0, Seq: 900, Age: 10}}})
	if v := p.n.View().Stream(s); v.Owner != "n2" {
		t.Errorf("owner of %s = %q after hearsay of a third instance, want n2", s, v.Owner)
	}
}

func TestDirectReplyOfAnInstanceThatOthersSawReplacedIsOld(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	p.say("n2", State{Instance: "old", Inc: 1, Seq: 1})
	earlier := Age{Node: "n2", Instance: "first", Inc: 2, Seq: 1, Age: 10} // heard before the old one was asked
	p.say("n3", State{Seq: 1, Ages: []Age{earlier}})
	p.pass(2200 * Millisecond)
	p.say("n2", State{Instance: "old", Inc: 1, Seq: 2})
	if p.noted(NoteOld) {
		t.Error("hearsay of before its question keeps a reply out")
	}
	p.pass(2200 * Millisecond)
	p.say("n3", State{Seq: 2, Ages: []Age{{Node: "n2", Instance: "new", Inc: 2, Seq: 1, Age: 0}}})
	p.say("n2", State{Instance: "old", Inc: 1, Seq: 3}) // asked before
	if !p.noted(NoteOld) {
		t.Error("the reply was taken in")
	}
	p.pass(2200 * Millisecond)
	p.say("n2", State{Instance: "old", Inc: 1, Seq: 4})
	if p.noted(NoteOld) {
		t.Error("an instance that answers what it was asked after others had heard another was taken for over")
	}
	p.pass(2200 * Millisecond)
	p.say("n2", State{Instance: "new", Inc: 2, Seq: 9})
	if v := p.n.View().Peer("n2"); v.Instance != "new" || !v.Direct {
		t.Errorf("instance = %q, direct = %v, want the new one, direct", v.Instance, v.Direct)
	}
}

func TestNodeGoesAboveTheMemoryOfItsEarlierInstance(t *testing.T) {
	p := newProbe(t, []string{"n2"})
	p.say("n2", State{Seq: 1, Ages: []Age{{Node: "n1", Instance: "earlier", Inc: 7, Seq: 3, Age: 100}}})
	if got := p.n.View().Inc; got != 8 {
		t.Errorf("inc = %d after meeting a memory of inc 7, want 8", got)
	}
	p.pass(2200 * Millisecond)
	p.say("n2", State{Seq: 2, Ages: []Age{{Node: "n1", Instance: "i1", Inc: 8, Seq: 0}}})
	if got := p.n.View().Inc; got != 8 {
		t.Errorf("inc = %d after meeting itself, want 8", got)
	}
}

func TestRelayedEvidenceIsOrderedByNumberNotByArrival(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	s := p.home("n3")
	p.say("n2", State{Seq: 1})
	p.say("n3", State{Seq: 10, Claims: []Claim{claimOf(s, ClaimRunning, p)}})
	p.pass(6 * Second)
	// n2 tells of something that is younger by the clock and older by number: it proves nothing.
	p.say("n2", State{Seq: 2, Ages: []Age{{Node: "n3", Instance: "in3", Seq: 9, Age: 10}}})
	p.pass(4 * Second)
	if p.n.View().Peer("n3").Alive {
		t.Error("evidence that is older by number kept a peer alive")
	}
	p.say("n2", State{Seq: 3, Ages: []Age{{Node: "n3", Instance: "in3", Seq: 11, Age: 1000}}})
	if v := p.n.View().Peer("n3"); !v.Alive || v.Direct || v.Generation != 2 {
		t.Errorf("after newer evidence: alive %v, direct %v, generation %d, want true, false, 2", v.Alive, v.Direct, v.Generation)
	}
	p.pass(9 * Second)
	if p.n.View().Peer("n3").Alive {
		t.Error("relayed evidence counts from its arrival, not from when it was heard")
	}
}

func TestNewerHearsayNeverMakesAPeerOlder(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	p.say("n3", State{Seq: 10})
	p.pass(2200 * Millisecond)
	p.say("n3", State{Seq: 11})
	p.say("n2", State{Seq: 1, Ages: []Age{{Node: "n3", Instance: "in3", Seq: 12, Age: 4000}}})
	p.pass(probeStale - Millisecond)
	if !p.n.View().Peer("n3").Alive {
		t.Error("n3 is dead before S has passed since its own answer")
	}
}

func TestRelayedEvidenceIsNotPassedOn(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"})
	p.say("n2", State{Seq: 1, Ages: []Age{{Node: "n3", Instance: "in3", Inc: 1, Seq: 1, Age: 1}}})
	if !p.n.View().Peer("n3").Alive {
		t.Fatal("n3 is not alive by the word of n2")
	}
	for _, e := range p.step(StateAsked{From: "n2", Token: 1}) {
		if r, ok := e.(Reply); ok {
			for _, a := range r.State.Ages {
				if a.Node == "n3" {
					t.Errorf("the answer passes hearsay on: %+v", a)
				}
			}
		}
	}
}

func TestNobodyYieldsToARelayedClaim(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	s := p.home("n2")
	p.say("n3", State{Seq: 1})
	p.pass(probeStale) // n2 never answered
	for range 3 {
		p.say("n3", State{Seq: p.n.seq + 10 + uint64(p.now)})
		p.pass(4 * Second)
	}
	rec := p.n.byName[s]
	if rec.State != Starting {
		for _, x := range p.n.streams { // the orphans are shared with n3
			if x.Home == "n2" && x.State == Starting {
				s, rec = x.Name, x
			}
		}
	}
	if rec.State != Starting {
		t.Fatalf("no orphan of n2 was taken over")
	}
	p.step(CaptureUp{Stream: s})
	claim := claimOf(s, ClaimRunning, p)
	p.say("n3", State{Seq: 1 << 40, Ages: []Age{{Node: "n2", Instance: "in2", Inc: 1, Seq: 1, Full: true, Claims: []Claim{claim}}}})
	if got := p.stopped(); len(got) != 0 {
		t.Errorf("stopped %v on the word of a third node", got)
	}
	p.pass(2200 * Millisecond)
	claim.State = ClaimStarting
	p.say("n2", State{Inc: 1, Seq: 2, Claims: []Claim{claim}})
	if got := p.stopped(); len(got) != 0 {
		t.Errorf("stopped %v for a claimant that only starts", got)
	}
	p.pass(2200 * Millisecond)
	claim.State = ClaimRunning
	p.say("n2", State{Inc: 1, Seq: 3, Claims: []Claim{claim}})
	if got := p.stopped(); !slices.Equal(got, []string{s + ">n2"}) {
		t.Errorf("stopped %v when the home runs it and says so itself, want %s", got, s)
	}
}

func TestClaimantsThatDisagreeAboutTheHomeSettleByScore(t *testing.T) {
	names := make([]string, 40)
	for i := range names {
		names[i] = fmt.Sprintf("cam/%d", i)
	}
	yielded := map[bool]int{}
	for _, theirs := range []string{"", "n2", "n9"} {
		p := newProbe(t, []string{"n2"}, names...)
		p.say("n2", State{Seq: 1})
		for _, s := range names {
			if p.n.byName[s].Home != "n1" {
				continue
			}
			p.step(CaptureUp{Stream: s})
			want := p.n.outscores(s, "n2", "n1")
			got := false
			for from := p.now; p.now < from+p.n.stale+2*2200*Millisecond; {
				p.pass(2200 * Millisecond)
				p.say("n2", State{Seq: uint64(p.now), Claims: []Claim{{Stream: s, State: ClaimRunning, Home: theirs}}})
				if got = p.n.byName[s].State == Stopping; got && p.now < from+p.n.stale {
					t.Errorf("yields %s while an edit may be on its way", s)
				}
			}
			if got != want {
				t.Errorf("home by the other's view %q: yields %s = %v, want %v by score", theirs, s, got, want)
			}
			yielded[want]++
			if !want {
				continue
			}
			// Nor does the home take it back from one that will not yield.
			p.step(CaptureStopped{Stream: s})
			for range 20 {
				p.pass(2200 * Millisecond)
				p.say("n2", State{Seq: uint64(p.now), Claims: []Claim{{Stream: s, State: ClaimRunning, Home: theirs}}})
				if got := p.n.byName[s].State; got != Idle {
					t.Fatalf("home by the other's view %q: %s is taken back", theirs, s)
				}
			}
		}
	}
	if yielded[true] == 0 || yielded[false] == 0 {
		t.Errorf("yielded = %v, want some of both", yielded)
	}
}

func TestRetryOfANodeWithoutItsSourceDoesNotHoldOthersOff(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	s := p.home("n2")
	retry := claimOf(s, ClaimStarting, p)
	retry.Retry = true
	p.say("n2", State{Seq: 1, Claims: []Claim{retry}})
	at := p.now
	for p.n.byName[s].State == Idle && p.now < at+100*Second {
		p.pass(2200 * Millisecond)
		p.say("n2", State{Seq: uint64(p.now), Claims: []Claim{retry}})
	}
	if got := p.now - at; got < p.n.grace() || got > p.n.grace()+2200*Millisecond {
		t.Errorf("fallback after %d ms, want G, %d", got/Millisecond, p.n.grace()/Millisecond)
	}
	if got := p.n.byName[s].Why; got != Fallback {
		t.Errorf("reason = %q, want fallback", got)
	}
}

// After a pause the peers are not taken for dead, but neither is anything claimed on the evidence of before: who died
// meanwhile may have heirs by now.
func TestNothingIsClaimedAfterAPauseBeforeThePeersAnswered(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	p.say("n2", State{Seq: 1})
	p.pass(9 * Second)
	p.say("n3", State{Seq: 2})
	p.now += 60 * Second
	p.step(Tick{})
	if !p.noted(NoteOverslept) || len(p.started()) != 0 || p.n.View().Warm {
		t.Fatal("the pause was not noticed")
	}
	p.pass(2 * Second)
	if p.n.View().Peer("n2").Alive {
		t.Fatal("n2 lives on although its evidence was nearly S old before the pause")
	}
	for _, s := range p.n.streams {
		if s.Home == "n2" && s.State != Idle {
			t.Errorf("%s is claimed before n3 has answered", s.Name)
		}
	}
	p.pass(probeStale)
	if !p.n.View().Warm {
		t.Error("still not warm S after the pause")
	}
}

func TestUnchangedStateIsNotSentAgain(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	p.say("n2", State{Seq: 1})
	ask := func(seen Seen) *State {
		for _, e := range p.step(StateAsked{From: "n2", Token: 1, Question: &Question{Seen: seen}}) {
			if r, ok := e.(Reply); ok {
				return r.State
			}
		}
		t.Fatal("no reply")
		return nil
	}
	all := ask(Seen{})
	if all.Same || len(all.List) != len(camNames) || len(all.Claims) != 3 || all.Advert != p.n.cfg.Advert {
		t.Errorf("first answer = %+v, want everything", all)
	}
	seen := Seen{Instance: all.Instance, Inc: all.Inc, Version: all.Version, List: all.ListHash}
	if again := ask(seen); !again.Same || again.List != nil || again.Claims != nil || again.Seq != all.Seq+1 || len(again.Ages) != 1 {
		t.Errorf("second answer = %+v, want only what is always sent", again)
	}
	p.step(CaptureUp{Stream: all.Claims[0].Stream})
	if news := ask(seen); news.Same || news.List != nil || len(news.Claims) != 1 || news.Base != all.Version {
		t.Errorf("answer after a change = %+v, want the changed claim without the list", news)
	}
	seen.Instance = "another"
	if got := ask(seen); got.Same {
		t.Error("an asker that saw another instance got a short answer")
	}
}

func TestStateOnTheWireHasDurationsOnly(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	p.say("n2", State{Seq: 1})
	marshal := func() string {
		for _, e := range p.step(StateAsked{From: "n2", Token: 1}) {
			if r, ok := e.(Reply); ok {
				r.State.Seq = 0
				out, err := json.Marshal(r.State)
				if err != nil {
					t.Fatal(err)
				}
				return string(out)
			}
		}
		t.Fatal("no reply")
		return ""
	}
	first := marshal()
	q := newProbe(t, []string{"n2"}, camNames...)
	q.n = New(q.n.cfg, 987654321*Second)
	q.now, q.ids = 987654321*Second, map[string][]uint64{}
	q.step(Tick{})
	q.say("n2", State{Seq: 1})
	p = q
	if second := marshal(); first != second {
		t.Errorf("the answer depends on the origin of the clock:\n%s\n%s", first, second)
	}
}

func TestUnexpectedEventsOfTheShellAreNotedAndHarmless(t *testing.T) {
	for _, ev := range []Event{
		CaptureUp{"nowhere"},
		CaptureDown{"nowhere", "x"},
		CaptureStopped{"nowhere"},
		CaptureStopped{"a"},
		MediaChanged{"nowhere", Media{}},
		PublishEnded{"nowhere"},
		PublishEnded{"a"},
	} {
		p := newProbe(t, []string{"n2"}, camNames...)
		p.say("n2", State{Seq: 1})
		p.step(ev)
		if !p.noted(NoteUnexpected) {
			t.Errorf("%T%+v was not noted", ev, ev)
		}
	}
	p := newProbe(t, []string{"n2"})
	p.step(Fetched{Peer: "n7:80", ID: 1})
	p.step(FetchFailed{Peer: "n7:80", ID: 1})
	p.step(nil)
	p.now = 0
	p.step(Tick{}) // back in time
	if p.n.now != 1000 {
		t.Errorf("now = %d after a step back, want 1000", p.n.now)
	}
}

func TestAnotherNodeWithOneNameIsRefused(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	p.say("n2", State{Seq: 1, Claims: []Claim{{Stream: "a", State: ClaimRunning}}})
	p.say("n3", State{Node: "n2", Seq: 1})
	if !p.noted(NoteRefused) || p.n.View().Peer("n2").Instance != "in2" {
		t.Error("a second node with the name n2 was taken in")
	}
	p.pass(2200 * Millisecond)
	p.say("n3", State{Node: "n1", Seq: 2})
	if p.n.View().Self != "n1" || p.n.View().Peer("n1") != nil {
		t.Error("a node with the own name was taken in")
	}
}

func TestStateOverItsLimitsIsRefused(t *testing.T) {
	long := string(make([]byte, 300))
	for _, tt := range []struct {
		name string
		st   *State
	}{
		{"none", nil},
		{"no version", &State{Node: "a", Instance: "b"}},
		{"no node", &State{V: 1, Instance: "b"}},
		{"no instance", &State{V: 1, Node: "a"}},
		{"long name", &State{V: 1, Node: long, Instance: "b"}},
		{"control character", &State{V: 1, Node: "a\n", Instance: "b"}},
		{"no UTF-8", &State{V: 1, Node: "a\xff", Instance: "b"}},
		{"age below zero", &State{V: 1, Node: "a", Instance: "b", Ages: []Age{{Node: "c", Instance: "d", Age: -1}}}},
		{"age that overflows", &State{V: 1, Node: "a", Instance: "b", Ages: []Age{{Node: "c", Instance: "d", Age: 1 << 60}}}},
		{"claim without stream", &State{V: 1, Node: "a", Instance: "b", Claims: []Claim{{}}}},
		{"claim since the future", &State{V: 1, Node: "a", Instance: "b", Claims: []Claim{{Stream: "c", Since: -5}}}},
		{"too many ages", &State{V: 1, Node: "a", Instance: "b", Ages: make([]Age, maxNodes+1)}},
	} {
		if err := tt.st.Check(); err == nil {
			t.Errorf("%s: Check() = nil, want an error", tt.name)
		}
	}
	if err := (&State{V: 9, Node: "a", Instance: "b"}).Check(); err != nil {
		t.Errorf("Check() of a later version = %v, want nil", err)
	}
}

// TestAnswersTellAgesOfLatePeersOnly plays two peers, of which one stops answering: only then is the other asked when it has
// heard it. A question that names no late peers at all comes from an earlier version, and is answered with all ages.
func TestAnswersTellAgesOfLatePeersOnly(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, "cam")
	late := func() []string {
		for _, e := range p.out {
			if f, ok := e.(Fetch); ok && f.Peer == "n2:80" {
				return f.Late
			}
		}
		t.Fatal("n2 is not asked")
		return nil
	}
	if got := late(); !slices.Equal(got, []string{"n2", "n3"}) {
		t.Errorf("at boot n2 is asked about %q, want about all", got)
	}
	step := func(answers ...string) {
		for p.now += 1; ; p.now = max(p.now+1, p.n.wake) {
			p.step(Tick{})
			if slices.ContainsFunc(p.out, func(e Effect) bool { f, ok := e.(Fetch); return ok && f.Peer == "n2:80" }) {
				return
			}
			for _, host := range answers {
				if len(p.ids[host+":80"]) > 0 {
					p.say(host, State{Seq: uint64(p.now)})
				}
			}
		}
	}
	p.say("n2", State{Seq: 1})
	p.say("n3", State{Seq: 1})
	p.now = p.n.next[0] // both have been heard for less than the interval, at most a tenth more
	p.n.peer("n2").DirectAt, p.n.peer("n3").DirectAt = p.now-2*Second, p.now-2*Second
	p.step(Tick{})
	if got := late(); got == nil || len(got) > 0 {
		t.Errorf("while all answer n2 is asked about %q, want about nobody", got)
	}
	for _, tt := range []struct {
		silent Instant // n3, with an interval of two seconds and six to staleness
		late   bool
	}{{2200 * Millisecond, false}, {2500 * Millisecond, false}, {2501 * Millisecond, true}} {
		p.n.peer("n2").DirectAt, p.n.peer("n3").DirectAt, p.n.silent = p.now, p.now-tt.silent, nil
		if got := slices.Contains(p.n.late(), "n3"); got != tt.late {
			t.Errorf("a peer that was silent for %d ms is late: %t, want %t", tt.silent/Millisecond, got, tt.late)
		}
	}
	step("n2")
	step("n2")
	if got := late(); !slices.Equal(got, []string{"n3"}) {
		t.Errorf("n3 is late, and n2 is asked about %q", got)
	}
	for _, tt := range []struct {
		late []string
		want []string
	}{
		{nil, []string{"n2", "n3"}},
		{[]string{}, []string{"n2"}}, // which asks: when this node has heard it tells it how often it has returned
		{[]string{"n3"}, []string{"n2", "n3"}},
	} {
		var got []string
		for _, e := range p.step(StateAsked{From: "n2", Token: 1, Question: &Question{Late: tt.late}}) {
			if r, ok := e.(Reply); ok {
				for _, a := range r.State.Ages {
					got = append(got, a.Node)
				}
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("asked about %#v the answer tells ages of %q, want %q", tt.late, got, tt.want)
		}
	}
}

func TestInstancesOfAPeerThatAreOverAreRemembered(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, "a")
	p.say("n3", State{Seq: 1})
	p.say("n2", State{Instance: "first", Inc: 9, Seq: 1})
	for i, instance := range []string{"second", "third"} {
		p.pass(2200 * Millisecond)
		p.say("n2", State{Instance: instance, Seq: 1})
		p.say("n3", State{Seq: uint64(i) + 2})
	}
	p.pass(2200 * Millisecond)
	p.say("n3", State{Seq: 9, Ages: []Age{{Node: "n2", Instance: "first", Inc: 9, Seq: 100}}})
	if got := p.n.peer("n2").Relayed; got != (evidence{}) {
		t.Errorf("evidence %+v of an instance that two others have replaced counts", got)
	}
}

// silentFrom lets a peer that was last heard at an instant be silent, and wants it to be taken for dead S later.
func (p *probe) silentFrom(heard Instant, node string) {
	p.t.Helper()
	p.pass(heard + probeStale - Millisecond - p.now)
	if !p.n.peer(node).Alive {
		p.t.Errorf("%s is taken for dead before S has passed", node)
	}
	p.pass(2 * Millisecond)
	if p.n.peer(node).Alive {
		p.t.Errorf("%s is alive although S has passed", node)
	}
}

func TestTimeThatThisNodeSleptCountsOnlyForEvidenceFromBefore(t *testing.T) {
	const direct = -1
	for _, age := range []int64{direct, 0, 7000} { // of what n3 passes on: the last is of an instant at which the node slept
		p := newProbe(t, []string{"n2", "n3"}, "a")
		p.say("n2", State{Seq: 1})
		p.say("n3", State{Seq: 1})
		p.pass(2200 * Millisecond)
		p.now += 8 * Second // nothing wakes it
		p.step(Tick{})
		if !p.noted(NoteOverslept) {
			t.Fatal("the node does not notice that it has slept")
		}
		if age == direct {
			p.say("n2", State{Seq: 2})
			p.silentFrom(p.now, "n2")
		} else {
			p.say("n3", State{Seq: 2})
			p.pass(2200 * Millisecond)
			p.say("n3", State{Seq: 3, Ages: []Age{{Node: "n2", Instance: "in2", Seq: 2, Age: age}}})
			p.silentFrom(p.now-Instant(age)*Millisecond, "n2")
		}
	}
}

func TestClaimsThatWerePassedOnEndWithTheInstanceThatMadeThem(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, "a")
	p.say("n2", State{Seq: 1})
	p.say("n3", State{Seq: 1})
	beat := func(seq uint64, ages ...Age) {
		p.pass(2200 * Millisecond)
		p.say("n3", State{Seq: seq, Ages: ages})
	}
	for seq := uint64(2); p.n.peer("n2").Direct; seq++ {
		beat(seq, Age{Node: "n2", Instance: "in2", Seq: seq})
	}
	beat(20, Age{Node: "n2", Instance: "in2", Seq: 20, Full: true, Claims: []Claim{{Stream: "a", State: ClaimRunning}}})
	if len(p.n.byName["a"].claimants) != 1 {
		t.Fatalf("claimants of a: %d, want n2 by what n3 passes on", len(p.n.byName["a"].claimants))
	}
	beat(21, Age{Node: "n2", Instance: "next", Inc: 1, Seq: 1})
	if got := p.n.byName["a"].claimants; len(got) != 0 {
		t.Errorf("the claim of an instance that is over counts after its successor was heard of")
	}
}

func TestClaimsThatWerePassedOnEndWhenThePeerItselfAnswers(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, "a")
	p.say("n2", State{Seq: 1})
	p.say("n3", State{Seq: 1})
	seq := uint64(1)
	beat := func(a Age) {
		seq++
		a.Node, a.Instance, a.Seq = "n2", "in2", seq
		p.pass(2200 * Millisecond)
		p.say("n3", State{Seq: seq, Ages: []Age{a}})
	}
	for p.n.peer("n2").Direct {
		beat(Age{})
	}
	beat(Age{Full: true, Claims: []Claim{{Stream: "a", State: ClaimRunning}}})
	seq++
	p.say("n2", State{Seq: seq}) // it has no claim any more
	for p.n.peer("n2").Direct {
		beat(Age{})
	}
	if got := p.n.byName["a"].claimants; len(got) != 0 {
		t.Errorf("a claim that was passed on counts although the peer itself has answered since without it")
	}
}

func TestPeerThatComesBackFromSilenceIsToldOfItsReturn(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a")
	p.say("n2", State{Seq: 1})
	p.pass(11 * Second)
	p.say("n2", State{Seq: 2})
	p.step(StateAsked{From: "n2", Token: 1})
	for _, e := range p.out {
		if r, ok := e.(Reply); ok && r.State.Ages[0].Returns != 1 {
			t.Errorf("the peer is told of %d returns, want 1", r.State.Ages[0].Returns)
		}
	}
}

func TestAgesOfClaimsArePassedOnInMilliseconds(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, "a")
	p.say("n2", State{Seq: 1, Claims: []Claim{{Stream: "a", State: ClaimRunning, Since: 5000}}})
	p.step(StateAsked{From: "n3", Token: 1, Question: &Question{Want: []string{"n2"}}})
	for _, e := range p.out {
		if r, ok := e.(Reply); ok && r.State.Ages[0].Claims[0].Since != 5000 {
			t.Errorf("a claim that is 5000 ms old is passed on as %d ms old", r.State.Ages[0].Claims[0].Since)
		}
	}
}

// The owner may be gone before this node hears it itself again.
func TestNumberingIsPassedOnWithTheClaimsOfANode(t *testing.T) {
	media := Media{Sequence: 48, Period: 4000, Age: 1000}
	p := newProbe(t, []string{"n2", "n3"}, "a")
	p.say("n2", State{Seq: 1, Claims: []Claim{{Stream: "a", State: ClaimRunning, Media: &media}}})
	p.pass(Second)
	p.step(StateAsked{From: "n3", Token: 1, Question: &Question{Want: []string{"n2"}}})
	passed := false
	for _, e := range p.out {
		if r, ok := e.(Reply); ok {
			m := r.State.Ages[0].Claims[0].Media
			if passed = m != nil; passed && (m.Sequence != media.Sequence || m.Age < 2000 || m.Age > 2001) {
				t.Errorf("a numbering of 1000 ms of age a second ago is passed on as %+v", *m)
			}
		}
	}
	if !passed {
		t.Error("no numbering is passed on")
	}

	p = newProbe(t, []string{"n2", "n3"}, "a")
	p.say("n3", State{Seq: 1, Ages: []Age{{
		Node: "n2", Instance: "in2", Seq: 7, Full: true, Claims: []Claim{{Stream: "a", State: ClaimRunning, Media: &media}},
	}}})
	if s := p.n.byName["a"]; s.Media.Sequence != media.Sequence || s.MediaOf != "n2" {
		t.Errorf("the numbering is %+v of %q, want what n3 passed on of n2", s.Media, s.MediaOf)
	}
}

func TestFailedFetchesMakeRoomForFurtherOnes(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a")
	p.n.links[0].cfg.Fetch = Second
	p.say("n2", State{Seq: 1})
	p.pass(2200 * Millisecond) // as the file said until now
	for i := range 3 * maxFlights {
		ids := p.ids["n2:80"]
		if len(ids) == 0 {
			t.Fatalf("after %d failed fetches there is no further one", i)
		}
		p.ids["n2:80"] = nil
		for _, id := range ids {
			p.step(FetchFailed{Peer: "n2:80", ID: id, Why: Unreachable})
		}
		p.pass(1100 * Millisecond)
	}
}

// Questions that are brought forward may all be lost in a short outage.
func TestQuestionsThatHangDoNotSilenceALink(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a")
	p.say("n2", State{Seq: 1})
	p.ids["n2:80"] = nil
	l := p.n.entries["n2:80"]
	for range 3 * maxFlights {
		p.n.hurry(l, p.n.now)
		p.pass(10 * Millisecond)
	}
	if asked := len(p.ids["n2:80"]); asked > maxFlights {
		t.Errorf("%d questions within a quarter of a second, want at most %d", asked, maxFlights)
	}
	for after := l.cfg.Fetch; after < l.cfg.Stale; after += l.cfg.Fetch {
		p.ids["n2:80"] = nil
		p.pass(l.cfg.Fetch * 11 / 10)
		if !p.open("n2") {
			t.Fatalf("%d ms after %d questions that hang there is no further one", after/Millisecond, maxFlights)
		}
	}
	if open := len(l.Flights); open > 2*maxFlights {
		t.Errorf("%d questions are under way", open)
	}
}

func TestPeersStaySortedWhenOneTellsItsName(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, "a")
	p.say("n2", State{Node: "z", Seq: 1})
	for _, name := range []string{"n3", "z"} {
		if q := p.n.peer(name); q == nil || q.Name != name {
			t.Errorf("peer %s is not found after another one has told its name", name)
		}
	}
}

// A node that asks has a way here, so there is probably one back.
func TestPeerThatAsksIsAskedAtOnceWhileItIsNotHeard(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a")
	p.pass(Second)
	asks := func() bool {
		return slices.ContainsFunc(p.step(StateAsked{From: "n2", Token: 1}), func(e Effect) bool {
			_, ok := e.(Fetch)
			return ok
		})
	}
	if !asks() {
		t.Error("n2 asks, and is not asked before its next poll")
	}
	p.say("n2", State{Seq: 1})
	p.pass(Second)
	if asks() {
		t.Error("n2 is heard, and is asked before its next poll")
	}
}

// Two nodes have a stream that do not hear each other. This node hears only one of them itself, and media reaches it from that one.
func TestOfTwoOwnersTheOneThatIsHeardItselfIsNamed(t *testing.T) {
	for _, reached := range []string{"n2", "n3"} {
		p := newProbe(t, []string{"n2", "n3"}, "a")
		claim := Claim{Stream: "a", State: ClaimRunning, Why: Home, Home: p.n.byName["a"].Home}
		p.say("n2", State{Seq: 1, Claims: []Claim{claim}})
		p.say("n3", State{Seq: 1, Claims: []Claim{claim}})
		other := map[string]string{"n2": "n3", "n3": "n2"}[reached]
		for seq := uint64(2); p.n.View().Peer(other).Direct; seq++ {
			p.pass(2100 * Millisecond)
			p.say(reached, State{Seq: seq, Claims: []Claim{claim}, Ages: []Age{{
				Node: other, Instance: "i" + other, Seq: seq, Full: true, Claims: []Claim{claim},
			}}})
		}
		if v := p.n.View(); !v.Peer(other).Alive || v.Stream("a").Owner != reached {
			t.Errorf("the owner is %s, want %s; %s is alive: %t", v.Stream("a").Owner, reached, other, v.Peer(other).Alive)
		}
	}
}
