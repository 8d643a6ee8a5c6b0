package srstest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/yutopp/go-rtmp/handshake"

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

	in int // and of those that come
}

// shake does the server's half of the handshake.
func shake(conn net.Conn) (*wire, error) {
	r := bufio.NewReader(conn)
	if err := handshake.HandshakeWithClient(r, conn, &handshake.Config{SkipHandshakeVerification: true}); err != nil {
		return nil, err
	}
	return &wire{conn: conn, r: r, out: 128, in: 128}, nil
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

// next reads a message as weir sends it: with a header of type 0, and type 3 for the rest of its chunks, one message after
// the other.
func (w *wire) next() (message, error) {
	for {
		var head [12]byte
		if _, err := io.ReadFull(w.r, head[:]); err != nil {
			return message{}, err
		}
		m := message{cs: head[0], typ: head[7], ts: uint24(head[1:]), stream: binary.LittleEndian.Uint32(head[8:])}
		if m.cs>>6 != 0 || m.ts == 0xffffff {
			return m, errors.New("only headers of type 0, without extended timestamps, are understood")
		}
		m.body = make([]byte, uint24(head[4:]))
		for at := 0; at < len(m.body); at += w.in {
			if at > 0 {
				if b, err := w.r.ReadByte(); err != nil || b != 0xc0|m.cs {
					return m, errors.Join(err, errors.New("interleaved chunks are not understood"))
				}
			}
			if _, err := io.ReadFull(w.r, m.body[at:min(len(m.body), at+w.in)]); err != nil {
				return m, err
			}
		}
		if m.typ != typeChunkSize || len(m.body) != 4 {
			return m, nil
		}
		w.in = int(binary.BigEndian.Uint32(m.body))
	}
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

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

// arg is an argument; nil if there are not as many.
func (c command) arg(i int) any {
	if i < len(c.args) {
		return c.args[i]
	}
	return nil
}

func (m message) media() bool { return m.typ == typeAudio || m.typ == typeVideo || m.typ == typeData }
