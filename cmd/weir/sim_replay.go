package main

import (
	"fmt"
	"io"
	"os"

	"weir/cluster/journal"
)

// SimReplayCmd is `weir sim replay`.
type SimReplayCmd struct {
	Journal string `arg:"" help:"The journal that a node wrote (journal PATH; in its configuration); - reads standard input."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimReplayCmd) Help() string {
	return `Examples:
  weir sim replay /var/log/weir/journal
  weir sim replay --json - < journal

A node whose configuration says "journal PATH;" writes every event and every effect of its control plane into that file. This
command gives the events to the state machine again and compares the effects. It prints the first event that has other effects
now, with both. A journal should be replayed by the build that wrote it.

Exit codes: 0 all effects were the same; 1 some were not; 2 the journal cannot be read.`
}

// Run replays a journal.
func (c *SimReplayCmd) Run(std stdio) error {
	in := std.in
	if c.Journal != "-" {
		f, err := os.Open(c.Journal)
		if err != nil {
			return &exitError{exitUnknown, fmt.Errorf("opening the journal: %w", err)}
		}
		defer func() { _ = f.Close() }() // nothing was written
		in = f
	}
	first, n, err := journal.Replay(in)
	if err != nil {
		return &exitError{exitUnknown, fmt.Errorf("replaying %s: %w", configName(c.Journal), err)}
	}
	if c.JSON {
		err = writeJSON(std.out, struct {
			Events int                 `json:"events"`
			First  *journal.Difference `json:"first_difference,omitempty"`
		}{n, first})
	} else {
		text := fmt.Sprintf("ok  %s, all with the same effects\n", plural(n, "event"))
		if first != nil {
			text = fmt.Sprintf("after %s: %s\n", plural(n, "event"), first)
		}
		_, err = io.WriteString(std.out, text)
	}
	if err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	if first != nil {
		return &exitError{code: exitViolation}
	}
	return nil
}
