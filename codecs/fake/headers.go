package fake

import (
	"weir/codecs"
	"weir/codecs/h264"
)

// levels are the limits of ITU-T H.264, Table A-1: macroblocks per second and per picture.
var levels = [...]struct {
	idc         byte
	rate, frame int
}{
	{10, 1485, 99},
	{11, 3000, 396},
	{12, 6000, 396},
	{13, 11880, 396},
	{21, 19800, 792},
	{22, 20250, 1620},
	{30, 40500, 1620},
	{31, 108000, 3600},
	{32, 216000, 5120},
	{40, 245760, 8192},
	{42, 522240, 8704},
	{50, 589824, 22080},
	{51, 983040, 36864},
}

func level(macroblocks, rate int) byte {
	for _, l := range levels {
		if macroblocks <= l.frame && macroblocks*rate <= l.rate {
			return l.idc
		}
	}
	return levels[len(levels)-1].idc
}

const (
	profile    = 66   // baseline,
	constraint = 0xc0 // and constrained
)

// sps returns the raw byte sequence payload of the sequence parameter set (7.3.2.1.1).
func sps(c Config) []byte {
	columns, rows := (c.Width+15)/16, (c.Height+15)/16
	w := &writer{}
	w.u(profile, 8)
	w.u(constraint, 8)
	w.u(uint32(level(columns*rows, c.Rate)), 8)
	w.ue(0)   // seq_parameter_set_id
	w.ue(0)   // log2_max_frame_num_minus4
	w.ue(2)   // pic_order_cnt_type: output order is decoding order
	w.ue(1)   // max_num_ref_frames
	w.u(0, 1) // gaps_in_frame_num_value_allowed_flag
	w.ue(uint32(columns - 1))
	w.ue(uint32(rows - 1))
	w.u(1, 1) // frame_mbs_only_flag
	w.u(1, 1) // direct_8x8_inference_flag
	if right, bottom := columns*16-c.Width, rows*16-c.Height; right+bottom > 0 {
		w.u(1, 1)
		w.ue(0)
		w.ue(uint32(right / 2)) // in units of two luma samples, as chroma is subsampled
		w.ue(0)
		w.ue(uint32(bottom / 2))
	} else {
		w.u(0, 1)
	}
	w.u(1, 1)
	vui(w, c)
	w.trail()
	return w.b
}

// vui writes what a player likes to know before it has seen two pictures (E.1.1).
func vui(w *writer, c Config) {
	w.u(1, 1)
	w.u(1, 8) // square samples
	w.u(0, 1) // overscan_info_present_flag
	w.u(1, 1) // video_signal_type_present_flag
	w.u(5, 3) // unspecified format
	w.u(0, 1) // video_full_range_flag
	w.u(1, 1) // colour_description_present_flag: the colours of picture.go are those of BT.601 for any size
	for range 3 {
		w.u(6, 8)
	}
	w.u(0, 1) // chroma_loc_info_present_flag
	w.u(1, 1) // timing_info_present_flag
	w.u(1, 32)
	w.u(uint32(2*c.Rate), 32) // in fields
	w.u(1, 1)                 // fixed_frame_rate_flag
	w.u(0, 1)                 // nal_hrd_parameters_present_flag
	w.u(0, 1)                 // vcl_hrd_parameters_present_flag
	w.u(0, 1)                 // pic_struct_present_flag
	w.u(1, 1)                 // bitstream_restriction_flag
	w.u(1, 1)                 // motion_vectors_over_pic_boundaries_flag
	w.ue(0)                   // max_bytes_per_pic_denom: no limit
	w.ue(0)                   // max_bits_per_mb_denom: no limit
	w.ue(10)
	w.ue(10)
	w.ue(0) // max_num_reorder_frames
	w.ue(1) // max_dec_frame_buffering
}

// pps returns the raw byte sequence payload of the picture parameter set (7.3.2.2).
func pps() []byte {
	w := &writer{}
	w.ue(0)   // pic_parameter_set_id
	w.ue(0)   // seq_parameter_set_id
	w.u(0, 1) // entropy_coding_mode_flag: CAVLC
	w.u(0, 1) // bottom_field_pic_order_in_frame_present_flag
	w.ue(0)   // num_slice_groups_minus1
	w.ue(0)   // num_ref_idx_l0_default_active_minus1
	w.ue(0)   // num_ref_idx_l1_default_active_minus1
	w.u(0, 1) // weighted_pred_flag
	w.u(0, 2) // weighted_bipred_idc
	w.ue(0)   // pic_init_qp_minus26
	w.ue(0)   // pic_init_qs_minus26
	w.ue(0)   // chroma_qp_index_offset
	w.u(1, 1) // deblocking_filter_control_present_flag
	w.u(0, 1) // constrained_intra_pred_flag
	w.u(0, 1) // redundant_pic_cnt_present_flag
	w.trail()
	return w.b
}

// The first bytes of NAL units: nal_ref_idc and nal_unit_type (7.3.1).
const (
	nalSlice = 0x41
	nalIDR   = 0x65
	nalSEI   = 0x06
	nalSPS   = 0x67
	nalPPS   = 0x68
)

// videoTrack describes the pictures.
func videoTrack(c Config) (codecs.Track, error) {
	const length = 4 // of a NAL unit
	s, p := appendNAL(nil, nalSPS, sps(c)), appendNAL(nil, nalPPS, pps())
	return h264.Syntax.Track([][]byte{s[length:], p[length:]})
}
