package carriage

import (
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/gortsplib/v5/pkg/format"

	"weir/codecs"
	"weir/codecs/aac"
)

// maxAudioConfig bounds the configuration of an audio decoder in a file. The largest known, an AudioSpecificConfig with
// a program_config_element full of comment, has about 300 bytes.
const maxAudioConfig = 512

func aacBox(t codecs.Track) (mp4.Box, error) {
	if len(t.Config) < 2 || len(t.Config) > maxAudioConfig {
		return nil, fmt.Errorf("AudioSpecificConfig of %d bytes", len(t.Config))
	}
	return mp4.CreateEsdsBox(t.Config), nil
}

func aacName(c []byte) string {
	object := int(c[0] >> 3)
	if object == 31 { // an escape (ISO/IEC 14496-3, table 1.16)
		object = 32 + int(c[0]&7)<<3 + int(c[1]>>5)
	}
	return fmt.Sprintf("mp4a.40.%d", object)
}

func aacTS(t codecs.Track) (TS, error) {
	adts, err := aac.NewADTS(t.Config)
	return TS{StreamType: 0x0f, StreamID: 0xc0, ADTS: &adts}, err
}

func packAAC(t codecs.Track, payloadType uint8) (Packing, error) {
	c, err := aac.Parse(t.Config)
	if err != nil {
		return Packing{}, err
	}
	// With explicit SBR receivers disagree whether the clock is the core's rate or that of the extension. Without it
	// the core's is the only one, and decoders find the extension by themselves (ISO/IEC 14496-3, 1.6.5.2).
	c.ExtensionType, c.ExtensionSampleRate = 0, 0
	f := &format.MPEG4Audio{PayloadTyp: payloadType, Config: &c, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
	if f.FMTP() == nil {
		return Packing{}, errors.New("AudioSpecificConfig that cannot be written again")
	}
	return Packing{Format: f, NewPacker: packer(f.CreateEncoder)}, nil
}
