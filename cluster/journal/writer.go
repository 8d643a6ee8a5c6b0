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
// The control plane does not wait for the disk. When too many lines are waiting, or the disk fails, lines are left out; later the
// journal continues behind the gap.
type Writer struct {
	out   *logfile.Writer
	build string

	size  int64 // of the lines in the current file
	gap   bool  // lines were left out, so nothing is written until the next call of Begin
	begun bool  // Begin was called

	cuts uint64          // of the disk, when Begin was called last
	at   control.Instant // of the event before which Begin was called last
}

// retry is how long the journal waits after a failure of the disk before it writes the whole state again.
const retry = 5 * control.Second

// Open makes the Writer of the journal at path; nil if path is empty. If the file cannot be written, Open fails.
func Open(path, build string, log *slog.Logger) (*Writer, error) {
	if path == "" {
		return nil, nil
	}
	out, err := logfile.Open(logfile.Config{Path: path, Mode: 0o600, Kept: kept, Log: log})
	if err != nil {
		return nil, err
	}
	return &Writer{out: out, build: build}, nil
}

// Run writes to the disk until ctx ends.
func (w *Writer) Run(ctx context.Context) error { return w.out.Run(ctx) }

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
	place := logfile.Anywhere
	if !w.begun || w.size >= logfile.Size {
		place, w.size = logfile.First, 0
	}
	w.gap, w.begun = false, true
	w.put(text, place)
}

// Event writes an event. It must be called before the event is given to the state machine.
func (w *Writer) Event(n *control.Node, at control.Instant, ev control.Event) {
	if w == nil || w.out.Failed() {
		return
	}
	if cuts := w.out.Cuts(); cuts != w.cuts && at-w.at >= retry {
		w.cuts, w.gap = cuts, true
	}
	if w.gap && w.out.Waiting() < logfile.Queue/2 || w.size >= logfile.Size {
		w.at = at
		w.Begin(n)
	}
	text, err := Event(at, ev)
	if err != nil {
		w.out.Fail(err)
		return
	}
	w.put(text, logfile.Behind)
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
	w.put(text, logfile.Behind)
}

func (w *Writer) put(text []byte, at logfile.Place) {
	if w.gap {
		return
	}
	if w.gap = !w.out.Put(text, at); !w.gap {
		w.size += int64(len(text))
	}
}
