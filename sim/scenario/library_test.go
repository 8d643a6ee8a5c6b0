package scenario_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"weir/sim"
	"weir/sim/oracle"
	"weir/sim/scenario"
)

const library = "../../testdata/scenarios"

// leastJudged is in how many scenarios of the library each invariant has to be judged: one that is seldom judged is not proved.
const leastJudged = 5

func TestEveryScenarioOfTheLibraryHolds(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(library, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 25 {
		t.Fatalf("found %d scenarios in %s, want at least 25", len(files), library)
	}
	var mu sync.Mutex
	var judged sim.Coverage
	t.Cleanup(func() { // when all of them have run
		if judged.Runs < len(files) {
			return // only some were asked for, or could be read
		}
		for _, i := range judged.Seldom(leastJudged) {
			t.Errorf("%s, %s: judged in fewer than %d scenarios", i, i.Rule(), leastJudged)
		}
	})
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d, problems := scenario.Parse(file, text)
			if d == nil {
				t.Fatalf("it cannot be read:\n%v", problems)
			}
			s := d.Scenario
			if len(s.Comment) < 100 || strings.Contains(s.Comment, "\n\n") {
				t.Errorf("its comment is %q, want one paragraph that tells the situation", s.Comment)
			}
			expects := 0
			for _, st := range s.Steps {
				if st.Expect != nil {
					expects++
				}
			}
			if expects == 0 {
				t.Error("it expects nothing")
			}
			r := sim.Run(s, sim.Options{})
			mu.Lock()
			judged.Add(r)
			mu.Unlock()
			for _, v := range r.Violations {
				t.Errorf("%s at %s, line %d: %s", v.Invariant, v.At, v.Step, v.Text)
			}
			if r.Unknown {
				t.Errorf("nobody can tell: %s", r.Why)
			}

			// What is printed is the same scenario: it gives the same run.
			again, problems := scenario.Parse(file, []byte(scenario.Format(s)))
			if again == nil {
				t.Fatalf("what is printed cannot be read:\n%v%s", problems, scenario.Format(s))
			}
			if got := sim.Run(again.Scenario, sim.Options{}); len(got.Violations) != len(r.Violations) || got.Events != r.Events || got.Starts != r.Starts {
				t.Errorf("printed and read again it makes %d events and %d starts, want %d and %d", got.Events, got.Starts, r.Events, r.Starts)
			}
		})
	}
}

// An expectation has to be able to fail: the library would prove nothing if the engine did not look.
func TestExpectationsFailWhenTheyShould(t *testing.T) {
	const group = `-- cluster.conf --
cluster_key abcd; return_holddown 1000;
peer n[1..3]:8080 { fetch_timeout 1000; stale_timeout 3000; }
stream cam[01..06] { input fake://fake; cluster_ingest; }
stream hall { input fake://fake; cluster_ingest capture_at=n1; }
stream talk { input publish://; }
-- scenario --
seed 1 net delay 1ms..50ms capture up 500ms down 50ms
from 10s to 90s viewers 4 rtmp hall via n2
from 20s to 40s power-off n1
from 50s to 60s partition n1 | n2,n3
`
	for _, line := range []string{
		"at 21s expect each stream on exactly 1 node",
		"at 10s expect hall on n2",
		"at 10s expect hall on nobody",
		"at 30s expect hall at home",
		"at 21s expect cam[01..06] on each side",
		"at 10s expect talk at n1 refused",
		"at 25s expect moved == 0 for 40s",
		"at 20s expect moved <= 1 for 40s",
		"at 5s expect moved == owned(n1) for 5s",
		"at 50s expect no duplicates of cam[01..06] for 10s",
		"at 20s expect no take-over for 10s",
		"at 20s expect gap <= 1s of hall for 10s",
		"at 20s expect viewers gap <= 1s for 10s",
		"at 10s expect note unknown-pin for 10s",
		"at 41s expect note peer-stale at n2 for 5s",
	} {
		d, problems := scenario.Parse("fails.txtar", []byte(group+line+"\n"))
		if d == nil {
			t.Errorf("%q cannot be read:\n%v", line, problems)
			continue
		}
		r := sim.Run(d.Scenario, sim.Options{})
		if len(r.Violations) == 0 || r.Violations[0].Invariant != oracle.Expected {
			t.Errorf("%q holds, want it to fail; violations: %v", line, r.Violations)
		} else if r.Violations[0].Step != strings.Count(group, "\n")+1 {
			t.Errorf("%q fails in line %d, want line %d", line, r.Violations[0].Step, strings.Count(group, "\n")+1)
		}
	}
}
