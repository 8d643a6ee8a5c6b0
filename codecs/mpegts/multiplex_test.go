package mpegts_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"weir/codecs"
	"weir/codecs/bytestream"
	"weir/codecs/carriage"
	"weir/codecs/fake"
	"weir/codecs/linear"
	"weir/codecs/mpegts"
	"weir/codecs/nal"
)

// A taker keeps what a demuxer finds.
type taker struct {
	lists     [][]*mpegts.Stream
	units     map[uint16][]taken
	scrambled map[uint16][]bool
	refuses   error
}

// A taken is a unit, copied.
type taken struct {
	bytestream.Mark
	parts   [][]byte
	config  []byte
	refused error
}

func newTaker() *taker {
	return &taker{units: map[uint16][]taken{}, scrambled: map[uint16][]bool{}}
}

func (k *taker) Streams(list []*mpegts.Stream) { k.lists = append(k.lists, list) }

func (k *taker) Scrambled(s *mpegts.Stream, scrambled bool) {
	k.scrambled[s.PID] = append(k.scrambled[s.PID], scrambled)
}

func (k *taker) Unit(s *mpegts.Stream, u *bytestream.Unit) error {
	n := taken{Mark: u.Mark, config: bytes.Clone(u.Config), refused: u.Refused}
	for _, p := range u.Parts {
		n.parts = append(n.parts, bytes.Clone(p))
	}
	k.units[s.PID] = append(k.units[s.PID], n)
	return k.refuses
}

// read has a demuxer read b in pieces of so many bytes.
func read(t testing.TB, b []byte, program, size int) (*taker, *mpegts.Demuxer) {
	t.Helper()
	k := newTaker()
	d := mpegts.NewDemuxer(k, program)
	for len(b) > 0 {
		n := min(size, len(b))
		if _, err := d.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	return k, d
}

// excerpt is some seconds of pictures of 25 a second, a random access point every other second, and AAC.
func excerpt(t testing.TB, seconds int) (codecs.Tracks, []*codecs.AccessUnit) {
	t.Helper()
	p := must(fake.New(must(fake.Parse("size=320x180"))))
	return p.Tracks(), must(linear.Excerpt(p, seconds))
}

// The PIDs of our writer.
const (
	pictures = 0x100
	sound    = 0x101
	table    = 0x1000
)

// written is an excerpt in packets of our writer, and how many access units of each track it has.
func written(t testing.TB, seconds int) (b []byte, video, audio int) {
	tracks, units := excerpt(t, seconds)
	e := mpegts.NewEncoder(0)
	b = e.Prologue(tracks)
	for _, au := range units {
		b = append(b, e.Encode(au)...)
		if au.Track == 0 {
			video++
		} else {
			audio++
		}
	}
	return b, video, audio
}

// each hands packets to change, and joins what it returns.
func each(b []byte, change func(i int, pid uint16, packet []byte) []byte) []byte {
	var out []byte
	for i := 0; len(b) >= 188; i++ {
		packet := bytes.Clone(b[:188])
		out = append(out, change(i, uint16(packet[1]&0x1f)<<8|uint16(packet[2]), packet)...)
		b = b[188:]
	}
	return out
}

// A multiplex writes packets of which our writer would make none.
type multiplex struct {
	out      []byte
	counters map[uint16]byte
	version  byte
}

func (m *multiplex) packet(pid uint16, start bool, payload []byte) {
	if m.counters == nil {
		m.counters = map[uint16]byte{}
	}
	head := []byte{0x47, byte(pid >> 8), byte(pid), 0x10 | m.counters[pid]}
	m.counters[pid] = (m.counters[pid] + 1) & 15
	if start {
		head[1] |= 0x40
	}
	if n := 184 - len(payload); n > 0 {
		head[3] |= 0x20
		if head = append(head, byte(n-1)); n > 1 {
			head = append(append(head, 0), bytes.Repeat([]byte{0xff}, n-2)...)
		}
	}
	m.out = append(append(m.out, head...), payload...)
}

// split sends a payload in packets of at most so many bytes.
func (m *multiplex) split(pid uint16, payload []byte, most int) {
	for start := true; len(payload) > 0; start = false {
		n := min(len(payload), most)
		m.packet(pid, start, payload[:n])
		payload = payload[n:]
	}
}

// section makes one with a checksum.
func (m *multiplex) section(id byte, extension int, number, last byte, body []byte) []byte {
	n := 5 + len(body) + 4
	b := []byte{id, 0xb0 | byte(n>>8), byte(n), byte(extension >> 8), byte(extension), 0xc1 | m.version<<1, number, last}
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, slow(b))
}

// A listed is a program with the PID of its table.
type listed struct {
	number int
	pid    uint16
}

func (m *multiplex) association(list ...listed) []byte {
	var body []byte
	for _, l := range list {
		body = append(body, byte(l.number>>8), byte(l.number), 0xe0|byte(l.pid>>8), byte(l.pid))
	}
	return m.section(0, 1, 0, 0, body)
}

// An es is an elementary stream in a table.
type es struct {
	kind       byte
	pid        uint16
	descriptor string
}

func (m *multiplex) programMap(number int, list ...es) []byte {
	body := []byte{0xe0 | byte(list[0].pid>>8), byte(list[0].pid), 0xf0, 0}
	for _, e := range list {
		body = append(body, e.kind, 0xe0|byte(e.pid>>8), byte(e.pid), 0xf0, byte(len(e.descriptor)))
		body = append(body, e.descriptor...)
	}
	return m.section(2, number, 0, 0, body)
}

// tables sends sections, each in packets of its own.
func (m *multiplex) tables(pid uint16, sections ...[]byte) {
	for _, s := range sections {
		m.split(pid, append([]byte{0}, s...), 184)
	}
}

// pes makes a PES packet. A PTS below zero stands for none.
func pes(stream byte, pts int64, bounded bool, data []byte) []byte {
	b := []byte{0, 0, 1, stream, 0, 0, 0x80, 0, 0}
	if pts >= 0 {
		b[7], b[8] = 0x80, 5
		b = append(b, 0x21|byte(pts>>29)&0x0e, byte(pts>>22), byte(pts>>14)|1, byte(pts>>7), byte(pts<<1)|1)
	}
	b = append(b, data...)
	if n := len(b) - 6; bounded {
		b[4], b[5] = byte(n>>8), byte(n)
	}
	return b
}

// coded are the access units of a track of an excerpt as elementary streams have them.
func coded(t testing.TB, seconds, track int) (out [][]byte) {
	tracks, units := excerpt(t, seconds)
	form := must(carriage.Of(tracks[track].Codec).TS(tracks[track]))
	for _, au := range units {
		if au.Track != track {
			continue
		}
		if form.ADTS != nil {
			header := form.ADTS.Header(len(au.Payload))
			out = append(out, append(header[:], au.Payload...))
			continue
		}
		b := bytes.Clone(form.Delimiter)
		if au.RandomAccess {
			b = append(b, form.Parameters...)
		}
		for u := range nal.Units(au.Payload) {
			b = nal.AppendAnnexB(b, u)
		}
		out = append(out, b)
	}
	return out
}
