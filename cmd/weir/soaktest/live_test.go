package soaktest

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/codecs/flv/amf"
	"weir/codecs/mpegts"
	"weir/codecs/mpegts/mpegtstest"
	"weir/protocols/rtmp"
)

// serveHTTP answers with a body without end: a stream in a form. URLs change with a token that is good once.
func serveHTTP(make func(s *source) (f form, head []byte, contentType string)) func(*source, net.Conn) {
	return func(s *source, c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		say := func(line string, header ...string) {
			_, _ = io.WriteString(c, "HTTP/1.1 "+line+"\r\nConnection: close\r\n"+strings.Join(append(header, "", ""), "\r\n"))
		}
		if status, ok := strings.CutPrefix(s.now(), "status "); ok {
			say(status+" No", "Content-Length: 0")
			return
		}
		s.mu.Lock()
		given := s.tokens
		if r.URL.RawQuery == "" {
			s.tokens++
		}
		s.mu.Unlock()
		switch r.URL.RawQuery {
		case "": // where the stream is now
			say("302 Found", fmt.Sprintf("Location: /other?token=%d", given+1), "Content-Length: 0")
			return
		case fmt.Sprintf("token=%d", given):
		default:
			say("403 Forbidden", "Content-Length: 0")
			return
		}
		f, head, contentType := make(s)
		if s.chance(4) {
			say("200 OK", "Content-Type: "+contentType, "Content-Encoding: gzip")
			z := gzip.NewWriter(c)
			_, _ = z.Write(head)
			s.play(func(b []byte) error {
				if _, err := z.Write(b); err != nil {
					return err
				}
				return z.Flush()
			}, f)
			return
		}
		say("200 OK", "Content-Type: "+contentType)
		_, _ = c.Write(head)
		s.play(func(b []byte) error { _, err := c.Write(b); return err }, f)
	}
}

// A tsForm is MPEG-TS.
type tsForm struct {
	s   *source
	enc codecs.Encoder
	ver byte
	was bool // the sound has been moved

	since int // access units since the last garbage
}

// The PIDs of package mpegts, and where the sound is moved.
const (
	pidTable = 0x1000
	pidVideo = 0x100
	pidSound = 0x101
	pidOther = 0x202
)

func newTS(s *source) (form, []byte, string) {
	return &tsForm{s: s, enc: mpegts.NewEncoder(0)}, nil, "video/mp2t"
}

func (f *tsForm) prologue(tracks codecs.Tracks) []byte { return f.edit(f.enc.Prologue(tracks)) }

func (f *tsForm) edit(b []byte) []byte {
	_, _, _, moved := f.s.look()
	return mpegtstest.Each(b, func(_ int, pid uint16, p []byte) []byte {
		switch {
		case pid == pidTable:
			if moved != f.was {
				f.was = moved
				f.ver++
			}
			at := 4
			if p[3]&0x20 != 0 {
				at += 1 + int(p[4]) // the adaptation field
			}
			section := p[at+1:]
			section = section[:3+int(section[1]&0xf)<<8+int(section[2])]
			section[5] = section[5]&^0x3e | f.ver&0x1f<<1
			for i := 12; moved && i+4 < len(section)-4; {
				if binary.BigEndian.Uint16(section[i+1:])&0x1fff == pidSound {
					binary.BigEndian.PutUint16(section[i+1:], 0xe000|pidOther)
				}
				i += 5 + int(section[i+3]&0xf)<<8 + int(section[i+4])
			}
			mpegtstest.Seal(section)
		case pid == pidSound && moved:
			p[1], p[2] = p[1]&0xe0|pidOther>>8, pidOther&0xff
		}
		return p
	})
}

func (f *tsForm) encode(au *codecs.AccessUnit, trouble string) (b []byte, ok, both bool) {
	b, ok = f.edit(f.enc.Encode(au)), true
	switch trouble {
	case "lost", "damaged":
		b = mpegtstest.Each(b, func(_ int, pid uint16, p []byte) []byte {
			if pid != pidVideo || !f.s.chance(30) {
				return p
			}
			ok, both = false, true
			if trouble == "damaged" {
				p[1] |= 0x80 // transport_error_indicator
				return p
			}
			return nil
		})
	case "scrambled":
		ok = false
		b = mpegtstest.Each(b, func(_ int, pid uint16, p []byte) []byte {
			if pid >= pidVideo && pid != pidTable && p[3]&0x20 == 0 {
				p[3] |= 0x80
				for i := 4; i < len(p); i++ {
					p[i] ^= 0x5a
				}
			} else if pid >= pidVideo && pid != pidTable {
				p[3] |= 0x80
			}
			return p
		})
	case "doubled":
		b = mpegtstest.Each(b, func(_ int, _ uint16, p []byte) []byte { return append(p, p...) })
	case "garbage":
		// One packet between two of them could not be told from garbage.
		if f.since++; f.since > 10 && f.s.chance(20) {
			f.since = 0
			b = append([]byte(strings.Repeat("no packet ", 1+f.s.random(30))), b...)
		}
	}
	return b, ok, both
}

// A plainForm is what an encoder makes.
type plainForm struct{ enc codecs.Encoder }

func (f plainForm) prologue(tracks codecs.Tracks) []byte { return f.enc.Prologue(tracks) }

func (f plainForm) encode(au *codecs.AccessUnit, _ string) ([]byte, bool, bool) {
	return f.enc.Encode(au), true, false
}

func newFLV(s *source) (form, []byte, string) {
	return plainForm{flv.NewEncoder(0)}, flv.FileHeader(s.m.tracks(0)), "video/x-flv"
}

// A script is a stream of commands of RTMP, told apart by their names where they stand in what the client sends.
var commands = map[string]string{"connect": "\x02\x00\x07connect\x00", "createStream": "\x02\x00\x0ccreateStream\x00", "play": "\x02\x00\x04play\x00"}

// message makes a message of RTMP in one chunk.
func message(chunk, kind byte, stream uint32, body []byte) []byte {
	n := len(body)
	b := []byte{chunk, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n), kind}
	return append(binary.LittleEndian.AppendUint32(b, stream), body...)
}

func serveRTMP(s *source, c net.Conn) {
	r := bufio.NewReader(c)
	if _, err := io.ReadFull(r, make([]byte, 1537)); err != nil {
		return
	}
	if _, err := c.Write(append([]byte{3}, make([]byte, 2*1536)...)); err != nil {
		return
	}
	if _, err := io.ReadFull(r, make([]byte, 1536)); err != nil {
		return
	}
	_, _ = c.Write(message(2, 1, 0, binary.BigEndian.AppendUint32(nil, 60000)))
	text := ""
	status := func(code string) []byte {
		return message(5, 20, 1, amf.Append(nil, "onStatus", 0.0, nil, amf.Object{{Key: "level", Value: "status"}, {Key: "code", Value: code}, {Key: "description", Value: "x"}}))
	}
	for buf := make([]byte, 4096); ; {
		n, err := r.Read(buf)
		if err != nil {
			return
		}
		text += string(buf[:n])
		for name, at := range commands {
			_, rest, ok := strings.Cut(text, at)
			if !ok || len(rest) < 8 {
				continue
			}
			text = strings.Replace(text, at, "", 1)
			id := []byte(rest[:8])
			switch name {
			case "connect":
				body := append(append(amf.Append(nil, "_result"), 0), id...)
				_, _ = c.Write(message(3, 20, 0, append(body, amf.Append(nil, nil, amf.Object{{Key: "level", Value: "status"}, {Key: "code", Value: "NetConnection.Connect.Success"}})...)))
			case "createStream":
				_, _ = c.Write(message(3, 20, 0, append(append(append(amf.Append(nil, "_result"), 0), id...), amf.Append(nil, nil, 1.0)...)))
			case "play":
				if strings.HasPrefix(s.now(), "status") {
					_, _ = c.Write(status("NetStream.Play.StreamNotFound"))
					return
				}
				_, _ = c.Write(append(status("NetStream.Play.Reset"), status("NetStream.Play.Start")...))
				go func() { _, _ = io.Copy(io.Discard, r) }()
				s.play(func(b []byte) error { _, err := c.Write(b); return err }, plainForm{rtmp.NewEncoder(0)})
				return
			}
		}
	}
}
