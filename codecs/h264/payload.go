package h264

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// Units yields the NAL units of an access unit in the order of the stream, as slices of payload. Empty ones are passed
// over, and it ends where a length leads beyond the payload: what a broken access unit holds up to there is still
// given. [Whole] says whether that is everything.
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

// Whole says whether payload consists of complete NAL units behind their lengths and has at least one.
func Whole(payload []byte) bool {
	units := 0
	for len(payload) >= 4 {
		n := uint64(binary.BigEndian.Uint32(payload))
		if n > uint64(len(payload)-4) {
			return false
		}
		if n > 0 {
			units++
		}
		payload = payload[4+n:]
	}
	return units > 0 && len(payload) == 0
}

// Join makes the payload of an access unit of NAL units without framing, in one allocation. Which of them belong into
// a payload is the caller's to know; see [Config.Keep].
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

// Keep says whether a NAL unit belongs into the payload of an access unit of a track with this configuration: access
// unit delimiters and the parameter sets that the configuration holds do not.
func (c Config) Keep(unit []byte) bool {
	if len(unit) == 0 {
		return false
	}
	switch unit[0] & 0x1f {
	case TypeAUD:
		return false
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

// SplitAnnexB yields the NAL units of a byte stream (ITU-T H.264, annex B) as slices of it: what stands between start
// codes, without trailing zero bytes. Bytes before the first start code are passed over.
func SplitAnnexB(b []byte) iter.Seq[[]byte] {
	code := []byte{0, 0, 1}
	return func(yield func([]byte) bool) {
		i := bytes.Index(b, code)
		if i < 0 {
			return
		}
		for rest := b[i+3:]; ; {
			end := bytes.Index(rest, code)
			last := end < 0
			if last {
				end = len(rest)
			}
			// A NAL unit never ends with a zero byte (7.4.1), so those are trailing_zero_8bits or part of a start code
			// of four bytes.
			if unit := bytes.TrimRight(rest[:end], "\x00"); len(unit) > 0 && !yield(unit[:len(unit):len(unit)]) {
				return
			}
			if last {
				return
			}
			rest = rest[end+3:]
		}
	}
}

// AppendAnnexB appends the NAL units of an access unit to dst, each behind a start code of four bytes, so that the
// result is as long as a whole payload.
func AppendAnnexB(dst, payload []byte) []byte {
	for u := range Units(payload) {
		dst = append(append(dst, 0, 0, 0, 1), u...)
	}
	return dst
}
