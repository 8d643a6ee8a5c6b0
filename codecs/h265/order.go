package h265

import (
	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"weir/codecs/order"
)

// The NAL unit types that hold slices (ITU-T H.265, table 7-1).
const (
	typeFirstLeading      = 6 // RADL and RASL pictures, up to typeLastSlice
	typeLastSlice         = 9
	typeFirstBLA          = 16
	typeLastBLA           = 18
	typeIDRWithLeading    = 19
	typeIDRWithoutLeading = 20
	typeLastReservedIRAP  = 23
)

// A counter is an [order.Parser].
type counter struct {
	sps h265.SPS
	pps h265.PPS
}

// Set implements [order.Parser].
func (c *counter) Set(set []byte) (p order.Picture, lsb int, ok bool) {
	switch kind(set) {
	case TypePPS:
		var pps h265.PPS
		if pps.Unmarshal(set) == nil {
			c.pps = pps
		}
		return p, 0, false
	case TypeSPS:
	default:
		return p, 0, false
	}
	sps, err := parseSPS(set)
	if err != nil {
		return p, 0, false
	}
	c.sps = sps
	if n := len(sps.MaxNumReorderPics); n > 0 {
		p.Bounded, p.Depth = true, int(min(sps.MaxNumReorderPics[n-1], order.MaxDepth))
	}
	if sps.VUI != nil && sps.VUI.TimingInfo != nil {
		p.Interval = order.Interval(uint64(sps.VUI.TimingInfo.NumUnitsInTick), uint64(sps.VUI.TimingInfo.TimeScale))
	}
	return p, int(sps.Log2MaxPicOrderCntLsbMinus4) + 4, true
}

// Slice implements [order.Parser]. It reads the header of a first slice (7.3.6.1) up to slice_pic_order_cnt_lsb.
func (c *counter) Slice(u []byte, lsb int) (s order.Slice, slice, whole bool) {
	if len(u) < 3 {
		return s, false, false
	}
	k := kind(u)
	if k > typeLastSlice && (k < TypeFirstIRAP || k > typeLastReservedIRAP) {
		return s, false, false
	}
	if k == typeIDRWithLeading || k == typeIDRWithoutLeading { // the count is 0 (8.3.1)
		return order.Slice{Reset: true, Reference: true}, true, true
	}
	s.Reset = k >= typeFirstBLA && k <= typeLastBLA
	// prevTid0Pic (8.3.1) is of the lowest layer, and no leading or sub-layer non-reference picture; those have even types.
	leading := k >= typeFirstLeading && k <= typeLastSlice
	s.Reference = u[1]&7 == 1 && !leading && (k%2 == 1 || k >= TypeFirstIRAP)
	b, pos := order.Head(u[2:]), 0
	first, err := bits.ReadFlag(b, &pos)
	if err != nil || !first {
		return s, true, false
	}
	if k >= TypeFirstIRAP {
		_, err = bits.ReadFlag(b, &pos) // no_output_of_prior_pics_flag
	}
	if err == nil {
		_, err = bits.ReadGolombUnsigned(b, &pos) // slice_pic_parameter_set_id
	}
	if n := int(c.pps.NumExtraSliceHeaderBits); err == nil && n > 0 {
		_, err = bits.ReadBits(b, &pos, n)
	}
	if err == nil {
		_, err = bits.ReadGolombUnsigned(b, &pos) // slice_type
	}
	skip := 0
	if c.pps.OutputFlagPresentFlag {
		skip++
	}
	if c.sps.SeparateColourPlaneFlag {
		skip += 2
	}
	if err == nil && skip > 0 {
		_, err = bits.ReadBits(b, &pos, skip)
	}
	if err != nil {
		return s, true, false
	}
	v, err := bits.ReadBits(b, &pos, lsb)
	s.LSB = int(v)
	return s, true, err == nil
}
