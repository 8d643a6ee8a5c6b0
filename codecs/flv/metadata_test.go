package flv_test

import (
	"bytes"
	"slices"
	"testing"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/flv"
	"weir/codecs/flv/amf"
)

// metadata is what the tags of a prologue say in onMetaData.
func metadata(t *testing.T, tags []flv.Tag) amf.Object {
	t.Helper()
	vs, err := amf.Read(tags[0].Body)
	if err != nil || len(vs) != 2 || vs[0] != "onMetaData" || tags[0].Type != flv.TypeScript {
		t.Fatalf("the first tag is %v of type %d, %v", vs, tags[0].Type, err)
	}
	o, ok := amf.AsObject(vs[1])
	if !ok {
		t.Fatalf("onMetaData has %v", vs[1])
	}
	return o
}

func described(t *testing.T, c codecs.Codec, config []byte) codecs.Track {
	t.Helper()
	track, err := carriage.Of(c).Describe(config)
	if err != nil {
		t.Fatal(err)
	}
	return track
}

func TestMetadataIsCompleteWhereKnown(t *testing.T) {
	sound := []any{"hasAudio", true, "audiocodecid", 10., "audiosamplerate", 44100., "audiosamplesize", 16., "audiochannels", 1., "stereo", false}
	for _, tt := range []struct {
		name   string
		tracks codecs.Tracks
		want   []any
	}{
		{
			"H.264 and AAC",
			codecs.Tracks{described(t, codecs.H264, avcC), described(t, codecs.AAC, asc)},
			append(slices.Clone(sound), "hasVideo", true, "width", 96., "height", 64., "framerate", 25., "videocodecid", 7.),
		},
		{
			"H.265 and AAC",
			codecs.Tracks{described(t, codecs.H265, hvcC), described(t, codecs.AAC, asc)},
			append(slices.Clone(sound), "hasVideo", true, "width", 96., "height", 64., "framerate", 25., "videocodecid", float64('h'<<24|'v'<<16|'c'<<8|'1')),
		},
		{"AV1", codecs.Tracks{described(t, codecs.AV1, av1C)}, []any{"hasVideo", true, "hasAudio", false, "width", 96., "height", 64., "framerate", nil, "audiocodecid", nil}},
		{"AAC", codecs.Tracks{described(t, codecs.AAC, asc)}, append(slices.Clone(sound), "hasVideo", false, "videocodecid", nil, "width", nil, "framerate", nil)},
		{
			"MP3, stereo",
			codecs.Tracks{{Codec: codecs.MP3, SampleRate: 48000, Channels: 2}},
			[]any{"audiocodecid", 2., "audiosamplerate", 48000., "audiochannels", 2., "stereo", true},
		},
	} {
		o := metadata(t, flv.NewMuxer(0).SetTracks(tt.tracks))
		for i := 0; i < len(tt.want); i += 2 {
			if key := tt.want[i].(string); o.Get(key) != tt.want[i+1] {
				t.Errorf("%s: %s = %v, want %v", tt.name, key, o.Get(key), tt.want[i+1])
			}
		}
	}
}

func TestFrameRateOfPublishersMetadataIsKept(t *testing.T) {
	for _, tt := range []struct {
		name string
		meta amf.Object
		want float64
	}{
		{"none", amf.Object{}, 25},
		{"framerate", amf.Object{{Key: "framerate", Value: 29.97}}, 29.97},
		{"framerate in words", amf.Object{{Key: "framerate", Value: "50"}}, 50},
		{"fps", amf.Object{{Key: "fps", Value: 12.5}}, 12.5},
		{"videoframerate", amf.Object{{Key: "videoframerate", Value: 15}}, 15},
		{"zero", amf.Object{{Key: "framerate", Value: 0}}, 25},
		{"no number", amf.Object{{Key: "framerate", Value: "fast"}}, 25},
		{"a clock", amf.Object{{Key: "framerate", Value: 1000}}, 25},
	} {
		var d flv.Demuxer
		var r recorder
		meta := append(amf.Object{{Key: "videocodecid"}}, tt.meta...)
		feed(t, &d, &r, flv.Tag{Type: flv.TypeScript, Body: amf.Append(nil, "@setDataFrame", "onMetaData", meta)},
			video(0, avcHeader), video(0, avcBody(true, 0, idr)))
		if len(r.lists) != 1 || r.lists[0][0].FrameRate != tt.want {
			t.Errorf("%s: tracks %+v, want %g pictures in a second", tt.name, r.lists, tt.want)
		}
		if o := metadata(t, flv.NewMuxer(0).SetTracks(r.lists[0])); o.Get("framerate") != tt.want {
			t.Errorf("%s: viewers are told %v, want %g", tt.name, o.Get("framerate"), tt.want)
		}
	}
}

func TestMetadataIsSentAgainWhenParametersChange(t *testing.T) {
	e := flv.NewEncoder(0)
	small := described(t, codecs.H264, avcC)
	large := small
	large.Width, large.Height = 1920, 1080
	for _, track := range []codecs.Track{small, large} {
		r := flv.NewReader(bytes.NewReader(append(flv.FileHeader(nil), e.Prologue(codecs.Tracks{track})...)))
		tag, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if o := metadata(t, []flv.Tag{tag}); o.Get("width") != float64(track.Width) || o.Get("height") != float64(track.Height) {
			t.Errorf("onMetaData says %v x %v, want %d x %d", o.Get("width"), o.Get("height"), track.Width, track.Height)
		}
	}
}

// FFmpeg takes onMetaData with another time than 0 for the first piece of a track of text.
func TestMetadataInMidStreamHasNoTime(t *testing.T) {
	tracks := codecs.Tracks{{Codec: codecs.AAC, Config: []byte{0x12, 0x10}, SampleRate: 44100, Channels: 2}}
	m := flv.NewMuxer(0)
	m.SetTracks(tracks)
	m.Head(&codecs.AccessUnit{DTS: 10 * codecs.ClockRate, PTS: 10 * codecs.ClockRate, Payload: []byte{1}})
	tags := m.SetTracks(tracks)
	if len(tags) != 2 || tags[0].Type != flv.TypeScript || tags[0].Timestamp != 0 || tags[1].Timestamp != 10_000 {
		t.Errorf("what a player is told of the tracks after 10 s is %+v, want onMetaData at 0 and the configuration at 10,000", tags)
	}
}
