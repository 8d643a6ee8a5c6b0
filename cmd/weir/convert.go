package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"weir/cluster/conf"
)

// ConvertCmd is `weir convert`.
type ConvertCmd struct {
	File string `arg:"" help:"The other server's configuration file; - reads standard input."`
	From string `enum:"auto,mediamtx,nginx" default:"auto" help:"Whose file it is: ${enum}. Default ${default}, by the look of it."`
}

// Help implements [kong.HelpProvider].
func (*ConvertCmd) Help() string {
	return `Examples:
  weir convert mediamtx.yml > weir.conf
  weir convert --from nginx /etc/nginx/nginx.conf > weir.conf

It prints a configuration for weir that does what the file of MediaMTX, or the rtmp block of nginx, does. What cannot be
carried over stands in it as comments that begin with "not carried over"; what makes the server open to more people than before
is told besides. Read it through before use.

Exit codes: 0 converted; 2 the file cannot be read or is of another kind.`
}

// Run converts a file.
func (c *ConvertCmd) Run(std stdio) error {
	src, err := readConfig(c.File, std.in)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	from := c.From
	if from == "auto" {
		from = "mediamtx"
		if tree, err := conf.Tree(c.File, src); err == nil && len(tree) > 0 {
			from = "nginx"
		}
	}
	convert := map[string]func(*converted, []byte) error{"mediamtx": fromMediaMTX, "nginx": fromNginx}[from]
	w := newConverted(configName(c.File))
	if err := convert(w, src); err != nil {
		return &exitError{exitConfig, fmt.Errorf("converting a file of %s: %w", from, err)}
	}
	text := w.text()
	if _, problems := conf.Parse("what is printed", []byte(text)); problems.Failed() {
		printProblems(std, problems)
	}
	p := painter{colour: isTerminal(std.err)}
	for _, warning := range w.warnings {
		_, _ = fmt.Fprintf(std.err, "weir: %s %s\n", p.yellow("warning:"), warning)
	}
	return printed(fmt.Fprint(std.out, text))
}

// A converted is a configuration that is being written.
type converted struct {
	bytes.Buffer
	from     string
	depth    int
	warnings []string // that stand at the top, and are told besides
}

// opened is what a server becomes that has asked for passwords.
const opened = "this server lets anybody publish and play, where the former one did not: weir does not ask publishers and viewers for passwords or addresses yet, " +
	"so let a firewall or a hook (`http_hooks` in a `vhost`) keep them out"

// warn says at the top of the file what its reader has to know before it is used.
func (w *converted) warn(text string) {
	if !slices.Contains(w.warnings, text) {
		w.warnings = append(w.warnings, text)
	}
}

// text is the whole file.
func (w *converted) text() string {
	head := &converted{}
	head.remark("Made by `weir convert` of %s.", w.from)
	for _, warning := range w.warnings {
		head.remark("WARNING: %s.", warning)
	}
	head.remark("For several nodes: the same cluster_key (`weir key` makes one) and a `peer` line for each node in all files, and")
	head.remark("`cluster_ingest;` in each stream that one node is to capture for all.")
	head.WriteByte('\n')
	return head.String() + w.String()
}

func newConverted(from string) *converted { return &converted{from: from} }

func (w *converted) indent() { w.WriteString(strings.Repeat("    ", w.depth)) }

func (w *converted) remark(format string, args ...any) {
	w.indent()
	w.WriteString("# " + strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ") + "\n")
}

// leftOut names something of the other file that has no counterpart, and why.
func (w *converted) leftOut(what, why string) { w.remark("not carried over: %s: %s", what, why) }

// line writes a directive.
func (w *converted) line(name string, words ...string) {
	w.indent()
	w.directive(name, words)
	w.WriteString(";\n")
}

// open writes the beginning of a block, which close ends.
func (w *converted) open(name string, words ...string) {
	w.indent()
	w.directive(name, words)
	w.WriteString(" {\n")
	w.depth++
}

func (w *converted) close() {
	w.depth--
	w.indent()
	w.WriteString("}\n")
}

func (w *converted) directive(name string, words []string) {
	w.WriteString(name)
	for _, word := range words {
		w.WriteString(" " + conf.Quoted(word))
	}
}
