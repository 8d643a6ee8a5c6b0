package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"weir/cluster/conf"
)

// HelpCmd is `weir help`.
type HelpCmd struct {
	Directives    HelpDirectivesCmd    `cmd:"" default:"withargs" help:"List the directives of the configuration file, or explain one."`
	Configuration HelpConfigurationCmd `cmd:"" help:"Print the reference of the configuration file."`
}

// HelpDirectivesCmd is `weir help directives`.
type HelpDirectivesCmd struct {
	Name string `arg:"" optional:"" help:"The directive to explain."`
}

// Help implements [kong.HelpProvider].
func (*HelpDirectivesCmd) Help() string {
	return `Examples:
  weir help directives
  weir help directives stale_timeout`
}

// Run lists the directives, or explains one.
func (c *HelpDirectivesCmd) Run(std stdio) error {
	if c.Name == "" {
		return printed(fmt.Fprint(std.out, directiveList()))
	}
	text := directiveHelp(c.Name)
	if text == "" {
		var names []string
		for _, d := range conf.Directives() {
			names = append(names, d.Name, d.Also)
		}
		err := fmt.Errorf("found %q, which is no directive; see `weir help directives`", c.Name)
		if near := conf.Nearest(c.Name, names); near != "" {
			err = fmt.Errorf("found %q, which is no directive; did you mean `%s`?", c.Name, near)
		}
		return &exitError{exitConfig, err}
	}
	return printed(fmt.Fprint(std.out, text))
}

// HelpConfigurationCmd is `weir help configuration`.
type HelpConfigurationCmd struct{}

// Help implements [kong.HelpProvider].
func (*HelpConfigurationCmd) Help() string {
	return `Example:
  weir help configuration | less`
}

// configurationPage is made from the table of directives. A test makes the page, and checks that it is current.
//
//go:generate go test -run TestReferenceOfTheConfigurationIsCurrent . -update
//go:embed docs/configuration.md
var configurationPage string

// Run prints the page.
func (*HelpConfigurationCmd) Run(std stdio) error {
	return printed(fmt.Fprint(std.out, configurationPage))
}

func printed(_ int, err error) error {
	if err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func printedJSON(std stdio, v any) error {
	if err := json.NewEncoder(std.out).Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// A section is the part of the reference for the directives of one block. A directive of several blocks is described in the
// section of the first.
type section struct {
	block, title, text string
	only               bool // directives that the block shares with others are not repeated
}

var sections = []section{
	{block: "the top of the file", title: "The top of the file", text: "These stand outside any block. Names, addresses and passwords differ from node to node and may come from flags; " +
		"the rest has to be the same on all nodes."},
	{block: "vod", title: "In vod"},
	{block: "peer", title: "In peer"},
	{block: "stream", title: "In stream, ondemand and template", text: "The block of a stream says where its media comes from and how viewers get it. A template has the same directives " +
		"for all streams that name it. A directive that may also stand at the top of the file is there the default for all streams."},
	{block: "template", title: "In template only", only: true},
	{block: "input", title: "In input", text: "Most are written as options: `input URL priority=1;`."},
	{block: "cluster_ingest", title: "In cluster_ingest", text: "Most are written as options: `cluster_ingest capture_at=n1;`."},
	{block: "source", title: "In source", text: "The directives of a stream about time-outs, placement and viewers may stand here too, for all streams of the source."},
	{block: "balancer", title: "In balancer"},
	{block: "server", title: "In server", text: "Most are written as options: `server n1 max_bitrate=1G;`."},
	{block: "vhost", title: "In vhost", text: "Of the blocks `vhost` in files of SRS, weir supports the directives about clusters and hooks."},
	{block: "cluster", title: "In cluster"},
	{block: "http_hooks", title: "In http_hooks"},
	{block: "http_remux", title: "In http_remux"},
}

// usage is the form of a directive: its name, words and block.
func usage(d conf.Directive) string {
	text := strings.TrimSuffix(d.Name+" "+d.Args, " ")
	if d.Block {
		text += " { … }"
	}
	return text
}

// in gives the directives that the section describes, and the names of those that may stand in its block and are described in
// another section.
func (s section) in() (own []conf.Directive, elsewhere []string) {
	for _, d := range conf.Directives() {
		switch {
		case !d.Obeyed:
		case d.Where[0] == s.block:
			own = append(own, d)
		case slices.Contains(d.Where, s.block) && !s.only:
			elsewhere = append(elsewhere, d.Name)
		}
	}
	return own, elsewhere
}

// directiveList has a line for each directive.
func directiveList() string {
	var b strings.Builder
	for _, s := range sections {
		own, elsewhere := s.in()
		fmt.Fprintf(&b, "%s:\n", s.title)
		for _, d := range own {
			fmt.Fprintf(&b, "  %-44s %s\n", usage(d), d.Doc)
		}
		if len(elsewhere) > 0 {
			fmt.Fprintf(&b, "  and, as above: %s\n", strings.Join(elsewhere, ", "))
		}
		b.WriteByte('\n')
	}
	b.WriteString("`weir help directives NAME` says more about one.\n")
	return b.String()
}

// directiveHelp explains a directive in all blocks in which it may stand; empty if there is no such directive.
func directiveHelp(name string) string {
	var b strings.Builder
	for _, d := range conf.Directives() {
		if d.Name != name && d.Also != name {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n", usage(d))
		line := func(what, text string) {
			if text != "" {
				fmt.Fprintf(&b, "  %-8s %s\n", what, text)
			}
		}
		if !d.Obeyed {
			fmt.Fprintf(&b, "  This is understood and refused, because it is not supported yet.\n")
		} else {
			fmt.Fprintf(&b, "  %s\n\n", d.Doc)
		}
		line("where", strings.Join(d.Where, ", "))
		if d.Many {
			line("", "may stand several times")
		}
		line("unit", d.Unit)
		line("default", d.Default)
		if d.Also != "" {
			line("also", "may be written "+d.Also)
		}
		if d.Flag != "" {
			line("flag", fmt.Sprintf("%s, and the variable %s", d.Flag, variable(d.Flag[2:])))
		}
		line("reload", string(d.Reload))
		line("example", d.Example)
	}
	return b.String()
}
