package flv

import (
	"bytes"
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"weir/codecs"
)

// NAL unit types that matter here: ITU-T H.264, table 7-1, and H.265, table 7-1.
const (
	avcIDR    = 5
	avcSEI    = 6
	avcSPS    = 7
	avcPPS    = 8
	avcAUD    = 9
	avcSPSExt = 13

	hevcFirstIRAP = 16
	hevcLastIRAP  = 21
	hevcVPS       = 32
	hevcSPS       = 33
	hevcPPS       = 34
	hevcAUD       = 35
)

func nalType(codec codecs.Codec, nal []byte) uint8 {
	if codec == codecs.H264 {
		return nal[0] & 0x1f
	}
	return nal[0] >> 1 & 0x3f
}

// parameterSet says whether NAL units of type t belong into a decoder configuration.
func parameterSet(codec codecs.Codec, t uint8) bool {
	if codec == codecs.H264 {
		return t == avcSPS || t == avcPPS || t == avcSPSExt
	}
	return t == hevcVPS || t == hevcSPS || t == hevcPPS
}

func delimiter(codec codecs.Codec, t uint8) bool {
	return codec == codecs.H264 && t == avcAUD || codec == codecs.H265 && t == hevcAUD
}

// A parsedUnit is what [splitNALs] found in an access unit.
type parsedUnit struct {
	payload []byte   // what is left, behind lengths of four bytes
	random  bool     // a decoder can start here
	sets    [][]byte // parameter sets, taken out
}

// splitNALs takes delimiters and parameter sets out of an access unit of H.264 or H.265, whose NAL units stand behind
// lengths of size bytes. It uses b's memory for the payload where it can. key is what the container says.
func splitNALs(codec codecs.Codec, b []byte, size int, key bool) (parsedUnit, error) {
	var u parsedUnit
	out := b[:0]
	if size < 4 {
		out = make([]byte, 0, len(b)+64)
	}
	recovery := false
	for at := 0; at < len(b); {
		if len(b)-at < size {
			return u, malformed("length of a NAL unit in %d bytes", len(b)-at)
		}
		n := 0
		for _, c := range b[at : at+size] {
			n = n<<8 | int(c)
		}
		at += size
		if n > len(b)-at {
			return u, malformed("NAL unit of %d bytes in %d", n, len(b)-at)
		}
		nal := b[at : at+n]
		at += n
		if n == 0 {
			continue
		}
		t := nalType(codec, nal)
		switch {
		case delimiter(codec, t):
			continue
		case parameterSet(codec, t):
			if len(u.sets) == maxSets {
				return u, malformed("more than %d parameter sets", maxSets)
			}
			u.sets = append(u.sets, bytes.Clone(nal)) // out may overwrite it
			continue
		case codec == codecs.H264 && t == avcIDR,
			codec == codecs.H265 && t >= hevcFirstIRAP && t <= hevcLastIRAP:
			u.random = true
		case codec == codecs.H264 && t == avcSEI:
			recovery = recovery || recoveryPoint(nal)
		}
		// The copy moves bytes forward only, by what was taken out, so that it never overtakes the reading.
		out = binary.BigEndian.AppendUint32(out, uint32(n))
		out = append(out, nal...)
	}
	if key && recovery {
		u.random = true // an open GOP: decoding may start, if not exactly, at a recovery point (H.264, D.2.8)
	}
	u.payload = out
	return u, nil
}

// recoveryPoint says whether the first message of an SEI NAL unit is a recovery point (H.264, 7.3.2.3.1, D.1).
func recoveryPoint(nal []byte) bool { return len(nal) > 1 && nal[1] == 6 }

// nalConfig is a decoder configuration of H.264 or H.265, taken apart.
type nalConfig struct {
	codec  codecs.Codec
	size   int      // bytes of a NAL unit's length in the publisher's access units
	record []byte   // normalised: lengths of four bytes
	sets   [][]byte // every parameter set in it
}

// maxConfig is the most bytes taken for a decoder configuration; real ones have less than a hundred.
const maxConfig = 64 << 10

// maxSets is how many parameter sets one access unit may carry.
const maxSets = 64

// parseAVCConfig reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
func parseAVCConfig(b []byte) (*nalConfig, error) {
	if len(b) < 7 || len(b) > maxConfig || b[0] != 1 {
		return nil, malformed("AVC decoder configuration of %d bytes", len(b))
	}
	c := &nalConfig{codec: codecs.H264, size: int(b[4]&3) + 1}
	at := 5
	for _, mask := range []byte{0x1f, 0xff} { // the SPS, then the PPS
		if at >= len(b) {
			return nil, malformed("AVC decoder configuration is cut off")
		}
		n := b[at] & mask
		at++
		for range n {
			set, next, err := sizedSet(b, at)
			if err != nil {
				return nil, err
			}
			c.sets, at = append(c.sets, set), next
		}
	}
	if c.first(avcSPS) == nil || c.first(avcPPS) == nil || c.size == 3 {
		return nil, malformed("AVC decoder configuration without SPS or PPS")
	}
	c.record = bytes.Clone(b)
	c.record[4] |= 3
	return c, nil
}

// parseHEVCConfig reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1).
func parseHEVCConfig(b []byte) (*nalConfig, error) {
	if len(b) < hevcFixed+1 || len(b) > maxConfig || b[0] != 1 {
		return nil, malformed("HEVC decoder configuration of %d bytes", len(b))
	}
	c := &nalConfig{codec: codecs.H265, size: int(b[21]&3) + 1}
	at := hevcFixed + 1
	for range b[hevcFixed] {
		if at+3 > len(b) {
			return nil, malformed("HEVC decoder configuration is cut off")
		}
		n := int(binary.BigEndian.Uint16(b[at+1:]))
		at += 3
		for range n {
			set, next, err := sizedSet(b, at)
			if err != nil {
				return nil, err
			}
			c.sets, at = append(c.sets, set), next
		}
	}
	if c.first(hevcSPS) == nil || c.first(hevcPPS) == nil || c.size == 3 {
		return nil, malformed("HEVC decoder configuration without SPS or PPS")
	}
	c.record = bytes.Clone(b[:at])
	c.record[21] |= 3
	return c, nil
}

// hevcFixed is the size of an HEVCDecoderConfigurationRecord before its arrays.
const hevcFixed = 22

func sizedSet(b []byte, at int) (set []byte, next int, err error) {
	if at+2 > len(b) {
		return nil, 0, malformed("decoder configuration is cut off")
	}
	n := int(binary.BigEndian.Uint16(b[at:]))
	at += 2
	if n == 0 || n > len(b)-at {
		return nil, 0, malformed("parameter set of %d bytes in %d", n, len(b)-at)
	}
	return bytes.Clone(b[at : at+n]), at + n, nil
}

// first returns the first parameter set of type t, or nil.
func (c *nalConfig) first(t uint8) []byte {
	for _, s := range c.sets {
		if nalType(c.codec, s) == t {
			return s
		}
	}
	return nil
}

// with returns the configuration after the parameter sets that an access unit carried: c itself when it has them
// all, else a new one in which those of the same types are replaced. It returns c when the new ones make no sense.
func (c *nalConfig) with(sets [][]byte) *nalConfig {
	known := func(set []byte) bool {
		for _, s := range c.sets {
			if bytes.Equal(s, set) {
				return true
			}
		}
		return false
	}
	news, replaced := false, map[uint8]bool{}
	for _, s := range sets {
		news = news || !known(s)
		replaced[nalType(c.codec, s)] = true
	}
	if !news {
		return c
	}
	n := &nalConfig{codec: c.codec, size: c.size, sets: sets}
	for _, s := range c.sets {
		if !replaced[nalType(c.codec, s)] {
			n.sets = append(n.sets, s)
		}
	}
	if c.codec == codecs.H264 {
		n.record = n.avcRecord()
	} else {
		n.record = n.hevcRecord(c.record)
	}
	if n.record == nil {
		return c
	}
	return n
}

func appendSet(dst, set []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(set))), set...)
}

// avcRecord writes c's sets as an AVCDecoderConfigurationRecord; nil if they do not make one.
func (c *nalConfig) avcRecord() []byte {
	sps := c.first(avcSPS)
	var parsed h264.SPS
	if len(sps) < 4 || parsed.Unmarshal(sps) != nil {
		return nil
	}
	byType := map[uint8][][]byte{}
	for _, s := range c.sets {
		if len(s) > 0xffff {
			return nil
		}
		t := nalType(c.codec, s)
		byType[t] = append(byType[t], s)
	}
	if len(byType[avcSPS]) > 31 || len(byType[avcPPS]) == 0 || len(byType[avcPPS]) > 255 || len(byType[avcSPSExt]) > 255 {
		return nil
	}
	b := []byte{1, sps[1], sps[2], sps[3], 0xff, 0xe0 | byte(len(byType[avcSPS]))}
	for _, s := range byType[avcSPS] {
		b = appendSet(b, s)
	}
	b = append(b, byte(len(byType[avcPPS])))
	for _, s := range byType[avcPPS] {
		b = appendSet(b, s)
	}
	switch sps[1] {
	case 66, 77, 88: // these profiles have no extension fields
		return b
	}
	b = append(b, 0xfc|byte(parsed.ChromaFormatIdc), 0xf8|byte(parsed.BitDepthLumaMinus8),
		0xf8|byte(parsed.BitDepthChromaMinus8), byte(len(byType[avcSPSExt])))
	for _, s := range byType[avcSPSExt] {
		b = appendSet(b, s)
	}
	return b
}

// hevcRecord writes c's sets as an HEVCDecoderConfigurationRecord whose other fields are those of old, but for the
// profile, which is the SPS's; nil if they do not make one.
func (c *nalConfig) hevcRecord(old []byte) []byte {
	sps := c.first(hevcSPS)
	var parsed h265.SPS
	if sps == nil || parsed.Unmarshal(sps) != nil {
		return nil
	}
	b := bytes.Clone(old[:hevcFixed])
	// profile_tier_level begins behind the NAL unit header and one byte of the SPS, and its first twelve bytes are
	// laid out as in the record (H.265, 7.3.2.2, 7.3.3).
	if plain := h264.EmulationPreventionRemove(sps); len(plain) >= 15 {
		copy(b[1:13], plain[3:15])
	}
	b = append(b, 0)
	for _, t := range []uint8{hevcVPS, hevcSPS, hevcPPS} {
		var n uint16
		at := len(b) + 1
		for _, s := range c.sets {
			if nalType(c.codec, s) != t {
				continue
			}
			if len(s) > 0xffff {
				return nil
			}
			if n == 0 {
				b[hevcFixed]++
				b = append(b, 0x80|t, 0, 0)
			}
			n++
			b = appendSet(b, s)
		}
		if n > 0 {
			binary.BigEndian.PutUint16(b[at:], n)
		}
	}
	return b
}
