package control

import "testing"

// rivals returns a world in which n3 and n1 each have a publisher of a stream, and do not reach each other. N3 comes first in the order.
func rivals(t *testing.T, seed uint64) (w *world, live string, first, second *machine) {
	w, live = stage(t, seed, 3, "n3", "n1")
	first, second = w.machine("n3"), w.machine("n1")
	first.claim(live)
	w.run(5 * Second)
	w.reach("n1", "n3", false)
	w.run(Second)
	if v := second.claim(live); v.Verdict != Granted {
		t.Fatalf("the second publisher: %v, want granted", v)
	}
	return w, live, first, second
}

// reach says whether two machines reach each other.
func (w *world) reach(a, b string, yes bool) {
	for _, l := range [][2]string{{a, b}, {b, a}} {
		if yes {
			delete(w.cut, l)
		} else {
			w.cut[l] = true
		}
	}
}

func TestPublisherThatSendsStaysWhereAnotherIsSilentThatComesFirst(t *testing.T) {
	w, live, first, second := rivals(t, 1)
	w.run(5 * Second)
	first.step(PublisherSilent{Stream: live})
	w.run(5 * Second)
	w.reach("n1", "n3", true)
	for range 12 {
		w.run(Second)
		if c := second.captures[live]; c.state != Running {
			t.Fatalf("the publisher that sends is %v, want running", c.state)
		}
		w.wantOwner(live, "n1", "n1", "n2")
	}
	if c := first.captures[live]; c.state != Idle {
		t.Errorf("the silent publisher is %v after S, want idle", c.state)
	}
	w.wantOwner(live, "n1")
}

// The publisher that comes first falls silent about when the two nodes reach each other again, so that one of them may not have heard
// of it. One of the two publishers stays.
func TestOneOfTwoPublishersStaysWheneverTheOtherFallsSilent(t *testing.T) {
	for seed := range uint64(5) {
		for at := Instant(0); at < 5*Second; at += 100 * Millisecond {
			w, live, first, second := rivals(t, seed)
			w.run(5 * Second)
			w.after(2*Second, func() { w.reach("n1", "n3", true) })
			w.after(at, func() {
				if first.captures[live].state == Running {
					first.step(PublisherSilent{Stream: live})
				}
			})
			for range 250 {
				w.run(100 * Millisecond)
				if first.captures[live].state != Running && second.captures[live].state != Running {
					t.Fatalf("seed %d, silent at %d ms: no publisher is left", seed, at/Millisecond)
				}
			}
			if first.captures[live].state == Running && second.captures[live].state == Running {
				t.Errorf("seed %d, silent at %d ms: both publishers are left", seed, at/Millisecond)
			}
		}
	}
}

func TestPublisherThatSendsAgainComesFirstAgain(t *testing.T) {
	w, live, first, second := rivals(t, 1)
	first.step(PublisherSilent{Stream: live})
	w.reach("n1", "n3", true)
	w.run(3 * w.fetch)
	w.wantOwner(live, "n1")
	first.step(CaptureUp{Stream: live})
	w.run(2 * w.fetch)
	if c := first.captures[live]; c.state != Running {
		t.Errorf("the publisher that comes first and sends again is %v, want running", c.state)
	}
	if c := second.captures[live]; c.state != Idle {
		t.Errorf("the other one is %v, want idle", c.state)
	}
	w.wantOwner(live, "n3")
}

// A publisher may pause: nothing follows while there is no other one.
func TestSilentPublisherWithoutAnotherKeepsItsStream(t *testing.T) {
	w, live := stage(t, 1, 3, "n3", "n1")
	m := w.machine("n3")
	m.claim(live)
	w.run(5 * Second)
	for range 3 {
		m.step(PublisherSilent{Stream: live})
		for range 30 {
			w.run(Second)
			w.wantOwner(live, "n3")
		}
		for _, o := range w.nodes {
			if v := o.n.View().Stream(live); v.OwnerState != ClaimRunning || v.State != StreamRunning {
				t.Errorf("%s takes the stream for %s, its claim for %s, want running", o.name, v.State, v.OwnerState)
			}
		}
		m.step(CaptureUp{Stream: live})
		w.run(2 * w.fetch)
	}
	if n := m.noted(NoteSilent); n != 3 {
		t.Errorf("%d notes that the publisher is silent, want 3", n)
	}
	if w.starts != 0 || m.captures[live].state != Running {
		t.Errorf("%d starts, and the publisher is %v", w.starts, m.captures[live].state)
	}
}

// The state machine is replaced while a publisher is silent.
func TestResumedPublisherStaysSilent(t *testing.T) {
	p := probeOf(t, []string{"n2"}, Stream{Name: "live", Kind: Published})
	p.step(Resumed{Captures: []Capture{{Stream: "live", Up: true, Silent: true}}})
	if v := p.n.View().Stream("live"); len(v.Claimants) != 1 || !v.Claimants[0].Silent {
		t.Errorf("claims of a silent publisher that went on: %+v", v.Claimants)
	}
}
