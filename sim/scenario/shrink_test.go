package scenario_test

import (
	"testing"

	"weir/sim"
	"weir/sim/scenario"
)

// Whatever is found is printed small, to be saved and run again: it has to be read, and to show the same.
func TestWhatWasShrunkIsReadAndShowsTheSame(t *testing.T) {
	for _, text := range []string{
		`at 20s stall cam01,cam02,cam05 on n1,n2,n3
		expect gap <= 1s for 30s`,
		`at 20s power-off n1,n2 ; demand cam01,cam04 at n1,n3
		expect gap <= 1s for 30s`,
		`from 20s to 50s partition n1 | n2,n4 | n3
		expect no take-over of cam01,cam02,cam03,cam04,cam05`,
		`from 20s to 50s random swarm
		at 20s expect no take-over`,
	} {
		d, problems := scenario.Parse("large.txtar", []byte(`-- cluster.conf --
cluster_key abcd; return_holddown 5000;
peer n[1..4]:8080 { fetch_timeout 1000; stale_timeout 3000; }
stream cam[01..08] { input fake://fake; cluster_ingest; }
-- scenario --
seed 3
`+text))
		if d == nil {
			t.Fatal(problems)
		}
		r := sim.Run(d.Scenario, sim.Options{})
		if len(r.Violations) == 0 {
			t.Errorf("%s\nshows nothing to shrink", text)
			continue
		}
		v := r.Violations[0]
		small, ok := sim.Shrink(d.Scenario, v, sim.ShrinkOptions{})
		if !ok {
			t.Errorf("%s\ndoes not show %s again", text, v.Invariant)
			continue
		}
		printed := scenario.Format(small)
		found, problems := scenario.Parse("found.txtar", []byte(printed))
		if found == nil {
			t.Errorf("what was printed is not read: %v\n%s", problems, printed)
			continue
		}
		again := sim.Run(found.Scenario, sim.Options{})
		if len(again.Violations) == 0 || again.Violations[0].Fingerprint != v.Fingerprint {
			t.Errorf("what was printed shows %v, want %s\n%s", again.Violations, v.Text, printed)
		}
	}
}
