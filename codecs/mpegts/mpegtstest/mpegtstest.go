// Package mpegtstest makes transport streams for tests: well formed but unusual ones, and damaged ones.
//
// It shares no code with package mpegts.
package mpegtstest

import (
	"bytes"
	"encoding/binary"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/nal"
)

// A Multiplex writes packets of which the writer of package mpegts would make none. The zero Multiplex is ready.
type Multiplex struct {
	Out      []byte // the packets
	Version  byte   // of the tables
	counters map[uint16]byte
}

func (m *Multiplex) Packet(pid uint16, start bool, payload []byte) {
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
	m.Out = append(append(m.Out, head...), payload...)
}

// Split sends a payload in packets of at most so many bytes.
func (m *Multiplex) Split(pid uint16, payload []byte, most int) {
	for start := true; len(payload) > 0; start = false {
		n := min(len(payload), most)
		m.Packet(pid, start, payload[:n])
		payload = payload[n:]
	}
}

// Section makes one with a checksum.
func (m *Multiplex) Section(id byte, extension int, number, last byte, body []byte) []byte {
	n := 5 + len(body) + 4
	b := []byte{id, 0xb0 | byte(n>>8), byte(n), byte(extension >> 8), byte(extension), 0xc1 | m.Version<<1, number, last}
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, checksum(b))
}

// A Listed is a program with the PID of its table.
type Listed struct {
	Number int
	PID    uint16
}

func (m *Multiplex) Association(list ...Listed) []byte {
	var body []byte
	for _, l := range list {
		body = append(body, byte(l.Number>>8), byte(l.Number), 0xe0|byte(l.PID>>8), byte(l.PID))
	}
	return m.Section(0, 1, 0, 0, body)
}

// An ES is an elementary stream in a table.
type ES struct {
	Type        byte
	PID         uint16
	Descriptors string
}

func (m *Multiplex) ProgramMap(number int, list ...ES) []byte {
	body := []byte{0xe0 | byte(list[0].PID>>8), byte(list[0].PID), 0xf0, 0}
	for _, e := range list {
		body = append(body, e.Type, 0xe0|byte(e.PID>>8), byte(e.PID), 0xf0, byte(len(e.Descriptors)))
		body = append(body, e.Descriptors...)
	}
	return m.Section(2, number, 0, 0, body)
}

// Tables sends sections, each in packets of its own.
func (m *Multiplex) Tables(pid uint16, sections ...[]byte) {
	for _, s := range sections {
		m.Split(pid, append([]byte{0}, s...), 184)
	}
}

// PES makes a PES packet. A PTS below zero stands for none.
func PES(stream byte, pts int64, bounded bool, data []byte) []byte {
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

// Each hands packets of 188 bytes to change, and joins what it returns.
func Each(b []byte, change func(i int, pid uint16, packet []byte) []byte) []byte {
	var out []byte
	for i := 0; len(b) >= 188; i++ {
		packet := bytes.Clone(b[:188])
		out = append(out, change(i, uint16(packet[1]&0x1f)<<8|uint16(packet[2]), packet)...)
		b = b[188:]
	}
	return out
}

// Seal renews the checksum of a section that has been changed.
func Seal(section []byte) {
	n := len(section) - 4
	binary.BigEndian.PutUint32(section[n:], checksum(section[:n]))
}

// checksum is that of annex A.
func checksum(b []byte) uint32 {
	sum := ^uint32(0)
	for _, x := range b {
		for bit := 7; bit >= 0; bit-- {
			carry := sum>>31 != uint32(x>>bit&1)
			if sum <<= 1; carry {
				sum ^= 0x04c11db7
			}
		}
	}
	return sum
}

// Coded are the access units of a track of a stream as elementary streams have them: pictures behind start codes, AAC behind ADTS
// headers.
func Coded(tracks codecs.Tracks, units []*codecs.AccessUnit, track int) (out [][]byte) {
	form, err := carriage.Of(tracks[track].Codec).TS(tracks[track])
	if err != nil {
		panic(err)
	}
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
