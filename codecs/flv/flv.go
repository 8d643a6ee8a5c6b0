// Package flv turns the bodies of FLV tags, which are RTMP's audio, video and data messages too, into tracks and
// access units and back, and frames them as an FLV stream.
//
// It knows no chunk, socket or clock: RTMP's chunks are made by the package rtmp around the bodies made here. What it
// reads may come from any host: every length is checked before it is used, and nothing is allocated for bytes that are
// announced but have not come.
//
// The formats are Adobe's "Video File Format Specification Version 10.1", annex E, and Veovera's "Enhanced RTMP" (v2)
// for the codecs that are named by a FourCC.
package flv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"weir/codecs"
)

// The types of a tag (E.4.1), equal to RTMP's message types.
const (
	TypeAudio  = 8
	TypeVideo  = 9
	TypeScript = 18
)

// MaxBody is the most bytes that the body of a tag can have: its length is written in 24 bits.
const MaxBody = 1<<24 - 1

// A Tag is one tag of an FLV stream, or one RTMP message.
type Tag struct {
	Type      uint8
	Timestamp uint32 // milliseconds, modulo 2^32
	Body      []byte
}

// The errors of this package, wrapped with what was being read.
var (
	// ErrMalformed: the bytes are not what they claim to be.
	ErrMalformed = errors.New("malformed")
	// ErrNoTracks: a publisher has sent media for a while, but none that weir can carry.
	ErrNoTracks = errors.New("no track that can be carried")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

const (
	fileHeaderSize = 9
	tagHeaderSize  = 11
	backSize       = 4 // PreviousTagSize
)

// FileHeader returns the 13 bytes that an FLV stream starts with: the header, which says whether there will be audio
// and video, and the first PreviousTagSize (E.2, E.3). Without tracks it announces both.
func FileHeader(tracks codecs.Tracks) []byte {
	var flags byte
	if tracks.Audio() >= 0 || len(tracks) == 0 {
		flags |= 4
	}
	if tracks.Video() >= 0 || len(tracks) == 0 {
		flags |= 1
	}
	return []byte{'F', 'L', 'V', 1, flags, 0, 0, 0, fileHeaderSize, 0, 0, 0, 0}
}

// appendTagHeader appends the header of a tag whose body will have size bytes.
func appendTagHeader(dst []byte, typ uint8, ts uint32, size int) []byte {
	return append(dst, typ, byte(size>>16), byte(size>>8), byte(size),
		byte(ts>>16), byte(ts>>8), byte(ts), byte(ts>>24), 0, 0, 0)
}

// AppendTag appends t in its framing. A body of more than [MaxBody] bytes cannot be written and appends nothing.
func AppendTag(dst []byte, t Tag) []byte {
	if len(t.Body) > MaxBody {
		return dst
	}
	dst = appendTagHeader(dst, t.Type, t.Timestamp, len(t.Body))
	dst = append(dst, t.Body...)
	return binary.BigEndian.AppendUint32(dst, uint32(tagHeaderSize+len(t.Body)))
}

// A Reader reads the tags of an FLV stream.
type Reader struct {
	r       io.Reader
	started bool
}

// NewReader returns a Reader of r, which starts with the file header. It reads in small pieces: give it something
// buffered.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the next tag, whose body is the caller's. It returns io.EOF where the stream ends between tags.
func (r *Reader) Next() (Tag, error) {
	if !r.started {
		if err := r.header(); err != nil {
			return Tag{}, fmt.Errorf("reading FLV header: %w", err)
		}
		r.started = true
	}
	var h [tagHeaderSize]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return Tag{}, io.EOF
		}
		return Tag{}, fmt.Errorf("reading FLV tag: %w", err)
	}
	if h[0]&0x20 != 0 {
		return Tag{}, fmt.Errorf("reading FLV tag: %w", malformed("encrypted"))
	}
	t := Tag{
		Type:      h[0] & 0x1f,
		Timestamp: uint32(h[7])<<24 | uint24(h[4:]),
	}
	var err error
	if t.Body, err = readBody(r.r, int(uint24(h[1:]))); err != nil {
		return Tag{}, fmt.Errorf("reading FLV tag: %w", err)
	}
	var back [backSize]byte // often wrong in streams of other makers, and not needed
	if _, err := io.ReadFull(r.r, back[:]); err != nil && !errors.Is(err, io.EOF) {
		return Tag{}, fmt.Errorf("reading FLV tag: %w", err)
	}
	return t, nil
}

func (r *Reader) header() error {
	var h [fileHeaderSize]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return err
	}
	if string(h[:3]) != "FLV" {
		return malformed("no FLV signature")
	}
	more := binary.BigEndian.Uint32(h[5:])
	if more < fileHeaderSize || more > 1024 {
		return malformed("header of %d bytes", more)
	}
	_, err := io.CopyN(io.Discard, r.r, int64(more)-fileHeaderSize+backSize)
	return err
}

// readBody reads n bytes, allocating as they come and not as they are announced.
func readBody(r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	b := make([]byte, min(n, step))
	at := 0
	for {
		m, err := io.ReadFull(r, b[at:])
		at += m
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if at == n {
			return b, nil
		}
		grown := make([]byte, min(n, 4*len(b)))
		copy(grown, b)
		b = grown
	}
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
