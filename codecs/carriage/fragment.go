package carriage

import (
	"encoding/binary"
	"errors"
	"fmt"

	"weir/codecs/nal"
)

// A Fragment is what the payload of one RTP packet holds of NAL units: some whole ones, or a part of one.
type Fragment struct {
	Units [][]byte

	// Part is what a NAL unit goes on with. First says that it starts it, with its header; Last that it ends it. Part is nil
	// where the units are whole.
	Part        []byte
	First, Last bool
}

var errShort = errors.New("payload that is too short")

// fragmentH264 reads a payload (RFC 6184, 5.2). The order of decoding that the types of interleaved mode tell is taken to be
// that of sending, as it is with everybody who sends them.
func fragmentH264(b []byte) (Fragment, error) {
	if len(b) == 0 {
		return Fragment{}, errShort
	}
	switch t := b[0] & 0x1f; t {
	case 24: // STAP-A
		return aggregate(b[1:], 0, 0)
	case 25: // STAP-B: a decoding order number before all
		return aggregate(b[1:], 2, 0)
	case 26, 27: // MTAP16, MTAP24: one before all, a difference and an offset of time after each size
		return aggregate(b[1:], 2, int(t-26)+3)
	case 28, 29: // FU-A, FU-B
		skip := 2 + 2*int(t-28)
		if b[min(1, len(b)-1)]&0x80 == 0 {
			skip = 2
		}
		if len(b) < skip {
			return Fragment{}, errShort
		}
		f := Fragment{Part: b[skip:], First: b[1]&0x80 != 0, Last: b[1]&0x40 != 0}
		if f.First {
			f.Part = append([]byte{b[0]&0xe0 | b[1]&0x1f}, f.Part...)
		}
		return f, nil
	case 0, 30, 31:
		return Fragment{}, fmt.Errorf("payload of type %d, which is not in use", t)
	}
	return Fragment{Units: nal.SplitStartCodes(b)}, nil
}

// fragmentH265 reads a payload (RFC 7798, 4.4). ordered says that decoding order numbers are in it (sprop-max-don-diff); the
// order is taken to be that of sending.
func fragmentH265(ordered bool) func(b []byte) (Fragment, error) {
	number, difference := 0, 0
	if ordered {
		number, difference = 2, 1
	}
	return func(b []byte) (Fragment, error) {
		if len(b) < 3 {
			return Fragment{}, errShort
		}
		switch t := b[0] >> 1 & 0x3f; {
		case t == 48: // aggregation
			b = b[2:]
			if len(b) < number {
				return Fragment{}, errShort
			}
			return aggregateAfter(b[number:], difference)
		case t == 49: // fragmentation
			f := Fragment{First: b[2]&0x80 != 0, Last: b[2]&0x40 != 0}
			skip := 3
			if f.First {
				skip += number
			}
			if len(b) < skip {
				return Fragment{}, errShort
			}
			f.Part = b[skip:]
			if f.First {
				f.Part = append([]byte{b[0]&0x81 | b[2]&0x3f<<1, b[1]}, f.Part...)
			}
			return f, nil
		case t >= 50:
			return Fragment{}, fmt.Errorf("payload of type %d is not supported", t)
		case number > 0:
			if len(b) < 2+number {
				return Fragment{}, errShort
			}
			return Fragment{Units: [][]byte{append([]byte{b[0], b[1]}, b[2+number:]...)}}, nil
		}
		return Fragment{Units: nal.SplitStartCodes(b)}, nil
	}
}

// aggregate reads NAL units behind their sizes of two bytes. Before all stand so many bytes that say nothing here, and so many
// after each size, which does not count them.
func aggregate(b []byte, before, each int) (f Fragment, err error) {
	if len(b) < before {
		return f, errShort
	}
	for b = b[before:]; len(b) >= 2+each; {
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2+each:]; n > len(b) {
			err = errShort
			n = len(b)
		}
		if n > 0 && err == nil {
			f.Units = append(f.Units, b[:n:n])
		}
		b = b[n:]
	}
	return f, err
}

// aggregateAfter is aggregate where the bytes that say nothing stand before each size but the first.
func aggregateAfter(b []byte, each int) (f Fragment, err error) {
	for first := true; len(b) > 0; first = false {
		if !first {
			if len(b) < each {
				return f, errShort
			}
			b = b[each:]
		}
		if len(b) < 2 {
			break // padding
		}
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; n > len(b) {
			return f, errShort
		}
		if n > 0 {
			f.Units = append(f.Units, b[:n:n])
		}
		b = b[n:]
	}
	return f, nil
}
