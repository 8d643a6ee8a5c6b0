package flv

import (
	"bytes"
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"weir/codecs"
)

// track describes the track whose configuration c is. Sizes that cannot be read stay zero: a decoder may still
// understand what weir's parser does not.
func (c *nalConfig) track() codecs.Track {
	t := codecs.Track{Codec: c.codec, Config: c.record}
	if c.codec == codecs.H264 {
		var sps h264.SPS
		if set := c.first(avcSPS); set != nil && sps.Unmarshal(set) == nil {
			t.Width, t.Height = sps.Width(), sps.Height()
		}
		return t
	}
	var sps h265.SPS
	if set := c.first(hevcSPS); set != nil && sps.Unmarshal(set) == nil {
		t.Width, t.Height = sps.Width(), sps.Height()
	}
	return t
}

// parseAV1Config reads an AV1CodecConfigurationRecord ("AV1 Codec ISO Media File Format Binding", 2.3.3).
func parseAV1Config(b []byte) (codecs.Track, error) {
	if len(b) < 4 || len(b) > maxConfig || b[0] != 0x81 {
		return codecs.Track{}, malformed("AV1 configuration of %d bytes", len(b))
	}
	t := codecs.Track{Codec: codecs.AV1, Config: bytes.Clone(b)}
	for rest := b[4:]; len(rest) > 0; {
		o, n, err := nextOBU(rest)
		if err != nil {
			return t, err
		}
		rest = rest[n:]
		var h av1.SequenceHeader
		if o.typ == av1.OBUTypeSequenceHeader && h.Unmarshal(o.appendTo(nil)) == nil {
			t.Width, t.Height = h.Width(), h.Height()
		}
	}
	return t, nil
}

// An obu is one open bitstream unit (AV1 specification, 5.3).
type obu struct {
	typ   av1.OBUType
	head  []byte // one or two bytes
	sized bool   // it says how long it is; the last of a temporal unit need not (ISO binding, 2.4)
	data  []byte
}

// nextOBU reads the first OBU of b and returns how many bytes it took.
func nextOBU(b []byte) (obu, int, error) {
	head := 1
	if b[0]&4 != 0 { // obu_extension_flag
		head = 2
	}
	if b[0]&0x80 != 0 || len(b) < head {
		return obu{}, 0, malformed("OBU header")
	}
	o := obu{typ: av1.OBUType(b[0] >> 3 & 15), head: b[:head], sized: b[0]&2 != 0}
	if !o.sized {
		o.data = b[head:]
		return o, len(b), nil
	}
	var size av1.LEB128
	used, err := size.Unmarshal(b[head:])
	if err != nil || uint64(size) > uint64(len(b)-head-used) {
		return obu{}, 0, malformed("OBU longer than its temporal unit")
	}
	n := head + used + int(size)
	o.data = b[head+used : n]
	return o, n, nil
}

// appendTo appends o with its size.
func (o obu) appendTo(dst []byte) []byte {
	dst = append(dst, o.head[0]|2)
	dst = append(dst, o.head[1:]...)
	dst = binary.AppendUvarint(dst, uint64(len(o.data))) // LEB128
	return append(dst, o.data...)
}

// cleanAV1 takes temporal delimiters out of a temporal unit and gives every OBU a size. It returns b itself when
// there is nothing to do.
func cleanAV1(b []byte) ([]byte, error) {
	clean := true
	for rest := b; len(rest) > 0; {
		o, n, err := nextOBU(rest)
		if err != nil {
			return nil, err
		}
		clean = clean && o.sized && o.typ != av1.OBUTypeTemporalDelimiter
		rest = rest[n:]
	}
	if clean {
		return b, nil
	}
	out := make([]byte, 0, len(b)+binary.MaxVarintLen32)
	for rest := b; len(rest) > 0; {
		o, n, err := nextOBU(rest)
		if err != nil {
			return nil, err
		}
		if o.typ != av1.OBUTypeTemporalDelimiter {
			out = o.appendTo(out)
		}
		rest = rest[n:]
	}
	return out, nil
}

// parseAACConfig reads an AudioSpecificConfig.
func parseAACConfig(b []byte) (codecs.Track, int64, error) {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(b); err != nil {
		return codecs.Track{}, 0, malformed("AudioSpecificConfig %x: %v", b[:min(len(b), 16)], err)
	}
	if c.SampleRate < 1000 || c.SampleRate > 384000 {
		return codecs.Track{}, 0, malformed("AAC with a sample rate of %d", c.SampleRate)
	}
	t := codecs.Track{Codec: codecs.AAC, Config: bytes.Clone(b), SampleRate: c.SampleRate, Channels: int(c.ChannelConfig)}
	switch t.Channels {
	case 0:
		t.Channels = 2 // laid out by a program configuration element; most are stereo
	case 7:
		t.Channels = 8
	}
	samples := int64(1024)
	if c.FrameLengthFlag {
		samples = 960
	}
	return t, samples, nil
}

const opusMagic = "OpusHead"

// parseOpusConfig turns an identification header (RFC 7845, 5.1, little-endian) into the body of dOps ("Encapsulation
// of Opus in ISO Base Media File Format", 4.3.2, big-endian).
func parseOpusConfig(b []byte) (codecs.Track, error) {
	if len(b) < 19 || string(b[:8]) != opusMagic || b[8]>>4 != 0 || b[9] == 0 {
		return codecs.Track{}, malformed("Opus identification header of %d bytes", len(b))
	}
	c := bytes.Clone(b[8:])
	c[0] = 0
	if c[10] == 0 {
		c = c[:11]
	} else if len(c) != 13+int(c[1]) {
		return codecs.Track{}, malformed("Opus channel mapping of %d bytes for %d channels", len(c)-11, c[1])
	}
	swapOpus(c)
	return codecs.Track{Codec: codecs.Opus, Config: c, SampleRate: 48000, Channels: int(c[1])}, nil
}

// opusHead is the way back.
func opusHead(config []byte) []byte {
	if len(config) < 11 {
		return nil
	}
	b := append([]byte(opusMagic), config...)
	b[8] = 1
	swapOpus(b[8:])
	return b
}

func swapOpus(c []byte) {
	for _, f := range [][]byte{c[2:4], c[4:8], c[8:10]} {
		for i, j := 0, len(f)-1; i < j; i, j = i+1, j-1 {
			f[i], f[j] = f[j], f[i]
		}
	}
}

// describeFrame reads the track and the number of samples from a frame that describes itself, or the samples of an
// Opus packet, whose track is known from elsewhere.
func describeFrame(codec codecs.Codec, b []byte) (codecs.Track, int64, error) {
	switch codec {
	case codecs.MP3:
		var h mpeg1audio.FrameHeader
		if err := h.Unmarshal(b); err != nil {
			return codecs.Track{}, 0, malformed("MP3 frame: %v", err)
		}
		t := codecs.Track{Codec: codecs.MP3, SampleRate: h.SampleRate, Channels: 2}
		if h.ChannelMode == mpeg1audio.ChannelModeMono {
			t.Channels = 1
		}
		return t, int64(h.SampleCount()), nil
	case codecs.AC3:
		var s ac3.SyncInfo
		if err := s.Unmarshal(b); err != nil {
			return codecs.Track{}, 0, malformed("AC-3 frame: %v", err)
		}
		var i ac3.BSI
		if err := i.Unmarshal(b[5:]); err != nil {
			return codecs.Track{}, 0, malformed("AC-3 frame: %v", err)
		}
		t := codecs.Track{Codec: codecs.AC3, SampleRate: s.SampleRate(), Channels: i.ChannelCount()}
		return t, ac3.SamplesPerFrame, nil
	default:
		return codecs.Track{}, opus.PacketDuration2(b), nil
	}
}
