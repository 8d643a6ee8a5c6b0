package node

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"weir/cluster/control"
)

// TestCaptureThatFailsForOneReasonAgainIsLoggedOnce: a line of the log stands for a change. Everything is there at level debug.
func TestCaptureThatFailsForOneReasonAgainIsLoggedOnce(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var lines strings.Builder
		r := newReporter(Config{
			Network: &Network{}, // without events
			Log: slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})),
		}, func() string { return "n1" })
		tries := func(why string, n int) {
			for i := range n {
				r.note(control.Note{Kind: control.NoteClaimed, Stream: "cam", Detail: "home"})
				r.note(control.Note{Kind: control.NoteFailed, Stream: "cam", Detail: fmt.Sprintf(why, 40000+i)})
			}
		}
		tries("port %d: refused", 50)
		r.note(control.Note{Kind: control.NoteFailed, Stream: "other", Detail: "port 1: refused"})
		tries("port %d: 404", 50)
		r.note(control.Note{Kind: control.NoteClaimed, Stream: "cam", Detail: "home"})
		r.note(control.Note{Kind: control.NoteRunning, Stream: "cam"})
		tries("port %d: 404", 2)
		r.changed(&control.View{}, 0)
		tries("port %d: 404", 2)
		want := `level=INFO msg="stream claimed" stream=cam reason=home
level=WARN msg="capture failed" stream=cam reason="port 40000: refused"
level=WARN msg="capture failed" stream=other reason="port 1: refused"
level=WARN msg="capture failed" stream=cam reason="port 40000: 404"
level=INFO msg="capture running" stream=cam
level=INFO msg="stream claimed" stream=cam reason=home
level=WARN msg="capture failed" stream=cam reason="port 40000: 404"
level=INFO msg="stream claimed" stream=cam reason=home
level=WARN msg="capture failed" stream=cam reason="port 40000: 404"
`
		if n := strings.Count(lines.String(), "\n"); level == slog.LevelDebug && n != 211 {
			t.Errorf("%d lines at level debug, want all 211", n)
		}
		if level == slog.LevelInfo && lines.String() != want {
			t.Errorf("the log is\n%s\nwant\n%s", lines.String(), want)
		}
	}
}
