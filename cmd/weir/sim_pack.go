package main

import (
	"fmt"
	"io"
	"strings"

	"weir/sim/mutants"
)

// SimPackCmd is `weir sim pack`.
type SimPackCmd struct {
	Scenarios string   `placeholder:"DIR" help:"Folder of scenarios to run beside those that are part of the program."`
	Seeds     uint64   `default:"20" placeholder:"N" help:"Number of seeds of the swarm. Default ${default}."`
	Small     uint64   `placeholder:"N" help:"Number of seeds of the swarm that draw small groups, with the control plane alone. Default 0."`
	Jobs      int      `short:"j" placeholder:"N" help:"How many runs at once; as many as there are processors."`
	Keep      bool     `name:"keep-going" help:"Go on after the first violation."`
	First     string   `placeholder:"RUN" help:"The run to begin with, by the name under which it is printed."`
	Except    []string `sep:"none" placeholder:"RUN" help:"A run to leave out, by the name under which it is printed. Can be given several times."`
	JSON      bool     `name:"json" help:"Print JSON."`
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

// A packReport is a run that violated something, in the form in which it is printed as JSON.
type packReport struct {
	Swarm     bool            `json:"swarm"`
	Run       int             `json:"run"` // counted from 1, among the scenarios or among the groups that were drawn
	Name      string          `json:"name"`
	Violation violationReport `json:"violation"`
}

// Run runs the pack.
func (c *SimPackCmd) Run(std stdio) error {
	suite, err := mutants.NewSuite(c.Scenarios, c.Seeds)
	if err != nil {
		return &exitError{exitUnknown, err}
	}
	suite.Small = c.Small
	found := suite.Run(c.Jobs, c.Keep, c.First, c.Except)
	if c.JSON {
		list := []packReport{}
		for _, f := range found {
			list = append(list, packReport{f.Swarm, f.Run, f.Name, reportOf(f.Violation)})
		}
		err = writeJSON(std.out, list)
	} else {
		var b strings.Builder
		for _, f := range found {
			fmt.Fprintf(&b, "violation  %s: %s at %s: %s\n", f.Name, f.Violation.Invariant, f.Violation.At, f.Violation.Text)
		}
		if len(found) == 0 {
			fmt.Fprintf(&b, "ok  %d scenarios and %d groups drawn at random\n", len(suite.Scenarios), c.Small+2*c.Seeds)
		}
		if _, werr := io.WriteString(std.out, b.String()); werr != nil {
			err = fmt.Errorf("printing what the pack has found: %w", werr)
		}
	}
	if err == nil && len(found) > 0 {
		err = &exitError{code: exitViolation}
	}
	return err
}
