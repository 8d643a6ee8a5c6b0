package conf

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file, or rewrites the file if -update is given.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func readExample(t testing.TB, dir, name string) []byte {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("../../testdata", dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func examples(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../testdata", dir, "*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no example in testdata/%s", dir)
	}
	for i, f := range files {
		files[i] = filepath.Base(f)
	}
	return files
}

func TestExamplesGiveTheMessagesInTheirGoldenFiles(t *testing.T) {
	for _, dir := range []string{"seeds", "conf"} {
		for _, name := range examples(t, dir) {
			t.Run(dir+"/"+name, func(t *testing.T) {
				f, problems := Parse(name, readExample(t, dir, name))
				got := problems.String()
				if !problems.Failed() {
					got += "\n" + f.Masked()
				}
				golden(t, filepath.Join("../../testdata", dir, strings.TrimSuffix(name, ".conf")+".want"), got)
			})
		}
	}
}

func TestLostBracesPointToTheBlocksThatWereOpened(t *testing.T) {
	_, problems := Parse("seed", readExample(t, "seeds", "000_as_printed.conf"))
	for _, want := range []string{
		"seed:7:1: error: found `stream cam02` inside `stream cam01 {`, which was opened at 5:1 and probably not closed; expected `}` before it",
		"seed:9:1: error: found `stream cam03` inside `stream cam02 {`, which was opened at 7:1 and probably not closed; expected `}` before it",
		"seed:12:1: error: found the end of the file inside `stream cam03 {`, which was opened at 9:1; expected `}`",
	} {
		if !strings.Contains(problems.String(), want+"\n") {
			t.Errorf("problems are\n%swant among them\n%s", problems, want)
		}
	}
	if n := len(slices.DeleteFunc(problems, func(p Problem) bool { return p.Severity == Warning })); n != 3 {
		t.Errorf("%d errors, want 3:\n%s", n, problems)
	}
}

func TestRestoredSeedIsClusteredAndBracesAloneAreNot(t *testing.T) {
	for _, tt := range []struct {
		file      string
		clustered []string
	}{
		{"000_restored.conf", []string{"cam01", "cam02", "cam03"}},
		{"000_braces_only.conf", []string{"cam03"}},
	} {
		f, problems := Parse(tt.file, readExample(t, "seeds", tt.file))
		if problems.Failed() {
			t.Errorf("%s is refused:\n%s", tt.file, problems)
			continue
		}
		var clustered []string
		for _, s := range f.Streams {
			if s.Ingest != nil {
				clustered = append(clustered, s.Name)
			}
		}
		if len(f.Streams) != 3 || !slices.Equal(clustered, tt.clustered) {
			t.Errorf("%s: %d streams, clustered %v, want 3 and %v", tt.file, len(f.Streams), clustered, tt.clustered)
		}
		if got := f.Stream("cam03").Ingest.Peer; got != "streamer:8081" {
			t.Errorf("%s: cam03 is pinned to %q, want streamer:8081", tt.file, got)
		}
	}
}

func TestEveryDirectiveOfTheSeedsIsKnown(t *testing.T) {
	for _, name := range examples(t, "seeds") {
		_, problems := Parse(name, readExample(t, "seeds", name))
		for _, p := range problems {
			if strings.Contains(p.Text, "expected a directive") || strings.Contains(p.Text, "no directive") {
				t.Errorf("unknown: %s", p)
			}
		}
	}
}

// TestFilesOfTheReadmeWork compares the files that the README shows with those in testdata, whose meaning is in golden
// files.
func TestFilesOfTheReadmeWork(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"beside-srs.conf", "before-srs.conf"} {
		src := readExample(t, "conf", name)
		var shown strings.Builder
		for line := range strings.Lines(string(src)) {
			if strings.TrimSpace(line) != "" {
				shown.WriteString("    ")
			}
			shown.WriteString(line)
		}
		if !strings.Contains(string(readme), shown.String()) {
			t.Errorf("the README does not show %s as it is", name)
		}
		if _, problems := Parse(name, src); len(problems) > 0 {
			t.Errorf("%s: %s", name, problems)
		}
	}
}
