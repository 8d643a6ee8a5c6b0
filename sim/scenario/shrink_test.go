package scenario_test

import (
	"testing"
	"time"

	"weir/sim"
	"weir/sim/scenario"
)

// Whatever a swarm finds is printed small, to be saved and run again: it has to be read, and to show the same.
func TestWhatWasShrunkIsReadAndShowsTheSame(t *testing.T) {
	shown := 0
	for seed := uint64(1); seed <= 40 && shown < 4; seed++ {
		s := sim.Draw(seed, sim.SwarmOptions{Disturbed: 60 * time.Second, MinHealing: 30 * time.Second})
		// Something that no rule promises, so that there is always something to shrink.
		s.Steps = append(s.Steps, sim.Step{At: 30 * time.Second, Expect: sim.NoTakeOver{}})
		r := sim.Run(s, sim.Options{})
		if len(r.Violations) == 0 {
			continue
		}
		v := r.Violations[0]
		small, ok := sim.Shrink(s, v, sim.ShrinkOptions{Runs: 150})
		if !ok {
			t.Errorf("seed %d: the violation does not show again", seed)
			continue
		}
		shown++
		text := scenario.Format(small)
		d, problems := scenario.Parse("found.txtar", []byte(text))
		if d == nil {
			t.Errorf("seed %d: what was printed is not read: %v\n%s", seed, problems, text)
			continue
		}
		again := sim.Run(d.Scenario, sim.Options{})
		if len(again.Violations) == 0 || again.Violations[0].Invariant != v.Invariant {
			t.Errorf("seed %d: what was printed shows %v, want %s\n%s", seed, again.Violations, v.Invariant, text)
		}
	}
	if shown < 4 {
		t.Errorf("only %d runs had something to shrink", shown)
	}
}
