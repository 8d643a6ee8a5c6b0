// Package ledger writes what a node did down as lines of JSON, into a file that is begun anew when it is large.
//
// It knows no session and no statistics: its callers say what a line is. Writing never waits for the disk.
package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
)

const (
	// fileSize is the size in bytes at which a file is begun anew, and kept how many earlier ones stay beside it, as
	// NAME.1, NAME.2 and so on.
	fileSize = 64 << 20
	kept     = 9

	// queue is how many lines may wait for the disk; more are left out and counted.
	queue = 8192
)

// A Ledger is one file of lines. Any goroutine may add to it.
type Ledger struct {
	path  string
	log   *slog.Logger
	size  int64 // at which a file is begun anew
	lines chan []byte
	lost  atomic.Uint64 // lines that are in no file, since the last one that is
}

// Open opens the file NAME.jsonl in a directory, which is made if need be, for a moment: one that cannot be written is an
// error. [Ledger.Run] writes to it.
func Open(dir, name string, log *slog.Logger) (*Ledger, error) {
	l := &Ledger{path: filepath.Join(dir, name+".jsonl"), log: log, size: fileSize, lines: make(chan []byte, queue)}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the directory of %s: %w", filepath.Base(l.path), err)
	}
	f, err := l.open()
	if err != nil {
		return nil, err
	}
	return l, f.Close()
}

func (l *Ledger) open() (*os.File, error) {
	// It has addresses of people in it.
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", filepath.Base(l.path), err)
	}
	return f, nil
}

// Put adds v as a line. It does not block: a line for which there is no room is left out, and the next one that is
// written is preceded by {"lost":N}. A nil Ledger takes nothing.
func (l *Ledger) Put(v any) {
	if l == nil {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		l.lose(fmt.Errorf("making a line: %w", err))
		return
	}
	select {
	case l.lines <- append(b, '\n'):
	default:
		l.lose(errors.New("the disk does not keep up"))
	}
}

// lose counts a line that is left out, and says so for the first of several in a row.
func (l *Ledger) lose(err error) {
	if l.lost.Add(1) == 1 {
		l.log.Warn(filepath.Base(l.path)+": lines are left out", slog.Any("err", err))
	}
}

// Run writes until ctx ends, and then what is still waiting.
func (l *Ledger) Run(ctx context.Context) error {
	w := &writer{of: l}
	defer w.close()
	for {
		select {
		case b := <-l.lines:
			w.write(b)
		case <-ctx.Done():
			for len(l.lines) > 0 {
				w.write(<-l.lines)
			}
			return nil
		}
	}
}

// A writer is the file that is being written.
type writer struct {
	of   *Ledger
	file *os.File
	size int64
}

// write adds a line. After an error, such as a full disk, the next line is tried anew.
func (w *writer) write(line []byte) {
	if err := w.ready(); err != nil {
		w.of.lose(err)
		return
	}
	if lost := w.of.lost.Load(); lost > 0 {
		note := fmt.Appendf(nil, "{\"lost\":%d}\n", lost)
		line = append(note, line...)
		w.of.lost.Add(^(lost - 1)) // subtracts
	}
	n, err := w.file.Write(line)
	w.size += int64(n)
	if err != nil {
		w.close()
		w.of.lose(fmt.Errorf("writing: %w", err))
	}
}

// ready opens the file, and begins it anew if it is large.
func (w *writer) ready() error {
	if w.file != nil && w.size >= w.of.size {
		w.close()
		if err := w.rotate(); err != nil {
			return err
		}
	}
	if w.file != nil {
		return nil
	}
	f, err := w.of.open()
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	w.file, w.size = f, st.Size()
	return nil
}

func (w *writer) rotate() error {
	for i := kept; i > 0; i-- {
		from := w.of.path
		if i > 1 {
			from = fmt.Sprintf("%s.%d", w.of.path, i-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", w.of.path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("putting the file aside: %w", err)
		}
	}
	return nil
}

func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close() // nothing is buffered
		w.file = nil
	}
}

// maxTail bounds what is read of the end of a file, in bytes.
const maxTail = 8 << 20

// Tail gives the last lines of the file, at most so many, the oldest first. A line that is cut is left out.
func (l *Ledger) Tail(most int) ([][]byte, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Base(l.path), err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, st.Size()-maxTail)
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	r := bufio.NewReader(f)
	if from > 0 {
		if _, err := r.ReadBytes('\n'); err != nil {
			return nil, nil
		}
	}
	var lines [][]byte
	for {
		b, err := r.ReadBytes('\n')
		if err != nil {
			break
		}
		if lines = append(lines, bytes.TrimSpace(b)); len(lines) > 2*most {
			lines = append(lines[:0], lines[len(lines)-most:]...)
		}
	}
	return lines[max(0, len(lines)-most):], nil
}
