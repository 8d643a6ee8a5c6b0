package journal

import (
	"context"
	"log/slog"

	"weir/cluster/control"
	"weir/cluster/logfile"
)

// kept is how many earlier files stay beside a journal.
const kept = 3

// A Writer writes the journal of a running control plane. Its methods belong to the control actor, but for Run. A nil
// Writer writes nothing.
//
// The control plane does not wait for the disk: when too many lines wait, lines are left out, and the journal goes on
// behind a gap.
type Writer struct {
	out   *logfile.Writer
	build string

	size  int64 // of the lines since the file was begun
	gap   bool  // lines were left out; nothing is written before the next beginning
	begun bool
}

// Open opens the file of a journal, so that one that cannot be written is an error at once; nil for no path.
func Open(path, build string, log *slog.Logger) (*Writer, error) {
	if path == "" {
		return nil, nil
	}
	out, err := logfile.Open(logfile.Config{Path: path, Mode: 0o600, Kept: kept, GiveUp: true, Log: log})
	if err != nil {
		return nil, err
	}
	return &Writer{out: out, build: build}, nil
}

// Run writes to the disk until ctx ends, or the disk fails.
func (w *Writer) Run(ctx context.Context) error { return w.out.Run(ctx) }

// Failed says that nothing more is written.
func (w *Writer) Failed() bool { return w.out.Failed() }

// Begin writes what the node knows. Each process, each control plane and each file begins so.
func (w *Writer) Begin(n *control.Node) {
	if w == nil {
		return
	}
	text, err := Start(w.build, n.Save(), w.gap)
	if err != nil {
		w.out.Fail(err)
		return
	}
	file := !w.begun || w.size >= logfile.Size
	if file {
		w.size = 0
	}
	w.gap, w.begun = false, true
	w.put(text, file)
}

// Event writes what has happened, before the state machine is told.
func (w *Writer) Event(n *control.Node, at control.Instant, ev control.Event) {
	if w == nil || w.out.Failed() {
		return
	}
	if w.gap && w.out.Waiting() < logfile.Queue/2 || w.size >= logfile.Size {
		w.Begin(n)
	}
	text, err := Event(at, ev)
	if err != nil {
		w.out.Fail(err)
		return
	}
	w.put(text, false)
}

// Effect writes what the state machine does about the last event.
func (w *Writer) Effect(e control.Effect) {
	if w == nil || w.out.Failed() {
		return
	}
	text, err := Effect(e)
	if err != nil {
		w.out.Fail(err)
		return
	}
	w.put(text, false)
}

func (w *Writer) put(text []byte, begins bool) {
	if w.gap {
		return
	}
	if w.gap = !w.out.Put(text, begins); !w.gap {
		w.size += int64(len(text))
	}
}
