package control

import "testing"

// join gives a settled world of three nodes a fourth, which every file then names, and lets it go on for a moment.
func join(t *testing.T, seed uint64, rate int) (w *world, streams int) {
	w = newWorld(t, seed)
	w.add(4, kept(40))
	for _, m := range w.nodes {
		m.cfg.ReturnHolddown, m.cfg.RebalanceRate = Second, rate
	}
	all := w.nodes[0].cfg.Peers
	for _, m := range w.nodes[:3] {
		m.cfg.Peers = all[:3]
		m.boot()
	}
	w.run(10 * Second)
	fourth := w.nodes[3]
	for _, m := range w.nodes[:3] {
		m.cfg.Peers = all
		m.step(ConfigChanged{Config: m.cfg})
	}
	fourth.boot()
	return w, 40
}

func TestAfterAnEditStreamsMoveAtARateUntilTheNodesAreEven(t *testing.T) {
	for seed := range uint64(5) {
		w, _ := join(t, seed, 1)
		// The fourth node takes what is its home's after its own boot (R2); take that away to see the rest.
		w.run(60 * Second)
		counts := w.counts()
		for i, c := range counts {
			if c < 9 || c > 11 {
				t.Errorf("seed %d: %s has %d streams of 40 on 4 nodes: %v", seed, w.nodes[i].name, c, counts)
			}
		}
		if w.maxGap > 2*Second {
			t.Errorf("seed %d: a gap of %d ms", seed, w.maxGap/Millisecond)
		}
		w.reset()
		w.run(60 * Second)
		if w.starts != 0 {
			t.Errorf("seed %d: %d captures were started when all was even", seed, w.starts)
		}
		w.wantAgreement()
	}
}

func TestRebalancerKeepsItsRateAndStopsWhenEven(t *testing.T) {
	for seed := range uint64(5) {
		// Two nodes have all; an edit lets a third have them, which is there already.
		w := newWorld(t, seed)
		w.add(3, kept(30))
		for _, m := range w.nodes {
			m.cfg.RebalanceRate = 1
		}
		full, none := w.nodes[0].cfg.Streams, []Stream{}
		third := w.nodes[2]
		third.cfg.Streams = none
		w.bootAll()
		w.run(15 * Second)
		w.wantCounts(15, 15, 0)
		w.reset()
		third.cfg.Streams = full
		third.step(ConfigChanged{Config: third.cfg})
		w.run(3 * w.fetch)
		if n := w.starts; n > 4 {
			t.Errorf("seed %d: %d streams moved in three intervals, want about one each", seed, n)
		}
		moved := w.starts
		for range 40 {
			w.run(w.fetch)
			if n := w.starts - moved; n > 2 {
				t.Fatalf("seed %d: %d streams moved in one interval, want one", seed, n)
			}
			moved = w.starts
		}
		if c := w.counts(); c[2] < 9 || c[0] > 11 || c[1] > 11 {
			t.Errorf("seed %d: the nodes have %v streams, want them even", seed, c)
		}
		if w.maxGap > 0 {
			t.Errorf("seed %d: rebalancing made a gap of %d ms", seed, w.maxGap/Millisecond)
		}
	}
}

func TestWithoutRebalancingAnEditMovesNothing(t *testing.T) {
	w := newWorld(t, 1)
	w.add(3, kept(30))
	full := w.nodes[0].cfg.Streams
	third := w.nodes[2]
	third.cfg.Streams = nil
	w.bootAll()
	w.run(15 * Second)
	w.reset()
	third.cfg.Streams = full
	third.step(ConfigChanged{Config: third.cfg})
	w.run(60 * Second)
	if w.starts != 0 {
		t.Errorf("%d streams moved by an edit, want none", w.starts)
	}
}

func TestDifferenceOfOneMovesNothing(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a", "b", "c")
	p.n.cfg.RebalanceRate = 1
	p.say("n2", State{Seq: 1})
	mine := []string{}
	var theirs []Claim
	for _, name := range []string{"a", "b", "c"} {
		s := p.n.byName[name]
		s.MayReturn = false
		if s.Home == "n1" && len(mine) == 0 {
			mine = append(mine, name)
			continue
		}
		s.State = Idle
		theirs = append(theirs, Claim{Stream: name, State: ClaimRunning})
	}
	p.pass(2200 * Millisecond)
	p.say("n2", State{Seq: 2, Claims: theirs})
	if p.n.byName[mine[0]].active() && p.noted(NoteRebalanced) {
		t.Error("a stream moves from a node with two streams to one with one")
	}
}
