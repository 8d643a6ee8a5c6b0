package journal

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/cluster/control"
	"weir/cluster/logfile"
)

func TestJournalGoesOnBehindAGapWhenTheDiskDoesNotKeepUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	w, err := Open(path, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n, now := control.New(control.Config{Self: "n1", Named: true, Instance: "i1"}, 5), control.Instant(5)
	w.Begin(n)
	step := func(ev control.Event) {
		now += control.Second
		w.Event(n, now, ev)
		for _, e := range n.Step(now, ev) {
			w.Effect(e)
		}
	}
	run := func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range logfile.Queue { // an event and its effects are several lines
		step(control.StateAsked{From: "n2"})
	}
	run()
	step(control.Tick{})
	run()
	replaysWithOneGap(t, path, logfile.Queue/4)
}

// replaysWithOneGap checks that the journal has one gap, and that at least so many events give the same effects again.
func replaysWithOneGap(t *testing.T, path string, least int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), `"gap":true`); got != 1 {
		t.Errorf("%d gaps in the journal, want 1", got)
	}
	d, events, err := Replay(strings.NewReader(string(text)))
	if d != nil || err != nil || events < least {
		t.Errorf("replay: %v after %d events, %v; want no difference after %d or more", d, events, err, least)
	}
}

func TestJournalGoesOnBehindAGapWhenTheDiskWasFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	w, err := Open(path, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n, now := control.New(control.Config{Self: "n1", Named: true, Instance: "i1"}, 5), control.Instant(5)
	w.Begin(n)
	some := func() {
		for range 20 {
			now += control.Second
			ev := control.StateAsked{From: "n2"}
			w.Event(n, now, ev)
			for _, e := range n.Step(now, ev) {
				w.Effect(e)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := w.Run(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	some()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A full disk takes half of a line; nothing can be written as long as a directory is there.
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	some()
	half := append(before, `{"t":123,"e":"StateA`...)
	if err := errors.Join(os.Remove(path), os.WriteFile(path, half, 0o600)); err != nil {
		t.Fatal(err)
	}
	some()
	replaysWithOneGap(t, path, 30)
}

func TestWithoutAPathNothingIsWritten(t *testing.T) {
	w, err := Open("", "test", nil)
	if w != nil || err != nil {
		t.Fatalf("Open = %v, %v, want none", w, err)
	}
	w.Begin(nil)
	w.Event(nil, 1, control.Tick{})
	w.Effect(control.Note{})
}
