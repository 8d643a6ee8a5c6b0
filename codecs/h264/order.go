package h264

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

const (
	typeSlice = 1

	// maxDepth bounds what counts as reordering. Encoders without a word about it in the sequence parameter set use two at
	// most; pictures that seem to be reordered further follow an IDR picture that was lost.
	maxDepth = 4

	// sliceHead is enough of a slice to hold its picture order count: three numbers of at most 9 bytes each, one of at most 16
	// bits, idr_pic_id and the count itself (7.3.3), with bytes that prevent emulation.
	sliceHead = 40
)

// An order watches the picture order counts of a stream (8.2.1).
type order struct {
	raw   []byte // the sequence parameter set in force
	sps   h264.SPS
	fixed bool // depth is what the sequence parameter set says
	depth int

	last   int64   // the newest picture order count, without wraps
	counts []int64 // those of the newest pictures since the last IDR picture
}

// reordering makes the function of [nal.Syntax.Reordering].
func reordering() func(units [][]byte) int {
	o := &order{}
	return func(units [][]byte) int {
		for _, u := range units {
			if len(u) < 2 {
				continue
			}
			switch t := kind(u); t {
			case TypeSPS:
				o.set(u)
			case typeSlice, TypeIDR:
				o.picture(u, t == TypeIDR)
				return o.depth
			}
		}
		return o.depth
	}
}

// set takes a sequence parameter set into force. One that cannot be read is passed over.
func (o *order) set(unit []byte) {
	if bytes.Equal(unit, o.raw) {
		return
	}
	sps, err := parseSPS(unit)
	if err != nil {
		return
	}
	*o = order{raw: bytes.Clone(unit), sps: sps}
	switch {
	case sps.ProfileIdc == 66 || sps.PicOrderCntType == 2: // Baseline has no B slices; type 2 is output order (8.2.1.3)
		o.fixed = true
	case sps.VUI != nil && sps.VUI.BitstreamRestriction != nil:
		o.fixed, o.depth = true, min(int(sps.VUI.BitstreamRestriction.MaxNumReorderFrames), 16)
	case sps.PicOrderCntType == 1:
		o.fixed = true
		if sps.OffsetForNonRefPic < 0 {
			o.depth = 1
		}
	}
}

// picture counts how many pictures that come earlier are shown later.
func (o *order) picture(slice []byte, idr bool) {
	if o.raw == nil || o.fixed {
		return
	}
	count, ok := o.count(slice, idr)
	if !ok {
		return
	}
	if idr {
		o.last, o.counts = count, append(o.counts[:0], count)
		return
	}
	wrap := int64(1) << (o.sps.Log2MaxPicOrderCntLsbMinus4 + 4)
	distance := (count - o.last) & (wrap - 1)
	if distance >= wrap/2 {
		distance -= wrap
	}
	o.last += distance
	later := 0
	for _, c := range o.counts {
		if c > o.last {
			later++
		}
	}
	if later > maxDepth {
		o.counts, later = o.counts[:0], 0
	}
	o.depth = max(o.depth, later)
	if len(o.counts) == 16 {
		o.counts = append(o.counts[:0], o.counts[1:]...)
	}
	o.counts = append(o.counts, o.last)
}

// count reads pic_order_cnt_lsb of a slice (7.3.3).
func (o *order) count(slice []byte, idr bool) (int64, bool) {
	b := h264.EmulationPreventionRemove(slice[1:min(len(slice), sliceHead)])
	at := 0
	for range 3 { // first_mb_in_slice, slice_type, pic_parameter_set_id
		if _, err := bits.ReadGolombUnsigned(b, &at); err != nil {
			return 0, false
		}
	}
	skip := int(o.sps.Log2MaxFrameNumMinus4) + 4
	if o.sps.SeparateColourPlaneFlag {
		skip += 2
	}
	if _, err := bits.ReadBits(b, &at, skip); err != nil {
		return 0, false
	}
	if !o.sps.FrameMbsOnlyFlag {
		field, err := bits.ReadFlag(b, &at)
		if err == nil && field {
			_, err = bits.ReadFlag(b, &at)
		}
		if err != nil {
			return 0, false
		}
	}
	if idr {
		if _, err := bits.ReadGolombUnsigned(b, &at); err != nil {
			return 0, false
		}
	}
	count, err := bits.ReadBits(b, &at, int(o.sps.Log2MaxPicOrderCntLsbMinus4)+4)
	return int64(count), err == nil
}
