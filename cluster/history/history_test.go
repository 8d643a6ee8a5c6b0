package history

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/load"
	"weir/protocols"
	"weir/protocols/api"
	"weir/protocols/listen"
)

// A clock lets so many minutes pass at once, and then every Wait fails.
type clock struct{ minutes int }

func (c *clock) wait(context.Context, time.Duration) error {
	if c.minutes--; c.minutes < 0 {
		return context.Canceled
	}
	return nil
}

func opened(t *testing.T, dir string, minutes int) *History {
	t.Helper()
	sessions, streams := session.NewRegistry(), stream.NewRegistry()
	m := load.New(load.Config{
		Sessions: sessions, Streams: streams, Burden: func() load.Burden { return load.Burden{CPU: 125} },
		Captures: func() int { return 3 }, Playlists: func() uint64 { return 0 }, Chosen: func(time.Duration) int { return 0 },
	})
	m.Measure(0)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h, err := Open(Config{
		SessionLog: dir, Pulse: dir, Wait: (&clock{minutes}).wait,
		Wall: func() time.Time {
			at = at.Add(time.Minute)
			return at
		},
		Node: func() string { return "n1" }, Country: func(netip.Addr) string { return "NL" },
		Load: m, Sessions: sessions, Streams: streams, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// run runs the tasks of a history until everything is in the files.
func run(t *testing.T, h *History) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, task := range h.Tasks() {
		if err := task(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// first reads the first of so many lines of a file.
func first(t *testing.T, path string, lines int, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n != lines {
		t.Errorf("%s has %d lines, want %d", filepath.Base(path), n, lines)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if err := json.Unmarshal([]byte(line), into); err != nil {
		t.Errorf("%q: %v", line, err)
	}
}

func TestSessionsAndMinutesAreWrittenIntoOneDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	h := opened(t, dir, 2)
	h.Ended(session.Info{ID: "7", ClientStats: listen.ClientStats{Protocol: protocols.TS, Stream: "cam", BytesOut: 188}}, 1500*time.Millisecond)
	run(t, h)
	var s endedSession
	first(t, filepath.Join(dir, "sessions.jsonl"), 1, &s)
	if s.Node != "n1" || s.Session != "7" || s.Stream != "cam" || s.BytesOut != 188 || s.Seconds != 1.5 || s.Country != "NL" || s.Ended.IsZero() {
		t.Errorf("the session log says %+v", s)
	}
	var m api.Minute
	first(t, filepath.Join(dir, "pulse.jsonl"), 2, &m)
	if m.Node != "n1" || m.Time.IsZero() || m.Captures != 3 || m.CPUUsage != 12.5 {
		t.Errorf("the minute is %+v", m)
	}

	h = opened(t, dir, 1)
	if got := h.Minutes(10); len(got) != 2 || !got[0].Time.Equal(m.Time) {
		t.Errorf("after a restart the minutes are %+v, want the two of before", got)
	}
	run(t, h)
	if got := h.Minutes(2); len(got) != 2 || got[0].Time.Equal(m.Time) {
		t.Errorf("the last two minutes are %+v, want the second of before and a new one", got)
	}
}

func TestWithoutDirectoriesNothingIsWritten(t *testing.T) {
	h, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	h.Ended(session.Info{}, time.Second)
	if len(h.Tasks()) != 0 || len(h.Minutes(5)) != 0 {
		t.Error("there is something to write")
	}
}

func TestOldestMinutesAreForgotten(t *testing.T) {
	h := &History{}
	for i := range remembered + 3 {
		h.add(api.Minute{Clients: i, Streams: []api.StreamMinute{{}}})
	}
	got := h.Minutes(2 * remembered)
	if len(got) != remembered || got[0].Clients != 3 || got[0].Streams != nil {
		t.Errorf("%d minutes from %+v, want %d from the fourth on", len(got), got[0], remembered)
	}
}
