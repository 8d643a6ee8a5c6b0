package carriage

import (
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"

	"weir/codecs"
	"weir/codecs/sdp"
)

const ac3Samples = ac3.SamplesPerFrame

func frameAC3(b []byte) (codecs.Track, int, error) {
	var s ac3.SyncInfo
	if err := s.Unmarshal(b); err != nil {
		return codecs.Track{}, 0, fmt.Errorf("frame of AC-3: %w", err)
	}
	var i ac3.BSI
	if err := i.Unmarshal(b[5:]); err != nil {
		return codecs.Track{}, 0, fmt.Errorf("frame of AC-3: %w", err)
	}
	return codecs.Track{Codec: codecs.AC3, SampleRate: s.SampleRate(), Channels: i.ChannelCount()}, ac3Samples, nil
}

// ac3Box derives an AC3SpecificBox (ETSI TS 102 366, F.4) from what the track tells. The bit rate is not among it;
// it is stated as the usual one, for information, since every syncframe carries its own.
func ac3Box(t codecs.Track) (mp4.Box, error) {
	box := &mp4.Dac3Box{BSID: 8, BitRateCode: 10} // 192 kbit/s
	switch t.SampleRate {
	case 48000:
	case 44100:
		box.FSCod = 1
	case 32000:
		box.FSCod = 2
	default:
		return nil, fmt.Errorf("AC-3 with a sample rate of %d Hz", t.SampleRate)
	}
	switch {
	case t.Channels == 6:
		box.ACMod, box.LFEOn, box.BitRateCode = 7, 1, 15 // 3/2 and low frequencies, 448 kbit/s
	case t.Channels >= 1 && t.Channels <= 5:
		box.ACMod = [...]byte{1, 2, 3, 6, 7}[t.Channels-1]
	default:
		return nil, fmt.Errorf("AC-3 with %d channels", t.Channels)
	}
	return box, nil
}

// ac3TS is as ATSC A/52, annex A, and HLS have it.
func ac3TS(codecs.Track) (TS, error) {
	return TS{StreamType: 0x81, StreamID: 0xbd, Descriptor: "\x05\x04AC-3"}, nil
}

func packAC3(t codecs.Track, payloadType uint8) (Packing, error) {
	if t.SampleRate <= 0 || t.Channels <= 0 {
		return Packing{}, errors.New("unknown sample rate or channels")
	}
	f := &format.AC3{PayloadTyp: payloadType, SampleRate: t.SampleRate, ChannelCount: t.Channels}
	return Packing{Format: f, NewPacker: packer(f.CreateEncoder)}, nil
}

func unpackAC3(in *sdp.Format) (*Unpacking, error) {
	if in.Encoding != "AC3" {
		return nil, nil
	}
	if in.Clock <= 0 {
		return nil, errors.New("AC-3 without a clock")
	}
	d := &rtpac3.Decoder{}
	return &Unpacking{Codec: codecs.AC3, Clock: in.Clock, Frames: frames(d, rtpac3.ErrMorePacketsNeeded)}, d.Init()
}
