// Package nal handles NAL units, of which H.264 and H.265 alike consist: behind their lengths, as access units carry
// them, behind start codes, and the parameter sets among them.
//
// It knows neither codec. What differs between the two is a [Syntax], of which the packages h264 and h265 have one each.
package nal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"weir/codecs"
	"weir/codecs/order"
)

// MaxRecord bounds a decoder configuration record, in bytes. Real ones have a few hundred.
const MaxRecord = 64 << 10

// MaxSets bounds the parameter sets of a stream at one time. Identifiers can tell 16 + 16 + 64 sets of H.265 apart
// (ITU-T H.265, 7.4.3).
const MaxSets = 96

// A Config is what a decoder configuration record says (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1). The profile, the
// chroma format and the bit depths stand in the sequence parameter sets too.
type Config struct {
	// LengthSize is the number of bytes of the length before each NAL unit: 1, 2 or 4. In a track of ours it is 4.
	LengthSize int

	// Record is the record itself, but with a length size of 4.
	Record []byte

	// Sets are the parameter sets, none of them shorter than a NAL unit header.
	Sets [][]byte
}

// A Syntax is what one codec says of its NAL units. It is immutable.
type Syntax struct {
	Codec codecs.Codec

	// Header is the number of bytes of a NAL unit header. A shorter unit is ignored.
	Header int

	// Type is the nal_unit_type of a NAL unit.
	Type func(unit []byte) byte

	// Sets are the types of parameter sets, in the order in which a decoder wants them. A decoder can do without those
	// of type Optional.
	Sets          []byte
	SPS, Optional byte

	// Delimiter is an access unit delimiter that admits all types of slices.
	Delimiter []byte

	// Random says whether a decoder can start at an access unit because this NAL unit is in it. key says that the
	// container calls the access unit a key frame, which counts for where an open GOP starts only.
	Random func(unit []byte, key bool) bool

	// Recovers says whether pictures are right some time after an access unit because this NAL unit is in it: where encoders refresh
	// the pictures little by little. A decoder starts there if there is no better place.
	Recovers func(unit []byte) bool

	// Coded says whether a NAL unit, which is longer than its header, holds a part of a picture, and Begins whether an access
	// unit can begin with it: with what precedes pictures, or with the first slice of one.
	Coded, Begins func(unit []byte) bool

	// LengthAt is where the length size stands in a decoder configuration record: in the last two bits of that byte.
	LengthAt int

	// Parse finds the parameter sets of a decoder configuration record with a length size of 4, and Write makes one of
	// parameter sets in any order.
	Parse func(record []byte) (sets [][]byte, err error)
	Write func(sets [][]byte) ([]byte, error)

	// Look is what a sequence parameter set tells: the size of the pictures in luma samples, after cropping, and their number in
	// a second, which is zero if the set has none.
	Look func(sps []byte) (width, height int, rate float64, err error)

	// Order makes what reads in which order the pictures of a stream are shown.
	Order func() order.Parser
}

// IsSet says whether a NAL unit is a parameter set.
func (s *Syntax) IsSet(unit []byte) bool {
	return len(unit) >= s.Header && slices.Contains(s.Sets, s.Type(unit))
}

// IsDelimiter says whether a NAL unit is an access unit delimiter.
func (s *Syntax) IsDelimiter(unit []byte) bool {
	return len(unit) >= s.Header && s.Type(unit) == s.Type(s.Delimiter)
}

// ByType sorts parameter sets by their types.
func ByType(typeOf func(unit []byte) byte, sets [][]byte) map[byte][][]byte {
	by := map[byte][][]byte{}
	for _, set := range sets {
		by[typeOf(set)] = append(by[typeOf(set)], set)
	}
	return by
}

// Ordered returns the parameter sets in the order in which a decoder wants them. The error says which a decoder cannot
// do without.
func (s *Syntax) Ordered(sets [][]byte) (list [][]byte, err error) {
	list = make([][]byte, 0, len(sets))
	for _, kind := range s.Sets {
		before := len(list)
		for _, set := range sets {
			if s.Type(set) == kind {
				list = append(list, set)
			}
		}
		if len(list) == before && kind != s.Optional {
			err = fmt.Errorf("%v without parameter set of type %d", s.Codec, kind)
		}
	}
	return list, err
}

// Read reads a decoder configuration record.
func (s *Syntax) Read(record []byte) (Config, error) {
	if len(record) <= s.LengthAt || len(record) > MaxRecord {
		return Config{}, fmt.Errorf("%v configuration of %d bytes", s.Codec, len(record))
	}
	c := Config{LengthSize: int(record[s.LengthAt]&3) + 1, Record: bytes.Clone(record)}
	if c.LengthSize == 3 {
		return Config{}, fmt.Errorf("%v configuration with a length size of 3", s.Codec)
	}
	c.Record[s.LengthAt] |= 3
	sets, err := s.Parse(c.Record)
	if err != nil {
		return Config{}, fmt.Errorf("%v configuration: %w", s.Codec, err)
	}
	c.Sets = slices.DeleteFunc(sets, func(set []byte) bool { return !s.IsSet(set) })
	if len(c.Sets) > MaxSets {
		return Config{}, fmt.Errorf("%v configuration with more than %d parameter sets", s.Codec, MaxSets)
	}
	return c, nil
}

// Carried returns the parameter sets of a track's configuration, ordered. It is an error if the configuration is not
// one of ours, or lacks some.
func (s *Syntax) Carried(config []byte) ([][]byte, error) {
	c, err := s.Read(config)
	if err != nil {
		return nil, err
	}
	if c.LengthSize != 4 {
		return nil, fmt.Errorf("%v configuration with a length size of %d", s.Codec, c.LengthSize)
	}
	return s.Ordered(c.Sets)
}

// Describe makes a track of a decoder configuration record, which it keeps as it is but for the length size. A size
// or rate that cannot be read stays zero: a decoder may understand more.
func (s *Syntax) Describe(record []byte) (codecs.Track, error) {
	c, err := s.Read(record)
	if err != nil {
		return codecs.Track{}, err
	}
	sps := ByType(s.Type, c.Sets)[s.SPS]
	if len(sps) == 0 {
		return codecs.Track{}, fmt.Errorf("%v configuration without sequence parameter set", s.Codec)
	}
	t := codecs.Track{Codec: s.Codec, Config: c.Record}
	if width, height, rate, err := s.Look(sps[0]); err == nil {
		t.Width, t.Height, t.FrameRate = width, height, codecs.PlausibleRate(rate)
	}
	return t, nil
}

// Track describes a stream with these parameter sets, its size included.
func (s *Syntax) Track(sets [][]byte) (codecs.Track, error) {
	config, err := s.Write(sets)
	if err != nil {
		return codecs.Track{}, err
	}
	if len(config) > MaxRecord {
		return codecs.Track{}, fmt.Errorf("%v configuration of %d bytes", s.Codec, len(config))
	}
	width, height, rate, err := s.Look(ByType(s.Type, sets)[s.SPS][0])
	if err != nil {
		return codecs.Track{}, err
	}
	return codecs.Track{Codec: s.Codec, Config: config, Width: width, Height: height, FrameRate: codecs.PlausibleRate(rate)}, nil
}

// Keep says whether a NAL unit belongs into the payload of an access unit of a track whose configuration holds these
// parameter sets: they and access unit delimiters do not.
func (s *Syntax) Keep(unit []byte, sets [][]byte) bool {
	return len(unit) >= s.Header && !s.IsDelimiter(unit) && !Has(sets, unit)
}

// SplitStartCodes returns the NAL units of b, which start codes separate (ITU-T H.264 and H.265, annex B), as slices of it. The
// first needs none. Empty ones are left out. A NAL unit holds no start code, so that one alone comes back as it is.
func SplitStartCodes(b []byte) (units [][]byte) {
	code := []byte{0, 0, 1}
	for len(b) > 0 {
		at := bytes.Index(b, code)
		if at < 0 {
			return append(units, b)
		}
		if u := bytes.TrimRight(b[:at], "\x00"); len(u) > 0 {
			units = append(units, u)
		}
		b = b[at+len(code):]
	}
	return units
}

// Has says whether the parameter set is among sets.
func Has(sets [][]byte, set []byte) bool {
	return slices.ContainsFunc(sets, func(s []byte) bool { return bytes.Equal(s, set) })
}

var errLengths = errors.New("the lengths of its NAL units do not add up")

// Split returns the NAL units of b, each of which stands behind its length in so many bytes, as slices of b. Empty ones
// are left out.
func Split(b []byte, lengthSize int) ([][]byte, error) {
	var units [][]byte
	for len(b) > 0 {
		if len(b) < lengthSize {
			return nil, errLengths
		}
		n := 0
		for _, c := range b[:lengthSize] {
			n = n<<8 | int(c)
		}
		if b = b[lengthSize:]; n > len(b) {
			return nil, errLengths
		}
		if n > 0 {
			units = append(units, b[:n:n])
		}
		b = b[n:]
	}
	return units, nil
}

// Units yields the NAL units of an access unit in the order of the stream, as slices of payload. Empty ones are passed
// over. It ends where a length leads beyond the payload, after the units of a broken access unit up to there.
func Units(payload []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(payload) >= 4 {
			n := uint64(binary.BigEndian.Uint32(payload))
			if n > uint64(len(payload)-4) {
				return
			}
			if n > 0 && !yield(payload[4:4+n:4+n]) {
				return
			}
			payload = payload[4+n:]
		}
	}
}

// Join makes the payload of an access unit of NAL units without framing, in one allocation. The caller chooses those that
// belong into a payload; see [Syntax.Keep].
func Join(units ...[]byte) []byte {
	size := 0
	for _, u := range units {
		size += 4 + len(u)
	}
	b := make([]byte, 0, size)
	for _, u := range units {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(u))), u...)
	}
	return b
}

// AppendAnnexB appends NAL units to dst, each behind a start code of four bytes (ITU-T H.264 and H.265, annex B).
func AppendAnnexB(dst []byte, units ...[]byte) []byte {
	size := 0
	for _, u := range units {
		size += 4 + len(u)
	}
	dst = slices.Grow(dst, size)
	for _, u := range units {
		dst = append(append(dst, 0, 0, 0, 1), u...)
	}
	return dst
}
