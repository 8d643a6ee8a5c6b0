package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"weir/protocols"
	"weir/sim/real"
)

// SimSurviveCmd is `weir sim survive`.
type SimSurviveCmd struct {
	Keep string `placeholder:"DIR" help:"Keep the configurations, journals and logs of the nodes there."`
}

// Help implements [kong.HelpProvider].
func (*SimSurviveCmd) Help() string {
	return `It runs five nodes with real processes and default timeouts. Viewers of each protocol ask nodes that redirect them to the
owner of a stream, or relay the stream to them. The owner is killed and comes back, hangs, and is drained. The table in
Markdown says how long each viewer was without media, and whether its connection was kept. It takes three minutes and needs
Linux.

Exit codes: 0 every viewer to whom the stream was relayed kept its connection; 1 one did not, or saw time go back; 2 the
nodes could not be run.`
}

// Run prints the table.
func (c *SimSurviveCmd) Run(ctx context.Context, std stdio) (err error) {
	program, err := os.Executable()
	if err != nil {
		return &exitError{exitUnknown, fmt.Errorf("finding the program that is to be run: %w", err)}
	}
	dir := c.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "weir-survive-"); err != nil {
			return &exitError{exitUnknown, fmt.Errorf("making a directory for the nodes: %w", err)}
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	tell := func(string) {}
	if isTerminal(std.err) {
		tell = func(text string) { _, _ = fmt.Fprintln(std.err, text) }
	}
	list, err := real.Survive(ctx, real.Options{Program: program, Dir: dir, Tell: tell})
	if err != nil {
		return &exitError{exitUnknown, err}
	}
	if _, err := io.WriteString(std.out, survivalTable(list)); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	wrong := false
	for _, s := range list {
		for _, w := range s.Wrong() {
			wrong = true
			_, _ = fmt.Fprintln(std.err, w)
		}
	}
	if wrong {
		return &exitError{code: exitViolation}
	}
	return nil
}

// survivalTable is the table in Markdown.
func survivalTable(list []real.Survival) string {
	var b strings.Builder
	b.WriteString("| viewer | " + strings.Join(real.SurvivalEvents, " | ") + " |\n|---|" + strings.Repeat("---|", len(real.SurvivalEvents)) + "\n")
	for _, s := range list {
		b.WriteString("| " + protocols.Of(s.Protocol).Title + ", " + s.Led + " |")
		for _, e := range real.SurvivalEvents {
			b.WriteString(" " + s.Outcomes[e].String() + " |")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
