package carriage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/sdp"
)

const (
	opusRate   = 48000
	opusConfig = 11 // bytes of a configuration before its channel mapping
	opusMagic  = "OpusHead"
)

// OpusConfig makes the configuration of Opus with one or two channels, where a container does not have one: version,
// channels, pre-skip, input sample rate, output gain, channel mapping family ("Encapsulation of Opus in ISO Base Media
// File Format", 4.3.2). A pre-skip of 80 ms is what RFC 7845 (4.2) advises.
func OpusConfig(channels int) ([]byte, error) {
	if channels < 1 || channels > 2 {
		return nil, fmt.Errorf("found Opus with %d channels, expected one or two", channels)
	}
	config := binary.BigEndian.AppendUint16([]byte{0, byte(channels)}, 3840)
	return append(binary.BigEndian.AppendUint32(config, opusRate), 0, 0, 0), nil
}

func describeOpus(config []byte) (codecs.Track, error) {
	if len(config) < opusConfig || config[1] == 0 {
		return codecs.Track{}, fmt.Errorf("configuration of Opus of %d bytes", len(config))
	}
	return codecs.Track{Codec: codecs.Opus, Config: config, SampleRate: opusRate, Channels: int(config[1])}, nil
}

func frameOpus(b []byte) (codecs.Track, int, error) {
	samples := opus.PacketDuration2(b)
	if samples <= 0 {
		return codecs.Track{}, 0, errors.New("packet of Opus of no length")
	}
	return codecs.Track{}, int(samples), nil
}

// fromOpusHead makes a configuration, big-endian, of an identification header (RFC 7845, 5.1), little-endian.
func fromOpusHead(header []byte) ([]byte, error) {
	if len(header) < len(opusMagic)+opusConfig || string(header[:8]) != opusMagic || header[8]>>4 != 0 || header[9] == 0 {
		return nil, fmt.Errorf("identification header of Opus of %d bytes", len(header))
	}
	c := bytes.Clone(header[8:])
	c[0] = 0
	if c[10] == 0 {
		c = c[:opusConfig]
	} else if len(c) != opusConfig+2+int(c[1]) {
		return nil, fmt.Errorf("channel mapping of Opus of %d bytes for %d channels", len(c)-opusConfig, c[1])
	}
	swapOpus(c)
	return c, nil
}

func toOpusHead(config []byte) []byte {
	if len(config) < opusConfig {
		return nil
	}
	b := append([]byte(opusMagic), config...)
	b[8] = 1
	swapOpus(b[8:])
	return b
}

func swapOpus(c []byte) {
	slices.Reverse(c[2:4])
	slices.Reverse(c[4:8])
	slices.Reverse(c[8:10])
}

func opusBox(t codecs.Track) (mp4.Box, error) {
	if len(t.Config) > maxAudioConfig {
		return nil, fmt.Errorf("configuration of Opus of %d bytes", len(t.Config))
	}
	header := mp4.BoxHeader{Name: "dOps", Size: uint64(8 + len(t.Config)), Hdrlen: 8}
	box, err := mp4.DecodeDopsSR(header, 0, bits.NewFixedSliceReader(t.Config))
	if err != nil {
		return nil, fmt.Errorf("configuration of Opus: %w", err)
	}
	return box, nil
}

// maxPayload is the most that the library's encoders put into an RTP packet. An access unit of Opus is never split.
const maxPayload = 1450

func packOpus(t codecs.Track, payloadType uint8) (Packing, error) {
	f := &format.Opus{PayloadTyp: payloadType, ChannelCount: max(t.Channels, 1)}
	if f.ChannelCount > 8 {
		return Packing{}, fmt.Errorf("%d channels", f.ChannelCount)
	}
	return Packing{Format: f, NewPacker: func() (Packer, error) {
		e, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return func(units [][]byte) ([]*rtp.Packet, error) {
			if n := len(units[0]); n > maxPayload {
				return nil, fmt.Errorf("%d bytes do not fit into one packet", n)
			}
			p, err := e.Encode(units[0])
			return []*rtp.Packet{p}, err
		}, nil
	}}, nil
}

// unpackOpus reads a format (RFC 7587, 7): the rtpmap says two channels whatever there are, and mono is what is sent where
// sprop-stereo does not say otherwise.
func unpackOpus(in *sdp.Format) (*Unpacking, error) {
	channels := 1
	switch {
	case in.Encoding == "MULTIOPUS":
		channels = in.Channels
	case in.Encoding != "OPUS":
		return nil, nil
	case in.Parameters["sprop-stereo"] == "1":
		channels = 2
	}
	config, err := OpusConfig(channels)
	if err != nil {
		return nil, err
	}
	return &Unpacking{Codec: codecs.Opus, Clock: opusRate, Config: config, Frames: func(p *rtp.Packet, _ bool) ([][]byte, error) {
		if len(p.Payload) == 0 {
			return nil, errShort
		}
		return [][]byte{p.Payload}, nil
	}}, nil
}
