package control

import "testing"

func TestHolddownDoublesWithEachReturnUpToEightfold(t *testing.T) {
	for k, want := range []Instant{30, 60, 120, 240, 240, 240} {
		if got := damped(30, k); got != want {
			t.Errorf("damped(30, %d) = %d, want %d", k, got, want)
		}
	}
	if got := damped(30, -1); got != 30 {
		t.Errorf("damped(30, -1) = %d, want 30", got)
	}
}

func TestNodeThatRestartsAgainAndAgainIsHeldLonger(t *testing.T) {
	for seed := range uint64(5) {
		w := newWorld(t, seed)
		w.add(3, kept(30))
		for _, m := range w.nodes {
			m.cfg.ReturnHolddown = 10 * Second
		}
		w.bootAll()
		w.run(15 * Second)
		m := w.machine("n1")
		moves := func(up Instant) int {
			m.crash()
			w.run(6 * Second)
			before := w.starts
			m.boot()
			w.run(up)
			return w.starts - before
		}
		for i, want := range []struct {
			up    Instant
			moves int
		}{
			{15 * Second, 10}, // R
			{15 * Second, 0},  // 2R
			{15 * Second, 0},  // 4R
			{79 * Second, 0},  // 8R, at most
		} {
			if got := moves(want.up); got != want.moves {
				t.Errorf("seed %d: after return %d, %d streams went back within %d s, want %d", seed, i+1, got, want.up/Second, want.moves)
			}
		}
		w.run(10 * Second)
		w.wantOwners(w.home())
		w.run(damping)
		if got := moves(15 * Second); got != 10 {
			t.Errorf("seed %d: ten minutes later %d streams went back after R, want 10", seed, got)
		}
	}
}

func TestStreamWhoseSourceFailsAgainAndAgainIsHeldLonger(t *testing.T) {
	w := calm(t, 1, 3, kept(9))
	home := w.home()["cam001"]
	m := w.machine(home)
	m.n.cfg.ReturnHolddown = 20 * Second
	back := func() Instant {
		w.dead[[2]string{home, "cam001"}] = true
		m.set("cam001", Idle)
		m.step(CaptureDown{Stream: "cam001", Why: "no frames"})
		failed := w.now
		w.run(15 * Second) // another node runs it
		delete(w.dead, [2]string{home, "cam001"})
		for range 2000 {
			if c := m.captures["cam001"]; c != nil && c.state == Running {
				return w.now - failed
			}
			w.run(100 * Millisecond)
		}
		return -1
	}
	var took []Instant
	for range 3 {
		took = append(took, back())
		w.run(2 * Second)
	}
	if took[0] < 20*Second || took[1] < 40*Second || took[2] < 80*Second || took[0] > 40*Second {
		t.Errorf("the home took its stream back after %v ns, want after R, 2R, 4R", took)
	}
}

// A peer that falls silent is heard of through others a little longer than directly. Evidence from before its death that comes after it
// corrects the death; it is no return.
func TestLateEvidenceOfASilentPeerIsNoReturn(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	p.say("n2", State{Seq: 1})
	p.say("n3", State{Seq: 1})
	p.pass(p.n.stale - Second)
	p.say("n3", State{Seq: 2})
	p.pass(Second)
	q := p.n.peer("n2")
	if q.Alive {
		t.Fatal("n2 is alive after the silence of stale_timeout")
	}
	p.say("n3", State{Seq: 3, Ages: []Age{{Node: "n2", Instance: "in2", Seq: 2, Age: int64((p.n.stale - 100*Millisecond) / Millisecond)}}})
	if !q.Alive || len(q.Flaps) > 0 || len(q.Returns) > 0 {
		t.Errorf("by evidence from before its death n2 is alive: %t, and came back %d times, %d without a restart; want true, 0 and 0", q.Alive,
			len(q.Returns), len(q.Flaps))
	}
	p.pass(Second)
	p.say("n2", State{Seq: 9})
	if !q.Alive || len(q.Flaps) != 1 || len(q.Returns) != 1 {
		t.Errorf("when it answers again n2 is alive: %t, and came back %d times, %d without a restart; want true, 1 and 1", q.Alive,
			len(q.Returns), len(q.Flaps))
	}
}
