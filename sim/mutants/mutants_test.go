package mutants

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/sim"
	"weir/sim/oracle"
	"weir/sim/scenario"
)

func TestEveryFaultHasItsPlaceInTheSource(t *testing.T) {
	files, err := planting(func(file string) ([]byte, error) { return os.ReadFile(filepath.Join("../..", file)) })
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, text := range files {
		all += text
	}
	for _, m := range All {
		if !strings.Contains(all, `Planted("`+m.Name+`")`) {
			t.Errorf("no edit of %s asks whether it is on", m.Name)
		}
	}
	if _, err := planting(func(string) ([]byte, error) { return []byte("package control\n"), nil }); err == nil {
		t.Error("faults are planted into a source that has no place for them")
	}
}

func TestScenariosAreCleanWithoutFaults(t *testing.T) {
	for _, name := range names() {
		d, problems := scenario.Parse(name, text(name))
		if d == nil {
			t.Errorf("%s cannot be read:\n%v", name, problems)
			continue
		}
		for seed := range uint64(2) {
			d.Scenario.Seed = seed + 1
			for _, v := range sim.Run(d.Scenario, sim.Options{}).Violations {
				t.Errorf("%s, seed %d: %s at %v: %s", name, seed+1, v.Invariant, v.At, v.Text)
			}
		}
	}
}

func TestEveryMutantIsCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("builds weir")
	}
	p, err := Build(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	}()
	for _, m := range All {
		r, err := p.Prove(t.Context(), m)
		switch {
		case err != nil:
			t.Error(err)
		case !r.Killed:
			t.Errorf("%s (%s) survived %d runs", r.Name, r.What, r.Runs)
		default:
			t.Logf("%-16s %-4s after %v in %s: %s", r.Name, r.By, r.At, r.Scenario, r.Text)
		}
	}
	if found, err := p.run(t.Context(), "", text("split"), 1); err != nil || len(found) > 0 {
		t.Errorf("with no fault on it finds %v, %v", found, err)
	}
}

func TestWithoutTheSourceNothingIsBuilt(t *testing.T) {
	if _, err := Build(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "expected weir's source") {
		t.Errorf("Build in an empty folder: %v, want an error that says so", err)
	}
}

// What nothing has shown is not proven: each state that matters has to come up in the standard pack, and each rule to be
// looked at. It ends as soon as that is so.
func TestStandardPackReachesEveryStateAndExercisesEveryRule(t *testing.T) {
	if testing.Short() {
		t.Skip("runs dozens of groups")
	}
	const most, step = 300, 20
	var missing []string
	var idle []oracle.Invariant
	for from := uint64(1); from <= most; from += step {
		r := Pack(sim.SweepOptions{From: from, Seeds: step})
		if from == 1 {
			missing, idle = r.Missing, r.Idle
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return !slices.Contains(r.Missing, name) })
		idle = slices.DeleteFunc(idle, func(i oracle.Invariant) bool { return !slices.Contains(r.Idle, i) })
		if len(missing)+len(idle) == 0 {
			t.Logf("all within %d seeds", from+step-1)
			return
		}
	}
	t.Errorf("in %d seeds these states never occurred: %q; and nothing exercised %v", most, missing, idle)
}
