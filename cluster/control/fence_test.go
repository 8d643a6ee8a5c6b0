package control

import "testing"

// suspend freezes a machine and its monotonic clock.
func (m *machine) suspend(d Instant) {
	m.w.after(d, func() { m.offset -= d }) // before it wakes
	m.pause(d)
	m.held = append(m.held, func() { m.step(Suspended{d}) })
}

func TestSuspendedNodeClaimsNothingBeforeItHasHeardTheOthers(t *testing.T) {
	for seed := range uint64(20) {
		w := calm(t, seed, 3, kept(30))
		m := w.machine("n2")
		m.suspend(20 * Second)
		w.run(20 * Second)
		for s, owner := range w.home() {
			if owner == "n2" && w.owners()[s] == "n2" {
				t.Errorf("seed %d: nobody took %s over", seed, s)
			}
		}
		w.reset()
		w.run(10 * Second)
		w.wantOwners(w.home())
		w.wantAgreement()
		if w.starts != 10 || m.noted(NoteStale) != 0 || m.noted(NoteSuspended) != 1 {
			t.Errorf("seed %d: %d starts, %d peers taken for dead, %d suspends noticed; want those of the suspended node, 0, 1", seed, w.starts, m.noted(NoteStale), m.noted(NoteSuspended))
		}
		if limit := w.fetch*11/10 + 2*w.delay + w.down; w.maxGap > 0 || w.maxDup > limit {
			t.Errorf("seed %d: gap %d ms, overlap %d ms, want 0 and at most %d", seed, w.maxGap/Millisecond, w.maxDup/Millisecond, limit/Millisecond)
		}
	}
}

func TestSuspendedNodeLetsGoOfSourcesOfOneConnection(t *testing.T) {
	w := single(t, 1, 3, 12)
	m := w.machine("n2")
	m.n.cfg.ReturnHolddown = 20 * Second
	m.suspend(20 * Second)
	w.run(20*Second + w.down + Millisecond)
	for _, s := range sortedKeys(m.captures) {
		if c := m.captures[s]; c.state != Idle {
			t.Errorf("%s is %v on the node that was suspended, want idle", s, c.state)
		}
	}
	w.reset()
	w.run(18 * Second)
	if w.starts != 0 {
		t.Errorf("%d sources of one connection were taken back before the hold-down", w.starts)
	}
	w.run(60 * Second)
	w.wantOwners(w.home())
	w.wantAgreement()
}

func TestShortSuspendMovesNothing(t *testing.T) {
	for seed := range uint64(10) {
		w := calm(t, seed, 3, kept(30))
		w.machine("n2").suspend(1200 * Millisecond)
		w.run(10 * Second)
		if w.starts != 0 || w.machine("n2").noted(NoteSuspended) != 0 {
			t.Errorf("seed %d: %d starts and %d fences by a suspend below S/2, want none", seed, w.starts, w.machine("n2").noted(NoteSuspended))
		}
	}
}

func TestSuspendedNodeIsNotWarmBeforeItsPeersHaveAnswered(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a")
	p.say("n2", State{Seq: 1})
	p.step(Suspended{For: 9 * Second})
	if p.n.View().Warm {
		t.Error("a node that was suspended is warm at once")
	}
	p.say("n2", State{Seq: 2})
	if !p.n.View().Warm {
		t.Error("a node that was suspended is not warm after all peers have answered")
	}
}

func TestSuspensionDoesNotDelayThatASilentPeerIsNoticed(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a")
	p.say("n2", State{Seq: 1})
	heard := p.now
	p.pass(Second)
	p.step(Suspended{For: 4 * Second})
	p.silentFrom(heard, "n2")
}
