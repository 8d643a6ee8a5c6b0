package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Stage is a way to notice a fault.
type Stage string

// Stages.
const (
	Unit      Stage = "unit"      // the tests of the package
	Importers Stage = "importers" // the tests of the packages that import it
	Scenarios Stage = "pack"      // the scenarios of the simulator
	Swarm     Stage = "swarm"     // its groups and faults drawn at random
)

// Stages are all of them.
var Stages = []Stage{Unit, Importers, Scenarios, Swarm}

// runs says whether the simulator runs code of the area at all.
func (a Area) runs() bool { return a.Simulated() || a == Numbering || a == Identity || a == Directory }

// A Catch is what noticed a fault.
type Catch struct {
	Stage Stage
	By    string        // the test, or the scenario and the invariant
	Took  time.Duration // since the stage began
	Runs  int           // of the simulator, the one that noticed it included
}

// A Result says what became of a planted fault.
type Result struct {
	Mutant
	Tests, Simulator *Catch // nil: not noticed, or not tried
	Tried            []Stage
	Took             time.Duration
}

// Caught says whether anything has noticed the fault.
func (r Result) Caught() bool { return r.Tests != nil || r.Simulator != nil }

// A Trial says how faults are looked for.
type Trial struct {
	Program *Program
	Stages  []Stage
	Small   uint64            // seeds of the swarm that draw small groups
	Seeds   uint64            // seeds of the swarm
	First   map[string]string // by mutant, the run of the simulator that has noticed it before, which is tried first
	Except  []string          // runs of the simulator that are left out; see [Trial.Baseline]

	// Alone says that faults in an area of the simulator are looked for by the simulator even if tests have noticed them.
	Alone bool
}

// How long a fault may keep a program busy. A program that is ended then has noticed the fault only if that cannot be the machine, which
// others may use: if the same test ends soon without the fault, or the simulator has had the processor for longer than all runs need.
const (
	testLimit = 2 * time.Minute
	simLimit  = 10 * time.Minute
	simWork   = 4 * time.Minute
)

// Try plants a fault and says what noticed it: the cheapest stages first, until one has. An error means that a stage could not be
// run.
func (t *Trial) Try(ctx context.Context, m Mutant) (r Result, err error) {
	began := time.Now()
	r = Result{Mutant: m}
	defer func() { r.Took = time.Since(began) }()
	folder := path.Dir(m.File)
	if slices.Contains(t.Stages, Unit) && t.Program.packages[folder] != nil && !simulates(folder) {
		r.Tried = append(r.Tried, Unit)
		if r.Tests, err = t.Program.test(ctx, Unit, m.Name, folder); err != nil {
			return r, err
		}
	}
	simulated := slices.Contains(t.Stages, Scenarios) || slices.Contains(t.Stages, Swarm)
	if simulated && m.Area.runs() && (r.Tests == nil || t.Alone && m.Area.Simulated()) {
		if r.Simulator, err = t.simulate(ctx, m.Name); err != nil {
			return r, err
		}
		r.Tried = append(r.Tried, Scenarios, Swarm)
	}
	if r.Caught() || !slices.Contains(t.Stages, Importers) {
		return r, nil
	}
	r.Tried = append(r.Tried, Importers)
	for _, importer := range t.Program.importers(folder) {
		if r.Tests, err = t.Program.test(ctx, Importers, m.Name, importer); r.Tests != nil || err != nil {
			return r, err
		}
	}
	return r, nil
}

// simulates says whether the tests of a package run the simulator, which is a stage of its own, or build weir.
func simulates(folder string) bool {
	return folder == "sim" || strings.HasPrefix(folder, "sim/") || strings.HasPrefix(folder, "cmd/")
}

// importers are the packages with tests that import a package, by name, and the package that joins all of them at the end.
func (p *Program) importers(folder string) (list []string) {
	const joins = "cluster/node"
	for name, q := range p.packages {
		if name != folder && name != joins && !simulates(name) && slices.Contains(q.imports, "weir/"+folder) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	if folder != joins {
		list = append(list, joins)
	}
	return list
}

// slow is how long a test takes without a fault that is run after all quicker ones.
const slow = 200 * time.Millisecond

var (
	failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	endless    = regexp.MustCompile(`(?m)^panic: test timed out after .*\n\s*running tests:\n\s*(\S+)`)
	panicked   = regexp.MustCompile(`(?m)^(?:panic|fatal error): .*`)
	passedTest = regexp.MustCompile(`(?m)^--- PASS: (\S+) \((\S+)\)`)
)

// A testProgram is the test program of a package. Its tests pass as long as no fault is on.
type testProgram struct {
	file string
	slow string // a pattern of the tests that take long; empty if none does
}

// buildTests builds the test program of a package, and runs its tests.
func (p *Program) buildTests(ctx context.Context, folder string) (testProgram, error) {
	t := testProgram{file: filepath.Join(p.dir, strings.ReplaceAll(folder, "/", "_")+".test.exe")}
	if err := p.command(ctx, "go", "test", "-c", "-overlay", p.overlayFile(), "-o", t.file, "./"+folder); err != nil {
		return t, err
	}
	var out []byte
	failed := true
	for try := 0; failed && try < 3; try++ { // a busy machine can fail a test
		ended, err := p.run(ctx, 2*testLimit, "", folder, t.file, "-test.short", "-test.v")
		if err != nil {
			return t, err
		}
		out, failed = ended.out, ended.failed
	}
	if failed {
		return t, fmt.Errorf("the tests of %s fail without a fault: %s", folder, failedTest.FindAll(out, -1))
	}
	var names []string
	for _, m := range passedTest.FindAllSubmatch(out, -1) {
		if d, err := time.ParseDuration(string(m[2])); err == nil && d >= slow {
			names = append(names, string(m[1]))
		}
	}
	if len(names) > 0 {
		t.slow = "^(" + strings.Join(names, "|") + ")$"
	}
	return t, nil
}

// test runs the tests of a package with a fault on, those that are quick first. A test that fails without the fault too has not
// noticed it.
func (p *Program) test(ctx context.Context, stage Stage, mutant, folder string) (*Catch, error) {
	t, err := p.testsOf(ctx, folder)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	parts := [][]string{{"-test.run", "."}}
	if t.slow != "" {
		parts = [][]string{{"-test.skip", t.slow}, {"-test.run", t.slow}}
	}
	for _, part := range parts {
		for range 3 {
			ended, err := p.run(ctx, testLimit, mutant, folder, t.file, append(part, "-test.failfast", "-test.short", "-test.timeout", testLimit.String())...)
			if err != nil {
				return nil, err
			}
			if !ended.failed {
				break
			}
			name, by := blamed(ended.out)
			if name != "" {
				top, _, _ := strings.Cut(name, "/")
				if sound, err := p.run(ctx, testLimit/2, "", folder, t.file, "-test.run", "^"+top+"$", "-test.short"); err != nil {
					return nil, err
				} else if sound.failed {
					continue // it is the machine
				}
			}
			if by == "" {
				continue // nobody can tell what has ended the program
			}
			return &Catch{Stage: stage, By: folder + " " + by, Took: time.Since(began)}, nil
		}
	}
	return nil, nil
}

// blamed reads from what a test program has printed which test has failed, if it says so, and what to call the failure; empty if it
// prints no reason.
func blamed(out []byte) (test, by string) {
	if m := endless.FindSubmatch(out); m != nil {
		return string(m[1]), string(m[1]) + " does not end"
	}
	if m := failedTest.FindSubmatch(out); m != nil {
		return string(m[1]), string(m[1])
	}
	return "", string(panicked.Find(out))
}

// An ending is how the run of a program has ended.
type ending struct {
	out    []byte
	failed bool
	cut    bool          // it was ended because it took too long
	work   time.Duration // of processors
}

// run runs a program in a folder of the source with a fault on.
func (p *Program) run(ctx context.Context, limit time.Duration, mutant, folder, program string, args ...string) (ending, error) {
	limited, cancel := context.WithTimeout(ctx, limit+30*time.Second)
	defer cancel()
	c := exec.CommandContext(limited, program, args...)
	c.Dir, c.Env = filepath.Join(p.root, filepath.FromSlash(folder)), append(os.Environ(), variable+"="+mutant)
	var printed bytes.Buffer
	c.Stdout, c.Stderr = &printed, &printed
	c.WaitDelay = 10 * time.Second
	err := c.Run()
	e := ending{out: printed.Bytes()}
	if c.ProcessState != nil {
		e.work = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return e, ctx.Err()
	case limited.Err() != nil, errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
		e.failed, e.cut = true, limited.Err() != nil
	case err != nil:
		return e, fmt.Errorf("running %s: %w", program, err)
	}
	return e, nil
}

// A violation is a run of the simulator that violated something, as `weir sim pack --json` prints it.
type violation struct {
	Swarm     bool
	Run       int
	Name      string
	Violation struct{ Invariant string }
}

// simulate runs the simulator with a fault on, until something is violated.
func (t *Trial) simulate(ctx context.Context, mutant string) (*Catch, error) {
	began := time.Now()
	var first []string
	if name := t.First[mutant]; name != "" {
		first = []string{"--first", name}
	}
	found, ended, err := t.pack(ctx, mutant, first...)
	c := &Catch{Stage: Scenarios, Took: time.Since(began)}
	switch {
	case err == nil && len(found) == 0:
		return nil, nil
	case err == nil:
		c.By, c.Runs = found[0].Violation.Invariant+" in "+found[0].Name, found[0].Run
		if found[0].Swarm {
			c.Stage = Swarm
		}
	case ended.cut && ended.work > simWork: // without the fault all takes a small part of that
		c.By = "a run that does not end"
	case panicked.Match(ended.out):
		c.By = string(panicked.Find(ended.out))
	default:
		return nil, fmt.Errorf("running the simulator with the fault %s: %w", mutant, err)
	}
	return c, nil
}

// pack runs the simulator, and gives what it found and all that it printed.
func (t *Trial) pack(ctx context.Context, mutant string, flags ...string) (found []violation, e ending, err error) {
	program, err := t.Program.weir()
	if err != nil {
		return nil, e, fmt.Errorf("building weir with the faults: %w", err)
	}
	small, seeds := uint64(0), uint64(0)
	if slices.Contains(t.Stages, Swarm) {
		small, seeds = t.Small, t.Seeds
	}
	args := append([]string{"sim", "pack", "--json", "-j", "1", "--small", fmt.Sprint(small), "--seeds", fmt.Sprint(seeds)}, flags...)
	if slices.Contains(t.Stages, Scenarios) {
		args = append(args, "--scenarios", t.Program.library())
	}
	for _, name := range t.Except {
		args = append(args, "--except", name)
	}
	if e, err = t.Program.run(ctx, simLimit, mutant, ".", program, args...); err != nil {
		return nil, e, err
	}
	if err := json.Unmarshal(e.out, &found); err != nil {
		return nil, e, fmt.Errorf("reading what it prints: %w: %s", err, e.out)
	}
	return found, e, nil
}

// Baseline runs the simulator without a fault, which should find nothing. Runs that violate something even so cannot tell
// anything, and are left out from then on.
func (t *Trial) Baseline(ctx context.Context) error {
	if !slices.Contains(t.Stages, Scenarios) && !slices.Contains(t.Stages, Swarm) {
		return nil
	}
	found, _, err := t.pack(ctx, "", "--keep-going")
	for _, f := range found {
		t.Except = append(t.Except, f.Name)
	}
	return err
}
