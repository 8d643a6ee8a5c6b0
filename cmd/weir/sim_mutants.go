package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"weir/sim"
	"weir/sim/mutants"
	"weir/sim/oracle"
)

// SimMutantsCmd is `weir sim mutants`.
type SimMutantsCmd struct {
	Source string `default:"." placeholder:"DIR" help:"Weir's source, or a folder of it. Default: the working directory."`
	Pack   uint64 `default:"300" placeholder:"N" help:"Number of seeds of the standard pack, which has to reach every state of the list. Default ${default}; 0 leaves it out."`
	Jobs   int    `short:"j" placeholder:"N" help:"How many runs of the swarm at once; as many as there are processors."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimMutantsCmd) Help() string {
	return `Examples:
  weir sim mutants
  weir sim mutants --source ~/src/weir --pack 0

A simulator that never reports anything proves nothing. So this command plants known faults into the rules, one after the
other, and each fault has to be caught. The table says by which invariant, in which scenario, and after how many simulated
seconds. A fault is an edit of weir's source, built with Go, so both the source and Go have to be there; weir itself contains
no fault and no switch for one.

The rules are tested only in states that occur. So the standard pack, which is a swarm and the scenarios of the table without
a planted fault, has to reach every state of a list, exercise every rule, and violate none.

Exit codes: 0 every fault was caught and the standard pack did all that; 1 something of it failed; 2 interrupted, or there is
no source or no Go.`
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

// prove plants one fault after the other, and says which invariant caught each.
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

// mutantsReport is the result in the form in which it is printed as JSON.
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
		Mutants  []mutant           `json:"mutants"`
		Missing  []string           `json:"never_reached"`
		Idle     []oracle.Invariant `json:"never_exercised"`
		Violated []uint64           `json:"failed_seeds"`
	}{[]mutant{}, []string{}, []oracle.Invariant{}, []uint64{}}
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
