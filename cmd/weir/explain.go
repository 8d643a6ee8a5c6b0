package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/cluster/control"
)

// ExplainCmd is `weir explain`.
type ExplainCmd struct {
	NodeAddr
	Stream string `arg:"" help:"The stream."`
}

// Help implements [kong.HelpProvider].
func (*ExplainCmd) Help() string {
	return `Examples:
  weir explain cam01
  weir explain --node http://n2:8080 --json cam01

The node is asked, and answers from its own control plane: what it knows, which may differ from what another node knows.
Below the sentences stand all nodes in the order in which they come first for this stream.

Exit codes: 0 answered; 1 there is no such stream, or the node could not be asked.`
}

// maxReport is the most bytes of an answer that are read.
const maxReport = 256 << 20

// fetch asks for a path of the API and reads the answer into v; with --json it prints it instead and reports true.
func (a *NodeAddr) fetch(ctx context.Context, std stdio, path string, query url.Values, v any) (printed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := a.request(ctx, http.MethodGet, path, query)
	if err != nil {
		return false, err
	}
	res, err := a.do(req)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReport))
	if err == nil && a.JSON {
		_, err = std.out.Write(body)
		return true, err
	}
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		return false, fmt.Errorf("the answer of %s: %w", a.Node, err)
	}
	return false, nil
}

// Run explains a stream.
func (c *ExplainCmd) Run(ctx context.Context, std stdio) error {
	var x control.Explanation
	if printed, err := c.fetch(ctx, std, "/cluster/explain", url.Values{"stream": {c.Stream}}, &x); err != nil || printed {
		return err
	}
	_, err := io.WriteString(std.out, explained(&x))
	return err
}

// explained is an explanation as text.
func explained(x *control.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", x.Stream, x.State)
	if x.Owner != "" {
		fmt.Fprintf(&b, " on %s (%s)", x.Owner, x.Reason)
	}
	fmt.Fprintf(&b, ", as %s sees it\n", x.Asked)
	for _, why := range x.Why {
		fmt.Fprintf(&b, "  - %s\n", why)
	}
	b.WriteString("\n")
	rows := [][]string{{"", "NODE", "IS", "HEARD", "CLAIM", "REMARKS"}}
	for i, n := range x.Order {
		is, heard := string(n.Status), "never"
		if n.Age > 0 || n.Alive {
			heard = fmt.Sprintf("%.1f s ago", float64(n.Age)/1000)
		}
		if n.Node == x.Asked {
			heard = "itself"
		}
		claim := "-"
		if n.Claim != "" {
			claim = fmt.Sprintf("%s for %.0f s", n.Claim, float64(n.Since)/1000)
		}
		var remarks []string
		for _, r := range []struct {
			is   bool
			text string
		}{
			{n.Node == x.Pin, "pin"},
			{n.Node == x.Home, "home"},
			{!n.Lists, "not in its file"},
			{n.Drains, "drains"},
			{n.Full, "full"},
			{n.Alive && !n.Direct, "heard through others only"},
			{n.Detail != "", n.Detail},
		} {
			if r.is {
				remarks = append(remarks, r.text)
			}
		}
		rows = append(rows, []string{strconv.Itoa(i + 1), n.Node, is, heard, claim, strings.Join(remarks, ", ")})
	}
	return b.String() + table(rows)
}

// PlanCmd is `weir plan`.
type PlanCmd struct {
	NodeAddr
	Without []string `placeholder:"NODE" help:"A node that is taken away, by the name that it announces, by its host, or by its HOST:PORT; may be given several times."`
}

// Help implements [kong.HelpProvider].
func (*PlanCmd) Help() string {
	return `Examples:
  weir plan --without n2
  weir plan --without n2 --without n3.example.com:8080 --node http://127.0.0.1:8080
  weir plan

It says which streams would go where if these nodes died now, and how many each node would then have. Without a node it
says which streams are not where they belong. Nothing is changed.

Exit codes: 0 answered; 1 the node could not be asked, or a name is unknown.`
}

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
