package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"weir/cluster/control"
)

// Run says what would move.
func (c *PlanCmd) Run(ctx context.Context, std stdio) error {
	var f control.Forecast
	if printed, err := c.fetch(ctx, std, "/cluster/plan", url.Values{"without": c.Without}, &f); err != nil || printed {
		return err
	}
	if len(f.Unknown) > 0 {
		var names []string
		for _, n := range f.Nodes {
			names = append(names, n.Node)
		}
		return fmt.Errorf("%s knows no node %s; it knows %s", f.Asked, strings.Join(f.Unknown, ", "), strings.Join(names, ", "))
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
	rows := [][]string{{"NODE", "NOW", "THEN", "LIMIT"}}
	for _, n := range f.Nodes {
		limit := "-"
		if n.Limit > 0 {
			limit = fmt.Sprint(n.Limit)
		}
		rows = append(rows, []string{n.Node, strconv.Itoa(n.Now), strconv.Itoa(n.Then), limit})
	}
	b.WriteString(table(rows))
	if len(f.Moves) == 0 {
		return b.String()
	}
	rows = [][]string{{"STREAM", "FROM", "TO"}}
	for _, m := range f.Moves {
		rows = append(rows, []string{m.Stream, cmp.Or(m.From, "nowhere"), cmp.Or(m.To, "nowhere: no live node has it in its file")})
	}
	return b.String() + "\n" + table(rows)
}
