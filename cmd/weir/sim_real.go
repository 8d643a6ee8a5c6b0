package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"weir/sim"
	"weir/sim/real"
)

// SimRealCmd is `weir sim real`.
type SimRealCmd struct {
	Scenarios []string `arg:"" name:"scenario" help:"Scenario files."`
	Seeds     uint64   `default:"100" placeholder:"N" help:"Number of runs of the simulator that make the prediction. Default ${default}."`
	Table     bool     `help:"Print one line for each scenario as a table in Markdown."`
	Keep      string   `placeholder:"DIR" help:"Keep the configurations, journals and logs of the nodes there."`
}

// Help implements [kong.HelpProvider].
func (*SimRealCmd) Help() string {
	return `Examples:
  weir sim real testdata/real/an_owner_is_killed.txtar
  weir sim real --table testdata/real/*.txtar
  weir sim real --keep out testdata/real/an_owner_is_killed.txtar

It runs a scenario with real processes of this program on loopback: a proxy on each link between two nodes does what happens
to links, signals do what happens to processes, and the cameras are servers that count who captures. Viewers of all
protocols watch. Then it runs the simulator with what was done at the instants at which it was done, with many seeds, and
compares: each stream must have had the owners that some run of the simulator gave it, each time without media must be as
long as the runs say, give or take 150 ms below and 250 ms above and by how much the machine was late, which is measured, and the
journal of each node must replay with the same effects. A run that is not as predicted and in which the machine let a node stand
still, for want of a processor, is done again, three times in all. It needs Linux.

Exit codes: 0 everything was as predicted; 1 something was not; 2 the scenario cannot be read, or not be run.`
}

// Run runs scenarios with real processes.
func (c *SimRealCmd) Run(ctx context.Context, std stdio) error {
	program, err := os.Executable()
	if err != nil {
		return &exitError{exitUnknown, fmt.Errorf("finding the program that is to be run: %w", err)}
	}
	var docs []*sim.Scenario
	for _, name := range c.Scenarios {
		in, err := (&SimScenario{Scenario: name, Fidelity: "file"}).load(std)
		if err != nil {
			return err
		}
		docs = append(docs, in.Scenario)
	}
	if c.Table {
		if _, err := io.WriteString(std.out, realHead); err != nil {
			return fmt.Errorf("printing the table: %w", err)
		}
	}
	wrong := 0
	for _, s := range docs {
		r, err := c.several(ctx, std, s, program)
		if interrupted(ctx) {
			return &exitError{exitUnknown, errInterrupted}
		}
		if err != nil {
			return &exitError{exitUnknown, fmt.Errorf("%s: %w", s.Name, err)}
		}
		wrong += len(r.Wrong)
		text := realText(r)
		if c.Table {
			text = realRow(r)
		}
		if _, err := io.WriteString(std.out, text); err != nil {
			return fmt.Errorf("printing the run: %w", err)
		}
		if c.Table {
			for _, w := range r.Wrong {
				_, _ = fmt.Fprintf(std.err, "%s: %s\n", s.Name, w)
			}
		}
	}
	if wrong > 0 {
		return &exitError{code: exitViolation}
	}
	return nil
}

// attempts is how often a scenario is run whose nodes the machine lets stand still, of which the prediction knows nothing.
const attempts = 3

// several runs a scenario again that was not as predicted, if the machine let a node stand still meanwhile.
func (c *SimRealCmd) several(ctx context.Context, std stdio, s *sim.Scenario, program string) (r *real.Report, err error) {
	for attempt := 1; ; attempt++ {
		if r, err = c.one(ctx, std, s, program); err != nil || len(r.Wrong) == 0 || r.Stood == 0 || attempt == attempts {
			return r, err
		}
		_, _ = fmt.Fprintf(std.err, "%s: not as predicted, and the machine let a node stand still for %v: again\n", s.Name, r.Stood.Round(time.Millisecond))
	}
}

func (c *SimRealCmd) one(ctx context.Context, std stdio, s *sim.Scenario, program string) (_ *real.Report, err error) {
	dir := c.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "weir-real-"); err != nil {
			return nil, fmt.Errorf("making a directory for the nodes: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else {
		dir += "/" + s.Name
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making a directory for the nodes: %w", err)
		}
	}
	tell := func(string) {}
	if isTerminal(std.err) {
		tell = func(text string) { _, _ = fmt.Fprintln(std.err, text) }
	}
	return real.Run(ctx, s, real.Options{Program: program, Dir: dir, Seeds: c.Seeds, Tell: tell})
}

const realHead = "| scenario | gaps: predicted | real | two owners: predicted | real | sequence of owners |\n|---|---|---|---|---|---|\n"

// An event of a report is the gaps of several streams that begin together.
type realEvent struct {
	at       time.Duration
	cause    sim.GapCause
	streams  int
	min, max time.Duration // predicted
	low, top time.Duration // real
	wrong    bool
}

// realEvents joins the gaps that begin within a second.
func realEvents(gaps []real.Gap) (list []realEvent) {
	for _, g := range gaps {
		n := len(list)
		if n == 0 || g.At-list[n-1].at >= time.Second {
			list = append(list, realEvent{at: g.At, cause: g.Cause, min: g.Min, max: g.Max, low: g.Real, top: g.Real})
			n++
		}
		e := &list[n-1]
		e.streams++
		e.min, e.max, e.low, e.top = min(e.min, g.Min), max(e.max, g.Max), min(e.low, g.Real), max(e.top, g.Real)
		e.wrong = e.wrong || g.Unexpected
	}
	return list
}

func spanOf(low, high time.Duration) string {
	if high-low < 5*time.Millisecond {
		return fmt.Sprintf("%.2f s", high.Seconds())
	}
	return fmt.Sprintf("%.2f–%.2f s", low.Seconds(), high.Seconds())
}

// realSpans are the events of gaps, predicted and real, on a line each. Those of the cold start are left out.
func realSpans(gaps []real.Gap) (predicted, got string) {
	var want, was []string
	for _, e := range realEvents(gaps) {
		if e.cause != sim.GapStart {
			want, was = append(want, spanOf(e.min, e.max)), append(was, spanOf(e.low, e.top))
		}
	}
	if want == nil {
		return "none", "none"
	}
	return strings.Join(want, ", "), strings.Join(was, ", ")
}

// realRow is a report as a line of a Markdown table.
func realRow(r *real.Report) string {
	owners := "as predicted"
	if slices.ContainsFunc(r.Owners, func(o real.Owners) bool { return o.Wrong }) {
		owners = "**not** as predicted"
	}
	gaps, realGaps := realSpans(r.Gaps)
	twice, realTwice := realSpans(r.Twice)
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", strings.ReplaceAll(r.Scenario, "_", " "), gaps, realGaps, twice, realTwice, owners)
}

// realText is a report for people.
func realText(r *real.Report) string {
	var b strings.Builder
	rows := [][]string{{"at", "", "streams", "cause", "predicted", "real", ""}}
	for _, kind := range []struct {
		what string
		list []real.Gap
	}{{"gap", r.Gaps}, {"two owners", r.Twice}} {
		for _, e := range realEvents(kind.list) {
			verdict := "ok"
			if e.wrong {
				verdict = "not as predicted"
			}
			rows = append(rows, []string{millis(e.at), kind.what, fmt.Sprint(e.streams), e.cause.String(), spanOf(e.min, e.max), spanOf(e.low, e.top), verdict})
		}
	}
	b.WriteString(table(rows))
	rows = [][]string{{"viewer", "at", "pictures", "longest silence", "from", "missing", "out of order", "connections"}}
	for _, v := range r.Viewers {
		rows = append(rows, []string{
			string(v.Protocol) + " " + v.Stream, v.Entry, fmt.Sprint(v.Pictures), millis(v.Longest), millis(v.At), fmt.Sprint(v.Missing),
			strings.TrimSuffix(fmt.Sprintf("%d %s", v.Back, v.BackText), " "), fmt.Sprint(v.Ends),
		})
	}
	b.WriteString("\n" + table(rows))
	fmt.Fprintf(&b, "\n%s: %v; %d events of journals replayed; the machine was up to %v late and let a node stand still for %v\n", r.Scenario,
		r.End.Round(time.Millisecond), r.Journals, r.Late.Round(time.Millisecond), r.Stood.Round(time.Millisecond))
	for _, w := range r.Wrong {
		b.WriteString("not as predicted: " + w + "\n")
	}
	return b.String()
}
