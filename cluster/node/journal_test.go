package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/journal"
)

// journaling starts a node with a journal and waits until its stream a/b runs.
func journaling(t *testing.T, path string, log *slog.Logger) *Node {
	t.Helper()
	file, problems := conf.Load("test", fmt.Appendf(nil,
		"cluster_key for-the-test-only-0123;\njournal %s;\npeer 127.0.0.1:1 { fetch_timeout 50; stale_timeout 200; }\nstream a/b { input fake://fake; cluster_ingest; }\n", path),
		flags("n1", "127.0.0.1:0", "off", "off"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	n, err := Start(Config{File: file, Hostname: "n1", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the stream runs", func() bool {
		return n.captures() > 0 && n.group.view.Load().Stream("a/b").OwnerState == "running"
	})
	return n
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it does not come to pass that %s", what)
		}
	}
}

func TestFullDiskLeavesAGapInTheJournalAndNothingElse(t *testing.T) {
	const full = "/dev/full" // every write to it says that no space is left
	if _, err := os.Stat(full); err != nil {
		t.Skipf("this system has no %s", full)
	}
	var lines logLines
	n := journaling(t, full, slog.New(slog.NewTextHandler(&lines, nil)))
	defer n.Stop()
	await(t, "lines are left out", func() bool { return strings.Contains(lines.String(), "lines of a file are left out") })
	seen := n.group.view.Load().Version
	await(t, "the control plane goes on", func() bool { return n.group.view.Load().Version > seen+1 })
	if v := n.group.view.Load().Stream("a/b"); v.OwnerState != "running" || v.Epoch != 1 {
		t.Errorf("the stream is %s in epoch %d, want it running since its start", v.OwnerState, v.Epoch)
	}
	if text := lines.String(); strings.Count(text, "lines of a file are left out") != 1 || strings.Contains(text, "panic") {
		t.Errorf("the log says %s\nwant one line on the journal, and no panic", text)
	}
}

// logLines collects the log lines of several goroutines.
type logLines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestJournalOfANodeIsReplayedWithoutADifference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	for range 2 { // the second process begins a file of its own
		journaling(t, path, nil).Stop()
	}
	for _, p := range []string{path, path + ".1"} {
		f, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		d, events, err := journal.Replay(f)
		_ = f.Close()
		if d != nil || err != nil || events < 10 {
			t.Errorf("replay of %s: %v after %d events, %v; want no difference after some", filepath.Base(p), d, events, err)
		}
	}
}

func TestSuspendOfTheMachineReachesTheControlPlane(t *testing.T) {
	file, problems := conf.Load("test", []byte("cluster_key for-the-test-only-0123;\npeer 127.0.0.1:1 { fetch_timeout 50; stale_timeout 200; }\n"),
		flags("n1", "127.0.0.1:0", "off", "off"))
	if problems.Failed() {
		t.Fatal(problems)
	}
	var asleep atomic.Int64
	noted := make(chan string, 1)
	n, err := Start(Config{
		File: file, Hostname: "n1", Log: slog.New(&eavesdropper{noted}),
		Machine: Machine{Suspended: func() time.Duration { return time.Duration(asleep.Load()) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n.group.view.Load() == nil { // until the control plane runs
		<-tick.C
	}
	asleep.Store(int64(time.Hour))
	select {
	case attr := <-noted:
		if attr != "age=1h0m0s" {
			t.Errorf("the log says %q", attr)
		}
	case <-time.After(20 * time.Second):
		t.Error("the control plane does not know of the suspend")
	}
}

// An eavesdropper is a log handler that passes on the attributes of lines about a suspend.
type eavesdropper struct{ noted chan string }

func (*eavesdropper) Enabled(context.Context, slog.Level) bool { return true }
func (l *eavesdropper) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *eavesdropper) WithGroup(string) slog.Handler          { return l }
func (l *eavesdropper) Handle(_ context.Context, r slog.Record) error {
	if r.Message == control.NoteSuspended.Text() {
		r.Attrs(func(a slog.Attr) bool {
			select {
			case l.noted <- a.String():
			default:
			}
			return true
		})
	}
	return nil
}
