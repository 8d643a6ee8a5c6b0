package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/cluster/conf"
)

// tempFile stands for a stream that is no terminal; the function reads what was written.
func tempFile(t *testing.T) (*os.File, func() string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, func() string {
		t.Helper()
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func TestErrorsBecomeExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		says string
	}{
		{nil, 0, ""},
		{errors.New("port 80 is in use"), 1, "weir: error: port 80 is in use\n"},
		{&exitError{exitConfig, errors.New("no such file")}, 2, "weir: error: no such file\n"},
		{&exitError{code: exitConfig}, 2, ""},
	} {
		f, read := tempFile(t)
		if got := code(stdio{err: f}, tt.err); got != tt.code || read() != tt.says {
			t.Errorf("code(%v) = %d and says %q, want %d and %q", tt.err, got, read(), tt.code, tt.says)
		}
	}
}

func TestLogIsJSONWhereNobodyLooksOn(t *testing.T) {
	f, read := tempFile(t)
	log := newLogger(f, "warn")
	log.Info("not this")
	log.Warn("this", slog.String("stream", "cam01"), slog.Duration("age", 1500*time.Millisecond))
	var line struct{ Level, Msg, Stream, Age string }
	if err := json.Unmarshal([]byte(read()), &line); err != nil {
		t.Fatalf("the log is %q: %v", read(), err)
	}
	if line.Level != "WARN" || line.Msg != "this" || line.Stream != "cam01" || line.Age != "1.5s" {
		t.Errorf("the line says %+v", line)
	}
}

func TestProblemsHaveColoursOnlyForAPerson(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	f, read := tempFile(t)
	printProblems(stdio{err: f}, conf.Problems{{Pos: conf.Pos{File: "f", Line: 1, Col: 2}, Severity: conf.Error, Text: "found it"}})
	if got, want := read(), "f:1:2: error: found it\n"; got != want {
		t.Errorf("in a file: %q, want %q", got, want)
	}
	if got := (painter{colour: true}).red("x"); !strings.HasPrefix(got, "\x1b[31m") {
		t.Errorf("on a terminal: %q, want it red", got)
	}
	t.Setenv("NO_COLOR", "1")
	if got := (painter{colour: true}).red("x"); got != "x" {
		t.Errorf("with NO_COLOR: %q, want it plain", got)
	}
}
