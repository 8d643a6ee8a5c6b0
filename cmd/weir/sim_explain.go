package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"weir/sim"
)

// SimExplainCmd is `weir sim explain`.
type SimExplainCmd struct {
	SimScenario
	Stream string        `arg:"" optional:"" help:"The stream; if it is left out, the violations are explained."`
	At     time.Duration `placeholder:"TIME" help:"Only the events that led to the state at this time, such as 43s."`
	Depth  int           `default:"6" placeholder:"N" help:"How many causes are shown for each event. Default ${default}."`
	JSON   bool          `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimExplainCmd) Help() string {
	return `Examples:
  weir sim explain testdata/scenarios/only_a_dead_nodes_streams_move.txtar cam01
  weir sim explain --config weir.conf mine.txt cam01 --at 43s
  weir sim explain found.txtar

It lists which nodes captured a stream, from when to when and why, with the chain of events that led to each change, the
first cause first. Without a stream it explains each violation in the same way.

Exit codes: as of weir sim run.`
}

// Run explains a run.
func (c *SimExplainCmd) Run(std stdio) error {
	in, err := c.load(std)
	if err != nil {
		return err
	}
	r := sim.Run(in.Scenario, sim.Options{Keep: true})
	p := painter{colour: isTerminal(std.out) && !c.JSON}
	var list []causedEvent
	if c.Stream == "" {
		list = c.violations(r, p)
	} else if list, err = c.story(in.Scenario, r, p); err != nil {
		return &exitError{exitUnknown, err}
	}
	if c.JSON {
		err = writeJSON(std.out, struct {
			Stream string        `json:"stream,omitempty"`
			Events []causedEvent `json:"events"`
		}{c.Stream, append([]causedEvent{}, list...)})
	} else {
		_, err = io.WriteString(std.out, c.text(list))
	}
	if err != nil {
		return fmt.Errorf("printing the explanation: %w", err)
	}
	return outcome(r)
}

// A causedEvent is an event with the lines of the trace that led to it, the first cause first.
type causedEvent struct {
	At     float64  `json:"at_seconds"`
	Text   string   `json:"text"`
	Causes []string `json:"causes"`

	at time.Duration
}

func (c *SimExplainCmd) text(list []causedEvent) string {
	var b strings.Builder
	switch {
	case len(list) > 0:
	case c.Stream == "":
		b.WriteString("nothing was violated; name a stream to have it explained\n")
	default:
		fmt.Fprintf(&b, "no node captures %s\n", c.Stream)
	}
	for _, e := range list {
		if c.Stream == "" {
			b.WriteString(e.Text + "\n")
		} else {
			fmt.Fprintf(&b, "%10s  %s\n", millis(e.at), e.Text)
		}
		for _, l := range e.Causes {
			fmt.Fprintf(&b, "              %s\n", l)
		}
	}
	return b.String()
}

func (c *SimExplainCmd) violations(r *sim.Result, p painter) (list []causedEvent) {
	for _, v := range r.Violations {
		text := fmt.Sprintf("%s at %s: %s", p.red(v.Invariant.String()), v.At, v.Text)
		list = append(list, causedEvent{v.At.Seconds(), text, c.chain(r, v.Line), v.At})
	}
	return list
}

// story lists the changes of which node captures the stream.
func (c *SimExplainCmd) story(s *sim.Scenario, r *sim.Result, p painter) (list []causedEvent, err error) {
	var events []streamEvent
	configured := false
	for _, f := range s.Files {
		configured = configured || f.Stream(c.Stream) != nil
	}
	if !configured {
		return nil, fmt.Errorf("found the stream %q, which no configuration of the scenario has", c.Stream)
	}
	for _, h := range r.Holds {
		if h.Stream != c.Stream {
			continue
		}
		why := ""
		if h.Why != "" {
			why = fmt.Sprintf(" (%s)", h.Why)
		}
		events = append(events, streamEvent{h.From, p.bold(h.Node) + " starts it" + why, lineOf(r.Trace, h.From, h.Node, c.Stream)})
		if h.Up >= 0 {
			events = append(events, streamEvent{h.Up, p.bold(h.Node) + " captures it", nil})
		}
		if h.To >= 0 {
			events = append(events, streamEvent{h.To, p.bold(h.Node) + " captures it no longer", lineOf(r.Trace, h.To, h.Node, c.Stream)})
		}
	}
	for _, g := range r.Gaps {
		if g.Stream == c.Stream && g.To >= 0 {
			events = append(events, streamEvent{g.To, fmt.Sprintf("so no node captured it for %s (%s)", millis(g.To-g.From), g.Cause), nil})
		}
	}
	slices.SortStableFunc(events, func(x, y streamEvent) int { return int(min(max(x.at-y.at, -1), 1)) })
	if c.At > 0 {
		events = lastBefore(events, c.At)
	}
	for _, e := range events {
		t := causedEvent{e.at.Seconds(), e.text, []string{}, e.at}
		if e.line != nil {
			t.Causes = c.chain(r, e.line.Number)
		}
		list = append(list, t)
	}
	return list, nil
}

// A streamEvent is a change of which node captures a stream.
type streamEvent struct {
	at   time.Duration
	text string
	line *sim.Line // the line of the trace; nil if there is none
}

// lastBefore keeps the events that explain the state at an instant: the last start before it, and all events from there to it.
func lastBefore(events []streamEvent, at time.Duration) []streamEvent {
	end := slices.IndexFunc(events, func(e streamEvent) bool { return e.at > at })
	if end < 0 {
		end = len(events)
	}
	begin := 0
	for i, e := range events[:end] {
		if strings.Contains(e.text, " starts it") {
			begin = i
		}
	}
	return events[begin:end]
}

// lineOf is the line of the trace about a node and a stream at an instant; nil if there is none.
func lineOf(trace []sim.Line, at time.Duration, node, stream string) *sim.Line {
	i, _ := slices.BinarySearchFunc(trace, at, func(l sim.Line, at time.Duration) int { return int(min(max(l.At-at, -1), 1)) })
	for ; i < len(trace) && trace[i].At == at; i++ {
		if trace[i].Node == node && slices.Contains(strings.Fields(trace[i].Text), "stream="+stream) {
			return &trace[i]
		}
	}
	return nil
}

// chain gives the lines that led to a line of the trace, the first cause first.
func (c *SimExplainCmd) chain(r *sim.Result, line uint64) []string {
	lines := []string{}
	for _, l := range r.Causes(line, max(c.Depth, 1)) {
		lines = append(lines, l.Text)
	}
	return lines
}
