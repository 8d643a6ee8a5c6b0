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
	"weir/codecs/carriage"
)

// ErrNoTrack says that none of the tracks can be carried.
var ErrNoTrack = errors.New("no track that fragmented MP4 can carry")

// Check says whether at least one of the tracks can be carried; the error is the reason why not.
func Check(tracks codecs.Tracks) error {
	return tracks.Carried(ErrNoTrack, func(_ int, t codecs.Track) error {
		_, err := sampleEntry(t)
		return err
	})
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

// sampleEntry describes a track's samples (ISO/IEC 14496-12, 8.5.2).
func sampleEntry(t codecs.Track) (mp4.Box, error) {
	form := &carriage.Of(t.Codec).MP4
	if form.Box == nil {
		return nil, fmt.Errorf("fragmented MP4 cannot carry codec %v", t.Codec)
	}
	config, err := form.Box(t)
	if err != nil {
		return nil, err
	}
	if t.Codec.Video() {
		v := mp4.CreateVisualSampleEntryBox(form.Entry, uint16(t.Width), uint16(t.Height), config)
		v.CompressorName = ""
		return v, nil
	}
	rate := Timescale(t)
	if rate > 0xffff {
		rate = 0 // a 16.16 field; decoders take the rate from the configuration
	}
	return mp4.CreateAudioSampleEntryBox(form.Entry, uint16(t.Channels), 16, uint16(rate), config), nil
}

// Timescale is the number of units in a second of a track's timestamps: [codecs.ClockRate] for video, the sample rate
// for audio. A rate above ClockRate is too fine for a grid of access units to be recovered from ticks; such a track is
// timed in ticks, as one without a rate is.
func Timescale(t codecs.Track) uint32 {
	if t.Codec.Video() || t.SampleRate <= 0 || t.SampleRate > codecs.ClockRate {
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
			names = append(names, carriage.Of(t.Codec).MP4.Name(t.Config))
		}
	}
	return strings.Join(names, ",")
}
