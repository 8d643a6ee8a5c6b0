package mutants

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/sim"
	"weir/sim/oracle"
)

// fromSource reads a file of weir's source.
func fromSource(file string) ([]byte, error) { return os.ReadFile(filepath.Join("../..", file)) }

func TestEveryFaultHasItsPlaceInTheSource(t *testing.T) {
	if _, err := Plant(All, fromSource); err != nil {
		t.Error(err)
	}
}

func TestEveryFaultIsNamedOnceAndSaysWhatItIs(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range All {
		if seen[m.Name] || m.What == "" || strings.HasSuffix(m.What, ".") || !slices.Contains(Areas, m.Area) {
			t.Errorf("row %+v: want a name that no other row has, a sentence without a full stop and an area of the list", m)
		}
		seen[m.Name] = true
	}
	if len(All) < 80 {
		t.Errorf("there are %d faults, want at least 80", len(All))
	}
}

func TestEveryFaultCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles packages")
	}
	p, err := Open(t.Context(), ".", All)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	}()
	args := []string{"build", "-overlay", p.overlayFile()}
	for _, m := range All {
		for _, e := range m.edits() {
			if folder := "./" + path.Dir(e.File); !slices.Contains(args, folder) {
				args = append(args, folder)
			}
		}
	}
	if err := p.command(t.Context(), "go", args...); err != nil {
		t.Error(err)
	}
}

func TestCopyWithTheFaultDoesTheWorkWhileTheFaultIsOn(t *testing.T) {
	const file = "a/b.go"
	text := `package b

type pair[K comparable, V any] struct{ k K; v V }

func (pair[K, V]) get(_ string, int, more ...int) (n int) {
	n = 1 + 1
	return n
}
`
	text = strings.Replace(text, "(_ string, int, more ...int)", "(_ string, _ int, more ...int)", 1) + `
func first[T any](list []T) T { return list[0] }

func plain(a, b int) { _ = a < b }
`
	list := []Mutant{
		fault(Hub, "one", "", file, "pair.get", "1 + 1", "1 - 1"),
		fault(Hub, "two", "", file, "pair.get", "return n", "return -n"),
		fault(Hub, "generic", "", file, "first", "[0]", "[1]"),
		fault(Hub, "no result", "", file, "plain", "a < b", "a <= b"),
	}
	files, err := Plant(list, func(string) ([]byte, error) { return []byte(text), nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"func (unnamed00 pair[K, V]) get(unnamed10 string, unnamed11 int, more ...int) (n int) {\n\tif plantedFault == \"one\" {\n\t\treturn unnamed00.getFault0(unnamed10, unnamed11, more...)\n\t}\n\n\tif plantedFault == \"two\" {",
		"func (pair[K, V]) getFault0(_ string, _ int, more ...int) (n int) {\n\tn = 1 - 1\n\treturn n\n}",
		"return first" + "Fault2[T](list)",
		"plainFault3(a, b)\n\t\treturn\n",
		"func plainFault3(a, b int) { _ = a <= b }",
	} {
		if !strings.Contains(files[file], want) {
			t.Errorf("planted:\n%s\nwant in it:\n%s", files[file], want)
		}
	}
	if got := files["a/"+plantedName]; !strings.HasPrefix(got, "package b\n") {
		t.Errorf("the file that says which fault is on is %q, want one of package b", got)
	}
}

func TestFaultWithoutPlaceIsAnError(t *testing.T) {
	const text = "package b\n\nfunc f() { g(); g() }\n"
	for _, m := range []Mutant{
		fault(Hub, "gone", "", "b.go", "f", "h()", ""),
		fault(Hub, "twice", "", "b.go", "f", "g()", ""),
		fault(Hub, "no function", "", "b.go", "t.f", "g()", ""),
	} {
		_, err := Plant([]Mutant{m}, func(string) ([]byte, error) { return []byte(text), nil })
		if err == nil || !strings.Contains(err.Error(), "planting "+m.Name) {
			t.Errorf("Plant with %s: %v, want an error that names it", m.Name, err)
		}
	}
}

func TestSampleIsDrawnBySeed(t *testing.T) {
	names := func(list []Mutant) string {
		var all []string
		for _, m := range list {
			all = append(all, m.Name)
		}
		return fmt.Sprint(all)
	}
	one, again, other := names(Sample(All, 10, 1)), names(Sample(All, 10, 1)), names(Sample(All, 10, 2))
	if one != again || one == other {
		t.Errorf("samples: %s with seed 1, %s with it again, %s with seed 2", one, again, other)
	}
	if got := len(Sample(All, 10, 3)); got != 10 {
		t.Errorf("a sample of 10 has %d", got)
	}
	if got := len(Sample(All, 0, 3)); got != len(All) {
		t.Errorf("all are %d, want %d", got, len(All))
	}
}

func TestWithoutTheSourceNothingIsBuilt(t *testing.T) {
	if _, err := Open(t.Context(), t.TempDir(), All); err == nil || !strings.Contains(err.Error(), "expected weir's source") {
		t.Errorf("Open in an empty folder: %v, want an error that says so", err)
	}
}

func TestSmallScenariosAreCleanWithoutFaults(t *testing.T) {
	suite, err := NewSuite("", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range suite.Run(0, true, "", nil) {
		t.Errorf("%s: %s at %v: %s", found.Name, found.Violation.Invariant, found.Violation.At, found.Violation.Text)
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
