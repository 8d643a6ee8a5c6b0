package control

import "testing"

// The same seed has to give the same trace, whatever else differs.
func TestSameSeedGivesTheSameTrace(t *testing.T) {
	run := func() uint64 {
		w := newWorld(t, 42)
		w.loss = 10
		w.add(5, kept(50))
		w.bootAll()
		w.run(10 * Second)
		for range 10 {
			w.storm()
		}
		return w.trace.Sum64()
	}
	first := run()
	for range 3 {
		if got := run(); got != first {
			t.Fatalf("trace hash = %x, want %x", got, first)
		}
	}
}

// storm does something bad to the world for a while.
func (w *world) storm() {
	m := w.nodes[w.rng.IntN(len(w.nodes))]
	d := Instant(w.rng.Int64N(int64(8*Second))) + 100*Millisecond
	switch w.rng.IntN(5) {
	case 0:
		if m.up {
			m.crash()
			w.run(d)
			m.boot()
		}
	case 1:
		if m.up && !m.paused {
			m.pause(d)
		}
	case 2:
		for _, other := range w.nodes {
			if w.rng.IntN(2) == 0 {
				w.cut[[2]string{m.name, other.name}], w.cut[[2]string{other.name, m.name}] = true, true
			}
		}
	case 3:
		w.cut[[2]string{m.name, w.nodes[w.rng.IntN(len(w.nodes))].name}] = true
	case 4:
		if m.up {
			m.crash()
			m.boot()
		}
	}
	w.run(Instant(w.rng.Int64N(int64(4 * Second))))
	if w.rng.IntN(2) == 0 {
		clear(w.cut)
	}
}

func TestAfterAnyStormEveryStreamComesHome(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		w := newWorld(t, seed)
		w.loss = w.rng.IntN(20)
		w.add(2+w.rng.IntN(4), kept(24))
		w.bootAll()
		for range 12 {
			w.storm()
		}
		clear(w.cut)
		w.loss = 0
		w.run(60 * Second)
		w.wantOwners(w.home())
		w.wantAgreement()
		w.reset()
		w.run(60 * Second)
		if w.starts != 0 {
			t.Errorf("seed %d: %d captures were started in quiet", seed, w.starts)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
