package mpegts_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	ts "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"

	"weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/mpegts"
	"weir/codecs/nal"
)

const wrap = 1 << 33

// A shape is what a segment is made of.
type shape struct {
	name   string
	tracks codecs.Tracks
	units  []*codecs.AccessUnit
}

var shapes = []shape{
	{"H.264 and AAC, four seconds", codecs.Tracks{videoTrack, aacTrack}, media(1, codecs.Tracks{videoTrack, aacTrack}, 4, 20000)},
	{"H.265 and AAC, two seconds", codecs.Tracks{hevcTrack, aacTrack}, media(2, codecs.Tracks{hevcTrack, aacTrack}, 2, 9000)},
	{"AAC alone", codecs.Tracks{aacTrack}, media(3, codecs.Tracks{aacTrack}, 4, 400)},
	{"MP3 and AC-3", codecs.Tracks{mp3Track, ac3Track}, media(4, codecs.Tracks{mp3Track, ac3Track}, 2, 1000)},
	{"a track that cannot be carried", codecs.Tracks{opusTrack, videoTrack}, media(5, codecs.Tracks{opusTrack, videoTrack}, 1, 3000)},
	{"small units", codecs.Tracks{videoTrack, aacTrack}, media(6, codecs.Tracks{videoTrack, aacTrack}, 1, 8)},
	{"one unit of each", codecs.Tracks{videoTrack, aacTrack}, media(7, codecs.Tracks{videoTrack, aacTrack}, 0, 300)},
	{"one byte", codecs.Tracks{mp3Track}, []*codecs.AccessUnit{{Payload: []byte{1}, RandomAccess: true}}},
	{"one byte each", codecs.Tracks{mp3Track, ac3Track}, []*codecs.AccessUnit{
		{Payload: []byte{1}, RandomAccess: true},
		{Track: 1, Payload: []byte{2}, RandomAccess: true},
		{DTS: 99000, PTS: 99000, Payload: []byte{3}, RandomAccess: true},
	}},
	{"one NAL unit of one byte", codecs.Tracks{{Codec: codecs.H264, Config: videoTrack.Config}}, []*codecs.AccessUnit{
		{Payload: []byte{0, 0, 0, 1, 0x41}},
	}},
	{"audio only, although there is a video track", codecs.Tracks{videoTrack, aacTrack}, func() []*codecs.AccessUnit {
		units := media(8, codecs.Tracks{videoTrack, aacTrack}, 2, 300)
		return slices.DeleteFunc(units, func(au *codecs.AccessUnit) bool { return au.Track == 0 })
	}()},
}

// start is a little before the timestamps of MPEG-TS wrap, some day in 2026.
const start = 18_600*wrap - 90_000

// media makes access units of random bytes of up to most bytes. Video has its DTS a picture before its PTS.
func media(seed uint64, tracks codecs.Tracks, seconds int64, most int) []*codecs.AccessUnit {
	r := rand.New(rand.NewPCG(seed, 0))
	var units []*codecs.AccessUnit
	for i, t := range tracks {
		samples, rate := int64(1024), int64(t.SampleRate)
		switch {
		case t.Codec.Video():
			samples, rate = 1, 25
		case t.Codec == codecs.AC3:
			samples = 1536
		case t.Codec == codecs.MP3:
			samples = 1152
		}
		for k := int64(0); k == 0 || k*samples < seconds*rate; k++ {
			au := &codecs.AccessUnit{Track: i, DTS: start + (k*samples*90000+rate/2)/rate, RandomAccess: true}
			au.PTS = au.DTS
			if t.Codec.Video() {
				au.PTS += 3600
				au.RandomAccess = k%50 == 0
				for range 1 + r.IntN(3) {
					unit := random(r, 2+r.IntN(most))
					unit[0], unit[1] = 0x41, 0x02 // a slice, in H.264 as in H.265
					au.Payload = append(au.Payload, nal.Join(unit)...)
				}
			} else {
				au.Payload = random(r, 1+r.IntN(min(most, 4000)))
			}
			units = append(units, au)
		}
	}
	slices.SortStableFunc(units, func(a, b *codecs.AccessUnit) int { return int(a.DTS - b.DTS) })
	return units
}

// random makes bytes without zeros, which would need emulation prevention.
func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + r.IntN(255))
	}
	return b
}

// segmentTwice checks what holds for every segment, and returns what is in it.
func segmentTwice(t *testing.T, tracks codecs.Tracks, units []*codecs.AccessUnit) *inspector {
	t.Helper()
	b := mpegts.Segment(tracks, units)
	once, twice := newInspector(), newInspector()
	if err := errors.Join(once.read(b), once.end()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(twice.read(b), twice.read(b), twice.read(b)); err != nil {
		t.Fatalf("segment after itself: %v", err)
	}
	for pid, n := range once.packets {
		if n%16 != 0 {
			t.Errorf("PID %#x has %d packets with payload, want a multiple of 16", pid, n)
		}
	}
	return once
}

func TestAnySegmentFollowsAnyOther(t *testing.T) {
	all := newInspector()
	for range 2 {
		for i, s := range shapes {
			x := segmentTwice(t, s.tracks, s.units)
			if n, m := x.sections[0], x.sections[0x1000]; n != 16 || m != 16 {
				t.Errorf("%s: %d PATs and %d PMTs, want 16 each", s.name, n, m)
			}
			if err := all.read(mpegts.Segment(s.tracks, s.units)); err != nil {
				t.Errorf("%s, after %s: %v", s.name, shapes[(i+len(shapes)-1)%len(shapes)].name, err)
			}
		}
	}
}

func TestSegmentCarriesWhatWentIn(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			x := segmentTwice(t, s.tracks, s.units)
			for i, track := range s.tracks {
				var data, want []byte
				stamps := map[int64]int64{} // PTS by DTS
				for _, p := range x.pes[0x100+i] {
					data = append(data, p.data...)
					stamps[p.dts] = p.pts
					if p.header < 14 && len(data) > 100 {
						t.Errorf("track %d: the header of a PES packet is split after %d bytes", i, p.header)
					}
				}
				videos := 0
				for _, au := range s.units {
					if au.Track != i || track.Codec == codecs.Opus {
						continue
					}
					want = append(want, elementary(track, au)...)
					if track.Codec.Video() {
						videos++
						if got, ok := stamps[au.DTS%wrap]; !ok || got != au.PTS%wrap {
							t.Errorf("track %d: access unit with DTS %d has PTS %d, want %d", i, au.DTS%wrap, got, au.PTS%wrap)
						}
					}
				}
				if !bytes.Equal(data, want) {
					t.Errorf("track %d: %d bytes of elementary stream differ from %d wanted", i, len(data), len(want))
				}
				if track.Codec.Video() && len(x.pes[0x100+i]) != videos {
					t.Errorf("track %d: %d PES packets, want %d", i, len(x.pes[0x100+i]), videos)
				}
			}
		})
	}
}

// elementary is what a decoder must get.
func elementary(t codecs.Track, au *codecs.AccessUnit) []byte {
	var b []byte
	code := func(unit []byte) { b = append(append(b, 0, 0, 0, 1), unit...) }
	switch t.Codec {
	case codecs.H264:
		code([]byte{9, 0xf0})
		if au.RandomAccess {
			code(sps)
			code(pps)
		}
	case codecs.H265:
		code([]byte{0x46, 1, 0x50})
		if au.RandomAccess {
			code(vps265)
			code(sps265)
			code(pps265)
		}
	case codecs.AAC:
		n := len(au.Payload) + 7
		b = []byte{0xff, 0xf1, 0x4c, 0x80 | byte(n>>11), byte(n >> 3), byte(n<<5) | 0x1f, 0xfc}
		return append(b, au.Payload...)
	default:
		return au.Payload
	}
	for u := range nal.Units(au.Payload) {
		code(u)
	}
	return b
}

func TestSegmentIsReadByAnotherDemuxer(t *testing.T) {
	s := shapes[0]
	r := &ts.Reader{R: bytes.NewReader(mpegts.Segment(s.tracks, s.units))}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Tracks()); n != 2 {
		t.Fatalf("%d tracks, want 2", n)
	}
	r.OnDecodeError(func(err error) { t.Errorf("decode error: %v", err) })
	var videos, audios int
	var video, audio []*codecs.AccessUnit
	for _, au := range s.units {
		if au.Track == 0 {
			video = append(video, au)
		} else {
			audio = append(audio, au)
		}
	}
	r.OnDataH264(r.Tracks()[0], func(pts, dts int64, units [][]byte) error {
		au := video[videos]
		videos++
		if au.RandomAccess && (!bytes.Equal(units[0], sps) || !bytes.Equal(units[1], pps)) {
			t.Errorf("access unit %d lacks its parameter sets", videos)
		} else if au.RandomAccess {
			units = units[2:]
		}
		if pts != au.PTS%wrap || dts != au.DTS%wrap || !bytes.Equal(nal.Join(units...), au.Payload) {
			t.Errorf("access unit %d: PTS %d, DTS %d, want %d, %d; or its data differs", videos, pts, dts, au.PTS%wrap, au.DTS%wrap)
		}
		return nil
	})
	r.OnDataMPEG4Audio(r.Tracks()[1], func(pts int64, units [][]byte) error {
		if want := audio[audios].PTS % wrap; pts != want {
			t.Errorf("audio access unit %d: PTS %d, want %d", audios, pts, want)
		}
		if len(units) > 10 {
			t.Errorf("%d access units in a PES packet, more than 200 ms", len(units))
		}
		for _, u := range units {
			if !bytes.Equal(u, audio[audios].Payload) {
				t.Errorf("audio access unit %d differs", audios)
			}
			audios++
		}
		return nil
	})
	for {
		err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if videos != len(video) || audios != len(audio) {
		t.Errorf("%d and %d access units, want %d and %d", videos, audios, len(video), len(audio))
	}
}

func TestClockLeadsAndDoesNotPause(t *testing.T) {
	for _, s := range shapes {
		x := segmentTwice(t, s.tracks, s.units)
		first := s.units[0].DTS
		for i, pcr := range x.pcrs {
			if i == 0 {
				if lead := (first - pcr + wrap) % wrap; lead < 9000 || lead > 90000 {
					if s.name != "audio only, although there is a video track" {
						t.Errorf("%s: first PCR leads by %d ticks", s.name, lead)
					}
				}
				continue
			}
			if step := (pcr - x.pcrs[i-1] + wrap) % wrap; step > 20000 && s.name != "one byte each" {
				t.Errorf("%s: %d ticks between two PCRs", s.name, step)
			}
		}
		if len(x.pcrs) == 0 {
			t.Errorf("%s: no PCR", s.name)
		}
	}
}

func TestBrokenAccessUnitsAreLeftOut(t *testing.T) {
	good := &codecs.AccessUnit{DTS: 9000, PTS: 9000, RandomAccess: true, Payload: nal.Join([]byte{0x65, 1, 2, 3})}
	bad := []*codecs.AccessUnit{
		{Track: -1, Payload: good.Payload},
		{Track: 7, Payload: good.Payload},
		{DTS: 1, PTS: 1},
		{DTS: 2, PTS: 2, Payload: []byte{0, 0}},
		{DTS: 3, PTS: 3, Payload: []byte{0xff, 0xff, 0xff, 0xff, 1}},
		{DTS: 4, PTS: 4, Payload: []byte{0, 0, 0, 0}},
		{Track: 1, DTS: 5, PTS: 5},
		{Track: 1, DTS: 6, PTS: 6, Payload: make([]byte, aac.MaxADTS+1)},
	}
	tracks := codecs.Tracks{videoTrack, aacTrack}
	want := mpegts.Segment(tracks, []*codecs.AccessUnit{good})
	if got := mpegts.Segment(tracks, append(bad, good)); !bytes.Equal(got, want) {
		t.Errorf("a segment with broken access units has %d bytes, want the %d of the good one", len(got), len(want))
	}
	if got := mpegts.Segment(tracks, bad); got != nil {
		t.Errorf("Segment(broken access units) = %d bytes, want none", len(got))
	}
	if got := mpegts.Segment(codecs.Tracks{opusTrack}, []*codecs.AccessUnit{{Payload: []byte{1}}}); got != nil {
		t.Errorf("Segment(Opus) = %d bytes, want none", len(got))
	}
}

var checkTests = []struct {
	name   string
	tracks codecs.Tracks
	ok     bool
}{
	{"nothing", nil, false},
	{"H.264", codecs.Tracks{videoTrack}, true},
	{"Opus", codecs.Tracks{opusTrack}, false},
	{"Opus and H.265", codecs.Tracks{opusTrack, hevcTrack}, true},
	{"AV1", codecs.Tracks{{Codec: codecs.AV1, Config: []byte{0x81, 0, 0, 0}}}, false},
	{"H.264 with a broken configuration", codecs.Tracks{{Codec: codecs.H264, Config: []byte{1, 2, 3}}}, false},
	{"H.264 with short lengths", codecs.Tracks{{Codec: codecs.H264, Config: func() []byte {
		c := bytes.Clone(videoTrack.Config)
		c[4] = 0xfd
		return c
	}()}}, false},
	{"AAC of 960 samples", codecs.Tracks{{Codec: codecs.AAC, Config: []byte{0x11, 0x94}}}, false},
}

func TestCheckSaysWhetherAnyTrackCanBeCarried(t *testing.T) {
	for _, test := range checkTests {
		err := mpegts.Check(test.tracks)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, mpegts.ErrNoTrack) {
			t.Errorf("Check(%s) = %v, want success: %v", test.name, err, test.ok)
		}
	}
}

func TestTablesDependOnTracksAlone(t *testing.T) {
	version := func(tracks codecs.Tracks) byte {
		x := newInspector()
		if err := x.read(mpegts.NewEncoder(0).Prologue(tracks)); err != nil {
			t.Fatal(err)
		}
		return x.tables[0x1000][5] >> 1 & 31
	}
	a, b := codecs.Tracks{videoTrack, aacTrack}, codecs.Tracks{hevcTrack, aacTrack}
	first, again := version(a), version(codecs.Tracks{videoTrack, aacTrack})
	if first != again {
		t.Errorf("PMT versions %d and %d of equal tracks", first, again)
	}
	if other, less := version(b), version(a[:1]); first == other || first == less {
		t.Errorf("PMT versions %d, %d, %d of different tracks", first, other, less)
	}
}

func TestEncoderCountsOn(t *testing.T) {
	s := shapes[0]
	e := mpegts.NewEncoder(0)
	prologue := e.Prologue(s.tracks)
	all := newInspector()
	if err := all.read(prologue); err != nil {
		t.Fatal(err)
	}
	var tail []byte
	for _, au := range s.units {
		b := e.Encode(au)
		if cap(b) != len(b) {
			t.Fatalf("an access unit is allocated with %d bytes for %d", cap(b), len(b))
		}
		if err := all.read(b); err != nil {
			t.Fatal(err)
		}
		if au.Track == 0 && au.RandomAccess {
			tail = nil
			if pid := int(b[1]&0x1f)<<8 | int(b[2]); pid != 0 {
				t.Errorf("a random access point starts with PID %#x, want the PAT", pid)
			}
		}
		tail = append(tail, b...)
	}
	if err := all.end(); err != nil {
		t.Fatal(err)
	}
	if n := len(all.pes[0x100]); n != 100 {
		t.Errorf("%d PES packets of video, want 100", n)
	}
	late := newInspector()
	if err := late.read(append(bytes.Clone(prologue), tail...)); err != nil {
		t.Errorf("a viewer that joins late: %v", err)
	}

	// Changed tracks go on with the counters that were there.
	if err := all.read(e.Prologue(s.tracks[:1])); err != nil {
		t.Error(err)
	}
	if err := all.read(e.Encode(s.units[0])); err != nil {
		t.Errorf("after a change of tracks: %v", err)
	}
	if e.Encode(&codecs.AccessUnit{Track: 1, Payload: []byte{1}}) != nil {
		t.Error("an access unit of a track that is gone is written")
	}
}

func TestEncoderWithoutVideoRepeatsTablesSeldom(t *testing.T) {
	s := shapes[2]
	e := mpegts.NewEncoder(0)
	x := newInspector()
	if err := x.read(e.Prologue(s.tracks)); err != nil {
		t.Fatal(err)
	}
	for _, au := range s.units {
		if err := x.read(e.Encode(au)); err != nil {
			t.Fatal(err)
		}
	}
	if n := x.sections[0]; n < 15 || n > 25 {
		t.Errorf("%d PATs in four seconds, want about 20", n)
	}
}

func TestClockOfEncoderNeverGoesBackUnannounced(t *testing.T) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	e := mpegts.NewEncoder(0)
	x := newInspector()
	_ = x.read(e.Prologue(tracks))
	slice := nal.Join([]byte{0x41, 2, 3})
	write := func(track int, dts int64, broken bool) {
		t.Helper()
		au := &codecs.AccessUnit{Track: track, DTS: dts, PTS: dts, Discontinuity: broken, Payload: slice}
		if err := x.read(e.Encode(au)); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 1_000_000, false)
	write(1, 1_030_000, false) // ahead of video, and video slower than clocks may be
	write(0, 1_010_000, false)
	write(0, 1_040_000, false)
	if !slices.IsSorted(x.pcrs) || len(x.pcrs) != 3 {
		t.Errorf("PCRs %v, want three that ascend", x.pcrs)
	}
	before := x.breaks
	write(0, 500_000, false)
	write(0, 900_000, true)
	if n := x.breaks - before; n != 2 || len(x.pcrs) != 5 {
		t.Errorf("%d packets announce a new clock, want 2; %d PCRs, want 5", n, len(x.pcrs))
	}
}

func FuzzSegment(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 1, 0x65}, []byte{5}, int64(start), int64(3600), uint8(3))
	f.Add(nal.Join(bytes.Repeat([]byte{0x41}, 400), []byte{6}), bytes.Repeat([]byte{7}, 185), int64(-5), int64(-90000), uint8(40))
	f.Fuzz(func(t *testing.T, video, audio []byte, dts, step int64, n uint8) {
		tracks := codecs.Tracks{videoTrack, aacTrack, mp3Track}
		var units []*codecs.AccessUnit
		for i := range int64(n % 64) {
			at := dts + i*step
			units = append(
				units,
				&codecs.AccessUnit{DTS: at, PTS: at + step, RandomAccess: i%7 == 0, Payload: video},
				&codecs.AccessUnit{Track: 1, DTS: at, PTS: at, RandomAccess: true, Payload: audio},
				&codecs.AccessUnit{Track: 2, DTS: at, PTS: at, RandomAccess: true, Discontinuity: i == 3, Payload: audio},
			)
		}
		segmentTwice(t, tracks, units)
		e := mpegts.NewEncoder(0)
		x := newInspector()
		if err := x.read(e.Prologue(tracks)); err != nil {
			t.Fatal(err)
		}
		for _, au := range units {
			if err := x.read(e.Encode(au)); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.end(); err != nil {
			t.Fatal(err)
		}
	})
}

// Budget: a segment costs its one buffer and what its tables need, however many access units it has; an access unit that
// is written alone, one.
func TestWritingAllocatesOnlyTheResult(t *testing.T) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	units := media(1, tracks, 4, 4000)
	few := testing.AllocsPerRun(20, func() { mpegts.Segment(tracks, units[:len(units)/8]) })
	if n := testing.AllocsPerRun(20, func() { mpegts.Segment(tracks, units) }); n > few+4 || n > 40 {
		t.Errorf("Segment of %d access units: %v allocations, of an eighth of them %v; want about as many, and at most 40", len(units), n, few)
	}
	e := mpegts.NewEncoder(0)
	e.Prologue(tracks)
	i := 0
	if n := testing.AllocsPerRun(len(units)-1, func() { e.Encode(units[i]); i++ }); n > 1 {
		t.Errorf("Encode: %v allocations, want 1", n)
	}
}

func BenchmarkSegment(b *testing.B) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	units := media(1, tracks, 4, 4000)
	b.SetBytes(payload(units))
	b.ReportAllocs()
	for b.Loop() {
		mpegts.Segment(tracks, units)
	}
}

func BenchmarkEncoder(b *testing.B) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	units := media(1, tracks, 4, 4000)
	e := mpegts.NewEncoder(0)
	e.Prologue(tracks)
	b.SetBytes(payload(units) / int64(len(units)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e.Encode(units[i%len(units)])
		i++
	}
}

func payload(units []*codecs.AccessUnit) (n int64) {
	for _, au := range units {
		n += int64(len(au.Payload))
	}
	return n
}

func TestAudioBehindAGapGetsItsOwnTimestamp(t *testing.T) {
	tracks := codecs.Tracks{videoTrack, aacTrack}
	var units []*codecs.AccessUnit
	for k := range int64(8) {
		at := k * 1920
		if k >= 4 {
			at += 1000 // half an access unit is missing
		}
		units = append(units, &codecs.AccessUnit{Track: 1, DTS: at, PTS: at, Payload: []byte{1, 2, 3}, Discontinuity: k == 6})
	}
	var got []int64
	for _, p := range segmentTwice(t, tracks, units).pes[0x101] {
		got = append(got, p.pts)
	}
	if want := []int64{0, 4*1920 + 1000, 6*1920 + 1000}; !slices.Equal(got, want) {
		t.Errorf("timestamps at %v, want %v", got, want)
	}
}
