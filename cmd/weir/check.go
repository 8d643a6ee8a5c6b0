package main

import (
	"fmt"

	"weir/cluster/conf"
)

// Run checks a configuration file.
func (c *CheckCmd) Run(std stdio) error {
	given := &configuration{path: c.File, flags: c.flags()}
	file, problems, err := given.load(std.in)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	printProblems(std, problems)
	if problems.Failed() {
		return &exitError{code: exitConfig}
	}
	if c.Print {
		_, err = fmt.Fprint(std.out, file.Masked())
	} else {
		_, err = fmt.Fprintf(std.out, "%s: ok, %s, %s\n", configName(c.File), plural(len(file.Streams), "stream"), plural(len(file.Peers), "peer"))
	}
	if err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// printProblems writes one line per problem, with colours if standard error is a terminal.
func printProblems(std stdio, problems conf.Problems) {
	p := painter{colour: isTerminal(std.err)}
	for _, q := range problems {
		word := p.red(q.Severity.String() + ":")
		if q.Severity == conf.Warning {
			word = p.yellow(q.Severity.String() + ":")
		}
		_, _ = fmt.Fprintf(std.err, "%s: %s %s\n", p.bold(q.Pos.String()), word, q.Text)
	}
}
