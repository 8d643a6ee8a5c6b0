package carriage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/Eyevinn/mp4ff/av1"
	"github.com/Eyevinn/mp4ff/mp4"

	"weir/codecs"
	"weir/codecs/nal"
)

// describeAV1 reads an AV1CodecConfigurationRecord ("AV1 Codec ISO Media File Format Binding", 2.3.3). A size that
// cannot be read stays zero: a decoder may understand more.
func describeAV1(config []byte) (codecs.Track, error) {
	if len(config) < 4 || len(config) > nal.MaxRecord || config[0] != 0x81 {
		return codecs.Track{}, fmt.Errorf("AV1 configuration of %d bytes that is none of version 1", len(config))
	}
	t := codecs.Track{Codec: codecs.AV1, Config: config}
	obus, err := av1.SplitOBUs(config[4:])
	if err != nil {
		return codecs.Track{}, fmt.Errorf("AV1 configuration: %w", err)
	}
	for _, o := range obus {
		if o.Header.Type != av1.OBUSequenceHeader {
			continue
		}
		if h, err := av1.ParseSequenceHeader(o.Payload); err == nil {
			t.Width, t.Height = int(h.Width()), int(h.Height())
		}
	}
	return t, nil
}

// payloadAV1 takes temporal delimiters out of a temporal unit and gives every OBU a size, which the last one need not
// have in a container (2.4). It returns b itself when there is nothing to do.
func payloadAV1(b []byte) ([]byte, error) {
	obus, err := av1.SplitOBUs(b)
	if err != nil {
		return nil, fmt.Errorf("AV1 temporal unit: %w", err)
	}
	if !slices.ContainsFunc(obus, func(o av1.OBU) bool {
		return !o.Header.HasSizeField || o.Header.Type == av1.OBUTemporalDelimiter
	}) {
		return b, nil
	}
	var out []byte
	for _, o := range obus {
		if o.Header.Type != av1.OBUTemporalDelimiter {
			out = append(out, o.Encode()...)
		}
	}
	return out, nil
}

func av1Box(t codecs.Track) (mp4.Box, error) {
	if len(t.Config) < 4 || t.Config[0] != 0x81 {
		return nil, errors.New("AV1 configuration that is none of version 1")
	}
	return configBox("av1C", t.Config), nil
}

// av1Name follows section 5 of the binding.
func av1Name(c []byte) string {
	r := av1.CodecConfRec{
		SeqProfile: c[1] >> 5, SeqLevelIdx0: c[1] & 0x1f, SeqTier0: c[2] >> 7, HighBitdepth: c[2] >> 6 & 1, TwelveBit: c[2] >> 5 & 1,
	}
	return r.CodecString("av01")
}
