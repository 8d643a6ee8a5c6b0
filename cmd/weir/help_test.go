package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"weir/cluster/conf"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestReferenceOfTheConfigurationIsCurrent(t *testing.T) {
	const file = "docs/configuration.md"
	want := configurationReference()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if configurationPage != want {
		t.Errorf("%s is not what the table of directives says; run `go generate ./cmd/weir`", file)
	}
}

func TestEveryDirectiveIsInASection(t *testing.T) {
	for _, d := range conf.Directives() {
		for _, where := range d.Where {
			known := where == "http" && !d.Obeyed // the block of listeners, of which nothing is obeyed
			if !known && !slices.ContainsFunc(sections, func(s section) bool { return s.block == where }) {
				t.Errorf("%s stands in %s, of which the reference has no section", d.Name, where)
			}
		}
	}
}

const configurationPreamble = `# The configuration file

This page is made from the table of directives by ` + "`go generate ./cmd/weir`" + `; ` + "`weir help directives NAME`" + ` says the same about one directive.

A file consists of directives. Each is a name, words, and a semicolon or a block of further directives in braces:

    cluster_key CHANGE-ME-to-something-long;
    peer n2.example.com:8080 { public https://cdn.example.com; }
    stream cam01 {
        input rtsp://camera/1 priority=1;     # an option means the same as a directive in a block
        input rtmp://encoder/live/cam01;
        cluster_ingest capture_at=n1.example.com;
    }

- Line breaks count as spaces, and ` + "`#`" + ` begins a comment that lasts to the end of the line.
- A word with a space, a semicolon or a brace in it is put in quotes: ` + "`title \"Camera; one\";`" + `.
- Numbers are written without a unit; each directive below names its unit. Only bit rates may end in K, M or G.
- A name or a value that weir does not know is an error, and so is one that weir does not support yet: nothing is ignored in
  silence. ` + "`weir check FILE`" + ` says what is wrong, with line and column.
- A flag of ` + "`weir node`" + `, or its variable, replaces the directive of the file; ` + "`--peer`, `--stream` and `--vod`" + ` add to it.

A running node reads its file again when the file changes, at SIGHUP, and at ` + "`POST /streamer/api/v3/config/reload`" + `. A file with an
error changes nothing. Each directive below says when a change of it takes effect:

| on reload | means |
|---|---|
| at once | for everything, running streams and clients included |
| to new clients | connected clients are not affected |
| the stream starts anew | its inputs are opened again; its viewers stay connected and go on with the new media |
| when the node is restarted | until then the old setting stays in effect; the log and the answer of the reload name the directive and its place |

`

// configurationReference is the page of all directives.
func configurationReference() string {
	var b strings.Builder
	b.WriteString(configurationPreamble)
	for _, s := range sections {
		own, elsewhere := s.in()
		fmt.Fprintf(&b, "## %s\n\n", s.title)
		if s.text != "" {
			fmt.Fprintf(&b, "%s\n\n", s.text)
		}
		for _, d := range own {
			fmt.Fprintf(&b, "**`%s`**", usage(d))
			if d.Also != "" {
				fmt.Fprintf(&b, ", also `%s`", d.Also)
			}
			fmt.Fprintf(&b, "  \n%s", d.Doc)
			if d.Unit != "" {
				fmt.Fprintf(&b, " In %s.", d.Unit)
			}
			if d.Default != "" {
				fmt.Fprintf(&b, " Default: %s.", d.Default)
			}
			fmt.Fprintf(&b, "  \nOn reload: %s.", d.Reload)
			if d.Flag != "" {
				fmt.Fprintf(&b, " Flag `%s`, variable `%s`.", d.Flag, variable(d.Flag[2:]))
			}
			if d.Example != "" {
				fmt.Fprintf(&b, " Example: `%s`", d.Example)
			}
			b.WriteString("\n\n")
		}
		if len(elsewhere) > 0 {
			fmt.Fprintf(&b, "Also, as above: `%s`.\n\n", strings.Join(elsewhere, "`, `"))
		}
	}
	b.WriteString("## Understood, and not supported yet\n\nFiles of Flussonic and SRS may contain these directives. A node does not start with them.\n\n")
	later := map[string][]string{}
	for _, d := range conf.Directives() {
		if !d.Obeyed {
			later[d.Where[0]] = append(later[d.Where[0]], d.Name)
		}
	}
	for _, s := range sections {
		if names := later[s.block]; names != nil {
			slices.Sort(names)
			fmt.Fprintf(&b, "- %s: `%s`\n", strings.ToLower(s.title[:1])+s.title[1:], strings.Join(names, "`, `"))
		}
	}
	return b.String()
}
