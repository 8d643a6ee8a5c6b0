package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"weir/cluster/control"
)

// Run says what would move.
func (c *PlanCmd) Run(ctx context.Context, std stdio) error {
	var f control.Forecast
	if printed, err := c.fetch(ctx, std, "/cluster/plan", url.Values{"without": c.Without}, &f); err != nil || printed {
		return err
	}
	if len(f.Unknown) > 0 {
		var known []string
		for _, n := range f.Nodes {
			known = append(known, n.Node)
		}
		return fmt.Errorf("%s knows no node %s; it knows %s", f.Asked, strings.Join(f.Unknown, ", "), strings.Join(known, ", "))
	}
	_, err := io.WriteString(std.out, planned(&f))
	return err
}

// planned is a forecast as text.
func planned(f *control.Forecast) string {
	var b strings.Builder
	switch n := len(f.Moves); {
	case len(f.Without) > 0:
		fmt.Fprintf(&b, "%s would move without %s", plural(n, "stream"), strings.Join(f.Without, ", "))
	case n == 0:
		b.WriteString("every stream is where it belongs")
	case n == 1:
		b.WriteString("1 stream is not where it belongs")
	default:
		fmt.Fprintf(&b, "%d streams are not where they belong", n)
	}
	fmt.Fprintf(&b, ", as %s sees it\n", f.Asked)
	if f.Over > 0 {
		fmt.Fprintf(&b, "%s would be beyond a node's limits, since all are full\n", plural(f.Over, "stream"))
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  NODE\tNOW\tTHEN\tLIMIT")
	for _, n := range f.Nodes {
		limit := "-"
		if n.Limit > 0 {
			limit = fmt.Sprint(n.Limit)
		}
		fmt.Fprintf(t, "  %s\t%d\t%d\t%s\n", n.Node, n.Now, n.Then, limit)
	}
	_ = t.Flush() // to memory
	if len(f.Moves) == 0 {
		return b.String()
	}
	fmt.Fprintln(t, "\n  STREAM\tFROM\tTO")
	for _, m := range f.Moves {
		from, to := m.From, m.To
		if from == "" {
			from = "nowhere"
		}
		if to == "" {
			to = "nowhere: no live node has it in its file"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", m.Stream, from, to)
	}
	_ = t.Flush()
	return b.String()
}
