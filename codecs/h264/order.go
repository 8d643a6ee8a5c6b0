package h264

import (
	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs/order"
)

// The NAL unit types that hold slices (ITU-T H.264, table 7-1), beside TypeIDR.
const (
	typeSlice     = 1
	typePartition = 2 // the first of a slice in partitions
)

// A counter is an [order.Parser].
type counter struct{ sps h264.SPS }

// Set implements [order.Parser].
func (c *counter) Set(set []byte) (p order.Picture, lsb int, ok bool) {
	if kind(set) != TypeSPS {
		return p, 0, false
	}
	sps, err := parseSPS(set)
	if err != nil {
		return p, 0, false
	}
	c.sps = sps
	if sps.PicOrderCntType == 0 {
		lsb = int(sps.Log2MaxPicOrderCntLsbMinus4) + 4
	}
	const baseline = 66 // has no B slices (A.2.1)
	switch {
	case sps.PicOrderCntType == 2, sps.ProfileIdc == baseline: // output order is decoding order (8.2.1.3)
		p.Bounded = true
	case sps.VUI != nil && sps.VUI.BitstreamRestriction != nil:
		p.Bounded, p.Depth = true, int(min(sps.VUI.BitstreamRestriction.MaxNumReorderFrames, order.MaxDepth))
	}
	if sps.PicOrderCntType == 1 && !p.Bounded { // pictures that no other refers to are shown before the one that came before them
		p.Bounded = true
		if sps.OffsetForNonRefPic < 0 {
			p.Depth = 1
		}
	}
	if sps.VUI != nil && sps.VUI.TimingInfo != nil { // a tick is that of a field (E.2.1)
		p.Interval = order.Interval(2*uint64(sps.VUI.TimingInfo.NumUnitsInTick), uint64(sps.VUI.TimingInfo.TimeScale))
	}
	return p, lsb, true
}

// Slice implements [order.Parser]. It reads a slice header (7.3.3) up to pic_order_cnt_lsb.
func (c *counter) Slice(u []byte, lsb int) (s order.Slice, slice, whole bool) {
	if len(u) < 2 || kind(u) != typeSlice && kind(u) != typePartition && kind(u) != TypeIDR {
		return s, false, false
	}
	b, pos := order.Head(u[1:]), 0
	s.Reset, s.Reference = kind(u) == TypeIDR, u[0]&0x60 != 0
	for range 3 { // first_mb_in_slice, slice_type, pic_parameter_set_id
		if _, err := bits.ReadGolombUnsigned(b, &pos); err != nil {
			return s, true, false
		}
	}
	skip := int(c.sps.Log2MaxFrameNumMinus4) + 4
	if c.sps.SeparateColourPlaneFlag {
		skip += 2
	}
	if _, err := bits.ReadBits(b, &pos, skip); err != nil {
		return s, true, false
	}
	if !c.sps.FrameMbsOnlyFlag {
		field, err := bits.ReadFlag(b, &pos)
		if err == nil && field {
			_, err = bits.ReadFlag(b, &pos)
		}
		if err != nil {
			return s, true, false
		}
	}
	if s.Reset {
		if _, err := bits.ReadGolombUnsigned(b, &pos); err != nil { // idr_pic_id
			return s, true, false
		}
	}
	v, err := bits.ReadBits(b, &pos, lsb)
	s.LSB = int(v)
	return s, true, err == nil
}
