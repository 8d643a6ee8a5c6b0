package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"weir/sim"
	"weir/sim/mutants"
)

// SimMutantsCmd is `weir sim mutants`.
type SimMutantsCmd struct {
	Source string `default:"." placeholder:"DIR" help:"Weir's source, or a folder of it. Default: where the command is given."`
	Pack   uint64 `default:"300" placeholder:"N" help:"Seeds of the standard pack, which has to reach every state that matters. Default ${default}; 0 leaves it out."`
	Jobs   int    `short:"j" placeholder:"N" help:"How many runs of the swarm at once; as many as there are processors."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimMutantsCmd) Help() string {
	return `Examples:
  weir sim mutants
  weir sim mutants --source ~/src/weir --pack 0

A simulator that never complains proves nothing. So known faults are planted into the rules, one after the other, and each has
to be caught: by which invariant, in which scenario, and after how many simulated seconds says the table. The faults are
edits of weir's source, built beside it by Go, so that both have to be there; weir itself holds no fault and no switch for
one. And a rule is proven only in states that have occurred: a state of the list that the standard pack (a swarm, and the
scenarios of the table with no fault planted) never reaches, or a rule that it never exercises, is a failure too, and so is
one that it violates.

Exit codes: 0 every fault was caught and every state reached; 1 one was not; 2 interrupted, or there is no source or no Go.`
}

// Run plants the faults.
func (c *SimMutantsCmd) Run(ctx context.Context, std stdio) error {
	list, err := c.prove(ctx, std)
	if err != nil {
		if interrupted(ctx) {
			err = errInterrupted
		}
		return &exitError{exitUnknown, err}
	}
	var pack *sim.SweepResult
	if c.Pack > 0 {
		bar := newBar(std, "runs", 0)
		pack = mutants.Pack(sim.SweepOptions{From: 1, Seeds: c.Pack, Workers: c.Jobs, Progress: func(r *sim.SweepResult) bool {
			bar.total = r.Total
			bar.step(r.Runs, "")
			return !interrupted(ctx)
		}})
		bar.end()
		if interrupted(ctx) {
			return &exitError{exitUnknown, errInterrupted}
		}
	}
	if c.JSON {
		err = writeJSON(std.out, mutantsReport(list, pack))
	} else if _, werr := io.WriteString(std.out, mutantsText(list, pack, painter{colour: isTerminal(std.out)})); werr != nil {
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
	if pack != nil && len(pack.Missing)+len(pack.Idle)+pack.Failed > 0 {
		return &exitError{code: exitViolation}
	}
	return nil
}

// prove plants one fault after the other and says what noticed them.
func (c *SimMutantsCmd) prove(ctx context.Context, std stdio) (list []mutants.Result, err error) {
	bar := newBar(std, "planted faults", len(mutants.All))
	defer bar.end()
	bar.step(0, "building weir with the faults")
	program, err := mutants.Build(ctx, c.Source)
	if err != nil {
		return nil, fmt.Errorf("--source: %w", err)
	}
	defer func() { err = errors.Join(err, program.Remove()) }()
	for i, m := range mutants.All {
		r, err := program.Prove(ctx, m)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
		bar.step(i+1, "")
	}
	return list, nil
}

func mutantsText(list []mutants.Result, pack *sim.SweepResult, p painter) string {
	var b strings.Builder
	rows := [][]string{{"planted fault", "what it is", "caught by", "in", "after", "runs"}}
	caught := 0
	for _, m := range list {
		by, where, after := m.By, m.Scenario, millis(m.At)
		if m.Killed {
			caught++
		} else {
			by, where, after = p.red("nothing"), "", ""
		}
		rows = append(rows, []string{m.Name, m.What, by, where, after, fmt.Sprint(m.Runs)})
	}
	b.WriteString(table(rows))
	fmt.Fprintf(&b, "\n%d of %d caught\n", caught, len(list))
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
	for _, f := range pack.Failures {
		fmt.Fprintf(&b, "%s without any fault planted: %s, %s at %s: %s\n", p.red("violated"), f.Scenario.Name, f.Violation.Invariant, f.Violation.At, f.Violation.Text)
	}
	return b.String()
}

// mutantsReport is the same for programs.
func mutantsReport(list []mutants.Result, pack *sim.SweepResult) any {
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
		Mutants  []mutant        `json:"mutants"`
		Missing  []string        `json:"never_reached"`
		Idle     []sim.Invariant `json:"never_exercised"`
		Violated []uint64        `json:"failed_seeds"`
	}{[]mutant{}, []string{}, []sim.Invariant{}, []uint64{}}
	if pack != nil {
		out.Missing, out.Idle = append(out.Missing, pack.Missing...), append(out.Idle, pack.Idle...)
		for _, f := range pack.Failures {
			out.Violated = append(out.Violated, f.Seed)
		}
	}
	for _, m := range list {
		out.Mutants = append(out.Mutants, mutant{m.Name, m.What, m.Killed, m.By, m.Scenario, m.At.Seconds(), m.Runs})
	}
	return out
}
