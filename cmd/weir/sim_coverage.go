package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"weir/sim"
	"weir/sim/scenario"
)

// SimCoverageCmd is `weir sim coverage`.
type SimCoverageCmd struct {
	Pack  string `default:"testdata/scenarios" placeholder:"DIR" help:"Folder of scenarios. Default ${default}."`
	Seeds uint64 `default:"60" placeholder:"N" help:"Number of seeds of the swarm. Default ${default}."`
	Least int    `default:"5" placeholder:"N" help:"In how many scenarios each invariant has to be judged. Default ${default}."`
	Jobs  int    `short:"j" placeholder:"N" help:"How many runs at once; as many as there are processors."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimCoverageCmd) Help() string {
	return `Examples:
  weir sim coverage
  weir sim coverage --seeds 300

A rule that is never judged is not proved. So this command runs the scenarios of a folder and a swarm, and prints for each
invariant in how many of them it was judged, and for those that limit a time the case that came nearest to the limit.

Exit codes: 0 every invariant that applies was judged in that many scenarios and in the swarm, and none was violated; 1 one was
not; 2 interrupted, or a scenario cannot be read.`
}

// Run runs both and prints the table.
func (c *SimCoverageCmd) Run(ctx context.Context, std stdio) error {
	files, err := filepath.Glob(filepath.Join(c.Pack, "*.txtar"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("found no scenario in %s", c.Pack)
	}
	if err != nil {
		return &exitError{exitUnknown, fmt.Errorf("--pack: %w", err)}
	}
	var pack []*sim.Scenario
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return &exitError{exitUnknown, fmt.Errorf("reading a scenario: %w", err)}
		}
		d, problems := scenario.Parse(file, text)
		if d == nil {
			printProblems(std, problems)
			return &exitError{code: exitUnknown}
		}
		pack = append(pack, d.Scenario)
	}
	bar := newBar(std, "runs", len(pack)+int(c.Seeds))
	sweep := func(n uint64, of func(seed uint64) *sim.Scenario) *sim.SweepResult {
		return sim.Sweep(sim.SweepOptions{Seeds: n, Workers: c.Jobs, Progress: func(r *sim.SweepResult) bool {
			bar.step(r.Runs, "")
			return !interrupted(ctx)
		}}, of)
	}
	scenarios := sweep(uint64(len(pack)), func(i uint64) *sim.Scenario { return pack[i] })
	swarm := sweep(c.Seeds, func(seed uint64) *sim.Scenario { return sim.Draw(seed+1, sim.SwarmOptions{}) })
	bar.end()
	if interrupted(ctx) {
		return &exitError{exitUnknown, errInterrupted}
	}
	if c.JSON {
		err = writeJSON(std.out, map[string]sim.Coverage{"scenarios": scenarios.Coverage, "swarm": swarm.Coverage})
	} else if _, werr := io.WriteString(std.out, coverageText(scenarios, swarm, c.Least, painter{colour: isTerminal(std.out)})); werr != nil {
		err = fmt.Errorf("printing the coverage: %w", werr)
	}
	if err == nil && (scenarios.Failed+swarm.Failed > 0 || len(scenarios.Coverage.Seldom(c.Least))+len(swarm.Coverage.Seldom(1)) > 0) {
		err = &exitError{code: exitViolation}
	}
	return err
}

// coverageText is the table of invariants.
func coverageText(scenarios, swarm *sim.SweepResult, least int, p painter) string {
	tightest := func(row sim.CoverageRow) string {
		left, ok := row.Margin()
		if !ok {
			return ""
		}
		return fmt.Sprintf("%.0f %% left: %s of %s", 100*left, millis(row.Got), millis(row.Bound))
	}
	rows := [][]string{{"", "rule", "scenarios", "judged", "tightest", "seeds", "judged", "tightest"}}
	for k, row := range scenarios.Coverage.Rows {
		if row.Invariant.Pending() {
			continue
		}
		drawn := swarm.Coverage.Rows[k]
		in, seeds := fmt.Sprintf("%d of %d", row.Runs, scenarios.Runs), fmt.Sprintf("%d of %d", drawn.Runs, swarm.Runs)
		if row.Runs < least {
			in = p.red(in)
		}
		if drawn.Runs == 0 {
			seeds = p.red(seeds)
		}
		rows = append(rows, []string{
			row.Invariant.String(), row.Invariant.Rule(), in, fmt.Sprint(row.Judged), tightest(row), seeds, fmt.Sprint(drawn.Judged), tightest(drawn),
		})
	}
	var b strings.Builder
	b.WriteString(table(rows))
	for _, r := range []*sim.SweepResult{scenarios, swarm} {
		for _, f := range r.Failures {
			fmt.Fprintf(&b, "%s: %s, %s at %s: %s\n", p.red("violated"), cmp.Or(f.Scenario.Name, fmt.Sprint("seed ", f.Seed)), f.Violation.Invariant, f.Violation.At, f.Violation.Text)
		}
	}
	return b.String()
}
