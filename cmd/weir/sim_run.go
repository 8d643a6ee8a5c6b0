package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"weir/sim"
	"weir/sim/oracle"
	"weir/sim/scenario"
	"weir/sim/timeline"
)

// SimRunCmd is `weir sim run`.
type SimRunCmd struct {
	SimScenario
	Trace  string `placeholder:"FILE" help:"Write the trace; - is standard output."`
	HTML   string `name:"html" placeholder:"FILE" help:"Write the timeline as a page."`
	Update bool   `help:"Write the trace into the scenario, as the trace that each later run has to give."`
	Quiet  bool   `short:"q" help:"Print neither the timeline nor the invariants."`
	Whole  bool   `help:"Do not shrink a scenario that fails."`
	JSON   bool   `name:"json" help:"Print JSON."`
	Width  int    `placeholder:"N" help:"Width of the timeline in characters."`
}

// Help implements [kong.HelpProvider].
func (*SimRunCmd) Help() string {
	return `Examples:
  weir sim run testdata/scenarios/only_a_dead_nodes_streams_move.txtar
  weir sim run --config weir.conf mine.txt --html run.html
  weir sim run --seed 7 --trace - mine.txtar | less

It runs the scenario twice, to check that both runs are the same. It checks the invariants of the cluster after every event
and the expectations of the scenario at their time. It prints the run as text, the measured times with their bounds, and
whether each invariant held. After a violation it also prints the smallest scenario that still shows the violation.

For the form of a scenario see weir sim --help.

Exit codes: 0 everything held; 1 something did not; 2 the run was too short to tell, or the scenario cannot be read; 3 the
two runs differ.`
}

// Run runs a scenario.
func (c *SimRunCmd) Run(ctx context.Context, std stdio) error {
	in, err := c.load(std)
	if err != nil {
		return err
	}
	r := sim.Run(in.Scenario, sim.Options{Keep: true, Snapshots: snapshotEvery(in.Scenario)})
	if again := sim.Run(in.Scenario, sim.Options{}); again.Hash != r.Hash {
		return &exitError{exitNondeterminism, fmt.Errorf("seed %d gives the traces %s and %s", in.Scenario.Seed, r.Hash, again.Hash)}
	}
	if err := c.files(in, r, std); err != nil {
		return err
	}
	if in.Trace != nil && !c.Update {
		if v, differs := differs(in.Trace, traceLines(r)); differs {
			r.Violations = append(r.Violations, v)
		}
	}
	if c.JSON {
		if err := writeJSON(std.out, runJSON(in.Scenario, r)); err != nil {
			return err
		}
		return outcome(r)
	}
	if err := c.print(ctx, in, r, std); err != nil {
		return err
	}
	return outcome(r)
}

// snapshotEvery is the interval between snapshots: short enough for the timeline, and long enough to need little memory.
func snapshotEvery(s *sim.Scenario) time.Duration {
	until := s.Until
	for _, st := range s.Steps {
		until = max(until, st.At, st.To)
	}
	return max(250*time.Millisecond, until/1500)
}

func traceLines(r *sim.Result) []string {
	lines := make([]string, len(r.Trace))
	for i, l := range r.Trace {
		lines[i] = l.Text
	}
	return lines
}

// files writes the trace, the page and the changed scenario, as far as flags ask for them.
func (c *SimRunCmd) files(in *simInput, r *sim.Result, std stdio) error {
	if c.Trace != "" {
		err := writeTo(c.Trace, std, func(w io.Writer) error {
			_, err := io.WriteString(w, strings.Join(traceLines(r), "\n")+"\n")
			return err
		})
		if err != nil {
			return err
		}
	}
	if c.HTML != "" {
		err := writeTo(c.HTML, std, func(w io.Writer) error {
			return timeline.HTML(w, in.Scenario, r, timeline.HTMLOptions{Source: string(in.text)})
		})
		if err != nil {
			return err
		}
	}
	if c.Update {
		return writeTo(in.file, std, func(w io.Writer) error {
			_, err := w.Write(in.SetTrace(traceLines(r)))
			return err
		})
	}
	return nil
}

// writeTo writes a file, or standard output for "-".
func writeTo(name string, std stdio, write func(io.Writer) error) error {
	if name == "-" {
		if err := write(std.out); err != nil {
			return fmt.Errorf("writing to standard output: %w", err)
		}
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("creating a file for the run: %w", err)
	}
	if err := write(f); err != nil {
		_ = f.Close() // the first error counts
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// differs compares a trace with the expected one. If the expected trace has one line, only the last line is compared, which holds
// the hash of all.
func differs(want, got []string) (sim.Violation, bool) {
	if len(want) == 1 && len(got) > 0 {
		got = got[len(got)-1:]
	}
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			return sim.Violation{
				Invariant: oracle.ExpectedTrace, Line: uint64(i + 1), Text: fmt.Sprintf("line %d is %q, want %q", i+1, g, w), Fingerprint: "trace",
			}, true
		}
	}
	return sim.Violation{}, false
}

// print prints the run as text.
func (c *SimRunCmd) print(ctx context.Context, in *simInput, r *sim.Result, std stdio) error {
	var b strings.Builder
	p := painter{colour: isTerminal(std.out)}
	width := c.Width
	if width == 0 {
		width = terminalWidth()
	}
	if !c.Quiet {
		if err := timeline.Text(&b, in.Scenario, r, timeline.TextOptions{Width: width, Colour: p.colour && os.Getenv("NO_COLOR") == ""}); err != nil {
			return err
		}
		b.WriteString(measureTable(r.Measures, p))
		b.WriteString(verdictList(r.Verdicts, p))
	}
	b.WriteString(runLine(in.Scenario, r, p) + "\n")
	if len(r.Violations) > 0 && !c.Whole {
		if small, ok := shrink(ctx, std, in.Scenario, r.Violations[0], sim.Options{}, 0); ok {
			b.WriteString("\n" + replayWith(scenario.Format(small)))
		}
	}
	if _, err := io.WriteString(std.out, b.String()); err != nil {
		return fmt.Errorf("printing the run: %w", err)
	}
	return nil
}

// runLine is the outcome on one line.
func runLine(s *sim.Scenario, r *sim.Result, p painter) string {
	facts := fmt.Sprintf("%s, seed %d: %s simulated, %d events, %d starts, %d moves, %d false take-overs", s.Name, s.Seed,
		r.Simulated, r.Events, r.Starts, r.Moves, r.TakeOvers)
	switch {
	case len(r.Violations) > 0:
		return p.red("violation") + " " + r.Violations[0].Invariant.String() + "  " + facts
	case r.Unknown:
		return p.yellow("unknown") + "  " + facts + ": " + r.Why
	}
	return "ok  " + facts
}

// measureTable is the table of the measured times and their bounds.
func measureTable(measures map[string]sim.Measure, p painter) string {
	if len(measures) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(measures), byNumber)
	rows := [][]string{{"bound", "value", "worst", "times", "formula"}}
	for _, n := range names {
		m := measures[n]
		worst := m.Worst.Round(time.Millisecond).String()
		if m.Bound > 0 && m.Worst > m.Bound {
			worst = p.red(worst)
		}
		rows = append(rows, []string{n, m.Bound.Round(time.Millisecond).String(), worst, fmt.Sprint(m.Count), m.Formula})
	}
	return "\n" + table(rows)
}

// byNumber orders names such as I2 and I10 by their numbers.
func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// verdictList lists the invariants by their outcome, with one line for each outcome.
func verdictList(verdicts []sim.Verdict, p painter) string {
	by := map[sim.Outcome][]string{}
	for _, v := range verdicts {
		by[v.Outcome] = append(by[v.Outcome], v.Invariant.String())
	}
	var b strings.Builder
	b.WriteByte('\n')
	for _, outcome := range []sim.Outcome{sim.Held, sim.Violated, sim.NotExercised, sim.NotApplicable} {
		if len(by[outcome]) == 0 {
			continue
		}
		label := fmt.Sprintf("%-15s", outcome)
		if outcome == sim.Violated {
			label = p.red(label)
		}
		b.WriteString("  " + label + strings.Join(by[outcome], " ") + "\n")
	}
	b.WriteByte('\n')
	return b.String()
}

// A simReport is the result of a run in the form in which it is printed as JSON.
type simReport struct {
	Scenario   string            `json:"scenario"`
	Seed       uint64            `json:"seed"`
	Verdict    string            `json:"verdict"` // pass, violation, unknown
	Why        string            `json:"why,omitempty"`
	Hash       string            `json:"hash"`
	Simulated  float64           `json:"simulated_seconds"`
	Events     uint64            `json:"events"`
	Messages   uint64            `json:"messages"`
	Starts     int               `json:"starts"`
	Moves      int               `json:"moves"`
	TakeOvers  int               `json:"false_takeovers"`
	Violations []violationReport `json:"violations"`
	Invariants outcomes          `json:"invariants"`
	Measures   []measureReport   `json:"measures"`
	Sometimes  map[string]int    `json:"sometimes,omitempty"`
}

// outcomes are the outcomes of the invariants.
type outcomes map[oracle.Invariant]sim.Outcome

func outcomesOf(verdicts []sim.Verdict) outcomes {
	by := outcomes{}
	for _, v := range verdicts {
		by[v.Invariant] = v.Outcome
	}
	return by
}

type violationReport struct {
	Invariant   oracle.Invariant `json:"invariant"`
	At          float64          `json:"at_seconds"`
	Stream      string           `json:"stream,omitempty"`
	Nodes       []string         `json:"nodes,omitempty"`
	Line        uint64           `json:"trace_line"`
	Step        int              `json:"scenario_line,omitempty"`
	Text        string           `json:"text"`
	Fingerprint string           `json:"fingerprint"`
}

type measureReport struct {
	Name    string  `json:"name"`
	Formula string  `json:"formula"`
	Bound   float64 `json:"bound_seconds"`
	Worst   float64 `json:"worst_seconds"`
	Count   int     `json:"count"`
}

func runJSON(s *sim.Scenario, r *sim.Result) simReport {
	out := simReport{
		Scenario: s.Name, Seed: s.Seed, Verdict: "pass", Why: r.Why, Hash: r.Hash, Simulated: r.Simulated.Seconds(), Events: r.Events,
		Messages: r.Messages, Starts: r.Starts, Moves: r.Moves, TakeOvers: r.TakeOvers, Violations: []violationReport{},
		Invariants: outcomesOf(r.Verdicts), Measures: measureReports(r.Measures), Sometimes: r.Sometimes,
	}
	if r.Unknown {
		out.Verdict = "unknown"
	}
	if len(r.Violations) > 0 {
		out.Verdict = "violation"
	}
	for _, v := range r.Violations {
		out.Violations = append(out.Violations, reportOf(v))
	}
	return out
}

func reportOf(v sim.Violation) violationReport {
	return violationReport{v.Invariant, v.At.Seconds(), v.Stream, v.Nodes, v.Line, v.Step, v.Text, v.Fingerprint}
}

// measureReports are the measures, in the order of the numbers in their names.
func measureReports(measures map[string]sim.Measure) []measureReport {
	out := []measureReport{}
	for _, n := range slices.SortedFunc(maps.Keys(measures), byNumber) {
		m := measures[n]
		out = append(out, measureReport{n, m.Formula, m.Bound.Seconds(), m.Worst.Seconds(), m.Count})
	}
	return out
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	return nil
}

// SimRenderCmd is `weir sim render`.
type SimRenderCmd struct {
	SimScenario
	Output string `short:"o" default:"-" placeholder:"FILE" help:"File to write; - writes text to standard output."`
	Text   bool   `help:"Write text into the file too."`
	Width  int    `placeholder:"N" help:"Width of the text in characters."`
}

// Help implements [kong.HelpProvider].
func (*SimRenderCmd) Help() string {
	return `Examples:
  weir sim render testdata/scenarios/a_one_way_link_moves_nothing.txtar --output run.html
  weir sim render --config weir.conf mine.txt

The page needs only a browser. It shows the faults; a lane for each stream in the colour of the node that captures it
(hatched: several nodes; red: no node); a lane for each node with the nodes that it takes for dead; a slider, which shows the
view of every node at an instant; and each violation with the lines of the trace that led to it. Ctrl and the wheel zoom.

Exit codes: as of weir sim run.`
}

// Run draws a run.
func (c *SimRenderCmd) Run(std stdio) error {
	in, err := c.load(std)
	if err != nil {
		return err
	}
	r := sim.Run(in.Scenario, sim.Options{Keep: true, Snapshots: snapshotEvery(in.Scenario)})
	err = writeTo(c.Output, std, func(w io.Writer) error {
		if c.Text || c.Output == "-" {
			width := c.Width
			if width == 0 {
				width = terminalWidth()
			}
			colour := c.Output == "-" && isTerminal(std.out) && os.Getenv("NO_COLOR") == ""
			return timeline.Text(w, in.Scenario, r, timeline.TextOptions{Width: width, Colour: colour})
		}
		return timeline.HTML(w, in.Scenario, r, timeline.HTMLOptions{Source: string(in.text)})
	})
	if err != nil {
		return err
	}
	return outcome(r)
}

// replayWith is a printed scenario, with a line that says how to run it again.
func replayWith(text string) string {
	return "The smallest scenario that still shows it. Save it as found.txtar, then: weir sim run found.txtar\n\n" + text
}
