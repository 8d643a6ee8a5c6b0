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
	if c.JSON {
		err = c.printJSON(std, file, problems)
	} else {
		printProblems(std, problems)
	}
	if err == nil && problems.Failed() {
		return &exitError{code: exitConfig}
	}
	if c.JSON {
		return err
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

// A checked is the result of a check as JSON.
type checked struct {
	File     string    `json:"file"`
	OK       bool      `json:"ok"` // whether a node would start
	Streams  int       `json:"streams"`
	Peers    int       `json:"peers"`
	Problems []problem `json:"problems"`
}

// A problem is one thing that is wrong or doubtful about a file. Line and column count from 1; both are 0 for a flag, which is the file
// then.
type problem struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"`
	Text     string `json:"text"`
}

func (c *CheckCmd) printJSON(std stdio, file *conf.File, problems conf.Problems) error {
	out := checked{File: configName(c.File), OK: !problems.Failed(), Streams: len(file.Streams), Peers: len(file.Peers), Problems: []problem{}}
	for _, p := range problems {
		out.Problems = append(out.Problems, problem{p.Pos.File, p.Pos.Line, p.Pos.Col, p.Severity.String(), p.Text})
	}
	return printedJSON(std, out)
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
