package mpegts

import (
	"bytes"
	"slices"
)

// maxSection bounds a section in bytes. Those of the tables that are read have 1024 at most (2.4.4.3), but private ones may share
// their PIDs.
const maxSection = 4096

// An assembler puts the sections on a PID together (2.4.4).
type assembler struct {
	take func(section []byte)

	buf    []byte
	active bool // a section has begun in buf
}

// payload reads that of a packet. start says that a section begins in it, behind a pointer.
func (a *assembler) payload(b []byte, start bool) {
	if !start {
		a.add(b)
		return
	}
	pointer := int(b[0])
	b = b[1:]
	if pointer > len(b) {
		a.active = false
		return
	}
	a.add(b[:pointer])
	for b = b[pointer:]; len(b) > 0 && b[0] != 0xff; { // 0xff is stuffing
		a.buf, a.active = a.buf[:0], true
		b = a.add(b)
	}
}

// add appends to the section that has begun, and returns what stands behind its end.
func (a *assembler) add(b []byte) []byte {
	const head = 3 // up to the length
	for a.active && len(b) > 0 {
		need := head
		if len(a.buf) >= head {
			need += int(a.buf[1]&15)<<8 | int(a.buf[2])
		}
		if need > maxSection {
			a.active = false
			return nil
		}
		n := min(need-len(a.buf), len(b))
		a.buf = append(a.buf, b[:n]...)
		b = b[n:]
		if len(a.buf) == need && (need > head || a.buf[1]&15 == 0 && a.buf[2] == 0) {
			a.active = false
			a.take(a.buf)
		}
	}
	return b
}

// valid says whether a section is one of a table that is in force, and counts if it is damaged. body is what stands between its
// head and its checksum.
func (d *Demuxer) valid(table byte, s []byte) (body []byte, ok bool) {
	const head, sum = 8, 4
	switch {
	case s[0] != table || s[1]&0x80 == 0:
		return nil, false
	case len(s) < head+sum || crc(s) != 0 || s[6] > s[7]:
		d.counters.BadSections++
		return nil, false
	case s[5]&1 == 0: // current_next_indicator
		return nil, false
	}
	return s[head : len(s)-sum], true
}

// association reads a section of the PAT (2.4.4.3).
func (d *Demuxer) association(s []byte) {
	number := -1
	if len(s) > 7 {
		number = int(s[6])
	}
	if number >= 0 && number < len(d.pat) && bytes.Equal(d.pat[number], s) {
		return
	}
	if _, ok := d.valid(0, s); !ok {
		return
	}
	if old := d.pat; len(old) != int(s[7])+1 || old[number] != nil || !slices.ContainsFunc(old, func(o []byte) bool {
		return o != nil && o[5] == s[5] // of the same version
	}) {
		d.pat = make([][]byte, int(s[7])+1)
	}
	d.pat[number] = bytes.Clone(s)
	var list []*service
	for _, s := range d.pat {
		if s == nil {
			return // more sections are to come
		}
		body := s[8 : len(s)-4]
		for ; len(body) >= 4 && len(list) < maxServices; body = body[4:] {
			number, at := int(body[0])<<8|int(body[1]), uint16(body[2]&0x1f)<<8|uint16(body[3])
			if number == 0 || slices.ContainsFunc(list, func(s *service) bool { return s.number == number }) {
				continue // the network's own table
			}
			list = append(list, d.serviceOf(number, at))
		}
	}
	d.offer(list)
}

// serviceOf returns the program that is known under a number and the PID of its table, or a new one.
func (d *Demuxer) serviceOf(number int, at uint16) *service {
	for _, s := range d.services {
		if s.number == number && s.table == at {
			return s
		}
	}
	return &service{number: number, table: at, first: -1}
}

// programMap reads a section of the PMT of a program (2.4.4.9) on a PID.
func (d *Demuxer) programMap(at uint16, s []byte) {
	if len(s) < 12 {
		return
	}
	i := slices.IndexFunc(d.services, func(v *service) bool { return v.table == at && v.number == int(s[3])<<8|int(s[4]) })
	if i < 0 || bytes.Equal(d.services[i].section, s) {
		return
	}
	body, ok := d.valid(2, s)
	if !ok {
		return
	}
	v := d.services[i]
	streams, ok := readStreams(body)
	if !ok {
		d.counters.BadSections++
		return
	}
	for i, s := range streams {
		for _, old := range v.streams {
			if old.equal(s) {
				streams[i] = old
			}
		}
	}
	v.section, v.streams, v.clock = bytes.Clone(s), streams, uint16(body[0]&0x1f)<<8|uint16(body[1])
	if v == d.chosen {
		d.apply()
		return
	}
	d.watch(v)
	d.choose()
}
