package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"weir/sim/real"
)

// SimChaosCmd is `weir sim chaos`.
type SimChaosCmd struct {
	Length  time.Duration `arg:"" optional:"" default:"3m" help:"How long it goes on. Default ${default}."`
	Seed    uint64        `arg:"" optional:"" default:"1" help:"Seed of what is drawn. Default ${default}."`
	Viewers int           `default:"100" placeholder:"N" help:"Number of viewers. Default ${default}."`
	Keep    string        `placeholder:"DIR" help:"Keep the configurations, journals and logs of the nodes there."`
}

// Help implements [kong.HelpProvider].
func (*SimChaosCmd) Help() string {
	return `Examples:
  weir sim chaos
  weir sim chaos 10m 7
  weir sim chaos --keep out 3m 2

It lets faults happen to three to five real processes on loopback, under viewers of all protocols and publishers that come
and go. The size of the group, its timeouts and the faults are drawn from the seed as those of the swarm are. At the end all
faults end. What viewers, publishers and cameras saw, and what the API of each node said, is judged by bounds that are
formulas of the timeouts. Every bound allows for how late the machine lets things happen: by how much its own timers are late,
and how long each thread of a node is ready and has no processor. A node that is late by more than a tenth of stale_timeout
counts as one that was paused. It needs Linux.

Exit codes: 0 nothing was violated; 1 something was; 2 it could not be run.`
}

// Run lets faults happen.
func (c *SimChaosCmd) Run(ctx context.Context, std stdio) (err error) {
	program, err := os.Executable()
	if err != nil {
		return &exitError{exitUnknown, fmt.Errorf("finding the program that is to be run: %w", err)}
	}
	dir := c.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "weir-chaos-"); err != nil {
			return &exitError{exitUnknown, fmt.Errorf("making a directory for the nodes: %w", err)}
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return &exitError{exitUnknown, fmt.Errorf("making a directory for the nodes: %w", err)}
	}
	r, err := real.Chaos(ctx, real.ChaosOptions{Program: program, Dir: dir, Seed: c.Seed, Length: c.Length, Viewers: c.Viewers})
	if interrupted(ctx) {
		return &exitError{exitUnknown, errInterrupted}
	}
	if err != nil {
		return &exitError{exitUnknown, err}
	}
	if _, err := io.WriteString(std.out, chaosText(r)); err != nil {
		return fmt.Errorf("printing the chaos: %w", err)
	}
	if len(r.Violations) > 0 {
		return &exitError{code: exitViolation}
	}
	return nil
}

func chaosText(r *real.ChaosReport) string {
	var b strings.Builder
	counts := func(m map[string]int) string {
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			parts = append(parts, fmt.Sprintf("%s %d", k, m[k]))
		}
		return strings.Join(parts, ", ")
	}
	fmt.Fprintf(&b, "seed %d: %d nodes, fetch_timeout %v, stale_timeout %v, %d streams, %v\n", r.Seed, r.Nodes, r.Fetch, r.Stale, r.Streams,
		r.Length.Round(time.Second))
	total := 0
	for _, n := range r.Faults {
		total += n
	}
	fmt.Fprintf(&b, "faults: %d: %s\n", total, counts(r.Faults))
	fmt.Fprintf(&b, "processes started: %d; publishers let in: %d, refused: %d; viewers: %d, pictures: %d\n", r.Boots, r.Publishers, r.Refused, r.Viewers, r.Pictures)
	rows := [][]string{{"gaps", "number", "p50", "p99", "max"}}
	for _, g := range []struct {
		what string
		list []time.Duration
	}{{"of captures", r.CaptureGaps}, {"of viewers", r.ViewerGaps}, {"until a publisher is heard", r.Heard}} {
		rows = append(rows, []string{g.what, fmt.Sprint(len(g.list)), millis(quantile(g.list, 0.5)), millis(quantile(g.list, 0.99)), millis(quantile(g.list, 1))})
	}
	b.WriteString(table(rows))
	fmt.Fprintf(&b, "judged: %s\n", counts(r.Judged))
	fmt.Fprintf(&b, "the machine was late by up to %s; it stood still for %s\n", timesText(r.Late), timesText(r.Stood))
	for _, v := range r.Violations {
		b.WriteString("violated " + v + "\n")
	}
	if len(r.Violations) == 0 {
		b.WriteString("no violation\n")
	}
	return b.String()
}

// timesText writes times by node.
func timesText(times map[string]time.Duration) string {
	var parts []string
	for _, node := range slices.Sorted(maps.Keys(times)) {
		parts = append(parts, fmt.Sprintf("%s %v", node, times[node].Round(time.Millisecond)))
	}
	return strings.Join(parts, ", ")
}
