package carriage

import (
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"

	"weir/codecs"
	"weir/codecs/sdp"
)

var errNoLength = errors.New("frame of no length")

func frameMP3(b []byte) (codecs.Track, int, error) {
	var h mpeg1audio.FrameHeader
	if err := h.Unmarshal(b); err != nil {
		return codecs.Track{}, 0, fmt.Errorf("frame of MP3: %w", err)
	}
	if h.Layer != 3 {
		return codecs.Track{}, 0, &codecs.UnsupportedError{Name: fmt.Sprintf("MPEG audio, layer %d", h.Layer)}
	}
	if h.SampleRate <= 0 || h.SampleCount() <= 0 {
		return codecs.Track{}, 0, errNoLength
	}
	t := codecs.Track{Codec: codecs.MP3, SampleRate: h.SampleRate, Channels: 2}
	if h.ChannelMode == mpeg1audio.ChannelModeMono {
		t.Channels = 1
	}
	return t, h.SampleCount(), nil
}

// halfRate says whether a track is one of MPEG-2, whose rates and frames are shorter (ISO/IEC 13818-3, 2.4.2.3).
func halfRate(t codecs.Track) bool { return t.SampleRate > 0 && t.SampleRate < 32000 }

func lengthMP3(t codecs.Track) (samples, rate int, err error) {
	if halfRate(t) {
		return 576, t.SampleRate, nil
	}
	return 1152, t.SampleRate, nil
}

func mp3Box(codecs.Track) (mp4.Box, error) {
	esds := mp4.CreateEsdsBox(nil)
	esds.DecConfigDescriptor.ObjectType = 0x6b // ISO/IEC 11172-3 audio; decoders accept it for layer III of MPEG-2 too
	esds.DecConfigDescriptor.DecSpecificInfo = nil
	return esds, nil
}

func mp3TS(t codecs.Track) (TS, error) {
	if halfRate(t) {
		return TS{StreamType: 0x04, StreamID: 0xc0}, nil
	}
	return TS{StreamType: 0x03, StreamID: 0xc0}, nil
}

func packMP3(codecs.Track, uint8) (Packing, error) {
	f := &format.MPEG1Audio{}
	return Packing{Format: f, NewPacker: packer(f.CreateEncoder)}, nil
}

func unpackMP3(in *sdp.Format) (*Unpacking, error) {
	if in.Encoding != "MPA" {
		return nil, nil
	}
	d := &rtpmpeg1audio.Decoder{}
	return &Unpacking{Codec: codecs.MP3, Clock: 90000, Frames: frames(d, rtpmpeg1audio.ErrMorePacketsNeeded)}, d.Init()
}
