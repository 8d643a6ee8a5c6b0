package rtsp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A message is what the other side sends: a response, a request, or an interleaved packet.
type message struct {
	method, url string // of a request
	version     string // of a request, such as RTSP/1.0
	status      int    // of a response; zero for everything else
	reason      string
	header      header
	body        []byte

	channel int
	packet  []byte // nil if it is none
}

// A header has the lines of a message by their names in lower case.
type header map[string][]string

// first is the first line of that name, or "".
func (h header) first(name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// The limits of what the other side may send. Header lines of more than maxLines names are passed over.
const (
	maxLine    = 16 << 10
	maxLines   = 256
	maxHeader  = 256 << 10
	maxBody    = 1 << 20
	maxGarbage = 1 << 20 // between two messages
)

// What a client may make a server hold is less: it has proved nothing, and has nothing long to say. Longer frames, such as nobody
// sends to a server, are passed over.
const (
	maxClientHeader = 32 << 10
	maxClientBody   = 8 << 10
	maxClientFrame  = 8 << 10
)

var errNotRTSP = errors.New("what comes is not RTSP")

// A reader reads messages. Lines end with CR LF or LF alone; folded ones are joined; those that are no header lines,
// and bytes between messages that belong to none, are passed over.
type reader struct {
	br                  *bufio.Reader
	header, body, frame int // the most bytes of each
}

// newReader returns a reader of what a server says.
func newReader(r io.Reader) *reader {
	return &reader{bufio.NewReaderSize(r, 64<<10), maxHeader, maxBody, 1 << 16}
}

// newClientReader returns a reader of what a client says.
func newClientReader(r io.Reader) *reader {
	return &reader{bufio.NewReaderSize(r, 8<<10), maxClientHeader, maxClientBody, maxClientFrame}
}

// next reads the next message.
func (r *reader) next() (*message, error) {
	for garbage := 0; garbage < maxGarbage; {
		b, err := r.br.Peek(1)
		if err != nil {
			return nil, err
		}
		switch {
		case b[0] == '\r' || b[0] == '\n':
			_, _ = r.br.Discard(1)
			continue
		case b[0] == frameMagic:
			b, err := r.br.Peek(frameHead + 1)
			if err != nil {
				return nil, err
			}
			if garbage == 0 || b[frameHead]>>6 == 2 { // after garbage only what looks like RTP or RTCP
				return r.interleaved()
			}
		case r.begins():
			m, read, err := r.message()
			if m != nil || err != nil {
				return m, err
			}
			garbage += read
			continue
		}
		_, _ = r.br.Discard(1)
		garbage++
	}
	return nil, errNotRTSP
}

// begins says whether what comes looks like the first line of a message. None is shorter than this.
func (r *reader) begins() bool {
	b, err := r.br.Peek(8)
	if err != nil {
		return false
	}
	if strings.HasPrefix(string(b), "RTSP/") {
		return true
	}
	for i, c := range b {
		if c == ' ' && i > 0 {
			return true
		}
		if (c < 'A' || c > 'Z') && c != '_' {
			return false
		}
	}
	return true
}

func (r *reader) interleaved() (*message, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r.br, head[:]); err != nil {
		return nil, err
	}
	m, size := &message{channel: int(head[1])}, int(head[2])<<8|int(head[3])
	if size > r.frame {
		m.packet = []byte{}
		_, err := io.CopyN(io.Discard, r.br, int64(size))
		return m, err
	}
	m.packet = make([]byte, size)
	_, err := io.ReadFull(r.br, m.packet)
	return m, err
}

// line reads a line without its end; one that is too long comes in parts.
func (r *reader) line() (string, error) {
	b, err := r.br.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return "", err
	}
	return strings.TrimRight(string(b[:min(len(b), maxLine)]), "\r\n"), nil
}

// message reads a message. It is nil if the first line, of so many bytes, begins none.
func (r *reader) message() (m *message, read int, err error) {
	first, err := r.line()
	if err != nil {
		return nil, 0, err
	}
	m = &message{header: header{}}
	if proto, rest, _ := strings.Cut(first, " "); strings.HasPrefix(proto, "RTSP/") {
		status, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if m.status, err = strconv.Atoi(status); err != nil || m.status < 100 || m.status > 999 {
			return nil, len(first) + 1, nil
		}
		m.reason = reason
	} else {
		m.method, rest, _ = strings.Cut(first, " ")
		if i := strings.LastIndexByte(rest, ' '); i >= 0 && (strings.HasPrefix(rest[i+1:], "RTSP/") || strings.HasPrefix(rest[i+1:], "HTTP/")) {
			m.url, m.version = strings.TrimSpace(rest[:i]), rest[i+1:]
		} else if _, known := methods[m.method]; !known {
			return nil, len(first) + 1, nil
		}
	}
	last := ""
	for size := 0; size < r.header; {
		line, err := r.line()
		if err != nil {
			return nil, 0, err
		}
		if line == "" {
			m.body, err = r.bodyOf(m.header)
			return m, 0, err
		}
		if size += len(line) + 2; len(m.header) == maxLines {
			continue
		}
		if values := m.header[last]; len(values) > 0 && (line[0] == ' ' || line[0] == '\t') { // RFC 2326, 4.2
			values[len(values)-1] += " " + strings.TrimSpace(line)
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		last = strings.ToLower(strings.TrimSpace(name))
		m.header[last] = append(m.header[last], strings.TrimSpace(value))
	}
	return nil, 0, fmt.Errorf("a message has a header of more than %d bytes", r.header)
}

// bodyOf reads what follows the header. A length that cannot be read is none.
func (r *reader) bodyOf(h header) ([]byte, error) {
	n, err := strconv.ParseUint(h.first("content-length"), 10, 31)
	if err != nil || n == 0 {
		return nil, nil
	}
	if n > uint64(r.body) {
		return nil, fmt.Errorf("a message has a body of %d bytes", n)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r.br, b)
	return b, err
}
