// Package logfile appends lines to a file without blocking the caller: lines are queued, and another goroutine writes them. A file
// that has become large is renamed to PATH.1, and a new file is begun.
//
// It does not know what a line means.
package logfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
)

const (
	// Size is the usual size, in bytes, at which a new file is begun.
	Size = 64 << 20

	// Queue is how many lines may wait for the disk.
	Queue = 8192

	// batch is the number of bytes of waiting lines that are gathered for one write.
	batch = 64 << 10
)

// Config says to which files the lines are written.
type Config struct {
	Path string
	Mode os.FileMode // of new files
	Kept int         // how many older files are kept, as PATH.1 (the newest), PATH.2 and so on
	Size int64       // the size in bytes at which a new file is begun; zero means that only Put with begins does so

	// GiveUp says that nothing more is written after an error of the disk. Otherwise only the lines of that write are left out.
	// The next write begins with the line {"lost":N}, where N is the number of lines that were left out.
	GiveUp bool

	Log *slog.Logger
}

// A Writer appends lines to a file. Any goroutine may add lines; [Writer.Run] writes them.
type Writer struct {
	cfg    Config
	lines  chan line
	lost   atomic.Uint64 // lines that were left out since the last successful write
	failed atomic.Bool   // nothing more is written

	// The fields below are used by Run only.
	file *os.File
	size int64  // of the file
	buf  []byte // lines that are not written yet
}

type line struct {
	text   []byte
	begins bool // the line is the first one of a new file
}

// Open makes a Writer. It makes the directory of the file if there is none, and opens the file once, so that it fails if the file
// cannot be written.
func Open(c Config) (*Writer, error) {
	w := &Writer{cfg: c, lines: make(chan line, Queue)}
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o750); err != nil {
		return nil, fmt.Errorf("making the directory of %s: %w", filepath.Base(c.Path), err)
	}
	if err := w.open(); err != nil {
		return nil, err
	}
	return w, w.close()
}

// Put adds a line. The line must end in a line feed, and belongs to the Writer from now on. If begins is set, the line begins a new
// file. Put does not block: if the queue is full or the Writer has failed, the line is left out and Put returns false. A nil Writer
// leaves out every line.
func (w *Writer) Put(text []byte, begins bool) (taken bool) {
	if w == nil || w.failed.Load() {
		return false
	}
	select {
	case w.lines <- line{text, begins}:
		return true
	default:
		w.Lose(1, errors.New("the disk does not keep up"))
		return false
	}
}

// Lose counts lines that are left out. It logs only if no line had been left out since the last successful write.
func (w *Writer) Lose(lines uint64, err error) {
	if w.lost.Add(lines) == lines {
		w.cfg.Log.Warn("lines of a file are left out", slog.String("file", filepath.Base(w.cfg.Path)), slog.Any("err", err))
	}
}

// Waiting is the number of lines that wait for the disk.
func (w *Writer) Waiting() int { return len(w.lines) }

// Failed says that the Writer has failed: nothing more is written.
func (w *Writer) Failed() bool { return w.failed.Load() }

// Fail makes the Writer fail because of err: nothing more is written.
func (w *Writer) Fail(err error) {
	if !w.failed.Swap(true) {
		w.cfg.Log.Warn("nothing more is written to a file", slog.String("file", filepath.Base(w.cfg.Path)), slog.Any("err", err))
	}
}

// Run writes lines until ctx ends, and then the lines that are still waiting. If it returns an error, the Writer has failed.
func (w *Writer) Run(ctx context.Context) error {
	err := w.run(ctx)
	if err != nil {
		w.Fail(err)
	}
	return errors.Join(err, w.close())
}

func (w *Writer) run(ctx context.Context) error {
	for {
		select {
		case l := <-w.lines:
			if err := w.add(l, len(w.lines) == 0); err != nil {
				return err
			}
		case <-ctx.Done():
			for len(w.lines) > 0 {
				if err := w.add(<-w.lines, false); err != nil {
					return err
				}
			}
			return w.flush()
		}
	}
}

// add gathers a line. It first writes the lines gathered before, if the line begins a new file or if they are enough for one write.
// If last is set, no further line is waiting, and the line is written at once.
func (w *Writer) add(l line, last bool) error {
	begins := l.begins || w.cfg.Size > 0 && w.size+int64(len(w.buf)) >= w.cfg.Size
	if begins || len(w.buf) >= batch {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if begins {
		if err := w.rotate(); err != nil {
			return w.drop(l.text, err)
		}
	}
	w.buf = append(w.buf, l.text...)
	if last {
		return w.flush()
	}
	return nil
}

// flush writes the lines that were gathered.
func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	text := w.buf
	w.buf = w.buf[:0]
	if w.file == nil {
		if err := w.open(); err != nil {
			return w.drop(text, err)
		}
	}
	lost, note := w.lost.Load(), []byte(nil)
	if lost > 0 && !w.cfg.GiveUp {
		note = fmt.Appendf(nil, "{\"lost\":%d}\n", lost)
		text = slices.Concat(note, text)
	}
	n, err := w.file.Write(text)
	w.size += int64(n)
	if n >= len(note) {
		w.lost.Add(-lost)
	}
	if err != nil {
		_ = w.close() // the error of the write is reported
		return w.drop(text[max(n, len(note)):], fmt.Errorf("writing %s: %w", filepath.Base(w.cfg.Path), err))
	}
	return nil
}

// drop leaves out lines because of err. If GiveUp is set, it returns err, which ends Run.
func (w *Writer) drop(text []byte, err error) error {
	if w.cfg.GiveUp {
		return err
	}
	w.Lose(uint64(bytes.Count(text, []byte{'\n'})), err)
	return nil
}

func (w *Writer) open() error {
	f, err := os.OpenFile(w.cfg.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, w.cfg.Mode)
	if err != nil {
		return fmt.Errorf("opening %s: %w", filepath.Base(w.cfg.Path), err)
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	w.file, w.size = f, st.Size()
	return nil
}

// rotate renames the file to PATH.1 unless the file is empty, and the older files accordingly.
func (w *Writer) rotate() error {
	if err := w.close(); err != nil {
		return err
	}
	if st, err := os.Stat(w.cfg.Path); err != nil || st.Size() == 0 {
		return nil
	}
	for i := w.cfg.Kept; i > 0; i-- {
		from := w.cfg.Path
		if i > 1 {
			from = fmt.Sprintf("%s.%d", w.cfg.Path, i-1)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", w.cfg.Path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("putting %s aside: %w", filepath.Base(w.cfg.Path), err)
		}
	}
	w.size = 0
	return nil
}

func (w *Writer) close() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return fmt.Errorf("closing %s: %w", filepath.Base(w.cfg.Path), err)
	}
	return nil
}

// maxTail is the number of bytes that Tail reads at most, at the end of a file.
const maxTail = 8 << 20

// Tail gives the last lines of the file, at most `most` of them, the oldest first. An incomplete line is left out.
func (w *Writer) Tail(most int) ([][]byte, error) {
	f, err := os.Open(w.cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Base(w.cfg.Path), err)
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
