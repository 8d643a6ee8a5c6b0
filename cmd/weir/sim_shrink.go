package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"weir/sim"
	"weir/sim/scenario"
	"weir/sim/timeline"
)

// SimShrinkCmd is `weir sim shrink`.
type SimShrinkCmd struct {
	SimScenario
	Output string `short:"o" default:"-" placeholder:"FILE" help:"Where to write the small scenario; - is standard output."`
	HTML   string `name:"html" placeholder:"FILE" help:"Write the timeline of the small scenario as a page."`
	JSON   bool   `name:"json" help:"Print JSON, with the small scenario in it."`
	Runs   int    `default:"500" placeholder:"N" help:"How many smaller scenarios are tried at most. Default ${default}."`
}

// Help implements [kong.HelpProvider].
func (*SimShrinkCmd) Help() string {
	return `Examples:
  weir sim shrink --output small.txtar big.txtar
  weir sim shrink --seed 4711 testdata/scenarios/a_storm_passes_and_all_is_well.txtar

Faults that were drawn at random are written out. Then faults, time, nodes and streams are left out and values are made
simple, as long as the first violation stays the same.

Exit codes: 1 a small scenario was found, which fails as the large one does; 0 the scenario does not fail; 2 it cannot be
read.`
}

// Run makes a scenario small.
func (c *SimShrinkCmd) Run(ctx context.Context, std stdio) error {
	in, err := c.load(std)
	if err != nil {
		return err
	}
	r := sim.Run(in.Scenario, sim.Options{})
	if len(r.Violations) == 0 && c.JSON {
		return writeJSON(std.out, shrunkReport{})
	}
	if len(r.Violations) == 0 {
		if _, err := fmt.Fprintf(std.out, "%s\n", runLine(in.Scenario, r, painter{})); err != nil {
			return fmt.Errorf("printing the outcome: %w", err)
		}
		return nil
	}
	v := r.Violations[0]
	small, ok := shrink(ctx, std, in.Scenario, v, sim.Options{}, c.Runs)
	if !ok {
		return &exitError{exitNondeterminism, errors.New("a second run does not show what the first one did")}
	}
	text := scenario.Format(small)
	if c.JSON {
		was := reportOf(v)
		if err := writeJSON(std.out, shrunkReport{&was, text}); err != nil {
			return err
		}
		if c.Output == "-" {
			return &exitError{code: exitViolation}
		}
	}
	err = writeTo(c.Output, std, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return err
	}
	if c.HTML != "" {
		if err := drawTo(c.HTML, std, small, text); err != nil {
			return err
		}
	}
	return &exitError{exitViolation, fmt.Errorf("%s: %s", v.Invariant, v.Text)}
}

// A shrunkReport is a small scenario and its violation in the form in which they are printed as JSON. Both are empty if nothing was
// violated.
type shrunkReport struct {
	Violation *violationReport `json:"violation"`
	Scenario  string           `json:"scenario"`
}

// shrink makes the scenario of a violation small, and shows a bar. After an interrupt it returns the smallest scenario so far.
func shrink(ctx context.Context, std stdio, s *sim.Scenario, v sim.Violation, o sim.Options, runs int) (*sim.Scenario, bool) {
	if runs == 0 {
		runs = 500
	}
	bar := newBar(std, "runs to make it small", runs)
	defer bar.end()
	small, ok := sim.Shrink(s, v, sim.ShrinkOptions{Run: o, Runs: runs, Progress: func(done, steps int) bool {
		bar.step(done, plural(steps, "step"))
		return !interrupted(ctx)
	}})
	return small, ok
}

// drawTo runs a scenario and writes its page.
func drawTo(file string, std stdio, s *sim.Scenario, text string) error {
	r := sim.Run(s, sim.Options{Keep: true, Snapshots: max(100*time.Millisecond, s.Until/1500)})
	return writeTo(file, std, func(w io.Writer) error { return timeline.HTML(w, s, r, timeline.HTMLOptions{Source: text}) })
}
