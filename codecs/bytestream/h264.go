package bytestream

import (
	lib "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs/h264"
)

// avc is the syntax of H.264.
type avc struct {
	sequences [32]*sequence // by seq_parameter_set_id
	of        [256]uint8    // one more than the seq_parameter_set_id of a pic_parameter_set_id; 0 if it is not known

	current slice // the first slice of the picture, or of its first field
	begun   bool
	zero    bool // a slice of the picture begins at its first macroblock
	paired  bool // both fields of the frame have begun
}

// A sequence is what slice headers depend on in a sequence parameter set.
type sequence struct {
	frameNumBits, lsbBits int // lsbBits is 0 where slices have no pic_order_cnt_lsb
	planes, fields        bool
}

// A slice is what tells the first slice of a picture from others (7.4.1.2.4).
type slice struct {
	idr, reference bool
	set            uint32 // pic_parameter_set_id
	frameNum       uint32
	field, bottom  bool
	idrID, lsb     uint32
}

// The NAL unit types that matter here only (table 7-1).
const (
	typeSlice      = 1
	typePartitionA = 2
	typePartitionC = 4
	typeFiller     = 12
	typePrefix     = 14
	typeReserved18 = 18
)

func (*avc) enough() int { return 32 }
func (*avc) header() int { return 1 }

func (*avc) set(b []byte) bool {
	return len(b) > 0 && (b[0]&0x1f == h264.TypeSPS || b[0]&0x1f == h264.TypePPS)
}

func (a *avc) learn(b []byte) {
	r := bits{b: b[1:]}
	if b[0]&0x1f == h264.TypePPS {
		set, seq := r.golomb(), r.golomb()
		if set < uint32(len(a.of)) && seq < uint32(len(a.sequences)) && !r.over {
			a.of[set] = uint8(seq) + 1
		}
		return
	}
	var sps lib.SPS
	if len(b) < 4 || sps.Unmarshal(b) != nil || sps.ID >= uint32(len(a.sequences)) {
		return
	}
	s := &sequence{
		frameNumBits: int(sps.Log2MaxFrameNumMinus4) + 4,
		planes:       sps.SeparateColourPlaneFlag, fields: !sps.FrameMbsOnlyFlag,
	}
	if sps.PicOrderCntType == 0 {
		s.lsbBits = int(sps.Log2MaxPicOrderCntLsbMinus4) + 4
	}
	if s.frameNumBits <= 16 && s.lsbBits <= 16 {
		a.sequences[sps.ID] = s
	}
}

func (a *avc) forget() { a.begun, a.zero, a.paired = false, false, false }

func (a *avc) role(b []byte) role {
	switch t := b[0] & 0x1f; {
	case t == typeSlice, t == typePartitionA, t == h264.TypeIDR:
		return a.slice(b)
	case t > typePartitionA && t <= typePartitionC:
		return same
	case t >= h264.TypeSEI && t <= h264.TypeAUD, t >= typePrefix && t <= typeReserved18:
		return leading
	}
	return trailing
}

// slice tells the role of a slice. The second field of a frame continues the picture.
func (a *avc) slice(b []byte) role {
	r := bits{b: b[1:]}
	zero := r.golomb() == 0 // first_mb_in_slice
	s, known := a.read(&r, b[0])
	switch {
	case !a.begun:
		if !zero {
			return same // of a picture whose beginning is missing
		}
		a.start(s, zero)
		return first
	case known && s == a.current, !known:
		if !zero || !a.zero && known {
			a.zero = a.zero || zero
			return same
		}
	case !a.paired && a.current.field && s.field && s.bottom != a.current.bottom && s.frameNum == a.current.frameNum && !s.idr:
		a.start(s, zero)
		a.paired = true
		return same
	}
	a.forget()
	a.start(s, zero)
	return first
}

func (a *avc) start(s slice, zero bool) { a.current, a.begun, a.zero = s, true, zero }

// read reads a slice header from slice_type on (7.3.3). known is false if its parameter sets have not come.
func (a *avc) read(r *bits, header byte) (s slice, known bool) {
	r.golomb() // slice_type
	s = slice{idr: header&0x1f == h264.TypeIDR, reference: header&0x60 != 0, set: r.golomb()}
	if r.over || s.set >= uint32(len(a.of)) || a.of[s.set] == 0 {
		return slice{}, false
	}
	seq := a.sequences[a.of[s.set]-1]
	if seq == nil {
		return slice{}, false
	}
	if seq.planes {
		r.read(2)
	}
	s.frameNum = r.read(seq.frameNumBits)
	if seq.fields {
		if s.field = r.read(1) == 1; s.field {
			s.bottom = r.read(1) == 1
		}
	}
	if s.idr {
		s.idrID = r.golomb()
	}
	if seq.lsbBits > 0 {
		s.lsb = r.read(seq.lsbBits)
	}
	if r.over {
		return slice{}, false
	}
	return s, true
}

// bits reads a NAL unit behind its header, emulation prevention bytes left out (7.4.1), or, if it is plain, anything else.
type bits struct {
	b     []byte
	plain bool
	at    int // in bits
	zeros int // bytes of zero before the current one
	over  bool
}

func (r *bits) bit() uint32 {
	i := r.at >> 3
	if !r.plain && r.at&7 == 0 && i < len(r.b) { // a new byte
		if r.zeros >= 2 && r.b[i] == 3 {
			r.zeros, r.at = 0, r.at+8
			i++
		}
		if i < len(r.b) && r.b[i] == 0 {
			r.zeros++
		} else {
			r.zeros = 0
		}
	}
	if i >= len(r.b) {
		r.over = true
		return 0
	}
	v := r.b[i] >> (7 - r.at&7) & 1
	r.at++
	return uint32(v)
}

func (r *bits) read(n int) (v uint32) {
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

// golomb reads an ue(v) (9.1).
func (r *bits) golomb() uint32 {
	n := 0
	for r.bit() == 0 {
		if n++; r.over || n > 31 {
			r.over = true
			return 0
		}
	}
	return 1<<n - 1 + r.read(n)
}
