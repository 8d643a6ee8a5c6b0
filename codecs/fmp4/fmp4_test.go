package fmp4_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	oracle "github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	mp4codecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"weir/codecs"
	"weir/codecs/fmp4"
	"weir/codecs/h264"
	"weir/codecs/h265"
)

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

var (
	sps = []byte{
		0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03,
		0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20,
	}
	pps    = []byte{0x68, 0xcb, 0x8c, 0xb2}
	vps265 = []byte{
		0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
		0x00, 0x7b, 0x18, 0xb0, 0x24,
	}
	sps265 = []byte{
		0x42, 0x01, 0x01, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x7b, 0xa0,
		0x07, 0x82, 0x00, 0x88, 0x7d, 0xb6, 0x71, 0x8b, 0x92, 0x44, 0x80, 0x53, 0x88, 0x88, 0x92, 0xcf, 0x24, 0xa6, 0x92,
		0x72, 0xc9, 0x12, 0x49, 0x22, 0xdc, 0x91, 0xaa, 0x48, 0xfc, 0xa2, 0x23, 0xff, 0x00, 0x01, 0x00, 0x01, 0x6a, 0x02,
		0x02, 0x02, 0x01,
	}
	pps265 = []byte{0x44, 0x01, 0xc0, 0x25, 0x2f, 0x05, 0x32, 0x40}

	videoTrack = must(h264.Syntax.Track([][]byte{sps, pps}))
	hevcTrack  = must(h265.Syntax.Track([][]byte{vps265, sps265, pps265}))
	av1Track   = codecs.Track{Codec: codecs.AV1, Width: 640, Height: 360, Config: []byte{
		0x81, 0x08, 0x0c, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x42, 0xa7, 0xbf, 0xe4, 0x60, 0x0d, 0x00, 0x40,
	}}
	aacTrack  = codecs.Track{Codec: codecs.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}
	heTrack   = codecs.Track{Codec: codecs.AAC, Config: []byte{0x2b, 0x11, 0x88, 0}, SampleRate: 48000, Channels: 2}
	cdTrack   = codecs.Track{Codec: codecs.AAC, Config: []byte{0x12, 0x10}, SampleRate: 44100, Channels: 2}
	fineTrack = codecs.Track{Codec: codecs.AAC, Config: []byte{0x10, 0x10}, SampleRate: 96000, Channels: 2}
	mp3Track  = codecs.Track{Codec: codecs.MP3, SampleRate: 44100, Channels: 2}
	ac3Track  = codecs.Track{Codec: codecs.AC3, SampleRate: 48000, Channels: 6}
	opusTrack = codecs.Track{Codec: codecs.Opus, SampleRate: 48000, Channels: 2, Config: []byte{0, 2, 1, 56, 0, 0, 0xbb, 0x80, 0, 0, 0}}
)

// epoch is some day in 2026 on a grid of whole seconds.
const epoch = 1_793_000_000 * codecs.ClockRate

var trackTests = []struct {
	name  string
	track codecs.Track
	codec string // empty when the track cannot be carried
	want  mp4codecs.Codec
}{
	{"H.264", videoTrack, "avc1.42c028", &mp4codecs.H264{SPS: sps, PPS: pps}},
	{"H.265", hevcTrack, "hvc1.2.4.L123.B0", &mp4codecs.H265{VPS: vps265, SPS: sps265, PPS: pps265}},
	{"AV1", av1Track, "av01.0.08M.08", &mp4codecs.AV1{SequenceHeader: []byte{8, 0, 0, 0, 0x42, 0xa7, 0xbf, 0xe4, 0x60, 0x0d, 0x00, 0x40}}},
	{"AAC", aacTrack, "mp4a.40.2", &mp4codecs.MPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{
		Type: 2, SampleRate: 48000, ChannelConfig: 2,
	}}},
	{"HE-AAC", heTrack, "mp4a.40.5", &mp4codecs.MPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{
		Type: 2, SampleRate: 24000, ChannelConfig: 2, ExtensionType: 5, ExtensionSampleRate: 48000,
	}}},
	{"MP3", mp3Track, "mp4a.6b", &mp4codecs.MPEG1Audio{SampleRate: 44100, ChannelCount: 2}},
	{"AC-3", ac3Track, "ac-3", &mp4codecs.AC3{SampleRate: 48000, ChannelCount: 6, Bsid: 8, Acmod: 7, LfeOn: true, BitRateCode: 15}},
	{"Opus", opusTrack, "opus", &mp4codecs.Opus{ChannelCount: 2}},

	{"H.264 without configuration", codecs.Track{Codec: codecs.H264}, "", nil},
	{"H.264 without parameter sets", codecs.Track{Codec: codecs.H264, Config: []byte{1, 66, 0, 30, 0xff, 0xe0, 0}}, "", nil},
	{"H.265 cut off", codecs.Track{Codec: codecs.H265, Config: hevcTrack.Config[:60]}, "", nil},
	{"AV1 of no version", codecs.Track{Codec: codecs.AV1, Config: []byte{0, 0, 0, 0}}, "", nil},
	{"AAC without configuration", codecs.Track{Codec: codecs.AAC}, "", nil},
	{"Opus cut off", codecs.Track{Codec: codecs.Opus, Config: opusTrack.Config[:5]}, "", nil},
	{"AC-3 at a rate it does not have", codecs.Track{Codec: codecs.AC3, SampleRate: 8000, Channels: 2}, "", nil},
	{"nothing", codecs.Track{}, "", nil},
}

func TestInitDescribesEachCodec(t *testing.T) {
	for _, test := range trackTests {
		tracks := codecs.Tracks{test.track}
		if got := fmp4.Codecs(tracks); got != test.codec {
			t.Errorf("Codecs(%s) = %q, want %q", test.name, got, test.codec)
		}
		b, err := fmp4.Init(tracks)
		if check := fmp4.Check(tracks); (check == nil) != (test.codec != "") {
			t.Errorf("Check(%s) = %v", test.name, check)
		}
		if test.codec == "" {
			if !errors.Is(err, fmp4.ErrNoTrack) {
				t.Errorf("Init(%s): error %v, want %v", test.name, err, fmp4.ErrNoTrack)
			}
			continue
		}
		if err != nil {
			t.Errorf("Init(%s): %v", test.name, err)
			continue
		}
		var init oracle.Init
		if err := init.Unmarshal(bytes.NewReader(b)); err != nil {
			t.Errorf("%s: mediacommon: %v", test.name, err)
			continue
		}
		it := init.Tracks[0]
		if it.ID != 1 || it.TimeScale != fmp4.Timescale(test.track) {
			t.Errorf("%s: track %d with timescale %d", test.name, it.ID, it.TimeScale)
		}
		if !equal(it.Codec, test.want) {
			t.Errorf("%s: codec %+v, want %+v", test.name, it.Codec, test.want)
		}
		if _, err := mp4.DecodeFile(bytes.NewReader(b)); err != nil {
			t.Errorf("%s: mp4ff: %v", test.name, err)
		}
		if again := must(fmp4.Init(tracks)); !bytes.Equal(again, b) {
			t.Errorf("%s: two init segments of the same tracks differ", test.name)
		}
	}
}

// equal compares by what is printed: the types hold pointers to plain values only.
func equal(a, b mp4codecs.Codec) bool {
	aw, err1 := oracleInit(a)
	bw, err2 := oracleInit(b)
	return err1 == nil && err2 == nil && bytes.Equal(aw, bw)
}

func TestTrackThatCannotBeCarriedLeavesAHole(t *testing.T) {
	tracks := codecs.Tracks{videoTrack, {}, aacTrack}
	var init oracle.Init
	if err := init.Unmarshal(bytes.NewReader(must(fmp4.Init(tracks)))); err != nil {
		t.Fatal(err)
	}
	if len(init.Tracks) != 2 || init.Tracks[0].ID != 1 || init.Tracks[1].ID != 3 {
		t.Errorf("tracks %+v, want 1 and 3", init.Tracks)
	}
	if got, want := fmp4.Codecs(tracks), "avc1.42c028,mp4a.40.2"; got != want {
		t.Errorf("Codecs() = %q, want %q", got, want)
	}
}

// media makes n access units of each track, video with B-frames, each of its own size, and what follows them.
func media(tracks codecs.Tracks, from, n int64) (units []*codecs.AccessUnit, next []int64) {
	dts := func(t codecs.Track, k int64) int64 {
		if t.Codec.Video() {
			return epoch + k*3600
		}
		rate := int64(t.SampleRate)
		return epoch + (k*1024*codecs.ClockRate+rate/2)/rate
	}
	for i, t := range tracks {
		for k := from; k < from+n; k++ {
			au := &codecs.AccessUnit{Track: i, DTS: dts(t, k), RandomAccess: !t.Codec.Video() || k%5 == 0}
			au.PTS = au.DTS
			if t.Codec.Video() {
				au.PTS += []int64{7200, 10800, 0, -3600, 3600}[k%5]
			}
			au.Payload = bytes.Repeat([]byte{byte(k), byte(i)}, int(50+k%7))
			units = append(units, au)
		}
		next = append(next, dts(t, from+n))
	}
	slices.SortStableFunc(units, func(a, b *codecs.AccessUnit) int { return int(a.DTS - b.DTS) })
	return units, next
}

func TestFragmentsAreReadByOtherParsers(t *testing.T) {
	tracks := codecs.Tracks{videoTrack, cdTrack, aacTrack, fineTrack}
	end := make([]uint64, len(tracks))
	for f := range int64(4) {
		units, next := media(tracks, f*50, 50)
		b := fmp4.Fragment(tracks, uint32(f+9), units, next)
		if cap(b) != len(b) {
			t.Errorf("fragment is allocated with %d bytes for %d", cap(b), len(b))
		}
		if again := fmp4.Fragment(tracks, uint32(f+9), units, next); !bytes.Equal(again, b) {
			t.Error("two fragments of the same arguments differ")
		}
		if _, err := mp4.DecodeFile(bytes.NewReader(b)); err != nil {
			t.Fatalf("mp4ff: %v", err)
		}
		var parts oracle.Parts
		if err := parts.Unmarshal(b[24:]); err != nil {
			t.Fatalf("mediacommon: %v", err)
		}
		if len(parts) != 1 || parts[0].SequenceNumber != uint32(f+9) || len(parts[0].Tracks) != len(tracks) {
			t.Fatalf("parts %+v", parts)
		}
		for i, pt := range parts[0].Tracks {
			if pt.ID != i+1 || f > 0 && pt.BaseTime != end[i] {
				t.Errorf("fragment %d, track %d starts at %d, want %d, where the one before ends", f, pt.ID, pt.BaseTime, end[i])
			}
			var own []*codecs.AccessUnit
			for _, au := range units {
				if au.Track == i {
					own = append(own, au)
				}
			}
			if len(pt.Samples) != len(own) {
				t.Fatalf("track %d has %d samples, want %d", pt.ID, len(pt.Samples), len(own))
			}
			end[i] = pt.BaseTime
			for k, s := range pt.Samples {
				au := own[k]
				if !bytes.Equal(s.Payload, au.Payload) || s.IsNonSyncSample == au.RandomAccess || int64(s.PTSOffset) != au.PTS-au.DTS {
					t.Errorf("track %d, sample %d: %d bytes, PTS offset %d, no sync sample %v", pt.ID, k, len(s.Payload), s.PTSOffset, s.IsNonSyncSample)
				}
				want := uint32(1024)
				switch i {
				case 0:
					want = 3600
				case 3:
					want = 960 // in ticks
				}
				if s.Duration != want {
					t.Errorf("track %d, sample %d lasts %d, want %d: the grid is not recovered", pt.ID, k, s.Duration, want)
				}
				end[i] += uint64(s.Duration)
			}
		}
	}
}

var lastTests = []struct {
	name  string
	units []*codecs.AccessUnit
	next  []int64
	want  []uint32 // durations
}{
	{"next is known", units(0, 3600, 9000), []int64{10000}, []uint32{3600, 5400, 1000}},
	{"next is not known", units(0, 3600, 9000), []int64{0}, []uint32{3600, 5400, 5400}},
	{"next is missing", units(0, 3600, 9000), nil, []uint32{3600, 5400, 5400}},
	{"next is in the past", units(0, 3600, 9000), []int64{5}, []uint32{3600, 5400, 5400}},
	{"the last knows its duration", func() []*codecs.AccessUnit {
		u := units(0, 3600)
		u[1].Duration = 1800
		return u
	}(), nil, []uint32{3600, 1800}},
	{"one alone", units(90000), nil, []uint32{0}},
	{"time goes back", units(0, 3600, 1800, 5400), nil, []uint32{3600, 0, 3600, 3600}},
	{"a gap longer than a field", units(0, math.MaxUint32+5), []int64{math.MaxUint32 + 6}, []uint32{math.MaxUint32, 1}},
}

func units(dts ...int64) (list []*codecs.AccessUnit) {
	for _, d := range dts {
		list = append(list, &codecs.AccessUnit{DTS: d, PTS: d, Payload: []byte{1}})
	}
	return list
}

func TestLastAccessUnitLastsUntilTheNextOrAsTheOneBefore(t *testing.T) {
	for _, test := range lastTests {
		var parts oracle.Parts
		if err := parts.Unmarshal(fmp4.Fragment(codecs.Tracks{videoTrack}, 1, test.units, test.next)[24:]); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var got []uint32
		for _, s := range parts[0].Tracks[0].Samples {
			got = append(got, s.Duration)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: durations %v, want %v", test.name, got, test.want)
		}
	}
}

func TestFragmentLeavesOutTracksWithoutAccessUnits(t *testing.T) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	list := []*codecs.AccessUnit{{Track: 5, Payload: []byte{9}}, {Track: -1, Payload: []byte{9}}, {Track: 1, DTS: 90000, PTS: 90000, Payload: []byte{7}}}
	var parts oracle.Parts
	if err := parts.Unmarshal(fmp4.Fragment(tracks, 1, list, nil)[24:]); err != nil {
		t.Fatal(err)
	}
	if pt := parts[0].Tracks; len(pt) != 1 || pt[0].ID != 2 || pt[0].BaseTime != 48000 || !bytes.Equal(pt[0].Samples[0].Payload, []byte{7}) {
		t.Errorf("tracks %+v, want the second only", pt)
	}
	f, err := mp4.DecodeFile(bytes.NewReader(fmp4.Fragment(tracks, 1, nil, nil)))
	if err != nil || len(f.Segments) != 1 {
		t.Errorf("a fragment of nothing: %v, %v", f, err)
	}
}

// oracleInit writes a codec as mediacommon does, to compare two of them.
func oracleInit(c mp4codecs.Codec) ([]byte, error) {
	var w seekable
	err := (&oracle.Init{Tracks: []*oracle.InitTrack{{ID: 1, TimeScale: 90000, Codec: c}}}).Marshal(&w)
	return w.b, err
}

// A seekable is a buffer that can be written at any place.
type seekable struct {
	b  []byte
	at int
}

func (s *seekable) Write(p []byte) (int, error) {
	if n := s.at + len(p); n > len(s.b) {
		s.b = append(s.b, make([]byte, n-len(s.b))...)
	}
	s.at += copy(s.b[s.at:], p)
	return len(p), nil
}

func (s *seekable) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case 0:
		s.at = int(offset)
	case 1:
		s.at += int(offset)
	default:
		s.at = len(s.b) + int(offset)
	}
	return int64(s.at), nil
}

func FuzzInit(f *testing.F) {
	for _, test := range trackTests {
		f.Add(byte(test.track.Codec), test.track.Config, test.track.SampleRate, test.track.Channels)
	}
	f.Fuzz(func(t *testing.T, codec byte, config []byte, rate, channels int) {
		tracks := codecs.Tracks{{Codec: codecs.Codec(codec), Config: config, SampleRate: rate, Channels: channels, Width: 2, Height: 2}}
		names := fmp4.Codecs(tracks)
		b, err := fmp4.Init(tracks)
		if (err == nil) != (names != "") || (err == nil) != (fmp4.Check(tracks) == nil) {
			t.Fatalf("Init: %v, Codecs: %q, Check: %v", err, names, fmp4.Check(tracks))
		}
		if err == nil && len(b) > 2000+len(config) {
			t.Errorf("an init segment of %d bytes for a configuration of %d", len(b), len(config))
		}
	})
}

// Budget: one allocation of the exact size and one for bookkeeping.
func TestWritingAFragmentAllocatesOnlyTheResult(t *testing.T) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	units, next, _ := load(tracks)
	if n := testing.AllocsPerRun(20, func() { fmp4.Fragment(tracks, 1, units, next) }); n > 2 {
		t.Errorf("Fragment: %v allocations, want 2", n)
	}
}

func BenchmarkFragment(b *testing.B) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	units, next, size := load(tracks)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		fmp4.Fragment(tracks, 1, units, next)
	}
}

// BenchmarkFragmentWithMP4FF does the same with mp4ff, for comparison.
func BenchmarkFragmentWithMP4FF(b *testing.B) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	units, _, size := load(tracks)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		f := must(mp4.CreateMultiTrackFragment(1, []uint32{1, 2}))
		for _, au := range units {
			s := mp4.FullSample{
				Sample:     mp4.Sample{Dur: 3600, Size: uint32(len(au.Payload)), CompositionTimeOffset: int32(au.PTS - au.DTS)},
				DecodeTime: uint64(au.DTS), Data: au.Payload,
			}
			if err := f.AddFullSampleToTrack(s, uint32(au.Track+1)); err != nil {
				b.Fatal(err)
			}
		}
		var w bytes.Buffer
		w.Grow(int(f.Size()))
		if err := f.Encode(&w); err != nil {
			b.Fatal(err)
		}
	}
}

// load is two seconds of 1 Mbit/s.
func load(tracks codecs.Tracks) (list []*codecs.AccessUnit, next []int64, size int64) {
	list, next = media(tracks, 0, 100)
	for _, au := range list {
		au.Payload = make([]byte, 300)
		if au.Track == 0 {
			au.Payload = make([]byte, 2300)
		}
		size += int64(len(au.Payload))
	}
	return list, next, size
}
