package control

import (
	"slices"
	"testing"
)

// single makes count streams whose source allows one connection, in a world where that is so.
func single(t *testing.T, seed uint64, nodes, count int) *world {
	streams := kept(count)
	for i := range streams {
		streams[i].Break = true
	}
	w := calm(t, seed, nodes, streams)
	w.single = true
	return w
}

func TestReturnToASourceOfOneConnectionNeverOverlapsAndKeepsItsBound(t *testing.T) {
	for seed := range uint64(20) {
		w := single(t, seed, 3, 12)
		w.machine("n1").crash()
		w.run(10 * Second)
		w.reset()
		w.refused = 0
		w.machine("n1").boot()
		w.run(20 * Second)
		w.wantOwners(w.home())
		w.wantAgreement()
		if w.maxDup > 0 || w.refused > 0 {
			t.Errorf("seed %d: two nodes had a source for %d ms, %d connections were refused; want never", seed, w.maxDup/Millisecond, w.refused)
		}
		// B5 for break: 2d, the end of one capture and the start of the other.
		if limit := 2*w.delay + w.down + w.up; w.maxGap > limit || w.maxGap == 0 {
			t.Errorf("seed %d: the gap was %d ms, want one of at most %d", seed, w.maxGap/Millisecond, limit/Millisecond)
		}
		if w.starts != 4 {
			t.Errorf("seed %d: %d captures were started, want the 4 that returned", seed, w.starts)
		}
	}
}

func TestWithoutAnAnswerASourceOfOneConnectionIsTakenBackAfterS(t *testing.T) {
	w := single(t, 1, 3, 12)
	w.single, w.mute = false, true
	w.machine("n1").crash()
	w.run(10 * Second)
	m := w.machine("n1")
	m.boot()
	w.run(2*Second + w.fetch) // warm, and return_holddown
	if n := m.noted(NoteAsked); n != 4 || w.starts != 4 {
		t.Fatalf("%d streams were asked for, %d starts; want 4, and the 4 of the take-over", n, w.starts)
	}
	w.run(w.stale)
	if w.starts != 8 {
		t.Errorf("%d captures were started, want the 4 that returned beside those of the take-over", w.starts)
	}
	w.run(10 * Second)
	w.wantOwners(w.home())
	w.wantAgreement()
}

func TestOnlyANodeThatComesFirstIsLetHaveAStream(t *testing.T) {
	w := single(t, 1, 3, 12)
	home := w.home()
	var of []string
	for _, s := range sortedKeys(home) {
		if home[s] == "n2" {
			of = append(of, s)
		}
	}
	m := w.machine("n2")
	answers := []bool{}
	ask := func(stream, from string) {
		m.token++
		m.waiting[m.token] = func(released bool) { answers = append(answers, released) }
		m.step(ReleaseAsked{Stream: stream, From: from, Token: m.token})
	}
	ask(of[0], "n1")     // comes after the home
	ask(of[0], "nobody") // is no peer
	ask("cam999", "n1")  // is not captured here
	if !slices.Equal(answers, []bool{false, false, true}) {
		t.Errorf("answers = %v, want false, false, true", answers)
	}
	w.run(Second)
	w.wantOwners(home)
}

func TestDrainOfASourceOfOneConnectionLetsGoFirst(t *testing.T) {
	for seed := range uint64(10) {
		w := single(t, seed, 3, 12)
		m := w.machine("n1")
		m.step(Drain{})
		w.run(10 * Second)
		if len(m.drained) != 1 || m.drained[0].Left != 0 {
			t.Fatalf("seed %d: drained = %v, want once with nothing left", seed, m.drained)
		}
		// The others see the end at their next poll.
		if limit := w.fetch*11/10 + 2*w.delay + w.down + w.up; w.maxDup > 0 || w.refused > 0 || w.maxGap > limit {
			t.Errorf("seed %d: overlap %d ms, %d refused, gap %d ms; want 0, 0, at most %d",
				seed, w.maxDup/Millisecond, w.refused, w.maxGap/Millisecond, limit/Millisecond)
		}
		if w.starts != 4 {
			t.Errorf("seed %d: %d captures were started, want 4", seed, w.starts)
		}
	}
}

func TestAnswerToAnEarlierQuestionReleasesNothing(t *testing.T) {
	p := probeOf(t, []string{"n2", "n3"}, func() (list []Stream) {
		for _, name := range camNames {
			list = append(list, Stream{Name: name, Clustered: true, Break: true})
		}
		return list
	}()...)
	seq := uint64(0)
	beat := func(n2, n3 []Claim) {
		seq++
		p.say("n2", State{Seq: seq, Claims: n2})
		p.say("n3", State{Seq: seq, Claims: n3})
	}
	claims := func(but string, extra ...string) (out []Claim) {
		for _, name := range append(slices.Clone(camNames), extra...) {
			if name != but {
				out = append(out, Claim{Stream: name, State: ClaimRunning})
			}
		}
		return out
	}
	beat(nil, nil)
	s := p.home("n1")
	mine := []Claim{{Stream: s, State: ClaimRunning}}
	beat2 := func(n2, n3 []Claim) { p.pass(2200 * Millisecond); beat(n2, n3) }
	p.n.byName[s].State = Idle // it has not begun it
	beat2(append(claims(s), mine...), nil)
	for p.n.byName[s].AskedOf == "" {
		if p.now > 120*Second {
			t.Fatal("n1 never asks for its stream")
		}
		beat2(append(claims(s), mine...), nil)
	}
	if got := p.n.byName[s].AskedOf; got != "n2" {
		t.Fatalf("n1 asks %s, want n2", got)
	}
	beat2(append(claims(s), mine...), mine)
	p.step(Released{Stream: s, Node: "n2"}) // n3 has it too
	beat2(claims(s), mine)
	if got := p.n.byName[s]; got.AskedOf != "n3" || got.State != Idle {
		t.Fatalf("asked of %q, %v, want n3 to be asked and the stream idle", got.AskedOf, got.State)
	}
	beat2(claims(s), mine)
	if got := p.n.byName[s].State; got != Idle {
		t.Errorf("the stream is %v before n3 has released it", got)
	}
}

func TestQuestionThatIsGivenUpIsNoReturn(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a")
	p.say("n2", State{Seq: 1})
	s := p.n.byName["a"]
	s.State, s.AskedOf, s.Returning, p.n.returning = Idle, "n2", true, 1
	p.step(Drain{})
	if s.AskedOf != "" || p.n.returning != 0 {
		t.Errorf("a node that drains waits for an answer of %q, and has %d returns under way, want none", s.AskedOf, p.n.returning)
	}
}

func TestRequestForAReleaseIsAnsweredOnce(t *testing.T) {
	p := newProbe(t, nil, "a")
	s := p.n.byName["a"]
	s.Releases = []uint64{1}
	before := len(p.n.out)
	for range 2 {
		p.n.answerReleases(s, true)
	}
	if got := len(p.n.out) - before; got != 1 {
		t.Errorf("%d answers, want 1", got)
	}
}
