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
	"syscall"
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
	Size int64       // the size in bytes at which a new file is begun; zero means that only a line that is put [First] does so
	Log  *slog.Logger
}

// A Place says where a line may stand.
type Place uint8

// The places.
const (
	Anywhere Place = iota
	Behind         // only behind the line that was put before it: it is left out if that one was
	First          // at the beginning of a new file
)

// A Writer appends lines to a file. Any goroutine may add lines; [Writer.Run] writes them. An error of the disk leaves out the
// lines of that write, and the next write is tried as if nothing had been. It begins with the line {"lost":N}, where N is the
// number of lines that were left out.
type Writer struct {
	cfg    Config
	lines  chan line
	lost   atomic.Uint64 // lines that were left out since the last successful write
	cuts   atomic.Uint64 // how often lines were left out because of the disk
	failed atomic.Bool   // nothing more is written

	// The fields below are used by Run only.
	file *os.File
	size int64  // of the file
	buf  []byte // lines that are not written yet
	torn bool   // the file does not end with a line feed
	cut  bool   // the last line was left out
}

type line struct {
	text  []byte
	place Place
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

// Put adds a line. The line must end in a line feed, and belongs to the Writer from now on. Put does not block: if the queue is full or the Writer has failed, the line is left out and Put returns false. A nil Writer
// leaves out every line.
func (w *Writer) Put(text []byte, at Place) (taken bool) {
	if w == nil || w.failed.Load() {
		return false
	}
	select {
	case w.lines <- line{text, at}:
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

// Cuts is how often lines were left out because the disk has failed.
func (w *Writer) Cuts() uint64 { return w.cuts.Load() }

// Failed says that the Writer has failed: nothing more is written.
func (w *Writer) Failed() bool { return w.failed.Load() }

// Fail makes the Writer fail because of err: nothing more is written.
func (w *Writer) Fail(err error) {
	if !w.failed.Swap(true) {
		w.cfg.Log.Warn("nothing more is written to a file", slog.String("file", filepath.Base(w.cfg.Path)), slog.Any("err", err))
	}
}

// Run writes lines until ctx ends, and then the lines that are still waiting.
func (w *Writer) Run(ctx context.Context) error {
	for {
		select {
		case l := <-w.lines:
			w.add(l, len(w.lines) == 0)
		case <-ctx.Done():
			for len(w.lines) > 0 {
				w.add(<-w.lines, false)
			}
			w.flush()
			return w.close()
		}
	}
}

// add gathers a line. It first writes the lines gathered before, if the line begins a new file or if they are enough for one write.
// If last is set, no further line is waiting, and the line is written at once.
func (w *Writer) add(l line, last bool) {
	begins := l.place == First || w.cfg.Size > 0 && w.size+int64(len(w.buf)) >= w.cfg.Size
	if begins || len(w.buf) >= batch {
		w.flush()
	}
	switch {
	case l.place == Behind && w.cut:
		w.lost.Add(1)
		return
	case begins:
		if err := w.rotate(); err != nil {
			w.drop(l.text, err)
			return
		}
	}
	w.cut = false
	w.buf = append(w.buf, l.text...)
	if last {
		w.flush()
	}
}

// flush writes the lines that were gathered.
func (w *Writer) flush() {
	if len(w.buf) == 0 {
		return
	}
	text := w.buf
	w.buf = w.buf[:0]
	if w.file == nil {
		if err := w.open(); err != nil {
			w.drop(text, err)
			return
		}
	}
	lost, note := w.lost.Load(), []byte(nil)
	if w.torn {
		note = []byte{'\n'} // half a line is left of a write that failed, or of a machine that did
	}
	if lost > 0 {
		note = fmt.Appendf(note, "{\"lost\":%d}\n", lost)
	}
	text = slices.Concat(note, text)
	n, err := w.file.Write(text)
	w.size += int64(n)
	if n > 0 {
		w.torn = text[n-1] != '\n'
	}
	if n >= len(note) {
		w.lost.Add(-lost)
	}
	if err != nil {
		_ = w.close() // the error of the write is reported
		w.drop(text[max(n, len(note)):], fmt.Errorf("writing %s: %w", filepath.Base(w.cfg.Path), err))
	}
}

// drop leaves out lines because of err.
func (w *Writer) drop(text []byte, err error) {
	w.cut = true
	w.cuts.Add(1)
	w.Lose(uint64(bytes.Count(text, []byte{'\n'})), err)
}

// open opens the file. It does not wait for anything, as a pipe would make it do.
func (w *Writer) open() error {
	f, err := os.OpenFile(w.cfg.Path, os.O_CREATE|os.O_RDWR|os.O_APPEND|syscall.O_NONBLOCK, w.cfg.Mode)
	if err != nil {
		return fmt.Errorf("opening %s: %w", filepath.Base(w.cfg.Path), err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() && st.Mode().Type()&os.ModeCharDevice == 0 {
		err = fmt.Errorf("%s is no regular file", filepath.Base(w.cfg.Path))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	w.file, w.size, w.torn = f, st.Size(), false
	if last := make([]byte, 1); w.size > 0 {
		_, err := f.ReadAt(last, w.size-1)
		w.torn = err == nil && last[0] != '\n'
	}
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
