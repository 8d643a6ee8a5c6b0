package flv_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/codecs/flv/amf"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Configurations as ffmpeg 5.1 writes them for pictures of 96x64.
var (
	avcSPS  = unhex("67f4000a919b28c4d808800000030080000019078912cb")
	avcPPS  = unhex("68ef82519219")
	avcC    = slices.Concat([]byte{1, 0xf4, 0, 0x0a, 0xff, 0xe1, 0, 23}, avcSPS, []byte{1, 0, 6}, avcPPS, unhex("fff8f800"))
	hvcC    = unhex("0104080000009e08000000001ef000fcfff8f800000f03200001001740010c01ffff0408000003009e0800000300001e959809210001002c4201010408000003009e0800000300001e90061020b2cacd24995e02dc08080010000003001000000301908022000100084401c172860c4224")
	av1C    = unhex("81000c000a0a000000032dffc02f8004")
	asc     = unhex("120856e500")
	opusHd  = append([]byte("OpusHead\x01\x02"), 0x38, 0x01, 0x80, 0xbb, 0, 0, 0, 0, 0)
	dOps    = []byte{0, 2, 0x01, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0}
	mp3Head = []byte{0xff, 0xfb, 0x50, 0xc4} // MPEG-1 layer 3, 64 kbit/s, 44.1 kHz, mono
	ac3Head = []byte{0x0b, 0x77, 0, 0, 0x08, 0x40, 0x43, 0}
)

// avcBody is the tag body of an access unit of nals.
func avcBody(key bool, cts int, nals ...[]byte) []byte {
	b := []byte{0x27, 1, byte(cts >> 16), byte(cts >> 8), byte(cts)}
	if key {
		b[0] = 0x17
	}
	return append(b, avcc(nals...)...)
}

func avcc(nals ...[]byte) []byte {
	var b []byte
	for _, n := range nals {
		b = append(b, 0, byte(len(n)>>16), byte(len(n)>>8), byte(len(n)))
		b = append(b, n...)
	}
	return b
}

var (
	avcHeader = append([]byte{0x17, 0, 0, 0, 0}, avcC...)
	aacHeader = append([]byte{0xaf, 0}, asc...)
	idr       = []byte{0x65, 1, 2, 3}
	slice     = []byte{0x41, 4, 5}
)

// pictures is onMetaData that announces video alone, so that nothing else is waited for.
var pictures = flv.Tag{Type: flv.TypeScript, Body: amf.Append(nil, "onMetaData", amf.Object{{Key: "videocodecid"}})}

// A recorder is a [codecs.Writer] that keeps what it is told.
type recorder struct {
	lists []codecs.Tracks
	units []codecs.AccessUnit
	lens  []int // the number of units at each list
	err   error
}

func (r *recorder) SetTracks(t codecs.Tracks) {
	r.lists, r.lens = append(r.lists, t), append(r.lens, len(r.units))
}

func (r *recorder) Write(au *codecs.AccessUnit) error {
	if r.err != nil {
		return r.err
	}
	r.units = append(r.units, *au)
	return nil
}

func video(ts uint32, body []byte) flv.Tag {
	return flv.Tag{Type: flv.TypeVideo, Timestamp: ts, Body: body}
}

func audio(ts uint32, body []byte) flv.Tag {
	return flv.Tag{Type: flv.TypeAudio, Timestamp: ts, Body: body}
}

// feed gives tags, whose bodies are copied, to a demuxer and fails the test at an error.
func feed(t *testing.T, d *flv.Demuxer, r *recorder, tags ...flv.Tag) {
	t.Helper()
	for i, tag := range tags {
		tag.Body = bytes.Clone(tag.Body)
		if err := d.Tag(tag, r); err != nil {
			t.Fatalf("tag %d: %v", i, err)
		}
	}
}

func readClip(t testing.TB, name string) []flv.Tag {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	r := flv.NewReader(bytes.NewReader(b))
	var tags []flv.Tag
	for {
		tag, err := r.Next()
		if errors.Is(err, io.EOF) {
			return tags
		}
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
}

func TestClipOfFfmpegBecomesTracksAndAccessUnits(t *testing.T) {
	var d flv.Demuxer
	var r recorder
	feed(t, &d, &r, readClip(t, "clip.flv")...)
	if len(r.lists) != 1 || len(r.lists[0]) != 2 {
		t.Fatalf("lists of tracks = %v, want one of two tracks", r.lists)
	}
	v, a := r.lists[0][0], r.lists[0][1]
	if v.Codec != codecs.H264 || v.Width != 96 || v.Height != 64 || !bytes.Equal(v.Config, avcC) {
		t.Errorf("video track = %+v", v)
	}
	if a.Codec != codecs.AAC || a.SampleRate != 44100 || a.Channels != 1 || !bytes.Equal(a.Config, asc) {
		t.Errorf("audio track = %+v", a)
	}
	var pictures, sounds, keys int
	last := []int64{-1, -1}
	for _, au := range r.units {
		if au.DTS <= last[au.Track] && last[au.Track] >= 0 {
			t.Errorf("DTS %d of track %d follows %d", au.DTS, au.Track, last[au.Track])
		}
		last[au.Track] = au.DTS
		if au.Track == 1 {
			sounds++
			if au.RandomAccess || au.Duration != 2089 {
				t.Errorf("audio: random access %v, duration %d", au.RandomAccess, au.Duration)
			}
			continue
		}
		pictures++
		var nals h264.AVCC // mediacommon must be able to read the payload, and see key frames where we do
		if err := nals.Unmarshal(au.Payload); err != nil {
			t.Fatalf("mediacommon: %v", err)
		}
		if got, want := au.RandomAccess, h264.IsRandomAccess(nals); got != want {
			t.Errorf("RandomAccess = %v, want %v", got, want)
		}
		if au.RandomAccess {
			keys++
		}
	}
	if pictures != 50 || keys != 2 || sounds < 80 {
		t.Errorf("%d pictures, %d random access points, %d audio frames, want 50, 2, more than 80", pictures, keys, sounds)
	}
	if first := r.units[0]; first.DTS != 0 || first.PTS != 80*90 {
		t.Errorf("first unit at DTS %d, PTS %d, want 0, 7200", first.DTS, first.PTS)
	}
}

func TestMP3DescribesItself(t *testing.T) {
	var d flv.Demuxer
	var r recorder
	feed(t, &d, &r, readClip(t, "mp3.flv")...)
	want := codecs.Tracks{{Codec: codecs.MP3, SampleRate: 44100, Channels: 1}}
	if len(r.lists) != 1 || !r.lists[0].Equal(want) {
		t.Fatalf("tracks = %v, want %v", r.lists, want)
	}
	for i, au := range r.units {
		if want := int64(i) * 1152 * 90000 / 44100; au.DTS != want || !au.RandomAccess {
			t.Fatalf("unit %d: DTS = %d, random access = %v, want %d, true", i, au.DTS, au.RandomAccess, want)
		}
	}
}

// codecTests are one configuration and one access unit of every codec, as its publisher sends them.
var codecTests = []struct {
	name   string
	config flv.Tag // no body: the codec has none
	media  flv.Tag
	want   codecs.Track
	data   []byte // the payload
	random bool
}{
	{
		name: "H.264", config: video(0, avcHeader), media: video(0, avcBody(true, 0, idr)),
		want: codecs.Track{Codec: codecs.H264, Config: avcC, Width: 96, Height: 64}, data: avcc(idr), random: true,
	},
	{
		name:   "H.264 by FourCC",
		config: video(0, slices.Concat([]byte("\x90avc1"), avcC)), media: video(0, slices.Concat([]byte("\xa1avc1\x00\x00\x28"), avcc(slice))),
		want: codecs.Track{Codec: codecs.H264, Config: avcC, Width: 96, Height: 64}, data: avcc(slice),
	},
	{
		name:   "H.265 by FourCC",
		config: video(0, slices.Concat([]byte("\x90hvc1"), hvcC)), media: video(0, slices.Concat([]byte("\x93hvc1"), avcc([]byte{0x26, 1, 9}))),
		want: codecs.Track{Codec: codecs.H265, Config: hvcC, Width: 96, Height: 64}, data: avcc([]byte{0x26, 1, 9}), random: true,
	},
	{
		name:   "H.265 by number",
		config: video(0, slices.Concat([]byte{0x1c, 0, 0, 0, 0}, hvcC)), media: video(0, slices.Concat([]byte{0x2c, 1, 0, 0, 0}, avcc([]byte{2, 1, 9}))),
		want: codecs.Track{Codec: codecs.H265, Config: hvcC, Width: 96, Height: 64}, data: avcc([]byte{2, 1, 9}),
	},
	{
		name:   "AV1",
		config: video(0, slices.Concat([]byte("\x90av01"), av1C)), media: video(0, []byte("\x91av01\x12\x00\x32\x02\x01\x02")),
		want: codecs.Track{Codec: codecs.AV1, Config: av1C, Width: 96, Height: 64}, data: []byte{0x32, 2, 1, 2}, random: true,
	},
	{
		name:   "AV1 whose last unit has no size, behind a modifier",
		config: video(0, slices.Concat([]byte("\x90av01"), av1C)), media: video(0, []byte("\x97\x02\x01\x02\x03\x01av01\x30\x01\x02")),
		want: codecs.Track{Codec: codecs.AV1, Config: av1C, Width: 96, Height: 64}, data: []byte{0x32, 2, 1, 2}, random: true,
	},
	{
		name:   "first of several video tracks",
		config: video(0, slices.Concat([]byte("\x96\x10avc1\x01\x00\x00\x01\xff\x00\x00\x00"), []byte{byte(len(avcC))}, avcC)),
		media:  video(0, slices.Concat([]byte("\x96\x01avc1\x00\x00\x00\x00"), avcc(idr))),
		want:   codecs.Track{Codec: codecs.H264, Config: avcC, Width: 96, Height: 64}, data: avcc(idr), random: true,
	},
	{
		name: "AAC", config: audio(0, aacHeader), media: audio(0, []byte{0xaf, 1, 7, 8}),
		want: codecs.Track{Codec: codecs.AAC, Config: asc, SampleRate: 44100, Channels: 1}, data: []byte{7, 8}, random: true,
	},
	{
		name:   "AAC by FourCC",
		config: audio(0, slices.Concat([]byte("\x90mp4a"), asc)), media: audio(0, []byte("\x91mp4a\x07")),
		want: codecs.Track{Codec: codecs.AAC, Config: asc, SampleRate: 44100, Channels: 1}, data: []byte{7}, random: true,
	},
	{
		name:   "Opus",
		config: audio(0, slices.Concat([]byte("\x90Opus"), opusHd)), media: audio(0, []byte("\x91Opus\xfc\x01")),
		want: codecs.Track{Codec: codecs.Opus, Config: dOps, SampleRate: 48000, Channels: 2}, data: []byte{0xfc, 1}, random: true,
	},
	{
		name: "MP3", media: audio(0, slices.Concat([]byte{0x2e}, mp3Head, []byte{1})),
		want: codecs.Track{Codec: codecs.MP3, SampleRate: 44100, Channels: 1}, data: append(bytes.Clone(mp3Head), 1), random: true,
	},
	{
		name: "AC-3", media: audio(0, slices.Concat([]byte("\x91ac-3"), ac3Head)),
		want: codecs.Track{Codec: codecs.AC3, SampleRate: 48000, Channels: 2}, data: ac3Head, random: true,
	},
}

func TestEveryCodecIsReadAndWrittenBack(t *testing.T) {
	for _, tt := range codecTests {
		t.Run(tt.name, func(t *testing.T) {
			var d flv.Demuxer
			var r recorder
			meta := flv.Tag{Type: flv.TypeScript, Body: amf.Append(nil, "onMetaData", amf.Object{{Key: "videocodecid"}})}
			if tt.media.Type == flv.TypeAudio {
				meta.Body = amf.Append(nil, "@setDataFrame", "onMetaData", amf.ECMAArray{{Key: "audiocodecid"}})
			}
			feed(t, &d, &r, meta)
			if tt.config.Body != nil {
				feed(t, &d, &r, tt.config)
			}
			feed(t, &d, &r, tt.media)
			if len(r.lists) != 1 || !r.lists[0].Equal(codecs.Tracks{tt.want}) {
				t.Fatalf("tracks = %+v, want %+v", r.lists, tt.want)
			}
			if len(r.units) != 1 || !bytes.Equal(r.units[0].Payload, tt.data) || r.units[0].RandomAccess != tt.random {
				t.Fatalf("units = %+v, want payload %x, random access %v", r.units, tt.data, tt.random)
			}

			// The way back: what weir writes is read as the same.
			e := flv.NewEncoder(r.units[0].DTS)
			out := slices.Concat(flv.FileHeader(r.lists[0]), e.Prologue(r.lists[0]), e.Encode(&r.units[0]))
			var d2 flv.Demuxer
			var r2 recorder
			in := flv.NewReader(bytes.NewReader(out))
			for {
				tag, err := in.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				feed(t, &d2, &r2, tag)
			}
			if !reflect.DeepEqual(r2.lists, r.lists) || !reflect.DeepEqual(r2.units, r.units) {
				t.Errorf("read back: %+v %+v, want %+v %+v", r2.lists, r2.units, r.lists, r.units)
			}
		})
	}
}

func TestDelimitersAndParameterSetsAreTakenOut(t *testing.T) {
	var d flv.Demuxer
	var r recorder
	sei := []byte{6, 5, 1, 0, 0x80}
	feed(t, &d, &r, video(0, avcHeader), pictures,
		video(0, avcBody(true, 0, []byte{9, 0xf0}, avcSPS, avcPPS, sei, idr)),
		video(40, avcBody(false, 0, []byte{9, 0xf0}, nil, slice)))
	if len(r.units) != 2 || !bytes.Equal(r.units[0].Payload, avcc(sei, idr)) || !bytes.Equal(r.units[1].Payload, avcc(slice)) {
		t.Errorf("units = %+v", r.units)
	}
	if len(r.lists) != 1 {
		t.Errorf("the same parameter sets again made %d lists of tracks, want 1", len(r.lists))
	}
}

func TestShortNALLengthsBecomeFourBytes(t *testing.T) {
	var d flv.Demuxer
	var r recorder
	short := bytes.Clone(avcC)
	short[4] = 0xfd // two bytes
	feed(t, &d, &r, video(0, append([]byte{0x17, 0, 0, 0, 0}, short...)), pictures,
		video(0, []byte{0x17, 1, 0, 0, 0, 0, 4, 0x65, 1, 2, 3, 0, 2, 0x06, 9}))
	if want := avcc(idr, []byte{6, 9}); len(r.units) != 1 || !bytes.Equal(r.units[0].Payload, want) {
		t.Errorf("units = %+v, want payload %x", r.units, want)
	}
	if !bytes.Equal(r.lists[0][0].Config, avcC) {
		t.Errorf("config = %x, want %x", r.lists[0][0].Config, avcC)
	}
}

func TestNewParameterSetsInTheStreamMakeNewTracks(t *testing.T) {
	pps2 := append(bytes.Clone(avcPPS), 0x80)
	vps, sps, pps := hvcC[28:51], hvcC[56:100], hvcC[105:112]
	pps3 := append(bytes.Clone(pps), 0x80)
	for _, tt := range []struct {
		name                  string
		header, before, media []byte
		want                  []byte // config
	}{
		{
			name: "H.264", header: avcHeader, before: avcBody(true, 0, idr), media: avcBody(true, 0, avcSPS, pps2, idr),
			want: slices.Concat([]byte{1, 0xf4, 0, 0x0a, 0xff, 0xe1, 0, 23}, avcSPS, []byte{1, 0, 7}, pps2, unhex("fff8f800")),
		},
		{
			name: "H.265", header: slices.Concat([]byte("\x90hvc1"), hvcC),
			before: slices.Concat([]byte("\x93hvc1"), avcc([]byte{0x26, 1, 9})),
			media:  slices.Concat([]byte("\x93hvc1"), avcc(vps, sps, pps3, []byte{0x26, 1, 9})),
			want: slices.Concat(hvcC[:23], []byte{0xa0, 0, 1, 0, 23}, vps, []byte{0xa1, 0, 1, 0, 44}, sps,
				[]byte{0xa2, 0, 1, 0, 8}, pps3),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d flv.Demuxer
			var r recorder
			feed(t, &d, &r, video(0, tt.header), pictures, video(0, tt.before), video(40, tt.media), video(80, tt.media))
			if len(r.lists) != 2 || len(r.units) != 3 || r.lens[1] != 1 {
				t.Fatalf("%d lists at %v, %d units, want 2 lists, the second at 1, and 3 units", len(r.lists), r.lens, len(r.units))
			}
			if got := r.lists[1][0]; !bytes.Equal(got.Config, tt.want) || got.Width != 96 {
				t.Errorf("config = %x, want %x", got.Config, tt.want)
			}
		})
	}
}

func TestConfigurationChangeInMidStreamMakesNewTracks(t *testing.T) {
	var d flv.Demuxer
	var r recorder
	other := bytes.Clone(aacHeader)
	other[3] = 0x10 // two channels
	feed(t, &d, &r, video(0, avcHeader), audio(0, aacHeader), video(0, avcBody(true, 0, idr)), audio(0, []byte{0xaf, 1, 1}),
		audio(23, aacHeader), audio(23, other), audio(23, []byte{0xaf, 1, 1}), video(40, avcBody(false, 0, slice)))
	if len(r.lists) != 2 || r.lens[1] != 2 || r.lists[1][1].Channels != 2 {
		t.Fatalf("lists = %+v at %v", r.lists, r.lens)
	}
	if !r.units[2].Discontinuity || r.units[1].Discontinuity || r.units[3].Discontinuity {
		t.Errorf("discontinuities at %v, want at the third unit only", r.units)
	}
}

var waitTests = []struct {
	name   string
	tags   []flv.Tag
	tracks int // of the last list
	lists  int
	units  int
	err    error // of the last tag
}{
	{
		name: "audio comes after some video", lists: 1, tracks: 2, units: 3,
		tags: []flv.Tag{video(0, avcHeader), video(0, avcBody(true, 0, idr)), audio(10, aacHeader), audio(10, []byte{0xaf, 1, 1}), video(40, avcBody(false, 0, slice))},
	},
	{
		name: "video only, without a hint", lists: 1, tracks: 1, units: 2,
		tags: []flv.Tag{video(0, avcHeader), video(0, avcBody(true, 0, idr)), video(500, avcBody(false, 0, slice))},
	},
	{
		name: "video only, not long enough", lists: 0, units: 0,
		tags: []flv.Tag{video(0, avcHeader), video(0, avcBody(true, 0, idr)), video(499, avcBody(false, 0, slice))},
	},
	{
		name: "audio later than waited for", lists: 2, tracks: 2, units: 4,
		tags: []flv.Tag{
			video(0, avcHeader), video(0, avcBody(true, 0, idr)), video(500, avcBody(false, 0, slice)), audio(510, aacHeader),
			audio(510, []byte{0xaf, 1, 1}), video(540, avcBody(false, 0, slice)),
		},
	},
	{
		name: "unsupported audio beside video", lists: 1, tracks: 1, units: 2,
		tags: []flv.Tag{video(0, avcHeader), video(0, avcBody(true, 0, idr)), video(600, avcBody(false, 0, slice))},
	},
	{
		name: "media before its configuration", err: flv.ErrMalformed,
		tags: []flv.Tag{video(0, avcBody(true, 0, idr))},
	},
	{
		name: "end of sequence, empty bodies, commands", lists: 1, tracks: 2, units: 2,
		tags: []flv.Tag{video(0, avcHeader), audio(0, aacHeader), video(0, nil), audio(0, nil), video(0, []byte{0x17, 2, 0, 0, 0}), video(0, []byte{0x57, 0}), audio(0, []byte{0xaf, 1}), video(0, avcBody(true, 0, idr)), audio(0, []byte{0xaf, 1, 1})},
	},
	{
		name: "audio that is configured and never comes", lists: 1, tracks: 1, units: 3,
		tags: []flv.Tag{
			video(0, avcHeader), audio(0, aacHeader), video(0, avcBody(true, 0, idr)), video(500, avcBody(false, 0, slice)), video(1000, avcBody(false, 0, slice)),
		},
	},
	{
		name: "audio that is configured and comes late", lists: 2, tracks: 2, units: 4,
		tags: []flv.Tag{
			video(0, avcHeader), audio(0, aacHeader), video(0, avcBody(true, 0, idr)), video(500, avcBody(false, 0, slice)), video(1000, avcBody(false, 0, slice)),
			audio(5000, []byte{0xaf, 1, 1}),
		},
	},
	{name: "Sorenson", err: &codecs.UnsupportedError{}, tags: []flv.Tag{video(0, []byte{0x22, 1})}},
}

func TestTracksAreWaitedForButNotForEver(t *testing.T) {
	for _, tt := range waitTests {
		t.Run(tt.name, func(t *testing.T) {
			var d flv.Demuxer
			var r recorder
			var err error
			for _, tag := range tt.tags {
				tag.Body = bytes.Clone(tag.Body)
				err = d.Tag(tag, &r)
			}
			var u *codecs.UnsupportedError
			switch {
			case errors.As(tt.err, &u):
				if !errors.As(err, &u) {
					t.Fatalf("Tag: error = %v, want unsupported", err)
				}
			case !errors.Is(err, tt.err):
				t.Fatalf("Tag: error = %v, want %v", err, tt.err)
			}
			if len(r.lists) != tt.lists || len(r.units) != tt.units {
				t.Fatalf("%d lists, %d units, want %d, %d", len(r.lists), len(r.units), tt.lists, tt.units)
			}
			if tt.lists > 0 && len(r.lists[tt.lists-1]) != tt.tracks {
				t.Errorf("last list = %+v, want %d tracks", r.lists[tt.lists-1], tt.tracks)
			}
			for _, au := range r.units {
				if au.Track >= tt.tracks {
					t.Errorf("unit of track %d of %d", au.Track, tt.tracks)
				}
			}
		})
	}
}

func TestPublisherOfNothingUsableIsGivenUp(t *testing.T) {
	var d flv.Demuxer
	var r recorder
	var err error
	for ts := uint32(0); ts <= 520 && !errors.Is(err, flv.ErrNoTracks); ts += 40 {
		err = d.Tag(video(ts, []byte{0x22, 1, 2}), &r)
	}
	var u *codecs.UnsupportedError
	if !errors.Is(err, flv.ErrNoTracks) || !errors.As(err, &u) || u.Name != "Sorenson H.263" {
		t.Errorf("after half a second of Sorenson video: %v, want ErrNoTracks that names it", err)
	}
}

func TestSinkErrorIsReturned(t *testing.T) {
	gone := errors.New("kicked")
	var d flv.Demuxer
	r := recorder{err: gone}
	feed(t, &d, &r, video(0, bytes.Clone(avcHeader)), pictures)
	if err := d.Tag(video(0, avcBody(true, 0, idr)), &r); !errors.Is(err, gone) {
		t.Errorf("Tag: error = %v, want %v", err, gone)
	}
}

// clockTests are the wire times of video (v) and audio (a) tags and the DTS in milliseconds that they get.
var clockTests = []struct {
	name   string
	v      []uint32
	want   []int64
	broken []int // indices of discontinuities
}{
	{name: "plain", v: []uint32{1000, 1040, 1080}, want: []int64{0, 40, 80}},
	{name: "wrap at 32 bits", v: []uint32{0xffffffd8, 0, 40}, want: []int64{0, 40, 80}},
	{name: "beyond 24 bits", v: []uint32{0xfffff0, 0x1000018}, want: []int64{0, 40}},
	{name: "restart at zero", v: []uint32{90000, 90040, 0, 40}, want: []int64{0, 40, 80, 120}, broken: []int{3}},
	{name: "leap of an hour", v: []uint32{0, 40, 3600040, 3600080}, want: []int64{0, 40, 80, 120}, broken: []int{3}},
	{name: "outlier of an hour", v: []uint32{0, 40, 3600040, 120, 160}, want: []int64{0, 40, 80, 120, 160}},
	{name: "gap of five seconds", v: []uint32{0, 5000}, want: []int64{0, 5000}},
}

func TestTimestampsWrapRestartAndLeap(t *testing.T) {
	for _, tt := range clockTests {
		t.Run(tt.name, func(t *testing.T) {
			var d flv.Demuxer
			var r recorder
			feed(t, &d, &r, video(0, avcHeader), pictures)
			for _, ts := range tt.v {
				feed(t, &d, &r, video(ts, avcBody(false, 0, slice)))
			}
			for i, au := range r.units {
				if au.DTS != tt.want[i]*90 {
					t.Errorf("unit %d: DTS = %d ms, want %d", i, au.DTS/90, tt.want[i])
				}
				if want := slices.Contains(tt.broken, i); au.Discontinuity != want {
					t.Errorf("unit %d: Discontinuity = %v, want %v", i, au.Discontinuity, want)
				}
			}
		})
	}
}

func TestTracksThatRestartOneAfterTheOtherStayTogether(t *testing.T) {
	var d flv.Demuxer
	var r recorder
	v, a := avcBody(false, 0, slice), []byte{0xaf, 1, 1}
	feed(t, &d, &r, video(0, avcHeader), audio(0, aacHeader),
		video(100000, v), audio(100000, a), video(100040, v), audio(100023, a),
		video(0, v), audio(100046, a), video(40, v), audio(3, a), video(80, v), audio(26, a))
	var got []int64
	for _, au := range r.units {
		got = append(got, au.DTS/90)
	}
	// The picture restarts at 86 = the latest time, 46, and 40; audio follows onto the new counter at 86+3.
	if want := []int64{0, 0, 40, 23, 80, 46, 120, 83, 160, 106}; !reflect.DeepEqual(got, want) {
		t.Errorf("DTS = %v, want %v", got, want)
	}
}

func TestJitterNeverTurnsTimeBack(t *testing.T) {
	var d flv.Demuxer
	var r recorder
	feed(t, &d, &r, video(0, avcHeader), pictures)
	for _, ts := range []uint32{1000, 1040, 1020, 1040, 1080} {
		feed(t, &d, &r, video(ts, avcBody(false, 0, slice)))
	}
	for i := 1; i < len(r.units); i++ {
		if r.units[i].DTS <= r.units[i-1].DTS {
			t.Errorf("unit %d: DTS %d after %d", i, r.units[i].DTS, r.units[i-1].DTS)
		}
	}
}

func TestEncoderCountsMillisecondsFromItsBase(t *testing.T) {
	const base = 1763683200 * 90000
	e := flv.NewEncoder(base)
	tracks := codecs.Tracks{{Codec: codecs.H264, Config: avcC}}
	e.Prologue(tracks)
	for _, tt := range []struct {
		dts, pts int64
		ts       uint32
		cts      int32
	}{
		{base, base, 0, 0},
		{base + 3600, base + 10800, 40, 80},
		{base + 3600, base + 1800, 40, -20},
		{base - 900, base - 900, 0, 0},
		{base + (0xffffff+1)*90, base + (0xffffff+1)*90, 0x1000000, 0},
		{base + (1<<32+7)*90, base + (1<<32+7)*90, 7, 0},
	} {
		b := e.Encode(&codecs.AccessUnit{DTS: tt.dts, PTS: tt.pts, Payload: avcc(slice)})
		ts := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		cts := int32(uint32(b[13])<<24|uint32(b[14])<<16|uint32(b[15])<<8) >> 8
		if ts != tt.ts || cts != tt.cts {
			t.Errorf("Encode(DTS base+%d): timestamp %d, composition %d, want %d, %d", tt.dts-base, ts, cts, tt.ts, tt.cts)
		}
	}
	if b := e.Encode(&codecs.AccessUnit{Track: 3, Payload: []byte{1}}); b != nil {
		t.Errorf("Encode of an unknown track = %x, want nothing", b)
	}
	if b := e.Encode(&codecs.AccessUnit{Payload: make([]byte, flv.MaxBody)}); b != nil {
		t.Errorf("Encode of 16 MB = %d bytes, want nothing", len(b))
	}
}

func TestEncodingAllocatesOnlyTheResult(t *testing.T) {
	e := flv.NewEncoder(0)
	e.Prologue(codecs.Tracks{{Codec: codecs.H264, Config: avcC}})
	au := &codecs.AccessUnit{Payload: make([]byte, 5000)}
	if n := testing.AllocsPerRun(100, func() { e.Encode(au) }); n > 1 {
		t.Errorf("Encode: %v allocations, want 1", n)
	}
}

func BenchmarkEncoder(b *testing.B) {
	e := flv.NewEncoder(0)
	e.Prologue(codecs.Tracks{{Codec: codecs.H264, Config: avcC}})
	au := &codecs.AccessUnit{Payload: make([]byte, 5000)}
	b.SetBytes(int64(len(au.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		e.Encode(au)
	}
}

func TestAnnouncedSizesCostNothing(t *testing.T) {
	in := append([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"), 9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := flv.NewReader(bytes.NewReader(in)).Next()
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Next: error = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("Next allocated %d bytes for a tag of 16 MB that did not come", got)
	}
}

var badBodies = []flv.Tag{
	video(0, []byte{0x17}), video(0, []byte{0x17, 9, 0, 0, 0, 1}), video(0, append([]byte{0x17, 0, 0, 0, 0}, avcC[:20]...)),
	video(0, []byte{0x17, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xe0, 0}), video(0, []byte("\x90av0")),
	video(0, []byte("\x97\xff\xff")), video(0, []byte("\x96\x30avc1\x00")), video(0, []byte("\x96\x11avc1\x00\x00\xff\xff")),
	video(0, []byte("\x96\x20avc")), video(0, []byte("\x90hvc1\x01")), video(0, []byte("\x90av01\x81\x00\x00\x00\x0a\xff")),
	audio(0, []byte{0xaf}), audio(0, []byte{0xaf, 0}), audio(0, []byte{0xaf, 7, 1}), audio(0, []byte{0x2f, 1, 2}),
	audio(0, []byte("\x90OpusOpusHead")), audio(0, []byte("\x91ac-3\x0b\x77")),
	{Type: flv.TypeScript, Body: []byte{2, 0, 9}},
}

func TestMalformedBodiesAreSkipped(t *testing.T) {
	for _, tag := range badBodies {
		var d flv.Demuxer
		var r recorder
		feed(t, &d, &r, video(0, avcHeader))
		if err := d.Tag(tag, &r); !errors.Is(err, flv.ErrMalformed) {
			t.Errorf("Tag(%d, %x): error = %v, want %v", tag.Type, tag.Body, err, flv.ErrMalformed)
		}
		feed(t, &d, &r, pictures, video(0, avcBody(true, 0, idr)))
		if len(r.units) != 1 {
			t.Errorf("after %x: %d units, want 1", tag.Body, len(r.units))
		}
	}
	for name, nal := range map[string][]byte{"longer than the unit": {0, 0, 0, 9, 0x65}, "cut off": {0, 0, 0}} {
		var d flv.Demuxer
		var r recorder
		feed(t, &d, &r, video(0, avcHeader), pictures)
		if err := d.Tag(video(0, append([]byte{0x17, 1, 0, 0, 0}, nal...)), &r); !errors.Is(err, flv.ErrMalformed) {
			t.Errorf("NAL length %s: error = %v, want %v", name, err, flv.ErrMalformed)
		}
	}
}

func TestCheckWantsSomethingThatCanBeCarried(t *testing.T) {
	if err := flv.Check(codecs.Tracks{{Codec: codecs.AAC}}); err != nil {
		t.Errorf("Check(AAC) = %v", err)
	}
	if err := flv.Check(codecs.Tracks{{}}); !errors.Is(err, flv.ErrNoTracks) {
		t.Errorf("Check of an unknown codec = %v, want %v", err, flv.ErrNoTracks)
	}
}
