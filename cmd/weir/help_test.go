package main

import (
	"flag"
	"os"
	"slices"
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
