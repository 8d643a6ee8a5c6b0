package main

import (
	"fmt"

	"weir/sim/mutants"
)

// SimPackCmd is `weir sim pack`.
type SimPackCmd struct {
	Scenarios string `placeholder:"DIR" help:"Folder of scenarios to run beside those that are part of the program."`
	Seeds     uint64 `default:"20" placeholder:"N" help:"Number of seeds of the swarm. Default ${default}."`
	Jobs      int    `short:"j" placeholder:"N" help:"How many runs at once; as many as there are processors."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimPackCmd) Help() string {
	return `Examples:
  weir sim pack
  weir sim pack --scenarios testdata/scenarios --seeds 100

It runs small scenarios in which one thing goes wrong, those of a folder, and a swarm, each with the control plane alone and
with actors. The first violation ends it. A fault that is planted into the source is looked for in this way.

Exit codes: 0 everything held; 1 something did not; 2 the scenarios cannot be read.`
}

// A packReport is the result of the pack in the form in which it is printed as JSON.
type packReport struct {
	Swarm     bool             `json:"swarm"`
	Run       int              `json:"run"`
	Scenario  string           `json:"scenario"`
	Violation *violationReport `json:"violation,omitempty"`
}

// Run runs the pack.
func (c *SimPackCmd) Run(std stdio) error {
	suite, err := mutants.NewSuite(c.Scenarios, c.Seeds)
	if err != nil {
		return &exitError{exitUnknown, err}
	}
	found := suite.Run(c.Jobs)
	rep := packReport{}
	text := fmt.Sprintf("ok  %d scenarios and %d groups drawn at random\n", len(suite.Scenarios), 2*c.Seeds)
	if found != nil {
		v := reportOf(found.Violation)
		rep = packReport{found.Swarm, found.Run, found.Name, &v}
		text = fmt.Sprintf("violation  %s: %s at %s: %s\n", found.Name, found.Violation.Invariant, found.Violation.At, found.Violation.Text)
	}
	if c.JSON {
		err = writeJSON(std.out, rep)
	} else if _, werr := fmt.Fprint(std.out, text); werr != nil {
		err = fmt.Errorf("printing what the pack has found: %w", werr)
	}
	if err == nil && found != nil {
		err = &exitError{code: exitViolation}
	}
	return err
}
