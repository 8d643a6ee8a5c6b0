// Package h265 says of H.265 what the packages nal and carriage ask: its NAL units and its decoder configuration record.
//
// It knows no container, and reads of slices only the order of their pictures; sequence parameter sets are parsed by mediacommon, records by mp4ff.
package h265

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/hevc"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"weir/codecs"
	"weir/codecs/nal"
	"weir/codecs/order"
)

// The NAL unit types that are handled here (ITU-T H.265, table 7-1).
const (
	TypeFirstIRAP = 16
	TypeLastIRAP  = 21
	TypeVPS       = 32
	TypeSPS       = 33
	TypePPS       = 34
	TypeAUD       = 35
	typePrefixSEI = 39
)

// Syntax is that of H.265.
var Syntax = nal.Syntax{
	Codec:     codecs.H265,
	Header:    2,
	Type:      kind,
	Sets:      []byte{TypeVPS, TypeSPS, TypePPS},
	SPS:       TypeSPS,
	Delimiter: []byte{TypeAUD << 1, 1, 0x50}, // 7.3.2.5
	Recovers: func(unit []byte) bool {
		const recoveryPoint = 6 // payloadType (D.2.1)
		if kind(unit) != typePrefixSEI || len(unit) < 2 {
			return false
		}
		_, ok := nal.Message(unit[2:], recoveryPoint)
		return ok
	},
	Random:   func(unit []byte, _ bool) bool { return kind(unit) >= TypeFirstIRAP && kind(unit) <= TypeLastIRAP },
	Coded:    coded,
	Begins:   begins,
	LengthAt: 21,
	Parse:    parse,
	Write:    write,
	Look: func(set []byte) (width, height int, rate float64, err error) {
		sps, err := parseSPS(set)
		return sps.Width(), sps.Height(), sps.FPS(), err
	},
	Order: func() order.Parser { return &counter{} },
}

func coded(unit []byte) bool { return kind(unit) < TypeVPS }

// begins knows the first slice by first_slice_segment_in_pic_flag (7.3.6.1).
func begins(unit []byte) bool {
	if coded(unit) {
		return len(unit) > 2 && unit[2]&0x80 != 0
	}
	return kind(unit) <= TypeAUD || kind(unit) == typePrefixSEI
}

func kind(unit []byte) byte { return unit[0] >> 1 & 0x3f }

// parse reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1).
func parse(record []byte) (sets [][]byte, err error) {
	r, err := hevc.DecodeHEVCDecConfRec(record)
	for _, array := range r.NaluArrays {
		sets = append(sets, array.Nalus...)
	}
	return sets, err
}

// write makes an HEVCDecoderConfigurationRecord.
func write(sets [][]byte) ([]byte, error) {
	by := nal.ByType(kind, sets)
	if len(by[TypeVPS]) == 0 || len(by[TypeSPS]) == 0 || len(by[TypePPS]) == 0 {
		return nil, errors.New("H.265 needs a video, a sequence and a picture parameter set")
	}
	sps, err := parseSPS(by[TypeSPS][0])
	if err != nil {
		return nil, err
	}
	// profile_tier_level is byte aligned behind the two bytes of the NAL unit header and the four bits each of the
	// parameter set's first fields (7.3.2.2.1): its twelve bytes stand in the record as they are.
	raw := h264.EmulationPreventionRemove(by[TypeSPS][0])
	if len(raw) < 15 {
		return nil, fmt.Errorf("H.265 sequence parameter set of %d bytes", len(raw))
	}
	r := hevc.DecConfRec{
		ConfigurationVersion:             1,
		GeneralProfileSpace:              raw[3] >> 6,
		GeneralTierFlag:                  raw[3]&0x20 != 0,
		GeneralProfileIDC:                raw[3] & 0x1f,
		GeneralProfileCompatibilityFlags: binary.BigEndian.Uint32(raw[4:]),
		GeneralConstraintIndicatorFlags:  binary.BigEndian.Uint64(raw[6:]) & (1<<48 - 1),
		GeneralLevelIDC:                  raw[14],
		ChromaFormatIDC:                  byte(sps.ChromaFormatIdc & 3),
		BitDepthLumaMinus8:               byte(sps.BitDepthLumaMinus8 & 7),
		BitDepthChromaMinus8:             byte(sps.BitDepthChromaMinus8 & 7),
		NumTemporalLayers:                raw[2]>>1&7 + 1,
		TemporalIDNested:                 raw[2] & 1,
		LengthSizeMinusOne:               3,
	}
	for _, t := range []byte{TypeVPS, TypeSPS, TypePPS} {
		// Complete arrays, as the sample entry hvc1 demands (8.4.1.1).
		r.NaluArrays = append(r.NaluArrays, hevc.NewNaluArray(true, hevc.NaluType(t), by[t]))
	}
	var b bytes.Buffer
	if err := r.Encode(&b); err != nil {
		return nil, fmt.Errorf("H.265 configuration: %w", err)
	}
	return b.Bytes(), nil
}

func parseSPS(set []byte) (h265.SPS, error) {
	var sps h265.SPS
	if err := sps.Unmarshal(set); err != nil {
		return h265.SPS{}, fmt.Errorf("H.265 sequence parameter set: %w", err)
	}
	return sps, nil
}
