package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func opened(t *testing.T, dir string) *Ledger {
	t.Helper()
	l, err := Open(dir, "sessions", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// written runs the ledger until all that waits is in the file.
func written(t *testing.T, l *Ledger) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLinesAreAddedToWhatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	for i := range 2 {
		l := opened(t, dir)
		l.Put(map[string]int{"line": i})
		written(t, l)
	}
	if got := read(t, filepath.Join(dir, "sessions.jsonl")); got != "{\"line\":0}\n{\"line\":1}\n" {
		t.Errorf("the file is %q", got)
	}
	var none *Ledger
	none.Put("x")
}

func TestLargeFileIsPutAside(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir)
	l.size = 20
	for i := range 12 {
		l.Put(map[string]int{"line": i})
	}
	written(t, l)
	for name, want := range map[string]string{"": "10 11", ".1": "8 9", ".5": "0 1"} {
		got := read(t, filepath.Join(dir, "sessions.jsonl"+name))
		got = strings.Join(strings.Fields(strings.NewReplacer(`{"line":`, "", "}", "").Replace(got)), " ")
		if got != want {
			t.Errorf("sessions.jsonl%s has the lines %s, want %s", name, got, want)
		}
	}
	for i := range 100 {
		l.Put(map[string]int{"line": i})
	}
	written(t, l)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != kept+1 {
		t.Errorf("%d files (%v), want %d", len(files), err, kept+1)
	}
}

func TestLostLinesAreCountedInTheFile(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir)
	for i := range queue + 5 {
		l.Put(i)
	}
	written(t, l)
	if got := read(t, l.path); !strings.HasPrefix(got, "{\"lost\":5}\n0\n1\n") {
		t.Errorf("the file begins with %.40q, want the number of lost lines", got)
	}
	l.Put(func() {}) // no JSON
	l.Put("after")
	written(t, l)
	if got := read(t, l.path); !strings.HasSuffix(got, "{\"lost\":1}\n\"after\"\n") {
		t.Errorf("the file ends with %q", got[len(got)-40:])
	}
}

func TestFileThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir)
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(l.path, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Put(1)
	written(t, l)
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	l.Put(2)
	written(t, l)
	if got := read(t, l.path); got != "{\"lost\":1}\n2\n" {
		t.Errorf("the file is %q", got)
	}
	if _, err := Open(filepath.Join(l.path, "below"), "x", l.log); err == nil {
		t.Error("a directory below a file was made")
	}
}

func TestTailGivesTheNewestWholeLines(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir)
	for i := range 1000 {
		l.Put(i)
	}
	written(t, l)
	if err := os.WriteFile(l.path, []byte(read(t, l.path)+"cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines, err := l.Tail(3)
	if got := fmt.Sprintf("%s", lines); err != nil || got != "[997 998 999]" {
		t.Errorf("Tail(3) = %s, %v", got, err)
	}
	if lines, err := l.Tail(5000); err != nil || len(lines) != 1000 {
		t.Errorf("Tail(5000) = %d lines, %v", len(lines), err)
	}
}
