package logfile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func opened(t *testing.T, c Config) *Writer {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "lines")
	}
	c.Mode = 0o600
	w, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// number puts a line that consists of a number.
func (w *Writer) number(i int) bool { return w.Put(fmt.Appendf(nil, "%d\n", i), Anywhere) }

// written runs the writer until all waiting lines are in the file.
func written(t *testing.T, l *Writer) {
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
	path := filepath.Join(t.TempDir(), "made", "lines")
	for i := range 2 {
		w := opened(t, Config{Path: path})
		w.number(i)
		written(t, w)
	}
	if got := read(t, path); got != "0\n1\n" {
		t.Errorf("the file is %q", got)
	}
	var none *Writer
	if none.number(0) {
		t.Error("a nil writer took a line")
	}
}

func TestLargeFileIsPutAside(t *testing.T) {
	w := opened(t, Config{Size: 4, Kept: 9})
	for i := range 8 {
		w.number(i)
	}
	written(t, w)
	for name, want := range map[string]string{"": "6\n7\n", ".1": "4\n5\n", ".3": "0\n1\n"} {
		if got := read(t, w.cfg.Path+name); got != want {
			t.Errorf("file%s holds %q, want %q", name, got, want)
		}
	}
	for i := range 100 {
		w.number(i)
	}
	written(t, w)
	files, err := os.ReadDir(filepath.Dir(w.cfg.Path))
	if err != nil || len(files) != w.cfg.Kept+1 {
		t.Errorf("%d files (%v), want %d", len(files), err, w.cfg.Kept+1)
	}
}

func TestLineThatSaysSoBeginsAFile(t *testing.T) {
	w := opened(t, Config{Kept: 3})
	for i := range 6 {
		w.Put(fmt.Appendf(nil, "begin %d\n", i), First)
		w.Put([]byte("more\n"), Behind)
	}
	written(t, w)
	for name, want := range map[string]string{"": "begin 5\nmore\n", ".1": "begin 4\nmore\n", ".3": "begin 2\nmore\n"} {
		if got := read(t, w.cfg.Path+name); got != want {
			t.Errorf("file%s holds %q, want %q", name, got, want)
		}
	}
	if _, err := os.Stat(w.cfg.Path + ".4"); err == nil {
		t.Error("more earlier files are kept than should be")
	}
}

func TestLostLinesAreCountedInTheFile(t *testing.T) {
	w := opened(t, Config{})
	for i := range Queue + 5 {
		if taken := w.number(i); taken != (i < Queue) {
			t.Fatalf("line %d: taken %t", i, taken)
		}
	}
	written(t, w)
	if got := read(t, w.cfg.Path); !strings.HasPrefix(got, "{\"lost\":5}\n0\n1\n") {
		t.Errorf("the file begins with %.40q, want the number of lost lines", got)
	}
	w.Lose(1, errors.New("no JSON"))
	w.number(-1)
	written(t, w)
	if got := read(t, w.cfg.Path); !strings.HasSuffix(got, "{\"lost\":1}\n-1\n") {
		t.Errorf("the file ends with %q", got[len(got)-40:])
	}
}

func TestFileThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	w := opened(t, Config{})
	spoil(t, w.cfg.Path)
	w.number(1)
	w.number(2)
	written(t, w)
	if err := os.Remove(w.cfg.Path); err != nil {
		t.Fatal(err)
	}
	w.number(3)
	written(t, w)
	if got := read(t, w.cfg.Path); got != "{\"lost\":2}\n3\n" {
		t.Errorf("the file is %q", got)
	}
	c := w.cfg
	c.Path = filepath.Join(c.Path, "below", "x")
	if _, err := Open(c); err == nil {
		t.Error("a directory below a file was made")
	}
}

// spoil puts a directory in the place of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestLineThatNeedsTheOneBeforeIsLeftOutWithIt(t *testing.T) {
	w := opened(t, Config{})
	w.number(1)
	w.Put([]byte("behind 1\n"), Behind)
	written(t, w)
	spoil(t, w.cfg.Path)
	w.number(2)
	written(t, w)
	if err := os.Remove(w.cfg.Path); err != nil {
		t.Fatal(err)
	}
	w.Put([]byte("behind 2\n"), Behind)
	w.Put([]byte("behind that\n"), Behind)
	w.number(3)
	w.Put([]byte("behind 3\n"), Behind)
	written(t, w)
	if got := read(t, w.cfg.Path); got != "{\"lost\":3}\n3\nbehind 3\n" {
		t.Errorf("the file is %q", got)
	}
	if got := w.Cuts(); got != 1 {
		t.Errorf("the disk failed %d times, want 1", got)
	}
}

func TestHalfALineIsEndedBeforeTheNext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, []byte("1\nhal"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := opened(t, Config{Path: path})
	w.number(2)
	w.number(3)
	written(t, w)
	if got := read(t, path); got != "1\nhal\n2\n3\n" {
		t.Errorf("the file is %q", got)
	}
}

func TestTailGivesTheNewestWholeLines(t *testing.T) {
	l := opened(t, Config{})
	for i := range 1000 {
		l.number(i)
	}
	written(t, l)
	if err := os.WriteFile(l.cfg.Path, []byte(read(t, l.cfg.Path)+"cut"), 0o600); err != nil {
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
