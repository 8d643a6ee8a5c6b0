// Package h264 holds what the H.264 parser in use lacks: the decoder configuration record, and NAL units behind their
// lengths, as access units of H.264 and H.265 alike carry them.
//
// It knows no container and reads no slice; sequence parameter sets are parsed by mediacommon.
package h264

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs"
)

// The NAL unit types that are handled here (ITU-T H.264, table 7-1).
const (
	TypeIDR = 5
	TypeSPS = 7
	TypePPS = 8
	TypeAUD = 9
)

// ErrTruncated says that a record ends within one of its parts.
var ErrTruncated = errors.New("truncated")

// A Config is an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) without the extensions of the high
// profiles, which repeat what the sequence parameter set says.
type Config struct {
	// LengthSize is the number of bytes of the length before each NAL unit. In an access unit of ours it is 4.
	LengthSize int

	// SPS and PPS are the parameter sets; after ParseConfig they are slices of the record.
	SPS, PPS [][]byte
}

// ParseConfig reads a record. Trailing bytes are ignored, as the standard asks of readers.
func ParseConfig(b []byte) (Config, error) {
	if len(b) < 6 {
		return Config{}, fmt.Errorf("H.264 configuration of %d bytes: %w", len(b), ErrTruncated)
	}
	if b[0] != 1 {
		return Config{}, fmt.Errorf("H.264 configuration of unknown version %d", b[0])
	}
	c := Config{LengthSize: int(b[4]&3) + 1}
	if c.LengthSize == 3 {
		return Config{}, errors.New("H.264 configuration with a length size of 3")
	}
	var err error
	count, rest := int(b[5]&0x1f), b[6:]
	if c.SPS, rest, err = parameterSets(rest, count); err != nil {
		return Config{}, fmt.Errorf("H.264 configuration, sequence parameter sets: %w", err)
	}
	if len(rest) == 0 {
		return Config{}, fmt.Errorf("H.264 configuration without picture parameter sets: %w", ErrTruncated)
	}
	count, rest = int(rest[0]), rest[1:]
	if c.PPS, _, err = parameterSets(rest, count); err != nil {
		return Config{}, fmt.Errorf("H.264 configuration, picture parameter sets: %w", err)
	}
	return c, nil
}

// parameterSets reads count NAL units, each behind its length in two bytes. Empty ones are left out.
func parameterSets(b []byte, count int) (sets [][]byte, rest []byte, err error) {
	for range count {
		if len(b) < 2 {
			return nil, nil, ErrTruncated
		}
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; len(b) < n {
			return nil, nil, ErrTruncated
		}
		if n > 0 {
			sets = append(sets, b[:n:n])
		}
		b = b[n:]
	}
	return sets, b, nil
}

// Marshal makes the record, always with a length size of 4. It adds the extension of the high profiles (5.3.3.1.2)
// where the profile has one, so it needs a sequence parameter set that can be parsed.
func (c Config) Marshal() ([]byte, error) {
	if len(c.SPS) == 0 || len(c.PPS) == 0 {
		return nil, errors.New("H.264 needs a sequence and a picture parameter set")
	}
	if len(c.SPS) > 31 || len(c.PPS) > 255 {
		return nil, fmt.Errorf("%d sequence and %d picture parameter sets are more than a record holds", len(c.SPS), len(c.PPS))
	}
	for _, set := range append(c.SPS[:len(c.SPS):len(c.SPS)], c.PPS...) {
		if len(set) == 0 || len(set) > 0xffff {
			return nil, fmt.Errorf("parameter set of %d bytes", len(set))
		}
	}
	first := c.SPS[0]
	if len(first) < 4 {
		return nil, fmt.Errorf("H.264 sequence parameter set of %d bytes: %w", len(first), ErrTruncated)
	}
	b := append(make([]byte, 0, 64), 1, first[1], first[2], first[3], 0xff, 0xe0|byte(len(c.SPS)))
	for _, set := range c.SPS {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(set))), set...)
	}
	b = append(b, byte(len(c.PPS)))
	for _, set := range c.PPS {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(set))), set...)
	}
	switch first[1] {
	case 100, 110, 122, 144:
		var sps h264.SPS
		if err := sps.Unmarshal(first); err != nil {
			return nil, fmt.Errorf("H.264 sequence parameter set: %w", err)
		}
		b = append(b, 0xfc|byte(sps.ChromaFormatIdc&3), 0xf8|byte(sps.BitDepthLumaMinus8&7), 0xf8|byte(sps.BitDepthChromaMinus8&7), 0)
	}
	return b, nil
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
	return codecs.Track{Codec: codecs.H264, Config: config, Width: width, Height: height}, nil
}

// Size is the size of the pictures in luma samples, after cropping.
func (c Config) Size() (width, height int, err error) {
	if len(c.SPS) == 0 {
		return 0, 0, errors.New("H.264 configuration without sequence parameter set")
	}
	var sps h264.SPS
	if err := sps.Unmarshal(c.SPS[0]); err != nil {
		return 0, 0, fmt.Errorf("H.264 sequence parameter set: %w", err)
	}
	return sps.Width(), sps.Height(), nil
}
