// Package aac says of AAC what the package carriage asks: the track that an AudioSpecificConfig describes, the length
// of access units, and ADTS headers, of which nothing but the length changes from one access unit to the next.
//
// It knows no container and decodes nothing; AudioSpecificConfig is parsed by mediacommon.
package aac

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"weir/codecs"
)

// ADTSHeaderSize is the size of an ADTS header without CRC (ISO/IEC 14496-3, 1.A.3.2).
const ADTSHeaderSize = 7

// MaxADTS is the largest access unit that fits behind an ADTS header, whose aac_frame_length has 13 bits.
const MaxADTS = 1<<13 - 1 - ADTSHeaderSize

// Parse reads an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1). A sample rate below 1 kHz or above 384 kHz is an error.
func Parse(config []byte) (mpeg4audio.AudioSpecificConfig, error) {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(config); err != nil {
		return c, fmt.Errorf("AudioSpecificConfig: %w", err)
	}
	if c.SampleRate < 1000 || c.SampleRate > 384000 {
		return c, fmt.Errorf("AudioSpecificConfig with a sample rate of %d", c.SampleRate)
	}
	return c, nil
}

// Track describes a stream with this AudioSpecificConfig. The sample rate is that of the decoded sound: with SBR it
// is that of the extension, twice the core's.
func Track(config []byte) (codecs.Track, error) {
	c, err := Parse(config)
	if err != nil {
		return codecs.Track{}, err
	}
	rate := c.SampleRate
	if c.ExtensionSampleRate > 0 {
		rate = c.ExtensionSampleRate
	}
	channels := int(c.ChannelConfig) // zero where a program_config_element says it
	if channels == 7 {
		channels = 8 // table 1.19
	}
	if c.ExtensionType == mpeg4audio.ObjectTypePS && channels == 1 {
		channels = 2 // parametric stereo makes two of one
	}
	return codecs.Track{Codec: codecs.AAC, Config: config, SampleRate: rate, Channels: channels}, nil
}

// Length is the number of samples in an access unit (4.5.1.1) and the rate at which they are counted: the core's, with
// SBR and without.
func Length(config []byte) (samples, rate int, err error) {
	c, err := Parse(config)
	if err != nil {
		return 0, 0, err
	}
	if c.FrameLengthFlag {
		return 960, c.SampleRate, nil
	}
	return 1024, c.SampleRate, nil
}

// An ADTS writes the headers of one track. The zero ADTS is not usable.
type ADTS struct {
	header [ADTSHeaderSize]byte
}

// NewADTS prepares the headers for an AudioSpecificConfig. With SBR or PS they describe the core, and decoders find
// the extension by themselves (implicit signalling, ISO/IEC 14496-3, 1.6.5.2). Sample rates without an index and
// access units of 960 samples cannot be written in ADTS.
func NewADTS(config []byte) (ADTS, error) {
	c, err := Parse(config)
	if err != nil {
		return ADTS{}, err
	}
	if c.FrameLengthFlag {
		return ADTS{}, errors.New("ADTS has no access units of 960 samples")
	}
	index := slices.Index(sampleRates[:], c.SampleRate)
	if index < 0 || c.Type < 1 || c.Type > 4 {
		return ADTS{}, fmt.Errorf("ADTS has no audio object type %d at %d Hz", c.Type, c.SampleRate)
	}
	return ADTS{[ADTSHeaderSize]byte{
		0xff, 0xf1, // syncword, MPEG-4, no CRC
		byte(c.Type-1)<<6 | byte(index)<<2 | c.ChannelConfig>>2&1,
		c.ChannelConfig << 6,
		0, 0x1f, 0xfc, // buffer fullness 0x7ff: variable rate
	}}, nil
}

// sampleRates is indexed by samplingFrequencyIndex (ISO/IEC 14496-3, table 1.18).
var sampleRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// Header is the header for an access unit of size bytes, which is at most [MaxADTS].
func (a ADTS) Header(size int) [ADTSHeaderSize]byte {
	n := size + ADTSHeaderSize
	a.header[3] |= byte(n >> 11 & 3)
	a.header[4] = byte(n >> 3)
	a.header[5] |= byte(n << 5)
	return a.header
}
