package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/cluster/status"
	"weir/protocols/api"
)

// StatusCmd is `weir status`.
type StatusCmd struct {
	NodeAddr
	Watch bool          `short:"w" help:"Show it again and again, until interrupted."`
	Every time.Duration `default:"2s" help:"How often it is shown with --watch. Default ${default}."`
}

// Help implements [kong.HelpProvider].
func (*StatusCmd) Help() string {
	return `Examples:
  weir status
  weir status --watch --node http://n2.example.com:8080
  weir status --json | jq .alarms

It shows the cluster as one node sees it: what is wrong, the nodes, and the streams that do not run.

Exit codes: 0 all is well; 1 the node could not be asked; 3 something is wrong: there is an alarm, a node does not live, or a
stream has failed.`
}

// exitTrouble is the exit code of a status that is not as it should be.
const exitTrouble = 3

// maxShown is how many streams a status lists at most.
const maxShown = 20

// A clusterStatus is what `weir status` shows. Streams are those that do not run, at most [maxShown].
type clusterStatus struct {
	Asked   string         `json:"asked"` // the name of the node, or its URL
	Alarms  []api.Alarm    `json:"alarms"`
	Peers   []api.Peer     `json:"peers"`
	States  map[string]int `json:"states"` // how many streams are in each state
	Streams []api.Stream   `json:"streams"`
}

// streamStates are the states of streams in which a status counts them, the worst first.
var streamStates = []string{"failed", "starting", "moving", "waiting", "running", "disabled"}

// Run shows the status once, or until ctx ends.
func (c *StatusCmd) Run(ctx context.Context, std stdio) error {
	if c.Watch && c.Every < 100*time.Millisecond {
		return &exitError{exitConfig, fmt.Errorf("--every %v: expected 100ms or more", c.Every)}
	}
	asJSON := c.JSON
	c.JSON = false // answers are put together before they are printed
	for {
		s, err := c.ask(ctx, std)
		if err != nil && (!c.Watch || ctx.Err() != nil) {
			if c.Watch {
				return nil
			}
			return err
		}
		if err := c.show(std, s, err, asJSON); err != nil {
			return err
		}
		if !c.Watch {
			if s.troubled() {
				return &exitError{code: exitTrouble}
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Every):
		}
	}
}

func (c *StatusCmd) show(std stdio, s *clusterStatus, asked error, asJSON bool) error {
	if asked != nil {
		report(std, asked)
		return nil
	}
	if asJSON {
		return printedJSON(std, s)
	}
	p := painter{colour: isTerminal(std.out)}
	text := s.text(p)
	if c.Watch && p.colour {
		text = "\x1b[H\x1b[2J" + text
	}
	return printed(io.WriteString(std.out, text))
}

// ask puts a status together.
func (c *StatusCmd) ask(ctx context.Context, std stdio) (*clusterStatus, error) {
	s := &clusterStatus{Asked: c.Node, States: map[string]int{}, Streams: []api.Stream{}}
	var alarms struct{ Alarms []api.Alarm }
	var peers struct{ Peers []api.Peer }
	_, err := c.fetch(ctx, std, "/cluster/alarms", nil, &alarms)
	if err == nil {
		_, err = c.fetch(ctx, std, "/cluster/peers", url.Values{"limit": {"1000"}, "sort": {"hostname"}}, &peers)
	}
	s.Alarms, s.Peers = append([]api.Alarm{}, alarms.Alarms...), append([]api.Peer{}, peers.Peers...)
	for _, p := range s.Peers {
		if p.Self && p.Name != "" {
			s.Asked = string(p.Name)
		}
	}
	for _, state := range streamStates {
		if err != nil {
			break
		}
		quiet := state == "running" || state == "disabled"
		room := max(maxShown-len(s.Streams), 1)
		if quiet {
			room = 1
		}
		var list struct {
			Total   int `json:"estimated_count"`
			Streams []api.Stream
		}
		_, err = c.fetch(ctx, std, "/streams", url.Values{"state": {state}, "sort": {"name"}, "limit": {strconv.Itoa(room)}}, &list)
		if list.Total > 0 {
			s.States[state] = list.Total
		}
		if !quiet && len(s.Streams) < maxShown {
			s.Streams = append(s.Streams, list.Streams...)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// well are the states of nodes in which nothing has to be mended, and silent those of nodes that say nothing of themselves.
var (
	well   = []string{"alive", "starting", "draining"}
	silent = []string{"stale", "down", "never seen", "unauthorised"}
)

func (s *clusterStatus) troubled() bool {
	return len(s.Alarms) > 0 || s.States["failed"] > 0 ||
		slices.ContainsFunc(s.Peers, func(p api.Peer) bool { return !slices.Contains(well, p.Status) })
}

// text is a status as a person reads it.
func (s *clusterStatus) text(p painter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, as %s sees it\n\n", plural(len(s.Peers), "node"), s.Asked)
	if len(s.Alarms) > 0 {
		rows := [][]string{{"FOR", "ALARM", ""}}
		for _, a := range s.Alarms {
			rows = append(rows, []string{status.InWords(a.Since), p.red(a.Kind), a.Text})
		}
		b.WriteString(table(rows) + "\n")
	}
	rows := [][]string{{"NODE", "STATUS", "FOR", "STREAMS", "CLIENTS", "OUTPUT", "CPU", "MEMORY", "INTERFACE", "ROUND TRIP", "UP FOR", ""}}
	for _, n := range s.Peers {
		word := p.green(n.Status)
		if !slices.Contains(well, n.Status) {
			word = p.red(n.Status)
		}
		row := []string{cmp.Or(string(n.Name), n.Hostname), word, status.InWords(n.Since), "-", "-", "-", "-", "-", "-", "-", "-", n.Error}
		if !slices.Contains(silent, n.Status) {
			copy(row[3:], []string{
				strconv.Itoa(n.Stats.OnlineStreams), strconv.Itoa(n.Stats.TotalClients), kbits(n.Stats.OutputKbit), percent(n.Stats.CPUUsage),
				percent(n.Stats.MemoryUsage), percent(n.Stats.InterfaceLoad), fmt.Sprintf("%.1f ms", n.Stats.RTT), status.InWords(n.Stats.Uptime),
			})
		}
		rows = append(rows, row)
	}
	b.WriteString(table(rows) + "\n")
	var counts []string
	for _, state := range streamStates {
		if n := s.States[state]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, state))
		}
	}
	fmt.Fprintf(&b, "streams: %s\n", cmp.Or(strings.Join(counts, ", "), "none"))
	if len(s.Streams) == 0 {
		return b.String()
	}
	rows = [][]string{{"STREAM", "STATE", "FOR", "NODE", "WHY"}}
	for _, st := range s.Streams {
		state := st.State
		if state == "failed" {
			state = p.red(state)
		}
		rows = append(rows, []string{st.Name, state, status.InWords(st.Since), cmp.Or(string(st.Owner), "-"), whyOf(st)})
	}
	b.WriteString("\n" + table(rows))
	left := -len(s.Streams)
	for _, state := range []string{"failed", "starting", "moving", "waiting"} {
		left += s.States[state]
	}
	if left > 0 {
		fmt.Fprintf(&b, "  and %d more\n", left)
	}
	return b.String()
}

// whyOf says why a stream does not run: what its input says, or why it is where it is.
func whyOf(s api.Stream) string {
	why := cmp.Or(s.Error, string(s.Reason))
	for _, in := range s.Inputs {
		why = cmp.Or(why, in.Error, string(in.Reason))
	}
	return why
}

func percent(v float64) string { return fmt.Sprintf("%.0f %%", v) }

// kbits is a rate as a person says it.
func kbits(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d kbit/s", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f Mbit/s", float64(n)/1e3)
	default:
		return fmt.Sprintf("%.1f Gbit/s", float64(n)/1e6)
	}
}
