package sim

import (
	"testing"
	"time"

	"weir/sim/oracle"
)

func TestShrinkKeepsWhatShowsTheFault(t *testing.T) {
	s := group(t, 6, 20, "")
	s.Seed = 7
	s.Steps = []Step{
		{At: 20 * time.Second, To: 50 * time.Second, Action: Random{}},
		{At: 30 * time.Second, Expect: OneEach{}},
	}
	r := Run(s, Options{})
	if len(r.Violations) == 0 {
		t.Fatal("nothing is violated")
	}
	v := r.Violations[0]
	runs := 0
	small, ok := Shrink(s, v, ShrinkOptions{Progress: func(n, _ int) bool {
		runs = n
		return true
	}})
	if !ok || runs > 500 {
		t.Errorf("ok = %t after %d runs, want a smaller scenario within 500", ok, runs)
	}
	again := Run(small, Options{})
	if len(again.Violations) == 0 || again.Violations[0].Invariant != v.Invariant || again.Violations[0].Fingerprint != v.Fingerprint {
		t.Errorf("it shows %v, want %s", again.Violations, v.Invariant)
	}
	streams := 0
	for _, f := range small.Files {
		streams = max(streams, len(f.Streams))
	}
	if len(small.Nodes) > 3 || streams > 3 || len(small.Steps) > 4 {
		t.Errorf("%d nodes, %d streams and %d steps are left, want a few", len(small.Nodes), streams, len(small.Steps))
	}
	if _, ok := Shrink(s, Violation{Invariant: oracle.I13}, ShrinkOptions{}); ok {
		t.Error("shrinks what does not show the violation")
	}
}
