package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	pageFile = regexp.MustCompile("`([a-z0-9_/]+\\.(?:go|proto))`(?: \\(([^)]*)\\))?")
	pageName = regexp.MustCompile("`([A-Za-z]+)`")
)

// TestReadingPageNamesWhatThereIs holds READING.md to the code: each file that it names is there, and declares the names
// that follow the file in parentheses.
func TestReadingPageNamesWhatThereIs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "READING.md"))
	if err != nil {
		t.Fatal(err)
	}
	files := pageFile.FindAllStringSubmatch(strings.Join(strings.Fields(string(page)), " "), -1)
	if len(files) < 40 {
		t.Fatalf("the page names %d files, want the walks", len(files))
	}
	for _, f := range files {
		source, err := os.ReadFile(filepath.Join(root, f[1]))
		if err != nil {
			t.Errorf("%s is not there: %v", f[1], err)
			continue
		}
		for _, n := range pageName.FindAllStringSubmatch(f[2], -1) {
			if !declares(string(source), n[1]) {
				t.Errorf("%s does not declare %s", f[1], n[1])
			}
		}
	}
}

// declares says whether a Go file declares a function, method, type or a name of a group.
func declares(source, name string) bool {
	return regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type |var |const )` + name + `\b`).MatchString(source)
}
