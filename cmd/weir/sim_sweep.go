package main

import (
	"context"
	"errors"
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

// inParallel does total things, so many at once. Done is called after each, by one goroutine at a time. It ends early
// when the context does.
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

// SimSweepCmd is `weir sim sweep`.
type SimSweepCmd struct {
	SimScenario
	SweepOptions
}

// SweepOptions are those of sweep and swarm.
type SweepOptions struct {
	Seeds   int      `default:"100" placeholder:"N" help:"How many seeds. Default ${default}."`
	From    uint64   `default:"1" placeholder:"N" help:"The first of them. Default ${default}."`
	Jobs    int      `short:"j" placeholder:"N" help:"How many runs at once; as many as there are processors."`
	Without []string `placeholder:"FAULT" help:"Faults that random does not draw."`
	Keep    bool     `name:"keep-going" help:"Go on after the first violation."`
	JSON    bool     `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimSweepCmd) Help() string {
	return `Examples:
  weir sim sweep --seeds 1000 mine.txtar
  weir sim sweep --config weir.conf --seeds 200 mine.txt

The same scenario with many seeds: delays, losses, jitter and what "random" draws differ. Every fiftieth seed is run twice,
to see that both runs are the same. A violation ends the sweep and is printed with its seed and the smallest scenario that
still shows it.

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
	SweepOptions
	Nodes    count         `default:"2..9" placeholder:"A..B" help:"How many nodes the groups have. Default ${default}."`
	Streams  int           `default:"24" placeholder:"N" help:"How many streams they have. Default ${default}."`
	Profile  string        `default:"swarm" enum:"swarm,calm,network,process,source,edit" help:"What is drawn: ${enum}. Default ${default}."`
	Length   time.Duration `default:"2m" help:"How long faults come; then all is quiet, and everything has to be well again. Default ${default}."`
	Fetch    time.Duration `default:"1s" help:"fetch_timeout. Default ${default}."`
	Stale    time.Duration `default:"3s" help:"stale_timeout. Default ${default}."`
	Fidelity string        `enum:"core,actors" default:"core" help:"What of a node runs: ${enum}. Default ${default}."`
}

// Help implements [kong.HelpProvider].
func (*SimSwarmCmd) Help() string {
	return `Examples:
  weir sim swarm
  weir sim swarm --seeds 1000 --nodes 2..9
  weir sim swarm --profile network --without clog,swizzle --seeds 500

Each seed makes a group of another size and draws faults for it, of which about half of the kinds are switched off: so rare
combinations come up that one mixture of all would never show. Then everything is quiet and has to be well again.

Exit codes: as of weir sim run.`
}

// Run draws groups and faults.
func (c *SimSwarmCmd) Run(ctx context.Context, std stdio) error {
	if _, err := c.scenario(c.From); err != nil {
		return &exitError{exitUnknown, err}
	}
	return c.sweep(ctx, std, func(seed uint64) *sim.Scenario {
		s, err := c.scenario(seed)
		if err != nil {
			return nil // the first seed was read, and all others differ in numbers alone
		}
		return s
	})
}

// scenario writes down the group of a seed: most streams alike, one pinned, one with a source of one connection, one that
// is published.
func (c *SimSwarmCmd) scenario(seed uint64) (*sim.Scenario, error) {
	nodes := c.Nodes.least + int(seed%uint64(c.Nodes.most-c.Nodes.least+1))
	const calm = 20 * time.Second
	quiet := calm + c.Length + time.Second
	settle := 20*c.Stale + 140*time.Second
	text := fmt.Sprintf(`-- cluster.conf --
cluster_key abcd; return_holddown %d;
peer n[1..%d]:8080 { fetch_timeout %d; stale_timeout %d; }
stream cam[001..%03d] { input fake://fake; cluster_ingest; }
stream pinned { input fake://fake; cluster_ingest capture_at=n1; }
stream single { input fake://fake; cluster_ingest handover=break; }
-- scenario --
seed %d  net delay 1ms..50ms  until %s  fidelity %s
from %s to %s random %s
at %s quiet
expect each stream on exactly 1 node within %s
expect agreement within %s
`, c.Stale.Milliseconds()/3, nodes, c.Fetch.Milliseconds(), c.Stale.Milliseconds(), max(c.Streams, 1), seed, quiet+settle, c.Fidelity,
		calm, calm+c.Length, c.Profile, quiet, settle, settle)
	d, problems := scenario.Parse(fmt.Sprintf("swarm_%d.txtar", seed), []byte(text))
	if d == nil {
		return nil, errors.New(strings.TrimSpace(problems.String()))
	}
	return d.Scenario, nil
}

// A sweepReport is what a sweep has found.
type sweepReport struct {
	Runs       int                      `json:"runs"`
	Failed     []uint64                 `json:"failed_seeds"`
	Unknown    []uint64                 `json:"unknown_seeds"`
	Differing  []uint64                 `json:"nondeterministic_seeds"`
	Invariants map[string]int           `json:"violations_by_invariant"`
	Simulated  float64                  `json:"simulated_seconds"`
	Wall       float64                  `json:"wall_seconds"`
	Speed      float64                  `json:"times_real_time"`
	Events     uint64                   `json:"events"`
	TakeOvers  int                      `json:"false_takeovers"`
	Moves      int                      `json:"moves"`
	Measures   map[string]measureReport `json:"measures"`
	Sometimes  map[string]int           `json:"sometimes"`
	Never      []string                 `json:"never,omitempty"`
	First      *simReport               `json:"first_violation,omitempty"`
	Shrunk     string                   `json:"shrunk,omitempty"`

	scenario *sim.Scenario // of the first violation
	result   *sim.Result
}

// twiceEvery is which of the seeds are run twice.
const twiceEvery = 50

// sweep runs a scenario of each seed.
func (c *SweepOptions) sweep(ctx context.Context, std stdio, of func(seed uint64) *sim.Scenario) error {
	rep := &sweepReport{
		Failed: []uint64{}, Unknown: []uint64{}, Differing: []uint64{}, Invariants: map[string]int{}, Measures: map[string]measureReport{}, Sometimes: map[string]int{},
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	bar := newBar(std, "seeds", c.Seeds)
	defer bar.end()
	began := time.Now()
	type run struct {
		s      *sim.Scenario
		r      *sim.Result
		second string
	}
	runs := make([]run, max(c.Seeds, 0))
	inParallel(ctx, workers(c.Jobs), len(runs), func(i int) {
		s := of(c.From + uint64(i))
		if s == nil {
			return
		}
		o := sim.Options{Without: c.Without, First: !c.Keep}
		runs[i] = run{s: s, r: sim.Run(s, o)}
		if i%twiceEvery == 0 {
			runs[i].second = sim.Run(s, o).Hash
		}
	}, func(i int) {
		if runs[i].r == nil {
			return
		}
		rep.take(runs[i].s, runs[i].r, runs[i].second)
		runs[i] = run{}
		bar.step(rep.Runs, rep.remark())
		if len(rep.Failed) > 0 && !c.Keep {
			stop()
		}
	})
	bar.end()
	rep.Wall = time.Since(began).Seconds()
	if rep.Wall > 0 {
		rep.Speed = rep.Simulated / rep.Wall
	}
	slices.Sort(rep.Failed)
	if rep.scenario != nil {
		small := shrunk(rep.scenario, rep.result.Violations[0], rep.result)
		rep.Shrunk = scenario.Format(small)
		first := runJSON(rep.scenario, rep.result)
		rep.First = &first
	}
	return c.tell(rep, std)
}

// take adds a run. Of several with violations the one with the lowest seed is kept.
func (rep *sweepReport) take(s *sim.Scenario, r *sim.Result, second string) {
	rep.Runs++
	rep.Simulated += r.Simulated.Seconds()
	rep.Events += r.Events
	rep.TakeOvers += r.TakeOvers
	rep.Moves += r.Moves
	if second != "" && second != r.Hash {
		rep.Differing = append(rep.Differing, s.Seed)
	}
	if r.Unknown {
		rep.Unknown = append(rep.Unknown, s.Seed)
	}
	if len(r.Violations) > 0 {
		rep.Failed = append(rep.Failed, s.Seed)
		seen := map[string]bool{}
		for _, v := range r.Violations {
			if !seen[v.Invariant] {
				seen[v.Invariant] = true
				rep.Invariants[v.Invariant]++
			}
		}
		if rep.scenario == nil || s.Seed < rep.scenario.Seed {
			rep.scenario, rep.result = s, r
		}
	}
	for n, m := range r.Measures {
		was := rep.Measures[n]
		was.Name, was.Count = n, was.Count+m.Count
		if m.Worst.Seconds() >= was.Worst {
			was.Worst, was.Bound, was.Formula = m.Worst.Seconds(), m.Bound.Seconds(), m.Formula
		}
		rep.Measures[n] = was
	}
	for n, k := range r.Sometimes {
		rep.Sometimes[n] += k
	}
}

func (rep *sweepReport) remark() string {
	if len(rep.Failed) == 0 {
		return ""
	}
	return plural(len(rep.Failed), "violation")
}

// tell prints what a sweep has found.
func (c *SweepOptions) tell(rep *sweepReport, std stdio) error {
	for _, n := range slices.Sorted(maps.Keys(rep.Sometimes)) {
		if rep.Sometimes[n] == 0 {
			rep.Never = append(rep.Never, n)
		}
	}
	var err error
	if c.JSON {
		err = writeJSON(std.out, rep)
	} else {
		_, err = io.WriteString(std.out, rep.text(painter{colour: isTerminal(std.out)}))
	}
	switch {
	case err != nil:
		return fmt.Errorf("printing what the sweep has found: %w", err)
	case len(rep.Failed) > 0:
		return &exitError{code: exitViolation}
	case len(rep.Differing) > 0:
		return &exitError{exitNondeterminism, fmt.Errorf("the seeds %v give two different runs each", rep.Differing)}
	case len(rep.Unknown) > 0:
		return &exitError{code: exitUnknown}
	}
	return nil
}

func (rep *sweepReport) text(p painter) string {
	var b strings.Builder
	word := "ok"
	switch {
	case len(rep.Failed) > 0:
		word = p.red("violation")
	case len(rep.Unknown) > 0:
		word = p.yellow("unknown")
	}
	hours := rep.Simulated / 3600
	fmt.Fprintf(&b, "%s  %s, %.1f simulated hours in %.1f s (%.0f times real time), %d events, %d moves, %d false take-overs\n", word,
		plural(rep.Runs, "run"), hours, rep.Wall, rep.Speed, rep.Events, rep.Moves, rep.TakeOvers)
	if len(rep.Measures) > 0 {
		rows := [][]cell{{{text: "bound"}, {text: "worst"}, {text: "its bound"}, {text: "times"}, {text: "formula"}}}
		for _, n := range slices.SortedFunc(maps.Keys(rep.Measures), byNumber) {
			m := rep.Measures[n]
			rows = append(rows, []cell{{text: n}, {text: fmt.Sprintf("%.3fs", m.Worst)}, {text: fmt.Sprintf("%.3fs", m.Bound)}, {text: fmt.Sprint(m.Count)}, {text: m.Formula}})
		}
		b.WriteString("\n" + table(rows))
	}
	if len(rep.Sometimes) > 0 {
		b.WriteString("\n  what came up\n")
		var rows [][]cell
		for _, n := range slices.Sorted(maps.Keys(rep.Sometimes)) {
			c := cell{text: fmt.Sprint(rep.Sometimes[n])}
			if rep.Sometimes[n] == 0 {
				c = cell{"never", p.yellow}
			}
			rows = append(rows, []cell{{text: "  " + n}, c})
		}
		b.WriteString(table(rows))
	}
	if len(rep.Unknown) > 0 {
		fmt.Fprintf(&b, "\nnobody can tell for the seeds %v\n", rep.Unknown)
	}
	if rep.scenario != nil {
		for _, n := range slices.SortedFunc(maps.Keys(rep.Invariants), byNumber) {
			fmt.Fprintf(&b, "\n%s in %s", p.red(n), plural(rep.Invariants[n], "run"))
		}
		v := rep.result.Violations[0]
		fmt.Fprintf(&b, "\n\nseed %d, %s at %s: %s\n\n%s", rep.scenario.Seed, v.Invariant, v.At, v.Text, replayWith(rep.Shrunk))
	}
	return b.String()
}
