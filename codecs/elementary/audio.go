package elementary

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"weir/codecs"
	"weir/codecs/aac"
)

// An Audio is the audio stream of a [Joiner].
type Audio struct {
	j      *Joiner
	codec  codecs.Codec
	rate   int64 // of the samples that frames are counted in
	frame  int64 // samples in a frame; 0: each says so
	place  place
	known  bool
	track  codecs.Track
	broken bool
}

// AAC adds an audio stream of AAC with that AudioSpecificConfig.
func (j *Joiner) AAC(config []byte) (*Audio, error) {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(config); err != nil {
		return nil, fmt.Errorf("AudioSpecificConfig: %w", err)
	}
	track, err := aac.Track(config)
	if err != nil {
		return nil, err
	}
	if c.SampleRate < 1000 || c.SampleRate > 384000 {
		return nil, fmt.Errorf("AAC with a sample rate of %d", c.SampleRate)
	}
	a := &Audio{j: j, codec: codecs.AAC, rate: int64(c.SampleRate), frame: aac.Samples, known: true, track: track}
	if c.FrameLengthFlag {
		a.frame = 960
	}
	return j.add(a)
}

// Opus adds an audio stream of Opus with one or two channels.
func (j *Joiner) Opus(channels int) (*Audio, error) {
	if channels < 1 || channels > 2 {
		return nil, fmt.Errorf("found Opus with %d channels, expected one or two", channels)
	}
	// "Encapsulation of Opus in ISO Base Media File Format", 4.3.2: version, channels, pre-skip, input sample rate,
	// output gain, channel mapping family. A pre-skip of 80 ms is what RFC 7845 (4.2) advises.
	config := []byte{0, byte(channels)}
	config = binary.BigEndian.AppendUint16(config, 3840)
	config = binary.BigEndian.AppendUint32(config, 48000)
	config = append(config, 0, 0, 0)
	return j.add(&Audio{
		j: j, codec: codecs.Opus, rate: 48000, known: true,
		track: codecs.Track{Codec: codecs.Opus, Config: config, SampleRate: 48000, Channels: channels},
	})
}

// Frames adds an audio stream whose frames describe themselves: MP3 or AC3.
func (j *Joiner) Frames(codec codecs.Codec) (*Audio, error) {
	if codec != codecs.MP3 && codec != codecs.AC3 {
		return nil, &UnsupportedError{codec.String()}
	}
	return j.add(&Audio{j: j, codec: codec})
}

func (j *Joiner) add(a *Audio) (*Audio, error) {
	if j.audio != nil {
		return nil, fmt.Errorf("a second audio stream")
	}
	j.audio = a
	return a, nil
}

// Add takes frames that follow on each other, the first of them at pts. They are not changed.
func (a *Audio) Add(pts int64, frames ...[]byte) error {
	offset := int64(0) // in samples
	for _, frame := range frames {
		if len(frame) == 0 {
			continue
		}
		samples, err := a.measure(frame)
		if unsupported := (*UnsupportedError)(nil); errors.As(err, &unsupported) {
			return err
		}
		if err != nil {
			continue // a damaged frame: the next one may be whole
		}
		if err := a.add(pts+offset*codecs.ClockRate/a.rate, samples, frame); err != nil {
			return err
		}
		offset += samples
	}
	return nil
}

func (a *Audio) add(pts, samples int64, frame []byte) error {
	dts, _, jumped := a.j.clock.at(&a.place, pts, pts)
	a.broken = a.broken || jumped
	if err := a.j.seen(dts); err != nil {
		return err
	}
	au := &codecs.AccessUnit{
		Track: roleAudio, DTS: dts, PTS: dts, Duration: samples * codecs.ClockRate / a.rate,
		RandomAccess: a.j.video == nil, Discontinuity: a.broken, Payload: frame,
	}
	a.broken = false
	return a.j.write(au)
}

// measure returns the number of samples of a frame, and takes in what a frame says of its track.
func (a *Audio) measure(frame []byte) (samples int64, err error) {
	var t codecs.Track
	switch a.codec {
	case codecs.Opus:
		samples = opus.PacketDuration2(frame)
		if samples <= 0 {
			return 0, fmt.Errorf("Opus packet of no length")
		}
		return samples, nil
	case codecs.MP3:
		var h mpeg1audio.FrameHeader
		if err := h.Unmarshal(frame); err != nil {
			return 0, err
		}
		if h.Layer != 3 {
			return 0, &UnsupportedError{fmt.Sprintf("MPEG audio, layer %d", h.Layer)}
		}
		t = codecs.Track{Codec: codecs.MP3, SampleRate: h.SampleRate, Channels: 2}
		if h.ChannelMode == mpeg1audio.ChannelModeMono {
			t.Channels = 1
		}
		samples = int64(h.SampleCount())
	case codecs.AC3:
		var s ac3.SyncInfo
		if err := s.Unmarshal(frame); err != nil {
			return 0, err
		}
		var i ac3.BSI
		if err := i.Unmarshal(frame[5:]); err != nil {
			return 0, err
		}
		t = codecs.Track{Codec: codecs.AC3, SampleRate: s.SampleRate(), Channels: i.ChannelCount()}
		samples = ac3.SamplesPerFrame
	default:
		return a.frame, nil
	}
	if t.SampleRate <= 0 || samples <= 0 {
		return 0, fmt.Errorf("frame of no length")
	}
	a.rate = int64(t.SampleRate)
	if !a.known || !a.track.Equal(t) {
		a.known, a.track = true, t
		if a.j.told {
			return samples, a.j.tell()
		}
	}
	return samples, nil
}
