package control

import (
	"slices"
	"testing"

	"weir/cluster/place"
)

// calm returns a world of count nodes that has settled.
func calm(t *testing.T, seed uint64, count int, streams []Stream) *world {
	w := newWorld(t, seed)
	w.add(count, streams)
	w.bootAll()
	w.run(10 * Second)
	w.wantOwners(w.home())
	w.wantAgreement()
	w.reset()
	return w
}

func TestColdStartGivesEveryStreamOneOwnerAndSpreadsThemEvenly(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed)
		w.add(3, kept(31))
		w.bootAll()
		// All are up within 100 ms; then B6: F/4 until the last poll, 2d for its answer, and the start.
		w.run(100*Millisecond + w.fetch/4 + 2*w.delay + w.up)
		w.wantOwners(w.home())
		if w.starts != 31 {
			t.Errorf("seed %d: %d captures were started, want 31", seed, w.starts)
		}
		w.run(5 * Second)
		w.wantAgreement()
		count := map[string]int{}
		for _, s := range w.nodes[0].cfg.Streams {
			count[w.owners()[s.Name]]++
		}
		for _, m := range w.nodes {
			if c := count[m.name]; c < 10 || c > 11 {
				t.Errorf("seed %d: %s captures %d of 31 streams, want 10 or 11", seed, m.name, c)
			}
		}
	}
}

func TestNobodyClaimsWhileItWarmsUp(t *testing.T) {
	w := newWorld(t, 1)
	w.add(3, kept(30))
	w.machine("n3").up = false // never booted
	w.machine("n1").boot()
	w.machine("n2").boot()
	w.run(w.stale - Millisecond)
	if w.starts != 0 {
		t.Fatalf("%d captures were started before S passed with a silent peer, want 0", w.starts)
	}
	w.run(Millisecond + w.up)
	if w.starts != 30 {
		t.Errorf("%d captures were started after S, want 30", w.starts)
	}
	for s, owner := range w.owners() {
		if owner != "n1" && owner != "n2" {
			t.Errorf("%s is captured by %s", s, owner)
		}
	}
}

func TestCrashMovesOnlyTheStreamsOfTheDeadNodeWithinTheBound(t *testing.T) {
	for seed := range uint64(20) {
		w := calm(t, seed, 5, kept(50))
		before := w.owners()
		w.run(Instant(seed) * 97 * Millisecond)
		w.machine("n2").crash()
		// B2 with relay: S + 3d + start.
		w.run(w.stale + 3*w.delay + w.up)
		for s, owner := range w.owners() {
			if before[s] == "n2" && (owner == "n2" || owner == "-") {
				t.Errorf("seed %d: %s is captured by %s after its node died", seed, s, owner)
			}
			if before[s] != "n2" && owner != before[s] {
				t.Errorf("seed %d: %s moved from %s to %s though its node lives", seed, s, before[s], owner)
			}
		}
		if w.maxDup > 0 {
			t.Errorf("seed %d: a stream was captured twice for %d ms", seed, w.maxDup/Millisecond)
		}
		if w.starts != 10 {
			t.Errorf("seed %d: %d captures were started, want the 10 of the dead node", seed, w.starts)
		}
		w.run(w.stale)
		w.wantAgreement()
	}
}

func TestReturningNodeTakesItsStreamsBackWithoutAGap(t *testing.T) {
	for seed := range uint64(20) {
		w := calm(t, seed, 3, kept(30))
		w.machine("n1").crash()
		w.run(10 * Second)
		interim := w.owners()
		w.reset()
		w.machine("n1").boot()
		w.run(Second - Millisecond)
		w.wantOwners(interim) // return_holddown
		w.run(20 * Second)
		w.wantOwners(w.home())
		w.wantAgreement()
		if w.maxGap > 0 || len(w.gapFrom) > 0 {
			t.Errorf("seed %d: a stream had no running capture for %d ms", seed, w.maxGap/Millisecond)
		}
		// B4: the other sees it running at its next poll.
		if limit := w.fetch*11/10 + 2*w.delay + w.down; w.maxDup > limit {
			t.Errorf("seed %d: a stream was captured twice for %d ms, want at most %d", seed, w.maxDup/Millisecond, limit/Millisecond)
		}
		if w.starts != 10 {
			t.Errorf("seed %d: %d captures were started, want 10", seed, w.starts)
		}
	}
}

func TestReturnStartsAFewStreamsAtATime(t *testing.T) {
	w := calm(t, 1, 2, kept(30))
	m := w.machine("n1")
	m.crash()
	w.run(10 * Second)
	m.boot()
	for range 4000 {
		w.run(5 * Millisecond)
		starting := 0
		for _, c := range m.captures {
			if c.state == Starting {
				starting++
			}
		}
		if starting > MaxReturning {
			t.Fatalf("%d streams are starting at once on the returning node, want at most %d", starting, MaxReturning)
		}
	}
	w.wantOwners(w.home())
}

func TestQuickRestartKeepsStreamsAtHome(t *testing.T) {
	w := calm(t, 3, 3, kept(30))
	m := w.machine("n2")
	m.crash()
	w.run(Second)
	m.boot()
	w.run(5 * Second)
	w.wantOwners(w.home())
	if w.starts != 10 {
		t.Errorf("%d captures were started, want the 10 of the restarted node", w.starts)
	}
	if got := w.machine("n1").n.View().Peer("n2"); got.Generation != 2 || got.Inc == 0 {
		t.Errorf("generation %d, inc %d after a restart, want 2 and more than 0", got.Generation, got.Inc)
	}
}

func TestPausedNodeTakesNothingAndLeavesOneOwner(t *testing.T) {
	for seed := range uint64(20) {
		w := calm(t, seed, 3, kept(30))
		m := w.machine("n2")
		m.pause(8 * Second)
		w.run(8*Second - 1)
		for s, owner := range w.owners() {
			if w.home()[s] == "n2" && owner == "n2" {
				t.Errorf("seed %d: nobody took %s over from the paused node", seed, s)
			}
		}
		w.reset()
		before := epochs(m)
		w.onStop = func(other *machine, e StopCapture) {
			if c := m.captures[e.Stream]; other != m && (c == nil || c.epoch == before[e.Stream]) {
				t.Errorf("seed %d: %s let go of %s, of which the paused node has old media", seed, other.name, e.Stream)
			}
		}
		w.run(5 * Second)
		// The paused node lets go of what others run, and takes it back as after a return.
		w.wantOwners(w.home())
		w.wantAgreement()
		if w.starts != 10 {
			t.Errorf("seed %d: %d captures were started after the pause, want the 10 of the paused node", seed, w.starts)
		}
		if m.noted(NoteOverslept) != 1 || m.noted(NoteStale) != 0 {
			t.Errorf("seed %d: the paused node noticed %d pauses and took %d peers for dead, want 1 and 0", seed, m.noted(NoteOverslept), m.noted(NoteStale))
		}
		if w.maxGap > 0 {
			t.Errorf("seed %d: gap of %d ms after the pause", seed, w.maxGap/Millisecond)
		}
		if limit := w.fetch*11/10 + 2*w.delay + w.down; w.maxDup > limit {
			t.Errorf("seed %d: a stream was captured twice for %d ms, want at most %d", seed, w.maxDup/Millisecond, limit/Millisecond)
		}
	}
}

// epochs are those of the captures of a machine.
func epochs(m *machine) map[string]uint64 {
	all := map[string]uint64{}
	for s, c := range m.captures {
		all[s] = c.epoch
	}
	return all
}

// The pause is longer than half of S, so that the node cannot tell whether others have taken over.
func TestPauseJustBelowTheTimeoutMovesNothing(t *testing.T) {
	for seed := range uint64(20) {
		w := calm(t, seed, 3, kept(30))
		m := w.machine("n2")
		m.pause(1950 * Millisecond)
		w.run(1950 * Millisecond)
		taken := 0
		for s, owner := range w.owners() {
			if w.home()[s] == "n2" && owner != "n2" {
				taken++
			}
		}
		w.run(10 * Second)
		if w.starts != 0 || taken != 0 || m.noted(NoteOverslept) != 1 {
			t.Errorf("seed %d: %d captures were started, %d streams taken over, %d pauses noticed; want 0, 0, 1", seed, w.starts, taken, m.noted(NoteOverslept))
		}
		for i := range m.n.streams {
			if m.n.streams[i].Unsure {
				t.Errorf("seed %d: the node still doubts that it owns %s", seed, m.n.streams[i].Name)
			}
		}
	}
}

func TestShortPauseMovesNothing(t *testing.T) {
	for seed := range uint64(20) {
		w := calm(t, seed, 3, kept(30))
		w.machine("n2").pause(1700 * Millisecond)
		w.run(10 * Second)
		if w.starts != 0 {
			t.Errorf("seed %d: %d captures were started by a pause below S, want 0", seed, w.starts)
		}
	}
}

func TestPartitionGivesEachSideAllStreamsAndHealsToOneOwner(t *testing.T) {
	for seed := range uint64(20) {
		w := calm(t, seed, 3, kept(30))
		split := func(cut bool) {
			for _, other := range []string{"n2", "n3"} {
				w.cut[[2]string{"n1", other}], w.cut[[2]string{other, "n1"}] = cut, cut
			}
		}
		split(true)
		w.run(w.stale + 3*w.delay + w.up)
		for _, s := range w.nodes[0].cfg.Streams {
			other := 0
			for _, name := range []string{"n2", "n3"} {
				if c := w.machine(name).captures[s.Name]; c != nil && c.state == Running {
					other++
				}
			}
			if c := w.machine("n1").captures[s.Name]; c == nil || c.state != Running || other != 1 {
				t.Errorf("seed %d: %s is not captured once on each side", seed, s.Name)
			}
		}
		w.run(5 * Second)
		split(false)
		w.reset()
		w.run(w.fetch*11/10 + 2*w.delay + w.down + Millisecond)
		w.wantOwners(w.home())
		if w.maxGap > 0 || len(w.gapFrom) > 0 {
			t.Errorf("seed %d: healing left a gap", seed)
		}
		w.run(5 * Second)
		w.wantOwners(w.home())
		w.wantAgreement()
	}
}

func TestOneWayLinkCausesNoFalseTakeOver(t *testing.T) {
	for seed := range uint64(20) {
		w := calm(t, seed, 3, kept(30))
		w.cut[[2]string{"n1", "n2"}] = true // requests of n1 and answers to n2 are lost
		w.run(60 * Second)
		if w.starts != 0 {
			t.Errorf("seed %d: %d captures were started over a one-way link, want 0", seed, w.starts)
		}
		if p := w.machine("n1").n.View().Peer("n2"); !p.Alive || p.Direct {
			t.Errorf("seed %d: n1 sees n2 alive = %v, direct = %v, want true, false", seed, p.Alive, p.Direct)
		}
		w.wantAgreement()
		// Without the third node there is nobody to tell.
		w.machine("n3").crash()
		w.run(10 * Second)
		if p := w.machine("n1").n.View().Peer("n2"); p.Alive {
			t.Errorf("seed %d: n1 takes n2 for alive without evidence", seed)
		}
	}
}

// A node that hears another only through a third knows what it claims by relay: without, it would start what that one
// has taken over.
func TestRelayedClaimsPreventSecondCaptures(t *testing.T) {
	for seed := range uint64(20) {
		w := calm(t, seed, 4, kept(40))
		w.cut[[2]string{"n1", "n2"}] = true
		w.run(5 * Second)
		w.machine("n4").crash()
		w.run(10 * Second)
		w.machine("n1").crash()
		w.run(10 * Second)
		w.reset()
		w.machine("n1").boot() // meets n2 only by the word of n3
		w.run(30 * Second)
		for s, owner := range w.owners() {
			if owner == "-" || len(owner) > 2 {
				t.Errorf("seed %d: %s is captured by %s", seed, s, owner)
			}
		}
	}
}

func TestLossCausesNoFalseTakeOver(t *testing.T) {
	w := calm(t, 5, 5, kept(10))
	w.loss = 5
	hours := Instant(4)
	if testing.Short() {
		hours = 1
	}
	w.run(hours * 3600 * Second)
	if w.starts != 0 {
		t.Errorf("%d captures were started in %d hours with 0.5 %% loss each way, want 0", w.starts, hours)
	}
}

func TestCalmCostsOnePollOfEachPeerInAnInterval(t *testing.T) {
	w := calm(t, 1, 5, kept(10))
	before := uint64(0)
	for _, m := range w.nodes {
		before += m.n.fetchID
	}
	w.run(600 * Second)
	polls := uint64(0)
	for _, m := range w.nodes {
		polls += m.n.fetchID
	}
	polls -= before
	// I27: n(n-1)/F, with the jitter of 10 %.
	if want := uint64(5 * 4 * 600); polls < want*9/10 || polls > want*11/10 {
		t.Errorf("%d polls in 600 s by 5 nodes, want about %d", polls, want)
	}
}

func TestWrongKeyChangesNoState(t *testing.T) {
	w := calm(t, 1, 3, kept(30))
	stranger := w.machine("n3")
	stranger.crash()
	w.run(10 * Second)
	before, seen := w.owners(), w.machine("n1").n.View().Peer("n3")
	w.reset()
	stranger.key = "guess"
	stranger.boot()
	w.run(20 * Second)
	for s, owner := range before {
		for _, name := range []string{"n1", "n2"} {
			c := w.machine(name).captures[s]
			if has := c != nil && c.state == Running; has != (owner == name) {
				t.Errorf("%s: capture of %s = %v after a stranger came, want it as before", name, s, has)
			}
		}
	}
	m := w.machine("n1")
	p := m.n.View().Peer("n3")
	if p.Status != Refused || p.Alive || p.Instance != seen.Instance || p.Inc != seen.Inc || p.Generation != seen.Generation {
		t.Errorf("peer with a wrong key = %+v, want it unauthorised and otherwise as before: %+v", p, seen)
	}
	if got := m.noted(NoteRefused); got != 1 {
		t.Errorf("%d warnings about the wrong key, want 1", got)
	}
}

// Static order (I4, I5): whoever yields yields to one that comes before it in the order computed from the names alone,
// and that really runs.
func TestOnlyTheLowerClaimantYieldsAndOnlyToARunningOne(t *testing.T) {
	for seed := range uint64(40) {
		w := calm(t, seed, 4, kept(20))
		home := w.home()
		w.onStop = func(m *machine, e StopCapture) {
			if !place.Before(e.Stream, "", home[e.Stream], e.To, m.name) {
				t.Errorf("seed %d: %s yielded %s to %s, which comes after it", seed, m.name, e.Stream, e.To)
			}
			if c := w.machine(e.To).captures[e.Stream]; c == nil || c.state != Running {
				t.Errorf("seed %d: %s yielded %s to %s, which does not run it", seed, m.name, e.Stream, e.To)
			}
		}
		for range 6 {
			a, b := w.nodes[w.rng.IntN(4)], w.nodes[w.rng.IntN(4)]
			w.cut[[2]string{a.name, b.name}], w.cut[[2]string{b.name, a.name}] = true, true
			w.run(Instant(w.rng.Int64N(int64(8 * Second))))
			clear(w.cut)
			w.run(4 * Second)
		}
		w.run(10 * Second)
		w.wantOwners(home)
	}
}

// runs makes the node run a stream that it is the only one to have.
func (p *probe) runs(stream string) {
	p.t.Helper()
	p.step(CaptureUp{Stream: stream})
	if got := p.n.byName[stream].State; got != Running {
		p.t.Fatalf("%s is %v, want running", stream, got)
	}
}

func TestFirstMediaOfACaptureThatIsBeingStoppedChangesNothing(t *testing.T) {
	p := newProbe(t, nil, "a")
	p.pass(probeStale)
	s := p.n.byName["a"]
	if s.State != Starting {
		t.Fatalf("a is %v, want starting", s.State)
	}
	p.step(ConfigChanged{Config: Config{Self: "n1", Named: true}}) // without a
	if s.State != Stopping {
		t.Fatalf("a is %v, want stopping", s.State)
	}
	p.step(CaptureUp{Stream: "a"})
	if s.State != Stopping || len(p.stopped()) > 0 {
		t.Errorf("a is %v after its first media, and stopped anew: %q; want it to be stopping still", s.State, p.stopped())
	}
}

// failsFor has the capture of a fail, and looks that it is started again after a pause and not before.
func (p *probe) failsFor(pause Instant) {
	p.t.Helper()
	p.step(CaptureDown{Stream: "a", Why: "no signal"})
	p.pass(pause - Millisecond)
	if got := p.n.byName["a"].State; got != Failed {
		p.t.Fatalf("a is %v before %d s have passed, want failed", got, pause/Second)
	}
	p.pass(2 * Millisecond)
	if got := p.n.byName["a"].State; got != Starting {
		p.t.Fatalf("a is %v after %d s, want starting", got, pause/Second)
	}
}

func TestSourceThatBringsNothingIsTriedLessAndLessOften(t *testing.T) {
	p := newProbe(t, nil, "a")
	p.pass(probeStale)
	for _, pause := range []Instant{1, 2, 4, 8, 16, 32, 60, 60} {
		p.failsFor(pause * Second)
	}
}

// A source that brings media for moments, as over a bad link, is played again within seconds of being well. Only when it has brought
// nothing for long is it tried seldom.
func TestSourceThatComesAndGoesIsTriedWithinSeconds(t *testing.T) {
	p := newProbe(t, nil, "a")
	p.pass(probeStale)
	for _, pause := range []Instant{1, 2, 4, 4, 4, 4, 4, 4} {
		p.runs("a") // for a moment
		p.pass(Second)
		p.failsFor(pause * Second)
	}
	for range 149 {
		p.failsFor(4 * Second)
	}
	for _, pause := range []Instant{60, 60} {
		p.failsFor(pause * Second)
	}
	p.runs("a")
	p.failsFor(4 * Second)
}

// Ten seconds of media make a failure the first again.
func TestSourceThatWasWellIsTriedWithinASecond(t *testing.T) {
	p := newProbe(t, nil, "a")
	p.pass(probeStale)
	for range 8 {
		p.runs("a")
		p.pass(11 * Second)
		p.step(CaptureDown{Stream: "a", Why: "no signal"})
		p.pass(Second + Millisecond)
		if got := p.n.byName["a"].State; got != Starting {
			t.Fatalf("a is %v a second after it failed, want starting", got)
		}
	}
}

func TestNodeIsDrainedOnlyOnceItsCapturesHaveEnded(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a", "b")
	p.say("n2", State{Seq: 1})
	s := p.home("n1")
	p.runs(s)
	p.step(Drain{})
	drained := func() bool {
		return slices.ContainsFunc(p.out, func(e Effect) bool { _, ok := e.(Drained); return ok })
	}
	p.pass(2200 * Millisecond)
	p.say("n2", State{Seq: 2, Claims: []Claim{{Stream: "a", State: ClaimRunning}, {Stream: "b", State: ClaimRunning}}})
	if got := p.n.byName[s].State; got != Stopping || drained() {
		t.Errorf("%s is %v, drained: %v; want it to be stopping, and not drained", s, got, drained())
	}
	p.step(CaptureStopped{Stream: s})
	if !drained() {
		t.Error("the node is not drained after its last capture has ended")
	}
}

func TestRestartedControlPlaneKnowsItsAgeAndWhatRuns(t *testing.T) {
	cfg := Config{
		Self: "n1", Named: true, Instance: "i1", ReturnHolddown: 30 * Second, Hash: "h",
		Streams: []Stream{{Name: "a", Clustered: true}, {Name: "b", Clustered: true}},
	}
	n := New(cfg, 1000*Second)
	n.Step(1000*Second, Resumed{Up: 60 * Second, Captures: []Capture{{Stream: "a", Up: true}, {Stream: "b"}}})
	if n.boot != 940*Second {
		t.Errorf("the process is %d s old, want 60", (1000*Second-n.boot)/Second)
	}
	if a, b := n.byName["a"].State, n.byName["b"].State; a != Running || b != Starting {
		t.Errorf("a is %v and b %v, want running and starting", a, b)
	}
}

func TestOfSeveralClaimantsTheFirstOfTheOrderHoldsTheStream(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	claims := make([]Claim, len(camNames))
	for i, name := range camNames {
		claims[i] = Claim{Stream: name, State: ClaimRunning}
	}
	p.say("n2", State{Seq: 1, Claims: claims})
	p.say("n3", State{Seq: 1, Claims: slices.Clone(claims)})
	for i, s := range p.n.planned {
		want := "n2"
		if place.Before(s.Name, "", s.Home, "n3", "n2") {
			want = "n3"
		}
		if got := p.n.nodes[p.n.claimed[i]]; got != want {
			t.Errorf("%s is held by %s, want %s", s.Name, got, want)
		}
	}
}

func TestDisabledStreamsAreNotTold(t *testing.T) {
	p := probeOf(t, nil, Stream{Name: "a", Clustered: true}, Stream{Name: "b", Clustered: true, Disabled: true})
	if len(p.n.own) != 1 || p.n.own[0].Name != "a" {
		t.Errorf("the node tells that its file has %+v, want a alone", p.n.own)
	}
}

func TestPinThatIsUnderstoodLaterIsToldAnew(t *testing.T) {
	p := probeOf(t, []string{"n2", "n3"}, Stream{Name: "live", Kind: Published, Pin: "z"})
	p.say("n2", State{Seq: 1})
	before := p.n.version
	p.pass(2200 * Millisecond)
	p.say("n2", State{Seq: 2, Names: []EntryName{{Entry: "n1:80", Node: "n1"}, {Entry: "n2:80", Node: "n2"}, {Entry: "n3:80", Node: "z"}}})
	if p.n.byName["live"].Pin != "z" || p.n.version == before {
		t.Errorf("the pin is %q, and the version of what is told went from %d to %d, want z and a later one", p.n.byName["live"].Pin, before, p.n.version)
	}
}

// The node that slept may have been taken for dead, so nobody yields to what it has. But it has it, however often it failed before.
func TestCaptureOfANodeThatSleptIsNoRetry(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a")
	p.say("n2", State{Seq: 1})
	p.step(CaptureUp{Stream: "a"})
	p.step(CaptureDown{Stream: "a", Why: "no route"})
	for p.n.byName["a"].State != Starting {
		p.pass(Second)
	}
	p.step(CaptureUp{Stream: "a"})
	p.now += probeStale * 3 / 4
	p.step(Tick{})
	if s := p.n.byName["a"]; !s.Unsure || s.Fails == 0 {
		t.Fatalf("unsure %t, failures %d, want a capture that is doubted after a failure", s.Unsure, s.Fails)
	}
	if c, ok := p.n.ownClaim(p.n.byName["a"]); !ok || c.State != ClaimStarting || c.Retry {
		t.Errorf("it claims %+v, want a start that is no retry", c)
	}
}
