package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"weir/sim"
	"weir/sim/mutants"
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
	pack, err := mutants.Library(c.Pack)
	if err != nil {
		return &exitError{exitUnknown, fmt.Errorf("--pack: %w", err)}
	}
	bar := newBar(std, "runs", len(pack)+int(c.Seeds))
	progress := func(r *sim.SweepResult) bool {
		bar.step(r.Runs, "")
		return !interrupted(ctx)
	}
	scenarios := sweepAll(pack, sim.SweepOptions{Workers: c.Jobs, Progress: progress})
	swarm := sim.Sweep(sim.SweepOptions{Seeds: c.Seeds, Workers: c.Jobs, Progress: progress},
		func(seed uint64) *sim.Scenario { return mutants.Drawn(seed + 1) })
	bar.end()
	if interrupted(ctx) {
		return &exitError{exitUnknown, errInterrupted}
	}
	if c.JSON {
		err = writeJSON(std.out, coverageReport(scenarios, swarm))
	} else if _, werr := io.WriteString(std.out, coverageText(scenarios, swarm, c.Least, painter{colour: isTerminal(std.out)})); werr != nil {
		err = fmt.Errorf("printing the coverage: %w", werr)
	}
	if err == nil && !covered(scenarios, swarm, c.Least) {
		err = &exitError{code: exitViolation}
	}
	return err
}

// leastJudged is in how many scenarios each invariant has to be judged, if no flag says otherwise.
const leastJudged = 5

// sweepAll runs each of some scenarios once.
func sweepAll(list []*sim.Scenario, o sim.SweepOptions) *sim.SweepResult {
	o.From, o.Seeds = 0, uint64(len(list))
	return sim.Sweep(o, func(i uint64) *sim.Scenario { return list[i] })
}

// covered says whether every invariant that applies was judged in so many scenarios and in the swarm, and held everywhere.
func covered(scenarios, swarm *sim.SweepResult, least int) bool {
	return scenarios.Failed+swarm.Failed+len(scenarios.Coverage.Seldom(least))+len(swarm.Coverage.Seldom(1)) == 0
}

// coverageReport is the table of invariants in the form in which it is printed as JSON.
func coverageReport(scenarios, swarm *sim.SweepResult) map[string]sim.Coverage {
	return map[string]sim.Coverage{"scenarios": scenarios.Coverage, "swarm": swarm.Coverage}
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
