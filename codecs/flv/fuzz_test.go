package flv_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs"
	"weir/codecs/flv"
)

// strict is a [codecs.Writer] that fails the test when a publisher makes the demuxer break its word.
type strict struct {
	t      *testing.T
	tracks codecs.Tracks
	last   map[codecs.Codec]int64 // DTS by codec, because indices change
}

func (s *strict) SetTracks(ts codecs.Tracks) {
	if len(ts) == 0 || len(ts) > 2 || len(ts) == 2 && (!ts[0].Codec.Video() || ts[1].Codec.Video()) {
		s.t.Fatalf("SetTracks(%+v)", ts)
	}
	s.tracks = ts
}

func (s *strict) Write(au *codecs.AccessUnit) error {
	if au.Track < 0 || au.Track >= len(s.tracks) || len(au.Payload) == 0 {
		s.t.Fatalf("unit of track %d of %d, %d bytes", au.Track, len(s.tracks), len(au.Payload))
	}
	codec := s.tracks[au.Track].Codec
	if last, ok := s.last[codec]; ok && au.DTS <= last {
		s.t.Fatalf("DTS %d of %v after %d", au.DTS, codec, last)
	}
	s.last[codec] = au.DTS
	switch codec {
	case codecs.H264, codecs.H265:
		var nals h264.AVCC
		if err := nals.Unmarshal(au.Payload); err != nil && len(au.Payload) < h264.MaxAccessUnitSize {
			s.t.Fatalf("mediacommon cannot read the NAL units of %x: %v", au.Payload, err)
		}
	case codecs.AV1:
		var tu av1.Bitstream
		if err := tu.Unmarshal(au.Payload); err != nil && len(au.Payload) < av1.MaxTemporalUnitSize {
			s.t.Fatalf("mediacommon cannot read the OBUs of %x: %v", au.Payload, err)
		}
	}
	return nil
}

// FuzzDemuxer reads an FLV stream, whatever it is, and holds the demuxer to what its sink may rely on; then it writes
// what it got and wants to be able to read that.
func FuzzDemuxer(f *testing.F) {
	clip := func(tags ...flv.Tag) []byte {
		b := flv.FileHeader(nil)
		for _, t := range tags {
			b = flv.AppendTag(b, t)
		}
		return b
	}
	for _, tt := range codecTests {
		late := tt.media
		late.Timestamp = 600
		if tt.config.Body == nil {
			f.Add(clip(tt.media, late))
			continue
		}
		f.Add(clip(tt.config, tt.media, late))
	}
	for _, tt := range waitTests {
		f.Add(clip(tt.tags...))
	}
	f.Add(clip(badBodies...))
	f.Add(clip(readClip(f, "clip.flv")[:12]...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := flv.NewReader(bytes.NewReader(in))
		var d flv.Demuxer
		sink := &strict{t: t, last: map[codecs.Codec]int64{}}
		for {
			tag, err := r.Next()
			if err != nil {
				break
			}
			if err := d.Tag(tag, sink); errors.Is(err, flv.ErrNoTracks) {
				break
			}
		}
		e := flv.NewEncoder(0)
		out := e.Prologue(d.Tracks())
		var again flv.Demuxer
		r = flv.NewReader(bytes.NewReader(append(flv.FileHeader(d.Tracks()), out...)))
		for {
			tag, err := r.Next()
			if err != nil {
				break
			}
			if err := again.Tag(tag, sink); err != nil {
				t.Fatalf("own prologue of %+v: %v", d.Tracks(), err)
			}
		}
	})
}
