package rtmp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/yutopp/go-rtmp/message"
)

// A packet is one message, put together from its chunks.
type packet struct {
	typ       uint8
	stream    uint32 // message stream
	timestamp uint32 // milliseconds, modulo 2^32
	body      []byte // the receiver's
}

// A chunkReader reads messages from chunks (RTMP 5.3). It belongs to one goroutine.
//
// It can be interrupted at any byte: when reading fails because of a deadline, the next call goes on where the last one
// stopped. Headers are looked at in the buffer and consumed whole.
type chunkReader struct {
	r       *bufio.Reader
	size    int // of the peer's chunks
	media   bool
	streams map[uint32]*chunkStream

	current *chunkStream // whose chunk is being read; nil between chunks
	left    int          // bytes of that chunk still to come
	partial int          // bytes allocated for unfinished messages

	// plain is set when the peer has been seen to leave the extended timestamp out of type 3 chunks. RTMP 5.3.1.3 wants
	// it there; older encoders follow an older text.
	plain bool

	abandoned int // messages that were begun and never finished
}

// A chunkStream is the state to which the peer's next headers on one chunk stream refer.
type chunkStream struct {
	typ       uint8
	stream    uint32
	length    int
	timestamp uint32
	field     uint32 // the timestamp or delta of the last header that had one
	extended  bool   // it did not fit into three bytes

	body []byte // of the unfinished message; its length is what has been read
	busy bool   // a message is unfinished
}

// newChunkReader returns a reader that takes no long messages until allowMedia is called.
func newChunkReader(r *bufio.Reader) *chunkReader {
	return &chunkReader{r: r, size: 128, streams: map[uint32]*chunkStream{}} // RTMP 5.4.1: the size at the start
}

// allowMedia permits long media messages, and makes the buffer large enough for them.
func (c *chunkReader) allowMedia() {
	if c.media {
		return
	}
	c.media = true
	c.r = bufio.NewReaderSize(c.r, 32<<10) // around the small one, which may hold something
}

// next returns the next message. It obeys the messages of the chunk layer itself, and returns them nevertheless. The
// error is io.EOF, bare, where the peer ended between messages.
func (c *chunkReader) next() (packet, error) {
	for {
		if c.current == nil {
			if err := c.header(); err != nil {
				if errors.Is(err, io.EOF) {
					if c.r.Buffered() == 0 && !c.busy() {
						return packet{}, io.EOF
					}
					err = io.ErrUnexpectedEOF
				}
				return packet{}, fmt.Errorf("reading chunk header: %w", err)
			}
		}
		if err := c.payload(); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return packet{}, fmt.Errorf("reading chunk: %w", err)
		}
		s := c.current
		c.current = nil
		if len(s.body) < s.length {
			continue
		}
		p := packet{typ: s.typ, stream: s.stream, timestamp: s.timestamp, body: s.body}
		c.forget(s)
		if err := c.obey(p); err != nil {
			return packet{}, err
		}
		return p, nil
	}
}

// busy says whether a message is unfinished.
func (c *chunkReader) busy() bool {
	for _, s := range c.streams {
		if s.busy {
			return true
		}
	}
	return false
}

// forget drops the unfinished message of s.
func (c *chunkReader) forget(s *chunkStream) {
	c.partial -= cap(s.body)
	s.body, s.busy = nil, false
}

var headerSizes = [4]int{11, 7, 3, 0}

// header reads the next chunk's header: nothing is consumed before all of it is there.
func (c *chunkReader) header() error {
	b, err := c.r.Peek(1)
	if err != nil {
		return err
	}
	format, id, n := b[0]>>6, uint32(b[0]&63), 1
	switch id { // RTMP 5.3.1.1
	case 0:
		if b, err = c.r.Peek(2); err != nil {
			return err
		}
		id, n = 64+uint32(b[1]), 2
	case 1:
		if b, err = c.r.Peek(3); err != nil {
			return err
		}
		id, n = 64+uint32(b[1])+uint32(b[2])<<8, 3
	}
	s := c.streams[id]
	if s == nil {
		if len(c.streams) == maxChunkStreams {
			return fmt.Errorf("%w: more than %d chunk streams", errLimit, maxChunkStreams)
		}
		// Type 1 is taken here too: librtmp pings on a fresh chunk stream with it.
		if format > 1 {
			return fmt.Errorf("%w: chunk stream %d begins with type %d", errProtocol, id, format)
		}
		s = &chunkStream{}
	}
	size := headerSizes[format]
	if b, err = c.r.Peek(n + size); err != nil {
		return err
	}
	h := b[n:]
	field, extended := s.field, s.extended
	if format < 3 {
		field = uint24(h)
		extended = field == 0xffffff
		if extended {
			if b, err = c.r.Peek(n + size + 4); err != nil {
				return err
			}
			h = b[n:]
			field = binary.BigEndian.Uint32(h[size:])
			size += 4
		}
	} else if extended && !c.plain {
		repeated, err := c.repeats(n, field)
		if err != nil {
			return err
		}
		if repeated {
			size += 4
		}
		c.plain = !repeated
	}
	if format < 3 && s.busy {
		// A new header in the middle of a message: the rest of it will never come.
		c.abandoned++
		c.forget(s)
	}
	s.field, s.extended = field, extended
	if err := c.begin(s, format, h); err != nil {
		return err
	}
	c.streams[id] = s
	_, err = c.r.Discard(n + size)
	return err
}

// repeats says whether the four bytes at n are the extended timestamp again. It waits for no byte beyond the first that
// differs, since there may be none.
func (c *chunkReader) repeats(n int, field uint32) (bool, error) {
	for i := range 4 {
		b, err := c.r.Peek(n + i + 1)
		if err != nil {
			return false, err
		}
		if b[n+i] != byte(field>>(24-8*i)) {
			return false, nil
		}
	}
	return true, nil
}

// begin takes a header's fields (RTMP 5.3.1.2), and begins a message if s has none, and a chunk in any case.
func (c *chunkReader) begin(s *chunkStream, format uint8, h []byte) error {
	if format <= 1 {
		s.length, s.typ = int(uint24(h[3:])), h[6]
	}
	switch {
	case format == 0:
		s.timestamp = s.field
		s.stream = binary.LittleEndian.Uint32(h[7:])
	case !s.busy: // type 3 repeats the last delta, or timestamp as a delta (RTMP 5.3.1.2.4)
		s.timestamp += s.field
	}
	if !s.busy {
		if limit := maxLength(s.typ, c.media); s.length > limit {
			return fmt.Errorf("%w: message of type %d has %d bytes, at most %d are taken", errLimit, s.typ, s.length, limit)
		}
		if err := c.grow(s, min(s.length, firstPiece)); err != nil {
			return err
		}
		s.busy = true
	}
	c.current, c.left = s, min(c.size, s.length-len(s.body))
	return nil
}

// grow gives the unfinished message of s room for size bytes in all.
func (c *chunkReader) grow(s *chunkStream, size int) error {
	limit := maxPartialQuiet
	if c.media {
		limit = maxPartial
	}
	if more := size - cap(s.body); c.partial+more > limit {
		return fmt.Errorf("%w: more than %d bytes of unfinished messages", errLimit, limit)
	}
	body := make([]byte, len(s.body), size)
	copy(body, s.body)
	c.partial += cap(body) - cap(s.body)
	s.body = body
	return nil
}

// payload reads the rest of the current chunk.
func (c *chunkReader) payload() error {
	s := c.current
	for c.left > 0 {
		if len(s.body) == cap(s.body) {
			if err := c.grow(s, min(s.length, 4*cap(s.body))); err != nil {
				return err
			}
		}
		at := len(s.body)
		n, err := c.r.Read(s.body[at : at+min(c.left, cap(s.body)-at)])
		s.body = s.body[:at+n]
		c.left -= n
		if err != nil {
			return err
		}
	}
	return nil
}

// obey does what the messages of the chunk layer say (RTMP 5.4.1, 5.4.2).
func (c *chunkReader) obey(p packet) error {
	switch message.TypeID(p.typ) {
	case message.TypeIDSetChunkSize:
		if len(p.body) < 4 {
			return fmt.Errorf("%w: chunk size of %d bytes", errProtocol, len(p.body))
		}
		n := binary.BigEndian.Uint32(p.body)
		if n == 0 || n > 1<<31-1 {
			return fmt.Errorf("%w: chunk size %d", errProtocol, n)
		}
		c.size = int(min(n, maxChunkSize))
	case message.TypeIDAbortMessage:
		if len(p.body) < 4 {
			return fmt.Errorf("%w: abort of %d bytes", errProtocol, len(p.body))
		}
		if s := c.streams[binary.BigEndian.Uint32(p.body)]; s != nil && s.busy {
			c.abandoned++
			c.forget(s)
		}
	}
	return nil
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
