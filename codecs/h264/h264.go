// Package h264 says of H.264 what the packages nal and carriage ask: its NAL units and its decoder configuration record.
//
// It knows no container, and reads of slices only the order of their pictures; sequence parameter sets are parsed by mediacommon, records by mp4ff.
package h264

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs"
	"weir/codecs/nal"
	"weir/codecs/order"
)

// The NAL unit types that are handled here (ITU-T H.264, table 7-1).
const (
	TypeIDR    = 5
	TypeSEI    = 6
	TypeSPS    = 7
	TypePPS    = 8
	TypeAUD    = 9
	TypeSPSExt = 13
)

// Syntax is that of H.264.
var Syntax = nal.Syntax{
	Codec:     codecs.H264,
	Header:    1,
	Type:      kind,
	Sets:      []byte{TypeSPS, TypeSPSExt, TypePPS},
	SPS:       TypeSPS,
	Optional:  TypeSPSExt,
	Delimiter: []byte{TypeAUD, 0xf0}, // 7.3.2.4
	Random:    random,
	Recovers: func(unit []byte) bool {
		_, ok := recovery(unit)
		return ok
	},
	Coded:    coded,
	Begins:   begins,
	LengthAt: 4,
	Parse:    parse,
	Write:    write,
	Look: func(set []byte) (width, height int, rate float64, err error) {
		sps, err := parseSPS(set)
		return sps.Width(), sps.Height(), sps.FPS(), err
	},
	Order: func() order.Parser { return &counter{} },
}

func kind(unit []byte) byte { return unit[0] & 0x1f }

func coded(unit []byte) bool { return kind(unit) >= 1 && kind(unit) <= TypeIDR }

// begins knows the first slice by first_mb_in_slice, whose 0 is a single bit (7.3.3, 9.1).
func begins(unit []byte) bool {
	if coded(unit) {
		return len(unit) > 1 && unit[1]&0x80 != 0
	}
	return kind(unit) >= TypeSEI && kind(unit) <= TypeAUD
}

// random knows an IDR picture and, as broadcasts have instead, a recovery point: where everything is right from the
// start (recovery_frame_cnt is 0), or where the container says that it may do (D.2.8).
func random(unit []byte, key bool) bool {
	if kind(unit) == TypeIDR {
		return true
	}
	atOnce, ok := recovery(unit)
	return ok && (key || atOnce)
}

// recovery says whether a NAL unit has the message of a recovery point, and whether everything is right from there on: recovery_frame_cnt
// is 0, which is a single bit (9.1).
func recovery(unit []byte) (atOnce, ok bool) {
	const recoveryPoint = 6 // payloadType (D.1)
	if kind(unit) != TypeSEI {
		return false, false
	}
	body, ok := nal.Message(unit[1:], recoveryPoint)
	return ok && len(body) > 0 && body[0]&0x80 != 0, ok
}

// parse reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). What follows the parts that the standard
// has is ignored, as it asks of readers, and so is the lack of the last ones.
func parse(record []byte) ([][]byte, error) {
	r, err := avc.DecodeAVCDecConfRec(record)
	sets := slices.Concat(r.SPSnalus, r.PPSnalus)
	if !errors.Is(err, avc.ErrCannotParseAVCExtension) {
		return sets, err
	}
	// mp4ff reads up to the extensions of the sequence parameter sets.
	at := 11
	for _, set := range sets {
		at += 2 + len(set)
	}
	for range r.NumSPSExt {
		if len(record)-at < 2 || len(record)-at-2 < int(binary.BigEndian.Uint16(record[at:])) {
			break
		}
		end := at + 2 + int(binary.BigEndian.Uint16(record[at:]))
		sets, at = append(sets, record[at+2:end:end]), end
	}
	return sets, nil
}

// write makes an AVCDecoderConfigurationRecord. All profiles but Baseline, Main and Extended have its last fields, which
// repeat what the sequence parameter set says (5.3.3.1.2).
func write(sets [][]byte) ([]byte, error) {
	by := nal.ByType(kind, sets)
	r := avc.DecConfRec{SPSnalus: by[TypeSPS], PPSnalus: by[TypePPS]}
	switch {
	case len(r.SPSnalus) == 0 || len(r.PPSnalus) == 0:
		return nil, errors.New("H.264 needs a sequence and a picture parameter set")
	case len(r.SPSnalus) > 31 || len(r.PPSnalus) > 255 || len(by[TypeSPSExt]) > 255:
		return nil, fmt.Errorf("%d parameter sets are more than a record holds", len(sets))
	}
	sps, err := parseSPS(r.SPSnalus[0])
	if err != nil {
		return nil, err
	}
	r.AVCProfileIndication, r.ProfileCompatibility, r.AVCLevelIndication = r.SPSnalus[0][1], r.SPSnalus[0][2], r.SPSnalus[0][3]
	switch r.AVCProfileIndication {
	case 66, 77, 88:
	default:
		r.ChromaFormat = byte(sps.ChromaFormatIdc & 3)
		r.BitDepthLumaMinus1, r.BitDepthChromaMinus1 = byte(sps.BitDepthLumaMinus8&7), byte(sps.BitDepthChromaMinus8&7)
		r.NumSPSExt = byte(len(by[TypeSPSExt]))
		for _, set := range by[TypeSPSExt] {
			r.TrailingBytes = append(binary.BigEndian.AppendUint16(r.TrailingBytes, uint16(len(set))), set...)
		}
	}
	var b bytes.Buffer
	if err := r.Encode(&b); err != nil {
		return nil, fmt.Errorf("H.264 configuration: %w", err)
	}
	return b.Bytes(), nil
}

func parseSPS(set []byte) (h264.SPS, error) {
	var sps h264.SPS
	if len(set) < 4 {
		return sps, fmt.Errorf("H.264 sequence parameter set of %d bytes", len(set))
	}
	if err := sps.Unmarshal(set); err != nil {
		return h264.SPS{}, fmt.Errorf("H.264 sequence parameter set: %w", err)
	}
	return sps, nil
}
