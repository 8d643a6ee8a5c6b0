package mpegts

import (
	"slices"

	"weir/codecs"
)

const (
	packetSize = 188
	room       = packetSize - 4 // what a packet has behind its header

	// modulus is one more than the largest timestamp (2.4.3.7): ticks since the epoch are written modulo it.
	modulus = 1 << 33

	// pcrLead is how long before its DTS an access unit arrives, in ticks: the decoder's clock is behind the DTS by
	// it. It must cover the time for which one track may run ahead of another.
	pcrLead = codecs.ClockRate / 5

	// pcrInterval is the time after which another PCR is due, in ticks; the standard allows 100 ms (2.7.2).
	pcrInterval = 90 * codecs.ClockRate / 1000

	// backstep is the step back of the clock from which on it is a new clock, and no access unit of a track that lags.
	backstep = codecs.ClockRate

	// minPES is the least number of bytes in a PES packet, stuffing in its header included. A PES packet can be spread
	// over as many transport packets as it has bytes, so one alone is enough to fill up a run of 16.
	minPES = 16

	// maxAudioPES is the most data in a PES packet of audio, whose length must be told in 16 bits (2.4.3.7), with all
	// that may stand in its header left off.
	maxAudioPES = 0xffff - 40
)

// A pes is a PES packet that is going to be written.
type pes struct {
	track *elementary
	units []*codecs.AccessUnit // at least one; what follows the first of them is contiguous audio
	size  int                  // bytes of elementary stream

	clockFirst bool // a packet with nothing but a PCR goes before it
	pcr        bool // its first packet has a PCR
	broken     bool // its first packet says that the clock is a new one

	packets int // Invariant: 1 <= packets <= total()
	extra   bool
}

func (p *pes) dts() int64 { return p.units[0].DTS }

// header is the size of the PES header.
func (p *pes) header() int { return p.plainHeader() + p.stuffing() }

func (p *pes) plainHeader() int {
	if p.units[0].PTS == p.units[0].DTS {
		return 9 + 5
	}
	return 9 + 10
}

func (p *pes) stuffing() int { return max(0, minPES-p.plainHeader()-p.size) }

func (p *pes) total() int { return p.header() + p.size }

// adaptation is the size of the adaptation field of the first packet; zero for none.
func (p *pes) adaptation() int {
	switch {
	case p.pcr:
		return 8
	case p.track.video && p.units[0].RandomAccess:
		return 2
	}
	return 0
}

// count sets packets to the least that the PES packet fits into.
func (p *pes) count() {
	p.packets = 1
	if rest := p.total() - (room - p.adaptation()); rest > 0 {
		p.packets += (rest + room - 1) / room
	}
}

// A clock decides which packets carry a PCR. The zero clock has not started.
type clock struct {
	running bool
	last    int64 // DTS at which there was a PCR last, or at which the clock started
}

// schedule says which PCRs go with p, the next PES packet in the order of the stream.
func (c *clock) schedule(p *pes, carrier *elementary) {
	dts := p.dts()
	started := c.running
	if !started {
		c.running, c.last = true, dts
	}
	if p.track != carrier {
		// The clock's own track is silent, or slower than clocks may tick.
		if p.clockFirst = dts-c.last >= pcrInterval; p.clockFirst {
			c.last = dts
		}
		return
	}
	p.broken = p.units[0].Discontinuity || started && dts < c.last-backstep
	// A clock that another track has advanced must not go back.
	if p.pcr = p.broken || !started || dts >= c.last; p.pcr {
		c.last = dts
	}
}

// A muxer writes packets. It appends to out, which has room for them.
type muxer struct {
	out     []byte
	scratch []byte // a PES packet in one piece; kept for its capacity

	// counters are the next continuity counters (2.4.3.3): pat, pmt, then by track.
	pat, pmt byte
	tracks   []byte
}

// packet appends the header of a packet. counter is advanced.
func (m *muxer) packet(pid uint16, start bool, control byte, counter *byte) {
	b := byte(pid >> 8)
	if start {
		b |= 0x40
	}
	m.out = append(m.out, 0x47, b, byte(pid), control|*counter)
	*counter = (*counter + 1) & 15
}

// fill appends n bytes of stuffing.
func (m *muxer) fill(n int) {
	for range n {
		m.out = append(m.out, 0xff)
	}
}

// tables appends PAT and PMT. repeated says that a receiver may have got these PIDs from elsewhere just before, with
// other counters.
func (m *muxer) tables(p *program, repeated bool) {
	m.table(pidPAT, p.pat, repeated, &m.pat)
	m.table(pidPMT, p.pmt, repeated, &m.pmt)
}

func (m *muxer) table(pid uint16, section []byte, repeated bool, counter *byte) {
	end := len(m.out) + packetSize
	if repeated {
		m.packet(pid, true, 0x30, counter)
		m.out = append(m.out, 1, 0x80) // discontinuity_indicator
	} else {
		m.packet(pid, true, 0x10, counter)
	}
	m.out = append(append(m.out, 0), section...)
	m.fill(end - len(m.out))
}

// clockPacket appends a packet without payload; its counter is that of the packet before (2.4.3.3).
func (m *muxer) clockPacket(e *elementary, dts int64) {
	end := len(m.out) + packetSize
	before := (m.tracks[e.index] - 1) & 15
	m.packet(e.pid, false, 0x20, &before)
	m.out = append(m.out, room-1, 0x10)
	m.appendPCR(dts)
	m.fill(end - len(m.out))
}

func (m *muxer) appendPCR(dts int64) {
	t := uint64(dts-pcrLead) % modulus
	m.out = append(m.out, byte(t>>25), byte(t>>17), byte(t>>9), byte(t>>1), byte(t<<7)|0x7e, 0)
}

// write appends a PES packet, and the clock packet before it, in p.packets packets.
func (m *muxer) write(p *pes, carrier *elementary) {
	if p.clockFirst {
		m.clockPacket(carrier, p.dts())
	}
	m.compose(p)
	rest := m.scratch
	for left := p.packets; left > 0; left-- {
		first := left == p.packets
		field := 0
		if first {
			field = p.adaptation()
		}
		take := min(len(rest), room-field)
		if p.extra {
			take = min(take, (len(rest)+left-1)/left)
			if first && len(rest)-p.header() >= left {
				take = max(take, p.header()+1) // receivers like the header in one piece
			}
		}
		m.part(p, rest[:take], field, first)
		rest = rest[take:]
	}
}

// compose makes the PES packet in m.scratch (2.4.3.6).
func (m *muxer) compose(p *pes) {
	au, h := p.units[0], p.header()
	length := h - 6 + p.size
	if length > 0xffff {
		length = 0 // unbounded, as video may be
	}
	b := append(slices.Grow(m.scratch[:0], h+p.size), 0, 0, 1, p.track.StreamID, byte(length>>8), byte(length))
	b = append(b, 0x84) // data_alignment_indicator: an access unit starts here
	if au.PTS == au.DTS {
		b = appendTimestamp(append(b, 0x80, byte(h-9)), 2, au.PTS)
	} else {
		b = appendTimestamp(append(b, 0xc0, byte(h-9)), 3, au.PTS)
		b = appendTimestamp(b, 1, au.DTS)
	}
	for range p.stuffing() {
		b = append(b, 0xff)
	}
	for _, au := range p.units {
		b = p.track.append(b, au)
	}
	m.scratch = b
}

func appendTimestamp(b []byte, prefix byte, ticks int64) []byte {
	t := uint64(ticks) % modulus
	return append(b, prefix<<4|byte(t>>29)&0x0e|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
}

// part appends one packet with payload of a PES packet. field is the size of the adaptation field that the packet has
// for what it says; stuffing makes it longer.
func (m *muxer) part(p *pes, payload []byte, field int, first bool) {
	stuffing := room - field - len(payload)
	control := byte(0x10)
	if field+stuffing > 0 {
		control = 0x30
	}
	m.packet(p.track.pid, first, control, &m.tracks[p.track.index])
	if field+stuffing > 0 {
		m.out = append(m.out, byte(field+stuffing-1))
	}
	switch {
	case field > 0:
		var flags byte
		if p.broken {
			flags |= 0x80
		}
		if p.units[0].RandomAccess {
			flags |= 0x40
		}
		if p.pcr {
			m.out = append(m.out, flags|0x10)
			m.appendPCR(p.dts())
		} else {
			m.out = append(m.out, flags)
		}
		m.fill(stuffing)
	case stuffing > 1:
		m.out = append(m.out, 0)
		m.fill(stuffing - 2)
	}
	m.out = append(m.out, payload...)
}
