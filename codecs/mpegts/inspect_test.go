package mpegts_test

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"weir/codecs"
	"weir/codecs/h264"
	"weir/codecs/h265"
)

// An inspector reads transport packets as the standard has them and keeps what it finds. It shares no code with the
// writer.
type inspector struct {
	counters map[int]int // of the last packet of each PID
	packets  map[int]int // with payload
	pes      map[int][]inspected
	open     map[int]*inspected
	tables   map[int][]byte // the newest section
	sections map[int]int
	order    []int   // PIDs
	pcrs     []int64 // in 90 kHz
	breaks   int     // packets with discontinuity_indicator
}

type inspected struct {
	data         []byte
	pts, dts     int64
	randomAccess bool
	header       int // bytes of the PES header in the first packet
}

func newInspector() *inspector {
	return &inspector{
		counters: map[int]int{}, packets: map[int]int{}, pes: map[int][]inspected{}, open: map[int]*inspected{},
		tables: map[int][]byte{}, sections: map[int]int{},
	}
}

// read takes packets; a counter that does not continue is an error.
func (x *inspector) read(b []byte) error {
	if len(b)%188 != 0 {
		return fmt.Errorf("%d bytes are no whole number of packets", len(b))
	}
	for ; len(b) > 0; b = b[188:] {
		if err := x.packet(b[:188]); err != nil {
			return err
		}
	}
	return nil
}

func (x *inspector) packet(b []byte) error {
	if b[0] != 0x47 {
		return fmt.Errorf("sync byte %#x", b[0])
	}
	pid := int(b[1]&0x1f)<<8 | int(b[2])
	start, field, payload := b[1]&0x40 != 0, b[3]&0x20 != 0, b[3]&0x10 != 0
	counter := int(b[3] & 15)
	x.order = append(x.order, pid)
	rest := b[4:]
	joint, random := false, false
	if field {
		n := int(rest[0])
		if n > 183 || !payload && n != 183 || payload && n > 182 {
			return fmt.Errorf("PID %#x: adaptation field of %d bytes", pid, n)
		}
		if n > 0 {
			flags, used := rest[1], 1
			joint, random = flags&0x80 != 0, flags&0x40 != 0
			if flags&0x10 != 0 {
				p := rest[2:8]
				x.pcrs = append(x.pcrs, int64(p[0])<<25|int64(p[1])<<17|int64(p[2])<<9|int64(p[3])<<1|int64(p[4])>>7)
				used += 6
			}
			if i := bytes.IndexFunc(rest[1+used:1+n], func(r rune) bool { return r != 0xfffd }); i >= 0 {
				return fmt.Errorf("PID %#x: stuffing with % x", pid, rest[1+used:1+n])
			}
		}
		rest = rest[1+n:]
	}
	if joint {
		x.breaks++
	}
	last, known := x.counters[pid]
	want := last
	if payload {
		want = (last + 1) & 15
		x.packets[pid]++
	}
	if known && counter != want && !joint {
		return fmt.Errorf("PID %#x: continuity counter %d after %d", pid, counter, last)
	}
	x.counters[pid] = counter
	if !payload {
		return nil
	}
	if pid == 0 || pid == 0x1000 {
		return x.section(pid, rest)
	}
	if start {
		if err := x.close(pid); err != nil {
			return err
		}
		x.open[pid] = &inspected{randomAccess: random, header: len(rest)}
	}
	if x.open[pid] == nil {
		return fmt.Errorf("PID %#x: data before the first PES packet", pid)
	}
	x.open[pid].data = append(x.open[pid].data, rest...)
	return nil
}

func (x *inspector) section(pid int, b []byte) error {
	b = b[1+int(b[0]):]
	n := 3 + (int(b[1]&0x0f)<<8 | int(b[2]))
	if slow(b[:n]) != 0 {
		return fmt.Errorf("PID %#x: checksum of section", pid)
	}
	x.tables[pid] = b[:n]
	x.sections[pid]++
	return nil
}

// slow is the decoder's check of annex A, bit by bit: zero for a good section.
func slow(b []byte) uint32 {
	z := uint32(0xffffffff)
	for i := range 8 * len(b) {
		bit := uint32(b[i/8]>>(7-i%8)) & 1
		top := z >> 31
		if z <<= 1; top^bit == 1 {
			z ^= 0x04c11db7
		}
	}
	return z
}

// end closes all PES packets that are open.
func (x *inspector) end() error {
	for pid := range x.open {
		if err := x.close(pid); err != nil {
			return err
		}
	}
	return nil
}

func (x *inspector) close(pid int) error {
	p := x.open[pid]
	if p == nil {
		return nil
	}
	delete(x.open, pid)
	b := p.data
	if len(b) < 14 || b[0] != 0 || b[1] != 0 || b[2] != 1 {
		return fmt.Errorf("PID %#x: PES packet starts with % x", pid, b[:min(14, len(b))])
	}
	if n := int(binary.BigEndian.Uint16(b[4:])); n != 0 && n != len(b)-6 {
		return fmt.Errorf("PID %#x: PES packet of %d bytes says %d", pid, len(b)-6, n)
	}
	stamp := func(b []byte) int64 {
		return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
	}
	p.pts = stamp(b[9:])
	p.dts = p.pts
	if b[7]&0x40 != 0 {
		p.dts = stamp(b[14:])
	}
	header := 9 + int(b[8])
	p.header = min(p.header, header)
	p.data = b[header:]
	x.pes[pid] = append(x.pes[pid], *p)
	return nil
}

var (
	sps = []byte{
		0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03,
		0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20,
	}
	pps = []byte{0x68, 0xcb, 0x8c, 0xb2}

	vps265 = []byte{
		0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
		0x00, 0x7b, 0x18, 0xb0, 0x24,
	}
	sps265 = []byte{
		0x42, 0x01, 0x01, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x7b, 0xa0,
		0x07, 0x82, 0x00, 0x88, 0x7d, 0xb6, 0x71, 0x8b, 0x92, 0x44, 0x80, 0x53, 0x88, 0x88, 0x92, 0xcf, 0x24, 0xa6, 0x92,
		0x72, 0xc9, 0x12, 0x49, 0x22, 0xdc, 0x91, 0xaa, 0x48, 0xfc, 0xa2, 0x23, 0xff, 0x00, 0x01, 0x00, 0x01, 0x6a, 0x02,
		0x02, 0x02, 0x01,
	}
	pps265 = []byte{0x44, 0x01, 0xc0, 0x25, 0x2f, 0x05, 0x32, 0x40}

	videoTrack = must(h264.Syntax.Track([][]byte{sps, pps}))
	hevcTrack  = must(h265.Syntax.Track([][]byte{vps265, sps265, pps265}))
	aacTrack   = codecs.Track{Codec: codecs.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}
	mp3Track   = codecs.Track{Codec: codecs.MP3, SampleRate: 44100, Channels: 2}
	ac3Track   = codecs.Track{Codec: codecs.AC3, SampleRate: 48000, Channels: 6}
	opusTrack  = codecs.Track{Codec: codecs.Opus, SampleRate: 48000, Channels: 2}
)

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}
