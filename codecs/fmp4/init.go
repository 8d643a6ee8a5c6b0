// Package fmp4 writes fragmented MP4 as CMAF asks for it (ISO/IEC 23000-19): init segments, fragments, and the codecs
// attribute by which a playlist describes them.
//
// It knows no playlist and no segment number, and reads nothing.
package fmp4

import (
	"errors"
	"fmt"
	"strings"

	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"

	"weir/codecs"
	"weir/codecs/h264"
	"weir/codecs/h265"
)

// ErrNoTrack says that none of the tracks can be carried.
var ErrNoTrack = errors.New("no track that fragmented MP4 can carry")

// Check says whether at least one of the tracks can be carried; the error is the reason why not.
func Check(tracks codecs.Tracks) error {
	var reasons []error
	for i, t := range tracks {
		_, err := sampleEntry(t)
		if err == nil {
			return nil
		}
		reasons = append(reasons, fmt.Errorf("track %d: %w", i, err))
	}
	return errors.Join(append([]error{ErrNoTrack}, reasons...)...)
}

// Init makes the init segment. Track IDs are the index in tracks plus one, so a track that cannot be carried, because
// of its codec or a broken configuration, leaves a hole; it is an error only when none is left.
func Init(tracks codecs.Tracks) ([]byte, error) {
	seg := mp4.NewMP4Init()
	seg.AddChild(mp4.NewFtyp("iso6", 0, []string{"iso6", "cmfc", "mp41"}))
	moov := mp4.NewMoovBox()
	seg.AddChild(moov)
	mvhd := mp4.CreateMvhd()
	mvhd.NextTrackID = uint32(len(tracks) + 1)
	moov.AddChild(mvhd)
	mvex := mp4.NewMvexBox()
	for i, t := range tracks {
		entry, err := sampleEntry(t)
		if err != nil {
			continue
		}
		moov.AddChild(newTrak(i, t, entry))
		mvex.AddChild(mp4.CreateTrex(uint32(i + 1)))
	}
	if len(moov.Traks) == 0 {
		return nil, Check(tracks)
	}
	moov.AddChild(mvex)

	w := bits.NewFixedSliceWriter(int(seg.Size()))
	if err := seg.EncodeSW(w); err != nil {
		return nil, fmt.Errorf("encoding init segment: %w", err)
	}
	return w.Bytes(), nil
}

func newTrak(index int, t codecs.Track, entry mp4.Box) *mp4.TrakBox {
	media := "audio"
	if t.Codec.Video() {
		media = "video"
	}
	trak := mp4.CreateEmptyTrak(uint32(index+1), Timescale(t), media, "und")
	if t.Codec.Video() {
		trak.Tkhd.Width = mp4.Fixed32(uint32(t.Width) << 16)
		trak.Tkhd.Height = mp4.Fixed32(uint32(t.Height) << 16)
	}
	trak.Mdia.Minf.Stbl.Stsd.AddChild(entry)
	return trak
}

// sampleEntry describes a track's samples (ISO/IEC 14496-12, 8.5.2). The decoder configuration goes in as it came,
// extensions that nobody here knows included.
func sampleEntry(t codecs.Track) (mp4.Box, error) {
	switch t.Codec {
	case codecs.H264:
		c, err := h264.ParseConfig(t.Config)
		if err != nil {
			return nil, err
		}
		if c.LengthSize != 4 || len(c.SPS) == 0 || len(c.PPS) == 0 {
			return nil, errors.New("H.264 configuration without parameter sets or with a length size that is not 4")
		}
		return visual("avc1", "avcC", t), nil
	case codecs.H265:
		c, err := h265.ParseConfig(t.Config)
		if err != nil {
			return nil, err
		}
		if c.LengthSize != 4 || len(c.VPS) == 0 || len(c.SPS) == 0 || len(c.PPS) == 0 {
			return nil, errors.New("H.265 configuration without parameter sets or with a length size that is not 4")
		}
		return visual("hvc1", "hvcC", t), nil
	case codecs.AV1:
		if len(t.Config) < 4 || t.Config[0] != 0x81 {
			return nil, errors.New("AV1 configuration that is none of version 1")
		}
		return visual("av01", "av1C", t), nil
	case codecs.AAC:
		if len(t.Config) < 2 || len(t.Config) > maxAudioConfig {
			return nil, fmt.Errorf("AudioSpecificConfig of %d bytes", len(t.Config))
		}
		return audio("mp4a", t, mp4.CreateEsdsBox(t.Config)), nil
	case codecs.MP3:
		esds := mp4.CreateEsdsBox(nil)
		esds.DecConfigDescriptor.ObjectType = 0x6b // ISO/IEC 11172-3 audio; decoders accept it for layer III of MPEG-2 too
		esds.DecConfigDescriptor.DecSpecificInfo = nil
		return audio("mp4a", t, esds), nil
	case codecs.AC3:
		dac3, err := ac3Config(t)
		if err != nil {
			return nil, err
		}
		return audio("ac-3", t, dac3), nil
	case codecs.Opus:
		if len(t.Config) > maxAudioConfig {
			return nil, fmt.Errorf("configuration of Opus has %d bytes", len(t.Config))
		}
		hdr := mp4.BoxHeader{Name: "dOps", Size: uint64(8 + len(t.Config)), Hdrlen: 8}
		dops, err := mp4.DecodeDopsSR(hdr, 0, bits.NewFixedSliceReader(t.Config))
		if err != nil {
			return nil, fmt.Errorf("configuration of Opus: %w", err)
		}
		return audio("Opus", t, dops), nil
	}
	return nil, fmt.Errorf("fragmented MP4 cannot carry codec %v", t.Codec)
}

// maxAudioConfig bounds the configuration of an audio decoder. The largest known, an AudioSpecificConfig with a
// program_config_element full of comment, has about 300 bytes.
const maxAudioConfig = 512

func visual(entry, config string, t codecs.Track) mp4.Box {
	box := mp4.CreateUnknownBox(config, uint64(8+len(t.Config)), t.Config)
	v := mp4.CreateVisualSampleEntryBox(entry, uint16(t.Width), uint16(t.Height), box)
	v.CompressorName = ""
	return v
}

func audio(entry string, t codecs.Track, config mp4.Box) mp4.Box {
	rate := Timescale(t)
	if rate > 0xffff {
		rate = 0 // a 16.16 field; decoders take the rate from the configuration
	}
	return mp4.CreateAudioSampleEntryBox(entry, uint16(t.Channels), 16, uint16(rate), config)
}

// ac3Config derives an AC3SpecificBox (ETSI TS 102 366, F.4) from what the track tells. The bit rate is not among it;
// it is stated as the usual one, for information, since every syncframe carries its own.
func ac3Config(t codecs.Track) (*mp4.Dac3Box, error) {
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

// Timescale is the number of units in a second of a track's timestamps: [codecs.ClockRate] for video, the sample rate
// for audio, always 48000 for Opus (its encapsulation in ISO base media, 4.3). A rate above ClockRate is too fine for
// a grid of access units to be recovered from ticks; such a track is timed in ticks, as one without a rate is.
func Timescale(t codecs.Track) uint32 {
	switch {
	case t.Codec == codecs.Opus:
		return 48000
	case t.Codec.Video() || t.SampleRate <= 0 || t.SampleRate > codecs.ClockRate:
		return codecs.ClockRate
	}
	return uint32(t.SampleRate)
}

// Codecs is the codecs attribute of the tracks (RFC 6381), for EXT-X-STREAM-INF and manifests. Tracks that Init leaves
// out are left out.
func Codecs(tracks codecs.Tracks) string {
	var names []string
	for _, t := range tracks {
		if _, err := sampleEntry(t); err == nil {
			names = append(names, codecName(t))
		}
	}
	return strings.Join(names, ",")
}

// codecName names a track that has a sample entry.
func codecName(t codecs.Track) string {
	c := t.Config
	switch t.Codec {
	case codecs.H264:
		return fmt.Sprintf("avc1.%02x%02x%02x", c[1], c[2], c[3])
	case codecs.H265:
		return h265Name(c)
	case codecs.AV1:
		return av1Name(c)
	case codecs.AAC:
		object := int(c[0] >> 3)
		if object == 31 { // an escape (ISO/IEC 14496-3, table 1.16)
			object = 32 + int(c[0]&7)<<3 + int(c[1]>>5)
		}
		return fmt.Sprintf("mp4a.40.%d", object)
	case codecs.MP3:
		return "mp4a.6b"
	case codecs.AC3:
		return "ac-3"
	}
	return "opus"
}

// h265Name follows ISO/IEC 14496-15, annex E.3, with c an HEVCDecoderConfigurationRecord.
func h265Name(c []byte) string {
	var s strings.Builder
	s.WriteString("hvc1.")
	if space := c[1] >> 6; space > 0 {
		s.WriteByte('A' + space - 1)
	}
	var compatibility uint32 // in reverse bit order
	for i := range 32 {
		compatibility |= uint32(c[2+i/8]>>(7-i%8)&1) << i
	}
	tier := byte('L')
	if c[1]&0x20 != 0 {
		tier = 'H'
	}
	fmt.Fprintf(&s, "%d.%X.%c%d", c[1]&0x1f, compatibility, tier, c[12])
	constraints := c[6:12]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	for _, x := range constraints {
		fmt.Fprintf(&s, ".%X", x)
	}
	return s.String()
}

// av1Name follows the AV1 codec ISO media file format binding, section 5, with c an AV1CodecConfigurationRecord.
func av1Name(c []byte) string {
	depth := 8
	if c[2]&0x40 != 0 {
		depth = 10
		if c[1]>>5 == 2 && c[2]&0x20 != 0 {
			depth = 12
		}
	}
	tier := byte('M')
	if c[2]&0x80 != 0 {
		tier = 'H'
	}
	return fmt.Sprintf("av01.%d.%02d%c.%02d", c[1]>>5, c[1]&0x1f, tier, depth)
}
