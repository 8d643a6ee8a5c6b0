package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/sim"
	"weir/sim/scenario"
)

// SimSweepCmd is `weir sim sweep`.
type SimSweepCmd struct {
	SimScenario
	SweepFlags
}

// SweepFlags are the flags that sweep and swarm share.
type SweepFlags struct {
	Seeds   uint64      `default:"100" placeholder:"N" help:"Number of seeds. Default ${default}."`
	From    uint64      `default:"1" placeholder:"N" help:"The first seed. Default ${default}."`
	Jobs    int         `short:"j" placeholder:"N" help:"How many runs at once; as many as there are processors."`
	Without []sim.Fault `placeholder:"FAULT" help:"Kinds of faults that are not drawn at random."`
	Keep    bool        `name:"keep-going" help:"Go on after the first violation."`
	HTML    string      `name:"html" placeholder:"FILE" help:"Write the timeline of the first violation as a page."`
	JSON    bool        `name:"json" help:"Print JSON."`

	swarm bool
}

// Help implements [kong.HelpProvider].
func (*SimSweepCmd) Help() string {
	return `Examples:
  weir sim sweep --seeds 1000 testdata/scenarios/a_storm_passes_and_all_is_well.txtar
  weir sim sweep --config weir.conf --seeds 200 mine.txt

It runs the same scenario with many seeds: each has other delays, losses, jitter and faults drawn by "random". Some seeds are
run twice, to check that both runs are the same. A violation ends the sweep and is printed with its seed and the smallest
scenario that still shows it.

Exit codes: as of weir sim run.`
}

// Run sweeps over seeds.
func (c *SimSweepCmd) Run(ctx context.Context, std stdio) error {
	in, err := c.load(std)
	if err != nil {
		return err
	}
	return c.sweep(ctx, std, func(seed uint64) *sim.Scenario {
		s := *in.Scenario
		s.Seed = seed
		return &s
	})
}

// SimSwarmCmd is `weir sim swarm`.
type SimSwarmCmd struct {
	SweepFlags
	Nodes   count         `default:"2..9" placeholder:"A..B" help:"Number of nodes in a group. Default ${default}."`
	Streams count         `default:"4..40" placeholder:"A..B" help:"Number of streams in a group. Default ${default}."`
	Profile sim.Profile   `default:"swarm" enum:"swarm,calm,network,process,source,edit" help:"Which kinds of faults are drawn: ${enum}. Default ${default}."`
	Length  time.Duration `default:"2m" help:"How long faults occur. After that the group has to recover. Default ${default}."`
	Config  string        `short:"c" placeholder:"FILE" help:"Use the group of your own configuration instead of groups that are drawn."`
	OwnNames
	Fidelity string `enum:"core,actors" default:"core" help:"Which part of a node runs: ${enum}. Default ${default}."`
}

// Help implements [kong.HelpProvider].
func (*SimSwarmCmd) Help() string {
	return `Examples:
  weir sim swarm
  weir sim swarm --seeds 1000 --nodes 2..9
  weir sim swarm --config weir.conf --seeds 500
  weir sim swarm --profile network --without clog,swizzle --seeds 500

Each seed makes another group, with other timeouts, and draws faults for it. About half of the kinds of faults are switched
off for each seed, so that combinations occur that a mixture of all kinds would never show. Then the faults end, and the group
has to recover. A violation ends the swarm and is printed with its seed and the smallest scenario that still shows it. Kinds of
faults for --without:
  ` + wrap(sim.Faults(), 100) + `

Exit codes: as of weir sim run.`
}

// wrap joins words with commas, in lines of at most so many characters.
func wrap(words []string, width int) string {
	var b strings.Builder
	line := 0
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
			if line += 2; line+len(w) > width {
				b.WriteString("\n  ")
				line = 0
			}
		}
		b.WriteString(w)
		line += len(w)
	}
	return b.String()
}

// Run draws groups and faults.
func (c *SimSwarmCmd) Run(ctx context.Context, std stdio) error {
	o := sim.SwarmOptions{
		Profile: c.Profile, Nodes: [2]int{c.Nodes.least, c.Nodes.most}, Streams: [2]int{c.Streams.least, c.Streams.most}, Disturbed: c.Length,
	}
	if c.Fidelity == "actors" {
		o.Fidelity = sim.Actors
	}
	if c.Config != "" {
		own, err := c.read(c.Config, std)
		if err != nil {
			return err
		}
		base, problems := scenario.Configured(own)
		printProblems(std, problems)
		if base == nil {
			return &exitError{code: exitUnknown}
		}
		o.Base = base
	}
	c.swarm = true
	return c.sweep(ctx, std, func(seed uint64) *sim.Scenario { return sim.Draw(seed, o) })
}

// A sweepReport is the result of a sweep in the form in which it is printed as JSON.
type sweepReport struct {
	Runs       int              `json:"runs"`
	Failed     int              `json:"failed"`
	Unknown    int              `json:"unknown"`
	Seeds      []uint64         `json:"failed_seeds"`
	Differing  []uint64         `json:"nondeterministic_seeds"`
	Invariants outcomes         `json:"invariants"`
	Simulated  float64          `json:"simulated_seconds"`
	Elapsed    float64          `json:"elapsed_seconds"`
	Processors float64          `json:"processor_seconds,omitempty"`
	Speed      float64          `json:"times_real_time"`
	PerCore    float64          `json:"times_real_time_per_core,omitempty"`
	Events     uint64           `json:"events"`
	Messages   uint64           `json:"messages"`
	TakeOvers  int              `json:"false_takeovers"`
	Measures   []measureReport  `json:"measures"`
	Sometimes  map[string]int   `json:"sometimes"`
	Never      []string         `json:"never"`
	First      *violationReport `json:"first_violation,omitempty"`
	Scenario   string           `json:"shrunk_scenario,omitempty"`
}

// twice is the number of seeds of a sweep that are run a second time.
const twice = 5

// sweep makes the runs and prints the result. Of gives the scenario of a seed.
func (c *SweepFlags) sweep(ctx context.Context, std stdio, of func(seed uint64) *sim.Scenario) error {
	bar := newBar(std, "seeds", int(c.Seeds))
	defer bar.end()
	o := sim.Options{Without: c.Without}
	began := processorTime()
	r := sim.Sweep(sim.SweepOptions{From: c.From, Seeds: c.Seeds, Workers: c.Jobs, Run: o, Progress: func(r *sim.SweepResult) bool {
		remark := fmt.Sprintf("%.0f times real time", r.Rate())
		if r.Failed > 0 {
			remark += ", " + plural(r.Failed, "violation")
		}
		bar.step(r.Runs, remark)
		return !interrupted(ctx) && (r.Failed == 0 || c.Keep)
	}}, of)
	if r.Runs < int(c.Seeds) || !c.swarm {
		r.Missing = nil // an interrupted sweep, or a sweep of one scenario, need not reach every state
	}
	rep := newSweepReport(r, processorTime()-began)
	for i := uint64(0); i < twice && i < c.Seeds && !interrupted(ctx); i++ {
		seed := c.From + i*(c.Seeds/min(twice, c.Seeds))
		first := sim.Run(of(seed), o).Hash
		if again := sim.Run(of(seed), o).Hash; again != first {
			rep.Differing = append(rep.Differing, seed)
		}
	}
	if len(r.Failures) > 0 {
		f := r.Failures[0]
		small, _ := shrink(ctx, std, f.Scenario, f.Violation, o, 0)
		rep.Scenario = scenario.Format(small)
		v := reportOf(f.Violation)
		rep.First = &v
		if c.HTML != "" {
			if err := drawTo(c.HTML, std, small, rep.Scenario); err != nil {
				return err
			}
		}
	}
	bar.end()
	return c.tell(ctx, r, rep, std)
}

// newSweepReport makes the report of a sweep that had the processors for so long; zero if that is not known.
func newSweepReport(r *sim.SweepResult, used time.Duration) *sweepReport {
	rep := &sweepReport{
		Runs: r.Runs, Failed: r.Failed, Unknown: r.Unknown, Seeds: []uint64{}, Differing: []uint64{}, Invariants: outcomesOf(r.Verdicts),
		Simulated: r.Simulated.Seconds(), Elapsed: r.Elapsed.Seconds(), Speed: r.Rate(), Events: r.Events, Messages: r.Messages,
		TakeOvers: r.TakeOvers, Measures: measureReports(r.Measures), Sometimes: r.Sometimes, Never: append([]string{}, r.Missing...),
	}
	if used > 0 {
		rep.Processors, rep.PerCore = used.Seconds(), float64(r.Simulated)/float64(used)
	}
	for _, f := range r.Failures {
		rep.Seeds = append(rep.Seeds, f.Seed)
	}
	return rep
}

// tell prints the result of a sweep, and gives its exit code.
func (c *SweepFlags) tell(ctx context.Context, r *sim.SweepResult, rep *sweepReport, std stdio) error {
	var err error
	if c.JSON {
		err = writeJSON(std.out, rep)
	} else if _, werr := io.WriteString(std.out, sweepText(r, rep, painter{colour: isTerminal(std.out)})); werr != nil {
		err = fmt.Errorf("printing what the sweep has found: %w", werr)
	}
	switch {
	case err != nil:
		return err
	case r.Failed > 0:
		return &exitError{code: exitViolation}
	case len(rep.Differing) > 0:
		return &exitError{exitNondeterminism, fmt.Errorf("the seeds %v give two different runs each", rep.Differing)}
	case interrupted(ctx):
		return &exitError{exitUnknown, errInterrupted}
	case r.Unknown > 0:
		return &exitError{code: exitUnknown}
	}
	return nil
}

func sweepText(r *sim.SweepResult, rep *sweepReport, p painter) string {
	var b strings.Builder
	word := "ok"
	switch {
	case r.Failed > 0:
		word = p.red("violation")
	case r.Unknown > 0:
		word = p.yellow("unknown")
	}
	speed := fmt.Sprintf("%.0f times real time", r.Rate())
	if rep.PerCore > 0 {
		speed += fmt.Sprintf(", %.0f per processor", rep.PerCore)
	}
	fmt.Fprintf(&b, "%s  %s, %d violated, %.1f simulated hours in %.1f s (%s), %d events, %d false take-overs\n", word,
		plural(r.Runs, "run"), r.Failed, r.Simulated.Hours(), r.Elapsed.Seconds(), speed, r.Events, r.TakeOvers)
	b.WriteString(measureTable(r.Measures, p))
	b.WriteString(verdictList(r.Verdicts, p))
	if len(r.Sometimes) > 0 {
		var rows [][]string
		for _, n := range slices.Sorted(maps.Keys(r.Sometimes)) {
			rows = append(rows, []string{n, fmt.Sprint(r.Sometimes[n])})
		}
		for _, n := range r.Missing {
			rows = append(rows, []string{p.yellow(n), p.yellow("never")})
		}
		b.WriteString("  states that were reached, and how often\n" + table(rows))
	}
	if len(r.Failures) > 0 {
		f := r.Failures[0]
		if len(rep.Seeds) > 1 {
			fmt.Fprintf(&b, "\nseeds with a violation: %v\n", rep.Seeds)
		}
		fmt.Fprintf(&b, "\nseed %d, %s at %s: %s\n\n%s", f.Seed, p.red(f.Violation.Invariant.String()), f.Violation.At, f.Violation.Text, replayWith(rep.Scenario))
	}
	return b.String()
}

// inParallel calls do with the numbers from 0 to total-1, in several workers at the same time. It calls done after each, from one
// goroutine at a time. It stops early when the context ends.
func inParallel(ctx context.Context, workers, total int, do func(i int), done func(i int)) {
	next := make(chan int)
	var wait sync.WaitGroup
	var one sync.Mutex
	for range min(workers, max(total, 1)) {
		wait.Go(func() {
			for i := range next {
				do(i)
				one.Lock()
				done(i)
				one.Unlock()
			}
		})
	}
	for i := range total {
		if interrupted(ctx) {
			break
		}
		next <- i
	}
	close(next)
	wait.Wait()
}
