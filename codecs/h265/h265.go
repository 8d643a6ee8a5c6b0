// Package h265 holds what the H.265 parser in use lacks: the decoder configuration record. NAL units behind their
// lengths are those of package h264.
//
// It knows no container and reads no slice; sequence parameter sets are parsed by mediacommon.
package h265

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"weir/codecs"
)

// The NAL unit types that are handled here (ITU-T H.265, table 7-1).
const (
	TypeVPS = 32
	TypeSPS = 33
	TypePPS = 34
	TypeAUD = 35
)

// ErrTruncated says that a record ends within one of its parts.
var ErrTruncated = errors.New("truncated")

// maxSets bounds the parameter sets that are read from a record, over all its arrays: 16 video, 16 sequence and 64
// picture parameter sets can be told apart by their identifiers (ITU-T H.265, 7.4.3).
const maxSets = 96

// A Config is what matters of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1).
type Config struct {
	// LengthSize is the number of bytes of the length before each NAL unit. In an access unit of ours it is 4.
	LengthSize int

	// VPS, SPS and PPS are the parameter sets; after ParseConfig they are slices of the record.
	VPS, SPS, PPS [][]byte
}

// ParseConfig reads a record. Arrays of other NAL units, such as SEI messages, are passed over.
func ParseConfig(b []byte) (Config, error) {
	if len(b) < 23 {
		return Config{}, fmt.Errorf("H.265 configuration of %d bytes: %w", len(b), ErrTruncated)
	}
	if b[0] != 1 {
		return Config{}, fmt.Errorf("H.265 configuration of unknown version %d", b[0])
	}
	c := Config{LengthSize: int(b[21]&3) + 1}
	if c.LengthSize == 3 {
		return Config{}, errors.New("H.265 configuration with a length size of 3")
	}
	arrays, rest, total := int(b[22]), b[23:], 0
	for range arrays {
		if len(rest) < 3 {
			return Config{}, fmt.Errorf("H.265 configuration: %w", ErrTruncated)
		}
		kind, count := rest[0]&0x3f, int(binary.BigEndian.Uint16(rest[1:]))
		rest = rest[3:]
		for range count {
			if len(rest) < 2 {
				return Config{}, fmt.Errorf("H.265 configuration: %w", ErrTruncated)
			}
			n := int(binary.BigEndian.Uint16(rest))
			if rest = rest[2:]; len(rest) < n {
				return Config{}, fmt.Errorf("H.265 configuration: %w", ErrTruncated)
			}
			unit := rest[:n:n]
			rest = rest[n:]
			if n == 0 {
				continue
			}
			if total++; total > maxSets {
				return Config{}, fmt.Errorf("H.265 configuration with more than %d parameter sets", maxSets)
			}
			switch kind {
			case TypeVPS:
				c.VPS = append(c.VPS, unit)
			case TypeSPS:
				c.SPS = append(c.SPS, unit)
			case TypePPS:
				c.PPS = append(c.PPS, unit)
			}
		}
	}
	return c, nil
}

// Marshal makes the record, always with a length size of 4.
func (c Config) Marshal() ([]byte, error) {
	if len(c.VPS) == 0 || len(c.SPS) == 0 || len(c.PPS) == 0 {
		return nil, errors.New("H.265 needs a video, a sequence and a picture parameter set")
	}
	if n := len(c.VPS) + len(c.SPS) + len(c.PPS); n > maxSets {
		return nil, fmt.Errorf("%d parameter sets, more than %d", n, maxSets)
	}
	var sps h265.SPS
	if err := sps.Unmarshal(c.SPS[0]); err != nil {
		return nil, fmt.Errorf("H.265 sequence parameter set: %w", err)
	}
	// profile_tier_level is byte aligned behind the two bytes of the NAL unit header and the four bits each of the
	// parameter set's fields (7.3.2.2.1): its twelve bytes stand in the record as they are. They may contain emulation
	// prevention bytes, which must go.
	raw := unescape(c.SPS[0], 15)
	if len(raw) < 15 {
		return nil, fmt.Errorf("H.265 sequence parameter set of %d bytes: %w", len(c.SPS[0]), ErrTruncated)
	}
	b := append(make([]byte, 0, 128), 1)
	b = append(b, raw[3:15]...)
	b = append(
		b,
		0xf0, 0, // min_spatial_segmentation_idc: no limit stated
		0xfc, // parallelismType: unknown
		0xfc|byte(sps.ChromaFormatIdc&3),
		0xf8|byte(sps.BitDepthLumaMinus8&7),
		0xf8|byte(sps.BitDepthChromaMinus8&7),
		0, 0, // avgFrameRate: unspecified
	)
	layers := raw[2]>>1&7 + 1
	nested := raw[2] & 1
	b = append(b, layers<<3|nested<<2|3, 3)
	for _, array := range []struct {
		kind byte
		sets [][]byte
	}{{TypeVPS, c.VPS}, {TypeSPS, c.SPS}, {TypePPS, c.PPS}} {
		b = append(b, 0x80|array.kind) // array_completeness, as the sample entry hvc1 demands (8.4.1.1)
		b = binary.BigEndian.AppendUint16(b, uint16(len(array.sets)))
		for _, set := range array.sets {
			if len(set) == 0 || len(set) > 0xffff {
				return nil, fmt.Errorf("parameter set of %d bytes", len(set))
			}
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(set))), set...)
		}
	}
	return b, nil
}

// unescape returns the first n bytes of a NAL unit without its emulation prevention bytes (7.4.2), or all if it has
// fewer.
func unescape(unit []byte, n int) []byte {
	out := make([]byte, 0, n)
	zeros := 0
	for _, x := range unit {
		if len(out) == n {
			break
		}
		if zeros >= 2 && x == 3 {
			zeros = 0
			continue
		}
		if x == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, x)
	}
	return out
}

// Track describes a stream with these parameter sets, its size included.
func (c Config) Track() (codecs.Track, error) {
	config, err := c.Marshal()
	if err != nil {
		return codecs.Track{}, err
	}
	width, height, err := c.Size()
	if err != nil {
		return codecs.Track{}, err
	}
	return codecs.Track{Codec: codecs.H265, Config: config, Width: width, Height: height}, nil
}

// Size is the size of the pictures in luma samples, after cropping.
func (c Config) Size() (width, height int, err error) {
	if len(c.SPS) == 0 {
		return 0, 0, errors.New("H.265 configuration without sequence parameter set")
	}
	var sps h265.SPS
	if err := sps.Unmarshal(c.SPS[0]); err != nil {
		return 0, 0, fmt.Errorf("H.265 sequence parameter set: %w", err)
	}
	return sps.Width(), sps.Height(), nil
}

// Keep says whether a NAL unit belongs into the payload of an access unit of a track with this configuration: access
// unit delimiters and the parameter sets that the configuration holds do not.
func (c Config) Keep(unit []byte) bool {
	if len(unit) < 2 {
		return false
	}
	switch unit[0] >> 1 & 0x3f {
	case TypeAUD:
		return false
	case TypeVPS:
		return !contains(c.VPS, unit)
	case TypeSPS:
		return !contains(c.SPS, unit)
	case TypePPS:
		return !contains(c.PPS, unit)
	}
	return true
}

func contains(sets [][]byte, set []byte) bool {
	for _, s := range sets {
		if bytes.Equal(s, set) {
			return true
		}
	}
	return false
}
