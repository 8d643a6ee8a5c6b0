package srstest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"weir/codecs/flv/amf"
)

// The types of messages that are used.
const (
	typeChunkSize = 1
	typeWindow    = 5
	typeBandwidth = 6
	typeUser      = 4
	typeAudio     = 8
	typeVideo     = 9
	typeData      = 18
	typeCommand   = 20
)

// A message is one message of RTMP.
type message struct {
	cs     byte
	typ    byte
	stream uint32
	ts     uint32
	body   []byte
}

// A wire is one connection after the handshake.
type wire struct {
	conn net.Conn
	r    *bufio.Reader

	writing sync.Mutex
	out     int // the size of the chunks that are sent

	in   int // and of those that come
	last map[int]message
}

func newWire(conn net.Conn, r *bufio.Reader) *wire {
	return &wire{conn: conn, r: r, out: 128, in: 128, last: map[int]message{}}
}

// serverShake does the server's half of the simple handshake.
func serverShake(conn net.Conn) (*wire, error) {
	r := bufio.NewReader(conn)
	c1 := make([]byte, 1+1536)
	if _, err := io.ReadFull(r, c1); err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(append([]byte{3}, make([]byte, 1536)...), c1[1:]...)); err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, 1536); err != nil {
		return nil, err
	}
	return newWire(conn, r), nil
}

// clientShake does the client's half.
func clientShake(conn net.Conn) (*wire, error) {
	if _, err := conn.Write(append([]byte{3}, make([]byte, 1536)...)); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	s := make([]byte, 1+2*1536)
	if _, err := io.ReadFull(r, s); err != nil {
		return nil, err
	}
	if _, err := conn.Write(s[1 : 1+1536]); err != nil {
		return nil, err
	}
	return newWire(conn, r), nil
}

// send writes a message as SRS does: a header of type 0, and type 3 for what does not fit into a chunk.
func (w *wire) send(m message) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	b := []byte{m.cs, byte(m.ts >> 16), byte(m.ts >> 8), byte(m.ts), byte(len(m.body) >> 16), byte(len(m.body) >> 8), byte(len(m.body)), m.typ}
	b = binary.LittleEndian.AppendUint32(b, m.stream)
	for i := 0; i < len(m.body) || i == 0; i += w.out {
		if i > 0 {
			b = append(b, 0xc0|m.cs)
		}
		b = append(b, m.body[i:min(len(m.body), i+w.out)]...)
	}
	if m.typ == typeChunkSize {
		w.out = int(binary.BigEndian.Uint32(m.body))
	}
	_, err := w.conn.Write(b)
	return err
}

// say sends a command.
func (w *wire) say(cs byte, stream uint32, values ...any) error {
	return w.send(message{cs: cs, typ: typeCommand, stream: stream, body: amf.Append(nil, values...)})
}

func (w *wire) number(typ byte, n uint32, more ...byte) error {
	return w.send(message{cs: 2, typ: typ, body: append(binary.BigEndian.AppendUint32(nil, n), more...)})
}

// next reads a message. What comes on several chunk streams at once is not understood.
func (w *wire) next() (message, error) {
	for {
		m, err := w.read()
		if err != nil {
			return m, err
		}
		if m.typ == typeChunkSize && len(m.body) == 4 {
			w.in = int(binary.BigEndian.Uint32(m.body))
			continue
		}
		return m, nil
	}
}

func (w *wire) read() (message, error) {
	format, cs, err := w.basic()
	if err != nil {
		return message{}, err
	}
	m := w.last[cs]
	m.cs = byte(cs)
	size := len(m.body)
	head := make([]byte, []int{11, 7, 3, 0}[format])
	if _, err := io.ReadFull(w.r, head); err != nil {
		return m, err
	}
	ts := m.ts
	if format < 3 {
		ts = uint32(head[0])<<16 | uint32(head[1])<<8 | uint32(head[2])
		if ts == 0xffffff {
			var ext [4]byte
			if _, err := io.ReadFull(w.r, ext[:]); err != nil {
				return m, err
			}
			return m, errors.New("extended timestamps are not understood")
		}
		if format > 0 {
			ts += m.ts
		}
	}
	if format < 2 {
		size = int(head[3])<<16 | int(head[4])<<8 | int(head[5])
		m.typ = head[6]
	}
	if format == 0 {
		m.stream = binary.LittleEndian.Uint32(head[7:])
	}
	m.ts, m.body = ts, make([]byte, size)
	for at := 0; at < size; at += w.in {
		if at > 0 {
			if f, other, err := w.basic(); err != nil || f != 3 || other != cs {
				return m, errors.Join(err, errors.New("interleaved chunks are not understood"))
			}
		}
		if _, err := io.ReadFull(w.r, m.body[at:min(size, at+w.in)]); err != nil {
			return m, err
		}
	}
	w.last[cs] = m
	return m, nil
}

func (w *wire) basic() (format, cs int, err error) {
	b, err := w.r.ReadByte()
	return int(b >> 6), int(b & 0x3f), err
}

// A command is a command, read.
type command struct {
	name string
	id   float64
	args []any
}

func (m message) command() (command, bool) {
	if m.typ != typeCommand {
		return command{}, false
	}
	vs, err := amf.Read(m.body)
	if err != nil || len(vs) < 2 {
		return command{}, false
	}
	name, _ := vs[0].(string)
	id, _ := vs[1].(float64)
	return command{name, id, vs[2:]}, true
}

func (c command) object(i int) amf.Object {
	if i < len(c.args) {
		o, _ := amf.AsObject(c.args[i])
		return o
	}
	return nil
}

func (c command) text(i int) string {
	if i < len(c.args) {
		s, _ := c.args[i].(string)
		return s
	}
	return ""
}

func (m message) media() bool { return m.typ == typeAudio || m.typ == typeVideo || m.typ == typeData }
