package bytestream

import (
	"bytes"

	"weir/codecs"
)

// latmHeader reads the header of an AudioSyncStream (ISO/IEC 14496-3, 1.7.2).
func latmHeader(b []byte) (h header, err error) {
	switch {
	case b[0] != 0x56:
		return h, errNoFrame
	case len(b) < 3:
		return h, errShort
	case b[1]&0xe0 != 0xe0:
		return h, errNoFrame
	}
	h.skip = 3
	h.size = h.skip + int(b[1]&0x1f)<<8 + int(b[2])
	if h.size == h.skip {
		return h, errNoFrame
	}
	return h, nil
}

// latm reads AudioMuxElements (ISO/IEC 14496-3, 1.7.3) with one program of one layer, as all broadcasts have them.
type latm struct {
	config []byte // nil until a StreamMuxConfig has come

	frames int // in each element
	fixed  int // the size of each frame in bytes, or 0 if each tells its own

	scratch []byte
}

func refuse(name string) error { return &refusal{&codecs.UnsupportedError{Name: name}} }

func (l *latm) unpack(s *Splitter, b []byte, h header) error {
	r := &bits{b: b[h.skip:], plain: true}
	if r.bit() == 0 { // useSameStreamMux
		if err := l.configure(r); err != nil {
			return err
		}
	}
	if l.config == nil {
		return nil // it begins between two configurations
	}
	for range l.frames {
		size := l.fixed
		for more := size == 0; more; { // PayloadLengthInfo
			n := r.read(8)
			size += int(n)
			more = n == 255
		}
		if r.over || size > len(b) {
			s.damaged++
			return nil
		}
		l.scratch = l.scratch[:0]
		for range size {
			l.scratch = append(l.scratch, byte(r.read(8)))
		}
		if r.over {
			s.damaged++
			return nil
		}
		if size == 0 {
			continue
		}
		if err := s.give(l.scratch, l.config); err != nil {
			return err
		}
	}
	return nil
}

// configure reads a StreamMuxConfig (table 1.42).
func (l *latm) configure(r *bits) error {
	version := r.bit()
	if version == 1 {
		if r.bit() == 1 { // audioMuxVersionA
			return refuse("AAC in LATM of an unknown version")
		}
		r.value() // taraBufferFullness
	}
	alike := r.bit() // allStreamsSameTimeFraming
	frames := int(r.read(6)) + 1
	if programs, layers := r.read(4), r.read(3); alike == 0 || programs != 0 || layers != 0 {
		return refuse("AAC in LATM with several layers")
	}
	end := -1
	if version == 1 {
		n := int(r.value())
		end = r.at + n
	}
	start := r.at
	if err := specificConfig(r); err != nil {
		return err
	}
	if end >= 0 {
		if end < r.at || end > len(r.b)*8 {
			return refuse("AAC in LATM with a wrong length")
		}
		r.at = end
	}
	config := r.between(start, r.at)
	fixed := 0
	switch r.read(3) { // frameLengthType
	case 0:
		r.read(8) // latmBufferFullness
	case 1:
		fixed = int(r.read(9)) + 20
	default:
		return refuse("AAC in LATM with frames of another type")
	}
	// otherDataPresent and crcCheckPresent tell of what stands behind the frames.
	if r.over {
		return refuse("AAC in LATM that ends early")
	}
	if l.frames, l.fixed = frames, fixed; !bytes.Equal(l.config, config) {
		l.config = config
	}
	if r.bit() == 1 { // otherDataPresent
		if version == 1 {
			r.value()
		} else {
			for r.bit() == 1 && !r.over {
				r.read(8)
			}
			r.read(8)
		}
	}
	if r.bit() == 1 { // crcCheckPresent
		r.read(8)
	}
	return nil
}

// specificConfig reads over an AudioSpecificConfig (table 1.15) of the object types that AAC has.
func specificConfig(r *bits) error {
	object := r.object()
	r.frequency()
	layout := r.read(4)
	if object == 5 || object == 29 { // SBR, PS
		r.frequency()
		object = r.object()
	}
	if object == 0 || object > 4 || layout == 0 {
		return refuse("AAC in LATM with an unusual configuration")
	}
	r.bit()           // frameLengthFlag
	if r.bit() == 1 { // dependsOnCoreCoder
		r.read(14)
	}
	r.bit() // extensionFlag
	return nil
}

func (r *bits) object() uint32 {
	n := r.read(5)
	if n == 31 {
		n = 32 + r.read(6)
	}
	return n
}

func (r *bits) frequency() {
	if r.read(4) == 15 {
		r.read(24)
	}
}

// value reads a LatmGetValue (table 1.43).
func (r *bits) value() (v uint32) {
	for n := r.read(2); ; n-- {
		v = v<<8 | r.read(8)
		if n == 0 {
			return v
		}
	}
}

// between returns the bits from start to end.
func (r *bits) between(start, end int) []byte {
	c := bits{b: r.b, at: start, plain: true}
	out := make([]byte, (end-start+7)/8)
	for i := range end - start {
		out[i/8] |= byte(c.bit()) << (7 - i%8)
	}
	return out
}
