package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"weir/sim"
	"weir/sim/scenario"
)

// The exit codes of `weir sim`.
const (
	exitViolation      = 1 // a rule or an expectation did not hold
	exitUnknown        = 2 // the run was too short to tell, or the scenario cannot be read
	exitNondeterminism = 3 // the same seed gave two different runs
)

// SimCmd is `weir sim`.
type SimCmd struct {
	Run      SimRunCmd      `cmd:"" help:"Run a scenario and check every rule after every event."`
	Render   SimRenderCmd   `cmd:"" help:"Draw a run as a page for the browser, or as text."`
	Explain  SimExplainCmd  `cmd:"" help:"Say which nodes captured a stream, and which events led to each change."`
	Sweep    SimSweepCmd    `cmd:"" help:"Run a scenario with many seeds."`
	Swarm    SimSwarmCmd    `cmd:"" help:"Run groups of many sizes with faults drawn at random."`
	Shrink   SimShrinkCmd   `cmd:"" help:"Make a failing scenario as small as possible."`
	Replay   SimReplayCmd   `cmd:"" help:"Replay a journal of a node and find the first difference."`
	Real     SimRealCmd     `cmd:"" help:"Run scenarios with real processes and compare them with the simulator."`
	Chaos    SimChaosCmd    `cmd:"" help:"Let faults happen to real processes under viewers and publishers."`
	Survive  SimSurviveCmd  `cmd:"" help:"Show with real processes which viewers survive what."`
	Whatif   SimWhatifCmd   `cmd:"" help:"Say what a crash would do to your configuration."`
	Tune     SimTuneCmd     `cmd:"" help:"Compare timeouts by the length of gaps and by false take-overs per day."`
	Coverage SimCoverageCmd `cmd:"" help:"Say how often each rule was judged, and how near to its bound."`
	Pack     SimPackCmd     `cmd:"" help:"Run scenarios and a swarm until something is violated."`
	Mutants  SimMutantsCmd  `cmd:"" help:"Plant known faults into weir and show that each is caught."`
}

// AfterApply is called by kong before any of these commands. The process only simulates, so it may use more memory between two
// collections.
func (*SimCmd) AfterApply() error {
	debug.SetGCPercent(sim.GCPercent)
	return nil
}

// Help implements [kong.HelpProvider].
func (*SimCmd) Help() string {
	var b strings.Builder
	b.WriteString(`A group of nodes runs in virtual time: their own control planes, or with "fidelity actors" their own actors, over a
simulated network with faults of every kind. The same scenario and seed give the same run, byte for byte.

Examples:
  weir sim whatif --config weir.conf crash n2
  weir sim run testdata/scenarios/only_a_dead_nodes_streams_move.txtar
  weir sim run --config weir.conf mine.txt
  weir sim render --config weir.conf mine.txt --output run.html
  weir sim swarm --seeds 1000 --nodes 2..9

A scenario for your own configuration is a text such as mine.txt:

  seed 42   net delay 1ms..50ms loss 0.1%   capture up 500ms
  at 30s    crash streamer                  # a peer's name, as in weir.conf
  expect    each stream on exactly 1 node within 13s
  at 90s    restart streamer
  expect    cam03 on streamer within 60s
  from 200s to 230s  cut streamer -> backup # only this direction
  expect    no take-over
  from 300s to 330s  isolate backup
  expect    no duplicates by +8s after heal

A line is "at TIME" or "from TIME to TIME" and one or more actions, divided by ";", or it is "expect" and an expectation.
An expectation may end with its deadline: "within TIME" of the line before it, "by TIME", or "after heal". Without a
deadline it must hold at that instant; an expectation about a span, such as gap or no take-over, must hold from then to the
end. NODES and STREAMS are lists such as n1,n2 or cam[01..30], or all. LINK is A -> B, or A | B for both directions, or A for
all links of A, or all. A scenario with its own group is a txtar file; see those in testdata/scenarios.

What can happen:
`)
	for i, k := range sim.Kinds() {
		if i == 0 || sim.Kinds()[i-1].Subject != k.Subject {
			fmt.Fprintf(&b, "  %s\n", k.Subject)
		}
		fmt.Fprintf(&b, "    %-46s %s\n", scenario.Usage(k), k.Help)
	}
	b.WriteString("\nWhat can be expected:\n")
	for _, p := range scenario.Phrases {
		fmt.Fprintf(&b, "    %-46s %s\n", p.Form, p.Help)
	}
	b.WriteString("\nExit codes: 0 everything held; 1 something did not; 2 the run was too short to tell, or the scenario cannot be read; 3 the\nsame seed gave two different runs, which is a fault of the simulator.")
	return b.String()
}

// SimScenario is a scenario on the command line.
type SimScenario struct {
	Scenario string `arg:"" help:"Scenario file; - reads standard input."`
	Config   string `short:"c" placeholder:"FILE" help:"Your own configuration, instead of the scenario's."`
	OwnNames
	Seed     *int64 `placeholder:"N" help:"Seed to use instead of the scenario's."`
	Fidelity string `enum:"core,actors,file" default:"file" help:"Which part of a node runs: core, actors, or the one that the file names (${default})."`
}

// A simInput is a scenario with its text.
type simInput struct {
	*scenario.Document
	file string
	text []byte
}

// load reads the scenario.
func (c *SimScenario) load(std stdio) (*simInput, error) {
	text, err := readConfig(c.Scenario, std.in)
	if err != nil {
		return nil, &exitError{exitUnknown, err}
	}
	in := &simInput{file: c.Scenario, text: text}
	name := c.Scenario
	if name == "-" {
		name = "standard input"
	}
	if c.Config == "" {
		d, problems := scenario.Parse(name, text)
		printProblems(std, problems)
		in.Document = d
	} else {
		own, err := c.read(c.Config, std)
		if err != nil {
			return nil, err
		}
		d, problems := scenario.ParseWith(name, text, own)
		printProblems(std, problems)
		in.Document = d
	}
	if in.Document == nil {
		return nil, &exitError{code: exitUnknown}
	}
	if c.Seed != nil {
		in.Scenario.Seed = uint64(*c.Seed)
	}
	switch c.Fidelity {
	case "core":
		in.Scenario.Fidelity = sim.Core
	case "actors":
		in.Scenario.Fidelity = sim.Actors
	}
	return in, nil
}

// OwnNames are the names of nodes that a configuration of one's own does not say.
type OwnNames struct {
	Name      string            `placeholder:"NAME" help:"Name of the node to which the file belongs, if the file gives no name."`
	Announced map[string]string `placeholder:"HOST[:PORT]=NAME" mapsep:"none" help:"Name that the node behind a peer entry announces, if the peer's block gives no name and it is not called by its host; may be given several times."`
}

// read reads the operator's own configuration.
func (n *OwnNames) read(file string, std stdio) (scenario.Source, error) {
	src, err := readConfig(file, std.in)
	if err != nil {
		return scenario.Source{}, &exitError{exitUnknown, err}
	}
	return scenario.Source{Name: configName(file), Text: src, Self: n.Name, Announced: n.Announced}, nil
}

// A count is LEAST..MOST, or one number for both.
type count struct{ least, most int }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *count) UnmarshalText(text []byte) error {
	low, high, two := strings.Cut(string(text), "..")
	if !two {
		high = low
	}
	var errLow, errHigh error
	c.least, errLow = strconv.Atoi(low)
	c.most, errHigh = strconv.Atoi(high)
	if errLow != nil || errHigh != nil || c.least < 1 || c.most < c.least {
		return fmt.Errorf("found %q, expected a number or a range such as 2..9", text)
	}
	return nil
}

// workers is the number of runs at the same time; as many as there are processors unless another number was given.
func workers(asked int) int {
	if asked > 0 {
		return asked
	}
	return runtime.GOMAXPROCS(0)
}

// outcome is the exit code of a run.
func outcome(r *sim.Result) error {
	switch {
	case len(r.Violations) > 0:
		return &exitError{code: exitViolation}
	case r.Unknown:
		return &exitError{code: exitUnknown}
	}
	return nil
}

// errInterrupted ends a command that was interrupted. The results so far are printed before.
var errInterrupted = errors.New("interrupted")

// interrupted says whether the command was interrupted.
func interrupted(ctx context.Context) bool { return ctx.Err() != nil }

// A bar shows the progress of a long command on a terminal. If standard error is not a terminal, it shows nothing.
type bar struct {
	std     stdio
	shown   bool
	what    string
	total   int
	began   time.Time
	painted time.Time
}

func newBar(std stdio, what string, total int) *bar {
	return &bar{std: std, shown: isTerminal(std.err), what: what, total: total, began: time.Now()}
}

// step updates the bar, at most ten times a second.
func (b *bar) step(done int, remark string) {
	now := time.Now()
	if !b.shown || now.Sub(b.painted) < 100*time.Millisecond && done < b.total {
		return
	}
	b.painted = now
	_, _ = fmt.Fprintf(b.std.err, "\r\x1b[K%s", barText(b.what, done, b.total, now.Sub(b.began), remark))
}

// tell prints a line above the bar.
func (b *bar) tell(line string) {
	if b.shown {
		line = "\r\x1b[K" + line
	}
	_, _ = fmt.Fprintln(b.std.err, line)
}

// barText is a bar, with the rate and the remaining time.
func barText(what string, done, total int, since time.Duration, remark string) string {
	const width = 30
	filled := 0
	if total > 0 {
		filled = min(width, width*done/total)
	}
	text := fmt.Sprintf("[%s%s] %d/%d %s", strings.Repeat("█", filled), strings.Repeat("░", width-filled), done, total, what)
	if since > 0 && done > 0 {
		rate := float64(done) / since.Seconds()
		text += fmt.Sprintf(", %.1f/s", rate)
		if done < total {
			text += fmt.Sprintf(", %s left", (time.Duration(float64(total-done)/rate*float64(time.Second)) + time.Second/2).Truncate(time.Second))
		}
	}
	if remark != "" {
		text += ", " + remark
	}
	return text
}

// end removes the bar.
func (b *bar) end() {
	if b.shown {
		_, _ = fmt.Fprint(b.std.err, "\r\x1b[K")
	}
}

// terminalWidth is the width of the terminal in characters: the variable COLUMNS, else 100.
func terminalWidth() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 20 {
		return min(n, 300)
	}
	return 100
}
