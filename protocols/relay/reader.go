package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"weir/codecs"
)

// bufferSize is how much a reader takes from the socket at once; larger payloads go past the buffer.
const bufferSize = 64 << 10

// A Reader reads the body of a relay. It belongs to one goroutine.
type Reader struct {
	r      *bufio.Reader
	begun  bool
	tracks int
	rates  []float64 // of the next tracks; nil if they are not told
}

// NewReader reads from r, which needs no buffer of its own.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, bufferSize)}
}

// Next hands the next tracks or access unit to w. The error is [ErrEnded] or [ErrMoved] when the other node ended the
// relay in order, [ErrMalformed], that of w, or that of the connection; all but the first two wrapped. The end of the
// connection, wherever it comes, is io.ErrUnexpectedEOF. After an error there is no next.
func (r *Reader) Next(w codecs.Writer) error {
	if !r.begun {
		if err := r.begin(); err != nil {
			return err
		}
		r.begun = true
	}
	for {
		kind, err := r.r.ReadByte()
		if err != nil {
			return broken(err)
		}
		length, err := binary.ReadUvarint(r.r)
		if err != nil {
			return broken(err)
		}
		switch {
		case kind == kindUnit:
			return r.unit(w, length)
		case kind == kindTracks:
			return r.newTracks(w, length)
		case kind == kindRates:
			body, err := r.body(kind, length, maxOther)
			if err != nil {
				return err
			}
			if r.rates, err = parseRates(body); err != nil {
				return err
			}
		case kind == kindKeepAlive || kind >= kindOptional:
			if length > maxOther {
				return malformed("a record of kind %d with %d bytes", kind, length)
			}
			if _, err := r.r.Discard(int(length)); err != nil {
				return broken(err)
			}
		case kind == kindEnd:
			body, err := r.body(kind, length, maxOther)
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return malformed("an end without reason")
			}
			return end(body[0]).err()
		default:
			return malformed("a record of unknown kind %d", kind)
		}
	}
}

func (r *Reader) begin() error {
	var b [len(header)]byte
	if _, err := io.ReadFull(r.r, b[:]); err != nil {
		return broken(err)
	}
	if string(b[:len(magic)]) != magic {
		return malformed("it begins with %q", b[:])
	}
	if v := b[len(magic)]; v != version {
		return malformed("version %d, this node speaks %d", v, version)
	}
	return nil
}

func (r *Reader) newTracks(w codecs.Writer, length uint64) error {
	body, err := r.body(kindTracks, length, maxTracks)
	if err != nil {
		return err
	}
	tracks, err := parseTracks(body)
	if err != nil {
		return err
	}
	for i := range min(len(tracks), len(r.rates)) {
		if r.rates[i] > 0 && tracks[i].Codec.Video() {
			tracks[i].FrameRate = r.rates[i]
		}
	}
	r.tracks, r.rates = len(tracks), nil
	w.SetTracks(tracks)
	return nil
}

func (r *Reader) unit(w codecs.Writer, length uint64) error {
	if length > MaxUnit+maxHead {
		return malformed("an access unit of %d bytes", length)
	}
	// What comes before the payload lies in the buffer, so that only the payload is allocated and copied.
	head, err := r.r.Peek(min(int(length), maxHead))
	if err != nil {
		return broken(err)
	}
	parsed, n, err := parseHead(head, r.tracks)
	if err != nil {
		return err
	}
	if _, err := r.r.Discard(n); err != nil {
		return broken(err)
	}
	size := int(length) - n
	if size > MaxUnit {
		return malformed("an access unit of %d bytes", size)
	}
	au := &parsed
	au.Payload = make([]byte, size)
	if _, err := io.ReadFull(r.r, au.Payload); err != nil {
		return broken(err)
	}
	if err := w.Write(au); err != nil {
		return fmt.Errorf("handing on what was relayed: %w", err)
	}
	return nil
}

func (r *Reader) body(kind byte, length, most uint64) ([]byte, error) {
	if length > most {
		return nil, malformed("a record of kind %d with %d bytes", kind, length)
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(r.r, b); err != nil {
		return nil, broken(err)
	}
	return b, nil
}

// broken is the error of a connection that gave out.
func broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading the relay: %w", err)
}
