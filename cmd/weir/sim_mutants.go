package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/sim"
	"weir/sim/mutants"
	"weir/sim/oracle"
)

// SimMutantsCmd is `weir sim mutants`.
type SimMutantsCmd struct {
	Source string          `default:"." placeholder:"DIR" help:"Weir's source, or a folder of it. Default: the working directory."`
	Area   []mutants.Area  `placeholder:"AREA" help:"Only faults in these areas."`
	Only   []string        `placeholder:"NAME" help:"Only faults of these names; * stands for any characters."`
	Sample int             `placeholder:"N" help:"Only so many of the faults, drawn at random."`
	Draw   uint64          `default:"1" placeholder:"N" help:"Which sample is drawn. Default ${default}."`
	Stages []mutants.Stage `placeholder:"STAGE" help:"How faults are looked for: unit, importers, pack, swarm. Default: all."`
	First  bool            `help:"Do not look for a fault with the simulator that tests have noticed."`
	Seeds  uint64          `default:"6" placeholder:"N" help:"Number of seeds of the swarm for each fault. Default ${default}."`
	Small  uint64          `default:"150" placeholder:"N" help:"Number of seeds of the swarm that draw small groups. Default ${default}."`
	Budget time.Duration   `placeholder:"TIME" help:"Begin with no further fault after this time."`
	Pack   uint64          `default:"300" placeholder:"N" help:"Number of seeds of the standard pack, which has to reach every state of the list. Default ${default}; 0 leaves it out."`
	Jobs   int             `short:"j" placeholder:"N" help:"How many faults at once; as many as there are processors."`
	Record string          `placeholder:"DIR" help:"Folder in which the results are kept as they come, beside those of earlier runs, and a table of all of them."`
	JSON   bool            `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimMutantsCmd) Help() string {
	areas := make([]string, len(mutants.Areas))
	for i, a := range mutants.Areas {
		areas[i] = string(a)
	}
	return `Examples:
  weir sim mutants
  weir sim mutants --source ~/src/weir --area control,place --pack 0
  weir sim mutants --only 'stale-*,no-warm-up' --stages pack,swarm --pack 0
  weir sim mutants --sample 10 --draw 7 --first --pack 0
  weir sim mutants --area hub,rtmp,hls --pack 0 --record sim/mutants/testdata

A test that cannot fail proves nothing. So this command plants small faults into weir, one after the other, as reviewers find
them: a counter that is not reset, < for <=, a timer that is not armed again. Each has to be noticed: by the tests of its
package (unit), by those of the packages that import it (importers), by the simulator's scenarios (pack) or by its groups and
faults drawn at random (swarm). Faults in control, place, peer and streams are looked for by the simulator even if tests have
noticed them. A fault is an edit of weir's source, built with Go, so both the source and Go have to be there; weir itself
contains no fault and no switch for one. Areas:
  ` + wrap(areas, 100) + `

Rules are tested only in states that occur. So the standard pack, which is a swarm and the small scenarios without a planted
fault, has to reach every state of a list, exercise every rule, and violate none. The scenarios of the source have to judge each
rule as weir sim coverage has it, whose table is printed.

Exit codes: 0 every fault was noticed and the standard pack did all that; 1 something of it failed; 2 interrupted, or there is
no source or no Go.`
}

// Run plants the faults.
func (c *SimMutantsCmd) Run(ctx context.Context, std stdio) error {
	list, library, err := c.prove(ctx, std)
	if err != nil {
		if interrupted(ctx) {
			err = errInterrupted
		}
		return &exitError{exitUnknown, err}
	}
	var scenarios, pack *sim.SweepResult
	if c.Pack > 0 {
		bar := newBar(std, "runs", 0)
		options := sim.SweepOptions{From: 1, Seeds: c.Pack, Workers: c.Jobs, Progress: func(r *sim.SweepResult) bool {
			bar.total = r.Total
			bar.step(r.Runs, "")
			return !interrupted(ctx)
		}}
		pack = mutants.Pack(options)
		scenarios = sweepAll(library, options)
		bar.end()
		if interrupted(ctx) {
			return &exitError{exitUnknown, errInterrupted}
		}
	}
	if c.JSON {
		err = writeJSON(std.out, mutantsReport(list, scenarios, pack))
	} else if _, werr := io.WriteString(std.out, mutantsText(list, scenarios, pack, painter{colour: isTerminal(std.out)})); werr != nil {
		err = fmt.Errorf("printing the mutants: %w", werr)
	}
	if err != nil {
		return err
	}
	for _, m := range list {
		if !m.Caught() && m.Equivalent == "" {
			return &exitError{code: exitViolation}
		}
	}
	if pack != nil && (len(pack.Missing)+len(pack.Idle) > 0 || !covered(scenarios, pack, leastJudged)) {
		return &exitError{code: exitViolation}
	}
	return nil
}

// chosen are the faults that the flags name.
func (c *SimMutantsCmd) chosen() ([]mutants.Mutant, error) {
	for _, a := range c.Area {
		if !slices.Contains(mutants.Areas, a) {
			return nil, fmt.Errorf("--area: found %q, expected one of %v", a, mutants.Areas)
		}
	}
	for _, s := range c.Stages {
		if !slices.Contains(mutants.Stages, s) {
			return nil, fmt.Errorf("--stages: found %q, expected some of %v", s, mutants.Stages)
		}
	}
	list := slices.DeleteFunc(slices.Clone(mutants.All), func(m mutants.Mutant) bool {
		named := slices.ContainsFunc(c.Only, func(pattern string) bool {
			ok, err := path.Match(pattern, m.Name)
			return ok && err == nil
		})
		return len(c.Area) > 0 && !slices.Contains(c.Area, m.Area) || len(c.Only) > 0 && !named
	})
	if len(list) == 0 {
		return nil, fmt.Errorf("--only: there is no fault of the name %s", strings.Join(c.Only, ", "))
	}
	return mutants.Sample(list, c.Sample, c.Draw), nil
}

// prove plants one fault after the other, and says what noticed each. Faults that there was no time for are left out. The library is the
// scenarios of the source.
func (c *SimMutantsCmd) prove(ctx context.Context, std stdio) (list []mutants.Result, library []*sim.Scenario, err error) {
	faults, err := c.chosen()
	if err != nil {
		return nil, nil, err
	}
	bar := newBar(std, "planted faults", len(faults))
	defer bar.end()
	bar.step(0, "building weir with the faults")
	began := time.Now()
	program, err := mutants.Open(ctx, c.Source, mutants.All)
	if err != nil {
		return nil, nil, fmt.Errorf("--source: %w", err)
	}
	defer func() { err = errors.Join(err, program.Remove()) }()
	if library, err = program.Library(); err != nil {
		return nil, nil, err
	}
	trial := mutants.Trial{Program: program, Stages: c.Stages, Small: c.Small, Seeds: c.Seeds, Alone: !c.First}
	if len(trial.Stages) == 0 {
		trial.Stages = mutants.Stages
	}
	var record *mutants.Record
	if c.Record != "" {
		if record, err = mutants.OpenRecord(c.Record); err != nil {
			return nil, nil, err
		}
		trial.First = record.First()
		defer func() { err = errors.Join(err, writeRecord(c.Record, record)) }()
	}
	if err := trial.Baseline(ctx); err != nil {
		return nil, nil, err
	}
	for _, name := range trial.Except {
		bar.tell("left out, because it violates something without a fault: " + name)
	}
	jobs := c.Jobs
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	results := make([]*mutants.Result, len(faults))
	var problems []error
	var mu sync.Mutex
	inParallel(ctx, jobs, len(faults), func(i int) {
		if c.Budget > 0 && time.Since(began) > c.Budget {
			return
		}
		r, err := trial.Try(ctx, faults[i])
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			problems = append(problems, err)
			bar.tell(fmt.Sprintf("%s was not looked for: %v", faults[i].Name, err))
			return
		}
		results[i] = &r
		if record != nil {
			if err := record.Add(r); err != nil {
				problems = append(problems, err)
			}
		}
		if !c.JSON {
			bar.tell(resultLine(r))
		}
	}, func(i int) { bar.step(i+1, "") })
	if interrupted(ctx) {
		return nil, nil, errInterrupted
	}
	for _, r := range results {
		if r != nil {
			list = append(list, *r)
		}
	}
	return list, library, errors.Join(problems...)
}

// resultLine is what is told of a fault as soon as it is known.
func resultLine(r mutants.Result) string {
	what := "SURVIVES"
	switch {
	case r.Tests != nil:
		what = r.Tests.By
	case r.Simulator != nil:
		what = r.Simulator.By
	case r.Equivalent != "":
		what = "equivalent"
	}
	return fmt.Sprintf("%-10s %-32s %5.1fs  %s", r.Area, r.Name, r.Took.Seconds(), what)
}

// caughtBy says what noticed a fault, and how fast.
func caughtBy(c *mutants.Catch) string {
	switch {
	case c == nil:
		return ""
	case c.Runs > 0:
		return fmt.Sprintf("%s, run %d, %.1f s: %s", c.Stage, c.Runs, c.Took.Seconds(), c.By)
	}
	return fmt.Sprintf("%s, %.1f s: %s", c.Stage, c.Took.Seconds(), c.By)
}

func mutantsText(list []mutants.Result, scenarios, pack *sim.SweepResult, p painter) string {
	var b strings.Builder
	rows := [][]string{{"area", "planted fault", "what it is", "noticed by tests", "noticed by the simulator"}}
	for _, m := range list {
		tests, simulator := caughtBy(m.Tests), caughtBy(m.Simulator)
		switch {
		case m.Caught():
			if m.Area.Simulated() && m.Simulator == nil && slices.Contains(m.Tried, mutants.Swarm) {
				simulator = p.yellow("not noticed")
			}
		case m.Equivalent != "":
			tests = "equivalent: " + m.Equivalent
		default:
			tests = p.red("SURVIVES")
		}
		rows = append(rows, []string{string(m.Area), m.Name, m.What, tests, simulator})
	}
	b.WriteString(table(rows))
	b.WriteString("\n" + totals(list) + "\n" + byStage(list))
	if pack == nil {
		return b.String()
	}
	if len(pack.Missing) > 0 {
		fmt.Fprintf(&b, "%s in the %d runs of the standard pack: %s\n", p.red("never reached"), pack.Runs, strings.Join(pack.Missing, "; "))
	} else {
		fmt.Fprintf(&b, "every state that matters was reached in the %d runs of the standard pack\n", pack.Runs)
	}
	if len(pack.Idle) > 0 {
		fmt.Fprintf(&b, "%s: %s\n", p.red("never exercised"), strings.Trim(fmt.Sprint(pack.Idle), "[]"))
	} else {
		b.WriteString("every invariant that applies was exercised\n")
	}
	b.WriteString("\nWithout any fault planted:\n" + coverageText(scenarios, pack, leastJudged, p))
	return b.String()
}

// writeRecord writes the table of all results that are kept in a folder.
func writeRecord(dir string, record *mutants.Record) error {
	list, missing := record.Results()
	var b strings.Builder
	b.WriteString("Made by weir sim mutants --record. Each row is a fault that was planted, and what has noticed it.\n")
	if missing > 0 {
		fmt.Fprintf(&b, "%d faults of the table have not been planted yet.\n", missing)
	}
	b.WriteString("\n" + mutantsText(list, nil, nil, painter{}))
	for _, part := range []struct {
		title string
		of    func(m mutants.Result) bool
	}{
		{"Not noticed by anything, although it has an effect", func(m mutants.Result) bool { return !m.Caught() && m.Equivalent == "" }},
		{"Without an effect", func(m mutants.Result) bool { return !m.Caught() && m.Equivalent != "" }},
		{"Noticed by tests alone, although the simulator runs the code", func(m mutants.Result) bool {
			return m.Tests != nil && m.Area.Simulated() && m.Simulator == nil
		}},
	} {
		rows := [][]string{}
		for _, m := range list {
			if part.of(m) {
				rows = append(rows, []string{string(m.Area), m.Name, cmp.Or(m.Equivalent, m.What)})
			}
		}
		if len(rows) > 0 {
			b.WriteString("\n" + part.title + ":\n\n" + table(rows))
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "results.txt"), []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("writing the table of the results: %w", err)
	}
	return nil
}

// A tally counts the faults of an area that were looked for; those that are equivalent are no faults.
type tally struct {
	faults, equivalent, caught int
	simulated, alone           int // looked for by the simulator, and noticed by it
}

func (t *tally) add(m mutants.Result) {
	if m.Equivalent != "" && !m.Caught() {
		t.equivalent++
		return
	}
	t.faults++
	if m.Caught() {
		t.caught++
	}
	if slices.Contains(m.Tried, mutants.Swarm) {
		t.simulated++
	}
	if m.Simulator != nil {
		t.alone++
	}
}

func (t *tally) row(name string, simulated bool) []string {
	alone := ""
	if simulated && t.simulated > 0 {
		alone = fmt.Sprintf("%d of %d (%d %%)", t.alone, t.simulated, 100*t.alone/t.simulated)
	}
	return []string{name, fmt.Sprint(t.faults), fmt.Sprint(t.equivalent), fmt.Sprintf("%d (%d %%)", t.caught, 100*t.caught/max(t.faults, 1)), alone}
}

// totals is the table of how many faults were noticed, by area.
func totals(list []mutants.Result) string {
	rows := [][]string{{"area", "faults", "equivalent", "noticed", "by the simulator alone"}}
	var all, simulated tally
	for _, a := range mutants.Areas {
		var t tally
		for _, m := range list {
			if m.Area == a {
				t.add(m)
			}
		}
		if t.faults+t.equivalent > 0 {
			rows = append(rows, t.row(string(a), a.Simulated()))
		}
	}
	for _, m := range list {
		all.add(m)
		if m.Area.Simulated() {
			simulated.add(m)
		}
	}
	rows = append(rows, simulated.row("control, place, peer, streams", true), all.row("all", false))
	return table(rows)
}

// byStage is the table of how many faults each stage noticed, and how long it took.
func byStage(list []mutants.Result) string {
	rows := [][]string{{"stage", "faults noticed", "median", "longest"}}
	for _, stage := range mutants.Stages {
		var took []time.Duration
		for _, m := range list {
			for _, c := range []*mutants.Catch{m.Tests, m.Simulator} {
				if c != nil && c.Stage == stage {
					took = append(took, c.Took)
				}
			}
		}
		if slices.Sort(took); len(took) > 0 {
			seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
			rows = append(rows, []string{string(stage), fmt.Sprint(len(took)), seconds(took[len(took)/2]), seconds(took[len(took)-1])})
		}
	}
	return table(rows)
}

// mutantsReport is the result in the form in which it is printed as JSON.
func mutantsReport(list []mutants.Result, scenarios, pack *sim.SweepResult) any {
	type catch struct {
		Stage mutants.Stage `json:"stage"`
		By    string        `json:"by"`
		Took  float64       `json:"seconds"`
		Runs  int           `json:"runs,omitempty"`
	}
	type mutant struct {
		Name       string       `json:"name"`
		Area       mutants.Area `json:"area"`
		What       string       `json:"what"`
		Caught     bool         `json:"caught"`
		Equivalent string       `json:"equivalent,omitempty"`
		Tests      *catch       `json:"tests,omitempty"`
		Simulator  *catch       `json:"simulator,omitempty"`
	}
	out := struct {
		Mutants  []mutant                `json:"mutants"`
		Missing  []string                `json:"never_reached"`
		Idle     []oracle.Invariant      `json:"never_exercised"`
		Violated []uint64                `json:"failed_seeds"`
		Coverage map[string]sim.Coverage `json:"coverage,omitempty"`
	}{Mutants: []mutant{}, Missing: []string{}, Idle: []oracle.Invariant{}, Violated: []uint64{}}
	if pack != nil {
		out.Coverage = coverageReport(scenarios, pack)
		out.Missing, out.Idle = append(out.Missing, pack.Missing...), append(out.Idle, pack.Idle...)
		for _, f := range pack.Failures {
			out.Violated = append(out.Violated, f.Seed)
		}
	}
	of := func(c *mutants.Catch) *catch {
		if c == nil {
			return nil
		}
		return &catch{c.Stage, c.By, c.Took.Seconds(), c.Runs}
	}
	for _, m := range list {
		out.Mutants = append(out.Mutants, mutant{m.Name, m.Area, m.What, m.Caught(), m.Equivalent, of(m.Tests), of(m.Simulator)})
	}
	return out
}
