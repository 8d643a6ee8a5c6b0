package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"weir/sim"
)

// SimMutantsCmd is `weir sim mutants`.
type SimMutantsCmd struct {
	Pack uint64 `default:"300" placeholder:"N" help:"Seeds of the standard swarm, which has to reach every state that matters. Default ${default}; 0 leaves it out."`
	Jobs int    `short:"j" placeholder:"N" help:"How many runs of the swarm at once; as many as there are processors."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimMutantsCmd) Help() string {
	return `Examples:
  weir sim mutants
  weir sim mutants --pack 0

A simulator that never complains proves nothing. So known faults are planted into the rules, one after the other, and each has
to be caught: by which invariant, in which scenario, and after how many simulated seconds says the table. And a rule is proven
only in states that have occurred: a state of the list that the standard swarm never reaches is a failure too.

Exit codes: 0 every fault was caught and every state reached; 1 one was not; 2 interrupted.`
}

// Run plants the faults.
func (c *SimMutantsCmd) Run(ctx context.Context, std stdio) error {
	list := sim.Mutants(nil)
	missing := []string{}
	if c.Pack > 0 {
		bar := newBar(std, "seeds", int(c.Pack))
		r := sim.Swarm(sim.SwarmOptions{SweepOptions: sim.SweepOptions{From: 1, Seeds: c.Pack, Workers: c.Jobs, Progress: func(p sim.Progress) bool {
			bar.step(int(p.Done), "")
			return !interrupted(ctx)
		}}})
		bar.end()
		if interrupted(ctx) {
			return &exitError{exitUnknown, errInterrupted}
		}
		missing = append(missing, r.Missing...)
	}
	var err error
	if c.JSON {
		err = writeJSON(std.out, mutantsReport(list, missing))
	} else if _, werr := io.WriteString(std.out, mutantsText(list, missing, c.Pack, painter{colour: isTerminal(std.out)})); werr != nil {
		err = fmt.Errorf("printing the mutants: %w", werr)
	}
	if err != nil {
		return err
	}
	for _, m := range list {
		if !m.Killed {
			return &exitError{code: exitViolation}
		}
	}
	if len(missing) > 0 {
		return &exitError{code: exitViolation}
	}
	return nil
}

func mutantsText(list []sim.MutantResult, missing []string, pack uint64, p painter) string {
	var b strings.Builder
	rows := [][]cell{{{text: "planted fault"}, {text: "what it is"}, {text: "caught by"}, {text: "in"}, {text: "after"}, {text: "runs"}}}
	caught := 0
	for _, m := range list {
		by, where, after := cell{text: m.By}, m.Scenario, millis(m.At)
		if m.Killed {
			caught++
		} else {
			by, where, after = cell{"nothing", p.red}, "", ""
		}
		rows = append(rows, []cell{{text: m.Name}, {text: m.What}, by, {text: where}, {text: after}, {text: fmt.Sprint(m.Runs)}})
	}
	b.WriteString(table(rows))
	fmt.Fprintf(&b, "\n%d of %d caught\n", caught, len(list))
	switch {
	case len(missing) > 0:
		fmt.Fprintf(&b, "%s in %d runs of the standard swarm: %s\n", p.red("never reached"), pack, strings.Join(missing, "; "))
	case pack > 0:
		fmt.Fprintf(&b, "every state that matters was reached in %d runs of the standard swarm\n", pack)
	}
	return b.String()
}

// mutantsReport is the same for programs.
func mutantsReport(list []sim.MutantResult, missing []string) any {
	type mutant struct {
		Name     string  `json:"name"`
		What     string  `json:"what"`
		Killed   bool    `json:"caught"`
		By       string  `json:"by,omitempty"`
		Scenario string  `json:"scenario,omitempty"`
		At       float64 `json:"after_seconds,omitempty"`
		Runs     int     `json:"runs"`
	}
	out := struct {
		Mutants []mutant `json:"mutants"`
		Missing []string `json:"never_reached"`
	}{[]mutant{}, missing}
	for _, m := range list {
		out.Mutants = append(out.Mutants, mutant{m.Name, m.What, m.Killed, m.By, m.Scenario, m.At.Seconds(), m.Runs})
	}
	return out
}
