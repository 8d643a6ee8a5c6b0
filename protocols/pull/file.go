// Package pull holds the inputs that fetch their media: files, which are looped, and streams over HTTP.
//
// It knows no stream and no actor: what it reads is written to a [codecs.Writer], and the input that owns the goroutine
// decides what follows when reading ends.
package pull

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/linear"
	"weir/codecs/mpegts"
	"weir/codecs/reception"
)

// The reasons for which a file cannot be played, wrapped with the file's name and what was found in it.
var (
	ErrNotMedia  = errors.New("neither an MP4 file nor an MPEG transport stream")
	ErrTruncated = errors.New("the file is truncated")
	ErrNoTracks  = elementary.ErrNoTracks
	ErrCodec     = errors.New("only H.264 and AAC can be played from files")
	ErrTooLarge  = errors.New("too large")
)

// errNeither is why a track is left out that is neither sound nor pictures, or whose kind is unknown.
var errNeither = errors.New("it is neither sound nor pictures")

// A File is an open media file.
type File struct {
	// Clip is the file's index. Its payloads are read from the file when they are asked for, or held in memory if it
	// is a transport stream, until the file is closed.
	Clip *linear.Clip

	// Report holds what was left out and what was damaged.
	Report reception.Record

	file *os.File
}

// OpenFile opens a file below the directory root and reads its index. Program is the number of the program of a transport stream
// that is played; 0 stands for the first that can be. A name that leads out of the root, by dots or
// by symbolic links, is refused. The caller closes the file when no more payloads will be asked for.
func OpenFile(root, name string, program int) (*File, error) {
	f, err := openBelow(root, name)
	if err != nil {
		// An error of package fs repeats the name; its operation says nothing to the writer of the configuration.
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			err = p.Err
		}
		return nil, fmt.Errorf("open %s below %s: %w", name, root, err)
	}
	clip, report, err := open(f, program)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", name, err), f.Close())
	}
	return &File{Clip: clip, Report: report, file: f}, nil
}

// Close closes the file; payloads cannot be read from then on.
func (f *File) Close() error { return f.file.Close() }

// openBelow opens a regular file. Anything else, such as a pipe, could block for ever, so it is asked for first.
func openBelow(root, name string) (*os.File, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	info, err := dir.Stat(name)
	if err != nil {
		return nil, err
	}
	switch {
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	}
	return dir.Open(name)
}

func open(f *os.File, program int) (*linear.Clip, reception.Record, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, reception.Record{}, err
	}
	return openMedia(f, info.Size(), program)
}

// A media is what a container was found to hold.
type media struct {
	tracks   []linear.Track
	payloads linear.Payloads
	report   reception.Record
}

// openMedia reads the index of a file of either kind. A parser that panics on it is an error like any other.
func openMedia(r io.ReaderAt, size int64, program int) (clip *linear.Clip, report reception.Record, err error) {
	defer func() {
		if p := recover(); p != nil {
			clip, err = nil, fmt.Errorf("malformed: the parser failed with %v", p)
		}
	}()
	parse, err := recognise(r, size, program)
	if err != nil {
		return nil, reception.Record{}, err
	}
	m, err := parse(r, size)
	if err != nil {
		return nil, reception.Record{}, err
	}
	clip, err = linear.NewClip(m.tracks, m.payloads)
	if err != nil {
		return nil, reception.Record{}, err
	}
	return clip, m.report, nil
}

// recognise tells the kind of a file by its first bytes.
func recognise(r io.ReaderAt, size int64, program int) (func(io.ReaderAt, int64) (*media, error), error) {
	if size == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrNotMedia)
	}
	head := make([]byte, min(size, 1024))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(head) >= 8 {
		switch string(head[4:8]) {
		case "ftyp", "styp", "moov", "moof", "mdat", "free", "skip", "wide", "pnot", "sidx", "uuid":
			return parseMP4, nil
		}
	}
	if mpegts.Recognise(head) {
		return func(r io.ReaderAt, size int64) (*media, error) { return parseTS(r, size, program) }, nil
	}
	return nil, fmt.Errorf("%w: it starts with % x", ErrNotMedia, head[:min(len(head), 8)])
}

// maxSamples bounds the index of one track: more than a day of 60 access units per second.
const maxSamples = 8 << 20

// maxUnit bounds one access unit, in bytes.
const maxUnit = 32 << 20

// inFiles says whether files may hold a codec. Others would need their own grids of audio, or sample descriptions.
func inFiles(c codecs.Codec) bool { return c == codecs.H264 || c == codecs.AAC }

// measure sets the length of an access unit of audio.
func measure(t *linear.Track) (err error) {
	if length := carriage.Of(t.Codec).Length; length != nil {
		t.Unit, t.Rate, err = length(t.Track)
	}
	return err
}
