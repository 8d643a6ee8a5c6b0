package sim

import "testing"

func TestStandardPackReachesEveryStateAndExercisesEveryRule(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	r := Pack(SweepOptions{From: 1, Seeds: 300})
	for _, name := range r.Missing {
		t.Errorf("the state %q never occurred", name)
	}
	for _, name := range r.Idle {
		t.Errorf("nothing exercised %s", name)
	}
	for _, f := range r.Failures {
		t.Errorf("seed %d (%s): %s at %v: %s", f.Seed, f.Scenario.Name, f.Violation.Invariant, f.Violation.At, f.Violation.Text)
	}
	t.Log(r.Sometimes)
	for _, v := range r.Verdicts {
		t.Log(v)
	}
}
