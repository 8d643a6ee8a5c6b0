package journal

import (
	"context"
	"log/slog"

	"weir/cluster/control"
	"weir/cluster/logfile"
)

// kept is how many older files of a journal are kept.
const kept = 3

// A Writer writes the journal of a running control plane. Only the control actor calls its methods, except Run. A nil Writer writes
// nothing.
//
// The control plane does not wait for the disk. When too many lines are waiting, further lines are left out; later the journal
// continues behind the gap.
type Writer struct {
	out   *logfile.Writer
	build string

	size  int64 // of the lines in the current file
	gap   bool  // lines were left out, so nothing is written until the next call of Begin
	begun bool  // Begin was called
}

// Open makes the Writer of the journal at path; nil if path is empty. If the file cannot be written, Open fails.
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

// Run writes to the disk until ctx ends or the disk fails.
func (w *Writer) Run(ctx context.Context) error { return w.out.Run(ctx) }

// Failed says that the disk has failed, and nothing more is written.
func (w *Writer) Failed() bool { return w.out.Failed() }

// Begin writes the state of the node. It is the first line of each process, each state machine and each file.
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

// Event writes an event. It must be called before the event is given to the state machine.
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

// Effect writes an effect of the last event.
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
