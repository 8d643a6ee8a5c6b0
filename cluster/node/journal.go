package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"weir/cluster/control"
	"weir/cluster/journal"
)

const (
	// journalFile is the size in bytes at which a journal is begun anew, and journalKept how many earlier ones are kept
	// beside it, as PATH.1, PATH.2 and so on.
	journalFile = 64 << 20
	journalKept = 3

	// journalQueue is how many lines may wait for the disk. The control plane does not: when there are more, lines are
	// left out and the journal goes on behind a gap.
	journalQueue = 8192
)

// A diary writes the journal of the control plane. Its methods belong to the control actor, but for run.
type diary struct {
	path  string
	build string
	log   *slog.Logger
	lines chan entryLine

	size   int64 // since the file was begun
	gap    bool  // lines were left out; nothing is written before the next beginning
	begun  bool
	failed atomic.Bool
}

type entryLine struct {
	text   []byte
	rotate bool // it begins a file
}

// newDiary opens the journal's file for a moment, so that one that cannot be written ends the start; nil for no path.
func newDiary(path, build string, log *slog.Logger) (*diary, error) {
	if path == "" {
		return nil, nil
	}
	f, err := openJournal(path)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	return &diary{path: path, build: build, log: log, lines: make(chan entryLine, journalQueue)}, nil
}

func openJournal(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// begin writes what the node knows. Each process, each control plane and each file begins so.
func (d *diary) begin(n *control.Node) {
	if d == nil {
		return
	}
	text, err := journal.Start(d.build, n.Save(), d.gap)
	if err != nil {
		d.fail(err)
		return
	}
	d.gap = false
	d.put(entryLine{text: text, rotate: !d.begun || d.size >= journalFile})
	if d.begun && d.size >= journalFile {
		d.size = 0
	}
	d.begun = true
}

// event writes what has happened, before the state machine is told.
func (d *diary) event(n *control.Node, at control.Instant, ev control.Event) {
	if d == nil || d.failed.Load() {
		return
	}
	if d.gap && len(d.lines) < journalQueue/2 || d.size >= journalFile {
		d.begin(n)
	}
	text, err := journal.Event(at, ev)
	if err != nil {
		d.fail(err)
		return
	}
	d.put(entryLine{text: text})
}

func (d *diary) effect(e control.Effect) {
	if d == nil || d.failed.Load() {
		return
	}
	text, err := journal.Effect(e)
	if err != nil {
		d.fail(err)
		return
	}
	d.put(entryLine{text: text})
}

func (d *diary) put(l entryLine) {
	if d.gap {
		return
	}
	select {
	case d.lines <- l:
		d.size += int64(len(l.text))
	default:
		d.gap = true
		d.log.Warn("journal: the disk does not keep up; some of it will be missing")
	}
}

func (d *diary) fail(err error) {
	if !d.failed.Swap(true) {
		d.log.Warn("journal: nothing more is written", slog.Any("err", err))
	}
}

// run writes to the file until ctx ends.
func (d *diary) run(ctx context.Context) error {
	w := &journalWriter{path: d.path}
	for {
		select {
		case l := <-d.lines:
			if err := w.write(l, len(d.lines) == 0); err != nil {
				d.fail(err)
				return errors.Join(err, w.close())
			}
		case <-ctx.Done():
			for len(d.lines) > 0 {
				if err := w.write(<-d.lines, false); err != nil {
					return errors.Join(err, w.close())
				}
			}
			return w.close()
		}
	}
}

// A journalWriter is the file and those before it.
type journalWriter struct {
	path string
	file *os.File
	buf  *bufio.Writer
}

func (w *journalWriter) write(l entryLine, flush bool) error {
	if l.rotate || w.file == nil {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	if _, err := w.buf.Write(l.text); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	if flush {
		if err := w.buf.Flush(); err != nil {
			return fmt.Errorf("writing the journal: %w", err)
		}
	}
	return nil
}

// rotate begins a file, and moves what is there to PATH.1 and so on.
func (w *journalWriter) rotate() error {
	if err := w.close(); err != nil {
		return err
	}
	if st, err := os.Stat(w.path); err == nil && st.Size() > 0 {
		for i := journalKept; i > 0; i-- {
			from := w.path
			if i > 1 {
				from = fmt.Sprintf("%s.%d", w.path, i-1)
			}
			if err := os.Rename(from, fmt.Sprintf("%s.%d", w.path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("rotating the journal: %w", err)
			}
		}
	}
	f, err := openJournal(w.path)
	if err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}
	w.file, w.buf = f, bufio.NewWriterSize(f, 64<<10)
	return nil
}

func (w *journalWriter) close() error {
	if w.file == nil {
		return nil
	}
	err := errors.Join(w.buf.Flush(), w.file.Close())
	w.file, w.buf = nil, nil
	if err != nil {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}
