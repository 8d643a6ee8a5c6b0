package rtsp

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/h264"
	"weir/codecs/h265"
)

// maxMedia is the most media of a session: the channels of interleaved packets have one byte, and each takes two.
const maxMedia = 16

// A packetizer splits one access unit into RTP packets with consecutive sequence numbers. Their timestamp and SSRC are
// not filled in.
type packetizer func(units [][]byte) ([]*rtp.Packet, error)

// A medium is one track as RTSP shows it.
type medium struct {
	track   int // index in the stream's tracks
	codec   codecs.Codec
	format  format.Format
	clock   int // of RTP timestamps, in Hz
	ssrc    uint32
	sets    [][]byte // parameter sets, repeated in the media before random access points
	newPack func() (packetizer, error)
}

// A layout is what a DESCRIBE says of a stream and a session is set up for. Two layouts of the same signature differ at
// most in parameter sets, which the media repeats.
type layout struct {
	media     []medium
	signature uint64
	left      []error // why tracks are left out
}

// layoutOf makes the layout of a stream. Tracks that RTP cannot carry, or whose configuration cannot be read, are left
// out.
func layoutOf(stream string, tracks codecs.Tracks) layout {
	var l layout
	h := fnv.New64a()
	for i, t := range tracks {
		if len(l.media) == maxMedia {
			l.left = append(l.left, fmt.Errorf("track %d: more than %d tracks", i, maxMedia))
			continue
		}
		m, err := mediumOf(t, uint8(96+len(l.media)))
		if err != nil {
			l.left = append(l.left, fmt.Errorf("track %d, %s: %w", i, t.Codec, err))
			continue
		}
		m.track, m.codec, m.ssrc = i, t.Codec, ssrc(stream, i)
		l.media = append(l.media, m)
		fmt.Fprintf(h, "%d %d %s %d %d\n", i, t.Codec, m.format.RTPMap(), m.clock, t.Channels)
		if !t.Codec.Video() {
			_, _ = h.Write(t.Config)
		}
	}
	l.signature = h.Sum64()
	return l
}

// ssrc names the source of a track's packets. It is the same for all viewers of the stream and on all nodes, which
// RFC 3550 (8.1) leaves to chance; a session has too few sources to collide.
func ssrc(stream string, track int) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(stream))
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(track)))
	return h.Sum32()
}

func mediumOf(t codecs.Track, payloadType uint8) (medium, error) {
	switch t.Codec {
	case codecs.H264:
		c, err := h264.ParseConfig(t.Config)
		if err != nil {
			return medium{}, err
		}
		if len(c.SPS) == 0 || len(c.PPS) == 0 {
			return medium{}, fmt.Errorf("no parameter sets")
		}
		f := &format.H264{PayloadTyp: payloadType, PacketizationMode: 1, SPS: c.SPS[0], PPS: c.PPS[0]}
		return medium{
			format: f, clock: f.ClockRate(), sets: append(c.SPS[:len(c.SPS):len(c.SPS)], c.PPS...),
			newPack: func() (packetizer, error) {
				e, err := f.CreateEncoder()
				if err != nil {
					return nil, err
				}
				return e.Encode, nil
			},
		}, nil
	case codecs.H265:
		c, err := h265.ParseConfig(t.Config)
		if err != nil {
			return medium{}, err
		}
		if len(c.VPS) == 0 || len(c.SPS) == 0 || len(c.PPS) == 0 {
			return medium{}, fmt.Errorf("no parameter sets")
		}
		f := &format.H265{PayloadTyp: payloadType, VPS: c.VPS[0], SPS: c.SPS[0], PPS: c.PPS[0]}
		sets := append(c.VPS[:len(c.VPS):len(c.VPS)], c.SPS...)
		return medium{
			format: f, clock: f.ClockRate(), sets: append(sets, c.PPS...),
			newPack: func() (packetizer, error) {
				e, err := f.CreateEncoder()
				if err != nil {
					return nil, err
				}
				return e.Encode, nil
			},
		}, nil
	case codecs.AAC:
		return aacMedium(t, payloadType)
	case codecs.Opus:
		f := &format.Opus{PayloadTyp: payloadType, ChannelCount: max(t.Channels, 1)}
		if f.ChannelCount > 8 {
			return medium{}, fmt.Errorf("%d channels", f.ChannelCount)
		}
		return medium{format: f, clock: f.ClockRate(), newPack: func() (packetizer, error) {
			e, err := f.CreateEncoder()
			if err != nil {
				return nil, err
			}
			return onePacket(e.Encode), nil
		}}, nil
	case codecs.MP3:
		f := &format.MPEG1Audio{}
		return medium{format: f, clock: f.ClockRate(), newPack: func() (packetizer, error) {
			e, err := f.CreateEncoder()
			if err != nil {
				return nil, err
			}
			return e.Encode, nil
		}}, nil
	case codecs.AC3:
		if t.SampleRate <= 0 || t.Channels <= 0 {
			return medium{}, fmt.Errorf("unknown sample rate or channels")
		}
		f := &format.AC3{PayloadTyp: payloadType, SampleRate: t.SampleRate, ChannelCount: t.Channels}
		return medium{format: f, clock: f.ClockRate(), newPack: func() (packetizer, error) {
			e, err := f.CreateEncoder()
			if err != nil {
				return nil, err
			}
			return e.Encode, nil
		}}, nil
	}
	return medium{}, fmt.Errorf("no RTP payload format here")
}

func aacMedium(t codecs.Track, payloadType uint8) (medium, error) {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(t.Config); err != nil {
		return medium{}, fmt.Errorf("AudioSpecificConfig: %w", err)
	}
	if c.SampleRate <= 0 {
		return medium{}, fmt.Errorf("AudioSpecificConfig with a sample rate of %d", c.SampleRate)
	}
	// With explicit SBR receivers disagree whether the clock is the core's rate or that of the extension. Without it
	// the core's is the only one, and decoders find the extension by themselves (ISO/IEC 14496-3, 1.6.5.2).
	c.ExtensionType, c.ExtensionSampleRate = 0, 0
	f := &format.MPEG4Audio{PayloadTyp: payloadType, Config: &c, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
	if f.FMTP() == nil {
		return medium{}, fmt.Errorf("AudioSpecificConfig that cannot be written again")
	}
	return medium{format: f, clock: f.ClockRate(), newPack: func() (packetizer, error) {
		e, err := f.CreateEncoder()
		if err != nil {
			return nil, err
		}
		return e.Encode, nil
	}}, nil
}

// onePacket adapts a format whose access units are never split.
func onePacket(encode func([]byte) (*rtp.Packet, error)) packetizer {
	return func(units [][]byte) ([]*rtp.Packet, error) {
		if n := len(units[0]); n > maxPayload {
			return nil, fmt.Errorf("%d bytes do not fit into one packet", n)
		}
		p, err := encode(units[0])
		return []*rtp.Packet{p}, err
	}
}

// description is the layout as the library wants it.
func (l layout) description() *description.Session {
	d := &description.Session{Title: "weir"}
	for i, m := range l.media {
		kind := description.MediaTypeAudio
		if m.codec.Video() {
			kind = description.MediaTypeVideo
		}
		d.Medias = append(d.Medias, &description.Media{
			Type:    kind,
			Control: fmt.Sprintf("trackID=%d", i),
			Profile: headers.TransportProfileAVP,
			Formats: []format.Format{m.format},
		})
	}
	return d
}
