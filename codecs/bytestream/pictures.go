package bytestream

import "bytes"

// A role is what a NAL unit says of where an access unit begins (ITU-T H.264, 7.4.1.2.3; H.265, 7.4.2.4.4).
type role uint8

const (
	leading  role = iota // stands before the first slice of a picture; may begin an access unit
	first                // begins a picture
	same                 // continues the picture
	trailing             // belongs to the access unit that has begun, whichever it is
)

// A syntax tells the roles of NAL units.
type syntax interface {
	// enough is how many bytes of a NAL unit role needs, and fewer only if there are no more.
	enough() int
	header() int // the bytes of a NAL unit header

	// role tells that of a NAL unit, in the order of the stream. whole says that unit has no more bytes.
	role(unit []byte) role
	set(unit []byte) bool // it is a parameter set, which is told when it is complete
	learn(unit []byte)
	forget() // the picture that has begun does not go on
}

// maxUnits bounds the NAL units of an access unit.
const maxUnits = 4096

// A unit is a NAL unit in the buffer.
type unit struct {
	prefix, start int // where its start code is, and its first byte
}

// pictures cuts video.
type pictures struct {
	syntax syntax

	scanned int    // no start code begins before this byte
	units   []unit // of the access unit that has begun, and of those whose role is not known yet
	known   int    // so many have a role
	vcl     int    // the index of the first slice; -1 for none. Invariant: vcl < known.
	next    int    // the index of the first unit that belongs to the next picture, if one begins; -1 for none
	torn    bool   // up to the beginning of the next access unit everything is a remainder

	parts [][]byte // scratch
}

func (p *pictures) lose(s *Splitter) (begun bool, err error) {
	if p.vcl >= 0 && p.next >= 0 && !p.torn {
		err = p.emit(s, p.next) // it ended before the bytes that are missing
	}
	begun = len(p.units) > 0 && !p.torn
	p.reset()
	p.torn = true
	p.syntax.forget()
	return begun, err
}

func (p *pictures) reset() {
	p.scanned, p.units, p.known, p.vcl, p.next = 0, p.units[:0], 0, -1, -1
}

// startCode finds a start code prefix in b from i on; -1 if there is none.
func startCode(b []byte, i int) int {
	for i+2 < len(b) {
		switch {
		case b[i+2] > 1:
			i += 3
		case b[i+2] == 0:
			i++
		case b[i] == 0 && b[i+1] == 0:
			return i
		default:
			i += 3
		}
	}
	return -1
}

func (p *pictures) cut(s *Splitter, last bool) error {
	if len(p.units) == 0 { // before the first start code
		p.vcl, p.next = -1, -1
	}
	for {
		i := startCode(s.buf, p.scanned)
		if i < 0 {
			p.scanned = max(p.scanned, len(s.buf)-2)
			break
		}
		p.units = append(p.units, unit{prefix: i, start: i + 3})
		p.scanned = i + 3
		if err := p.judge(s, len(p.units)-1, true); err != nil {
			return err
		}
		if len(p.units) > maxUnits {
			return s.Gap()
		}
	}
	if len(p.units) == 0 {
		keep := min(len(s.buf), 2)
		s.consume(len(s.buf) - keep)
		p.scanned = 0
	}
	if err := p.judge(s, len(p.units), last); err != nil || !last {
		return err
	}
	var err error
	if p.vcl >= 0 && !p.torn {
		err = p.emit(s, len(p.units))
	}
	p.reset()
	p.torn = true
	p.syntax.forget()
	return err
}

// judge finds the roles of all units but those behind the first n, as far as their bytes are there. whole says that all of them have
// come.
func (p *pictures) judge(s *Splitter, n int, whole bool) error {
	for behind := len(p.units) - n; p.known < len(p.units)-behind; {
		i := p.known
		whole := whole || i+1 < len(p.units)
		end := len(s.buf)
		if i+1 < len(p.units) {
			end = p.units[i+1].prefix
		}
		b := s.buf[p.units[i].start:end]
		if !whole && (len(b) < p.syntax.enough() || p.syntax.set(b)) {
			return nil
		}
		p.known++
		if len(b) < p.syntax.header() {
			continue // nothing: the stream ends in a start code, or three zeros follow a NAL unit
		}
		if p.syntax.set(b) {
			p.syntax.learn(bytes.TrimRight(b, "\x00"))
		}
		if err := p.place(s, i, p.syntax.role(b)); err != nil {
			return err
		}
	}
	return nil
}

// place takes the unit with an index, whose role is known, into the access unit, after emitting the one before if it begins one.
func (p *pictures) place(s *Splitter, i int, r role) error {
	switch {
	case r == leading && p.vcl >= 0 && p.next < 0:
		p.next = i
	case r == leading, r == trailing:
	case r == same && p.vcl < 0:
		// The beginning of the picture is missing, and what stands before this slice belongs to it.
		p.torn = true
		p.drop(s, i+1)
	case r == same:
		p.next = -1
	case p.vcl < 0: // the first slice
		p.vcl, p.torn = i, false
	default:
		at := i
		if p.next >= 0 {
			at = p.next
		}
		if err := p.emit(s, at); err != nil {
			return err
		}
		p.vcl = i - at
	}
	return nil
}

// emit hands out the first n units, and drops them.
func (p *pictures) emit(s *Splitter, n int) error {
	p.parts = p.parts[:0]
	for i := range n {
		end := len(s.buf)
		if i+1 < len(p.units) {
			end = p.units[i+1].prefix
		}
		if b := bytes.TrimRight(s.buf[p.units[i].start:end], "\x00"); len(b) > 0 {
			p.parts = append(p.parts, b)
		}
	}
	// The times of a container's packet are those of the first access unit that begins in it (ISO/IEC 13818-1, 2.4.3.7).
	// Where the parameter sets have a packet without times to themselves, the picture's are meant.
	mark := s.markAt(p.units[0].prefix)
	for i := 1; i <= p.vcl && (mark < 0 || !s.marks[mark].Timed || s.marks[mark].taken); i++ {
		if m := s.markAt(p.units[i].prefix); m > mark && s.marks[m].Timed {
			mark = m
		}
	}
	s.take(mark)
	s.unit.Parts = p.parts
	err := s.emit(&s.unit)
	p.drop(s, n)
	return err
}

// drop takes the first n units out of the buffer.
func (p *pictures) drop(s *Splitter, n int) {
	by := p.scanned // what follows may be the beginning of a start code
	if n < len(p.units) {
		by = p.units[n].prefix
	}
	rest := p.units[n:]
	for i := range rest {
		rest[i].prefix -= by
		rest[i].start -= by
	}
	p.units = append(p.units[:0], rest...)
	p.known, p.vcl, p.next = p.known-n, -1, -1
	p.scanned = max(0, p.scanned-by)
	s.consume(by)
}
