package linear_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"weir/codecs"
	"weir/codecs/linear"
)

// now is an instant in 2026, in ticks; fiftyYears later the 33-bit counter of a transport stream has wrapped often.
const (
	now        = int64(1_795_000_000) * codecs.ClockRate
	fiftyYears = int64(50*365*86400) * codecs.ClockRate
	wrap33     = int64(1) << 33
)

// names are payloads that say which access unit they are.
type names struct{}

func (names) Payload(track, sample int) ([]byte, error) {
	return binary.BigEndian.AppendUint32([]byte{byte(track)}, uint32(sample)), nil
}

// sampleOf reads what [names] wrote.
func sampleOf(au *codecs.AccessUnit) int { return int(binary.BigEndian.Uint32(au.Payload[1:])) }

// video makes a track of n access units, a random access point every gop, with b B pictures between two others. Its
// earliest presentation is at 0.
func video(n, gop, b int, duration int64) linear.Track {
	t := linear.Track{Track: codecs.Track{Codec: codecs.H264, Width: 320, Height: 180}, End: int64(n-b) * duration}
	for i := range n {
		s := linear.Sample{DTS: int64(i-b) * duration, Size: 100, RandomAccess: i%gop == 0}
		s.PTS = s.DTS + int64(b)*duration
		if b > 0 && i%gop != 0 { // I P B B P B B, the last ones P
			switch k := (i - 1) % gop % (b + 1); {
			case i%gop+b >= gop || i+b >= n:
			case k == 0:
				s.PTS += int64(b) * duration
			default:
				s.PTS -= duration
			}
		}
		t.Samples = append(t.Samples, s)
	}
	return t
}

func audio(n, rate int) linear.Track {
	g := linear.NewGrid(1024, rate)
	t := linear.Track{
		Track: codecs.Track{Codec: codecs.AAC, SampleRate: rate, Channels: 2},
		Unit:  1024, Rate: rate, End: g.At(int64(n)),
	}
	for i := range n {
		at := g.At(int64(i))
		t.Samples = append(t.Samples, linear.Sample{DTS: at, PTS: at, Size: 10})
	}
	return t
}

// clips are used by several tests; each is made anew because a clip takes its samples over.
var clips = []struct {
	name   string
	tracks func() []linear.Track
}{
	{"B pictures and 48 kHz", func() []linear.Track { return []linear.Track{video(260, 50, 2, 3600), audio(488, 48000)} }},
	{"B pictures and 44.1 kHz", func() []linear.Track { return []linear.Track{video(260, 50, 2, 3600), audio(448, 44100)} }},
	{"audio first in the file", func() []linear.Track { return []linear.Track{audio(488, 48000), video(260, 48, 0, 3600)} }},
	{"video alone", func() []linear.Track { return []linear.Track{video(299, 30, 0, 3003)} }},
	{"audio alone", func() []linear.Track { return []linear.Track{audio(1000, 44100)} }},
	{"one access unit", func() []linear.Track { return []linear.Track{video(1, 1, 0, 3600)} }},
	{"one access unit of audio", func() []linear.Track { return []linear.Track{audio(1, 44100)} }},
	{"half a second", func() []linear.Track { return []linear.Track{video(13, 13, 2, 3600), audio(24, 48000)} }},
	{"one random access point", func() []linear.Track { return []linear.Track{video(500, 500, 2, 1800), audio(400, 44100)} }},
	{"audio one unit short", func() []linear.Track { return []linear.Track{video(260, 50, 0, 3600), audio(487, 48000)} }},
	{"audio half as long", func() []linear.Track { return []linear.Track{video(260, 50, 0, 3600), audio(244, 48000)} }},
	{"audio twice as long", func() []linear.Track { return []linear.Track{video(260, 50, 0, 3600), audio(976, 48000)} }},
	{"begins with a broken GOP", func() []linear.Track {
		v := video(260, 50, 0, 3600)
		v.Samples[0].RandomAccess = false
		return []linear.Track{v, audio(488, 48000)}
	}},
	{"offset start and priming", func() []linear.Track {
		v, a := video(260, 50, 2, 3600), audio(489, 48000)
		v.End += 7_000_000
		for i := range v.Samples {
			v.Samples[i].DTS += 7_000_000
			v.Samples[i].PTS += 7_000_000
		}
		for i := range a.Samples {
			a.Samples[i].PTS += 7_000_000 - 1920
		}
		return []linear.Track{v, a}
	}},
	{"varying durations", func() []linear.Track {
		v := video(260, 20, 0, 3600)
		for i := range v.Samples {
			v.Samples[i].DTS += int64(i*i%7) * 300
			v.Samples[i].PTS = v.Samples[i].DTS
		}
		return []linear.Track{v}
	}},
	{"timestamps that stand still and composition before decoding", func() []linear.Track {
		v := video(260, 20, 0, 3600)
		for i := range v.Samples {
			v.Samples[i].DTS -= v.Samples[i].DTS % 7200
			v.Samples[i].PTS = v.Samples[i].DTS - 3600
		}
		return []linear.Track{v}
	}},
}

func program(t testing.TB, tracks []linear.Track) *linear.Program {
	t.Helper()
	c, err := linear.NewClip(tracks, names{})
	if err != nil {
		t.Fatalf("NewClip: %v", err)
	}
	p, err := linear.NewProgram(c)
	if err != nil {
		t.Fatalf("NewProgram: %v", err)
	}
	return p
}

func segment(t testing.TB, l linear.Timeline, msn int64) []*codecs.AccessUnit {
	t.Helper()
	units, err := l.Segment(msn)
	if err != nil {
		t.Fatalf("Segment(%d): %v", msn, err)
	}
	return units
}

// TestSegmentsOfEveryClipJoin looks at some loops from an instant on, among them those over the wrap of 33 bits.
func TestSegmentsOfEveryClipJoin(t *testing.T) {
	instants := []int64{-5 * codecs.ClockRate, 0, now, (now/wrap33+1)*wrap33 - 20*codecs.ClockRate, now + fiftyYears}
	for _, tt := range clips {
		t.Run(tt.name, func(t *testing.T) {
			p := program(t, tt.tracks())
			for _, from := range instants {
				join(t, p, from, 3*p.Length()+60*codecs.ClockRate)
			}
		})
	}
}

// join checks the segments of a stretch: their numbers, bounds, order and first access units.
func join(t *testing.T, p linear.Timeline, from, length int64) {
	t.Helper()
	tracks := p.Tracks()
	last := make(map[int]int64)
	lastDTS := int64(-1 << 62)
	for msn := p.SegmentAt(from); ; msn++ {
		start, end := p.Bounds(msn)
		if start > from+length {
			return
		}
		if next, _ := p.Bounds(msn + 1); next != end || end-start < linear.Shortest || end-start > p.Longest() {
			t.Fatalf("Bounds(%d) = %d, %d; the next starts at %d", msn, start, end, next)
		}
		for _, at := range []int64{start, (start + end) / 2, end - 1} {
			if got := p.SegmentAt(at); got != msn {
				t.Fatalf("SegmentAt(%d) = %d, want %d", at, got, msn)
			}
		}
		units := segment(t, p, msn)
		if first := units[0]; first.DTS != start || !first.RandomAccess || first.Cut != msn ||
			tracks[first.Track].Codec.Video() != (tracks.Video() >= 0) {
			t.Fatalf("segment %d from %d starts with %+v", msn, start, *first)
		}
		for i, au := range units {
			if au.DTS < start || au.DTS >= end || au.PTS < au.DTS || au.Duration <= 0 || (i > 0 && au.Cut != 0) {
				t.Fatalf("segment %d [%d, %d) holds %+v", msn, start, end, *au)
			}
			before, seen := last[au.Track]
			if au.DTS < lastDTS || seen && au.DTS <= before {
				t.Fatalf("segment %d: DTS %d of track %d after %d, of any track %d", msn, au.DTS, au.Track, before, lastDTS)
			}
			if lastDTS = au.DTS; i > 0 && au.DTS == units[i-1].DTS && tracks[au.Track].Codec.Video() {
				t.Fatalf("segment %d: video after audio of the same DTS %d", msn, au.DTS)
			}
			last[au.Track] = au.DTS
		}
	}
}

func TestTwoProgramsOfOneClipAreEqual(t *testing.T) {
	for _, tt := range clips {
		a, b := program(t, tt.tracks()), program(t, tt.tracks())
		for msn := a.SegmentAt(now); msn < a.SegmentAt(now)+20; msn++ {
			x, y := segment(t, a, msn), segment(t, b, msn)
			if len(x) != len(y) {
				t.Fatalf("%s: segment %d has %d and %d access units", tt.name, msn, len(x), len(y))
			}
			for i := range x {
				if fmt.Sprint(*x[i]) != fmt.Sprint(*y[i]) || !bytes.Equal(x[i].Payload, y[i].Payload) {
					t.Fatalf("%s: segment %d differs at %d: %+v, %+v", tt.name, msn, i, *x[i], *y[i])
				}
			}
		}
	}
}

// loops returns the access units of a track, by their distance from the start of the loop that holds their PTS.
func loops(t *testing.T, p *linear.Program, track, n int) (units []*codecs.AccessUnit) {
	t.Helper()
	first := now / p.Length() * p.Length()
	for msn := p.SegmentAt(first) - 1; ; msn++ {
		if start, _ := p.Bounds(msn); start > first+int64(n)*p.Length() {
			return units
		}
		for _, au := range segment(t, p, msn) {
			if au.Track == track && au.PTS >= first && au.PTS < first+int64(n)*p.Length() {
				units = append(units, au)
			}
		}
	}
}

func TestAudioIsUniformOverTheSeam(t *testing.T) {
	for _, rate := range []int{48000, 44100, 32000, 11025} {
		for _, missing := range []int{-1, 0, 1} {
			g := linear.NewGrid(1024, rate)
			n := int(g.First(260*3600)) - missing
			p := program(t, []linear.Track{video(260, 50, 2, 3600), audio(n, rate)})
			units := loops(t, p, 1, 20)
			for i, au := range units {
				if want := g.At(g.First(units[0].DTS) + int64(i)); au.DTS != want {
					t.Fatalf("%d Hz, %d missing: unit %d at %d, want %d", rate, missing, i, au.DTS, want)
				}
			}
			if got, want := len(units), int(g.First(20*p.Length())); got < want-1 || got > want+1 {
				t.Errorf("%d Hz, %d missing: %d units in 20 loops, want %d", rate, missing, got, want)
			}
		}
	}
}

func TestAudioPlaysTheClipInOrderWithinOneUnitOfItsTime(t *testing.T) {
	const n = 488
	p := program(t, []linear.Track{video(260, 50, 2, 3600), audio(n, 48000)})
	length, unit := p.Length(), int64(1920)
	for _, au := range loops(t, p, 1, 5) {
		in := au.PTS % length
		if want := int64(sampleOf(au)) * unit; in < want || in >= want+unit {
			t.Errorf("audio access unit %d of the clip at %d of the loop, want within a unit of %d", sampleOf(au), in, want)
		}
	}
}

func TestShortAudioLeavesItsGapAtTheEndOfTheLoop(t *testing.T) {
	p := program(t, []linear.Track{video(260, 50, 0, 3600), audio(244, 48000)})
	units := loops(t, p, 1, 3)
	if len(units) != 3*244 {
		t.Fatalf("%d audio access units in 3 loops, want %d", len(units), 3*244)
	}
	for i, au := range units {
		if got := sampleOf(au); got != i%244 {
			t.Fatalf("audio access unit %d is %d of the clip, want %d", i, got, i%244)
		}
	}
}

func TestAudioHoleInsideAClipStaysAHole(t *testing.T) {
	a := audio(480, 48000)
	for i := 200; i < len(a.Samples); i++ {
		a.Samples[i].PTS += 10 * 1920
	}
	p := program(t, []linear.Track{video(260, 50, 0, 3600), a})
	for _, au := range loops(t, p, 1, 3) {
		n := int64(sampleOf(au))
		want := n * 1920
		if n >= 200 {
			want += 10 * 1920
		}
		if in := au.PTS % p.Length(); in < want || in >= want+1920 {
			t.Errorf("audio access unit %d at %d, want within a unit of %d", n, in, want)
		}
	}
}

// A timestamp that is wrong by a year must cost no memory.
func TestHoleOfAYearIsCheap(t *testing.T) {
	got := testing.AllocsPerRun(1, func() {
		a := audio(480, 48000)
		for i := 470; i < len(a.Samples); i++ {
			a.Samples[i].PTS += 365 * 86400 * codecs.ClockRate
		}
		p := program(t, []linear.Track{video(260, 50, 0, 3600), a})
		segment(t, p, 1)
		if _, err := p.Segment(3); err == nil {
			t.Error("a segment of a year: no error")
		}
	})
	if got > 5000 {
		t.Errorf("%v allocations", got)
	}
}

func TestAudioBeforeTheVideoIsDropped(t *testing.T) {
	v, a := video(260, 50, 0, 3600), audio(488, 48000)
	v.Samples = v.Samples[10:] // and the first forty are no use
	p := program(t, []linear.Track{v, a})
	if got, want := p.Length(), int64(210*3600); got != want {
		t.Fatalf("length = %d, want %d", got, want)
	}
	if got := sampleOf(loops(t, p, 0, 1)[0]); got != 40 {
		t.Errorf("first video access unit = %d of the track, want 40", got)
	}
	if got, want := sampleOf(loops(t, p, 1, 1)[0]), 50*3600/1920+1; got != want {
		t.Errorf("first audio access unit = %d of the track, want %d", got, want)
	}
}

var cutTests = []struct {
	name   string
	n, gop int
	want   []int64 // seconds, of the first loop
}{
	{"every 2 s of 10.4 s", 260, 50, []int64{4, 4}},
	{"every 3 s", 300, 75, []int64{3, 3, 3, 3}},
	{"every 5 s", 300, 125, []int64{5, 5, 2}},
	{"every 10 s", 500, 250, []int64{10, 10}},
	{"a last half second is merged", 113, 25, []int64{4}},
	{"every access unit", 200, 1, []int64{4, 4}},
	{"the end is nearer than the last point", 115, 62, []int64{4}},
}

func TestCutsComeNearestToTheTarget(t *testing.T) {
	for _, tt := range cutTests {
		p := program(t, []linear.Track{video(tt.n, tt.gop, 0, 3600)})
		var got []int64
		for msn := p.SegmentAt(0); ; msn++ {
			start, end := p.Bounds(msn)
			if start >= p.Length() {
				break
			}
			got = append(got, (end-start)/codecs.ClockRate)
		}
		if tt.name == "every 2 s of 10.4 s" {
			tt.want = append(tt.want, 2)
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: segments of %v s, want %v", tt.name, got, tt.want)
		}
	}
}

func TestGridDoesNotDriftInFiftyYears(t *testing.T) {
	for _, rate := range []int{44100, 48000, 22050, 7350, 96000} {
		g := linear.NewGrid(1024, rate)
		for _, seconds := range []int64{0, 1, 1_795_000_000, 1_795_000_000 + 50*365*86400} {
			// 1024 seconds hold exactly rate units.
			seconds -= seconds % 1024
			unit := seconds / 1024 * int64(rate)
			if got, want := g.At(unit), seconds*codecs.ClockRate; got != want {
				t.Errorf("%d Hz: At(%d) = %d, want %d", rate, unit, got, want)
			}
			if got := g.First(seconds * codecs.ClockRate); got != unit {
				t.Errorf("%d Hz: First(%d s) = %d, want %d", rate, seconds, got, unit)
			}
			for u := unit; u < unit+2000; u++ {
				if at := g.At(u); g.First(at) != u || g.First(at+1) != u+1 || g.Last(at+1) != u {
					t.Fatalf("%d Hz: unit %d at %d: First = %d, after it %d, Last = %d", rate, u, at, g.First(at), g.First(at+1), g.Last(at+1))
				}
			}
		}
	}
}

func TestFarNumbersAreErrorsAndNotOverflows(t *testing.T) {
	for _, tt := range clips {
		p := program(t, tt.tracks())
		for _, msn := range []int64{-1 << 63, -1 << 62, 1 << 62, 1<<63 - 1} {
			if units, err := p.Segment(msn); err == nil {
				t.Errorf("%s: Segment(%d) = %d access units, want an error", tt.name, msn, len(units))
			}
			if start, end := p.Bounds(msn); start > end {
				t.Errorf("%s: Bounds(%d) = %d, %d", tt.name, msn, start, end)
			}
			p.SegmentAt(msn)
		}
	}
}

var badClips = []struct {
	name   string
	tracks []linear.Track
	err    error  // when it is not nil
	say    string // otherwise
}{
	{"none", nil, linear.ErrEmpty, ""},
	{"no access units", []linear.Track{{Track: codecs.Track{Codec: codecs.H264}}}, linear.ErrEmpty, ""},
	{"no random access point", []linear.Track{func() linear.Track {
		v := video(10, 10, 0, 3600)
		v.Samples[0].RandomAccess = false
		return v
	}()}, linear.ErrRandomAccess, ""},
	{"two videos", []linear.Track{video(1, 1, 0, 1), video(1, 1, 0, 1)}, nil, "only one"},
	{"no unit", []linear.Track{{Track: codecs.Track{Codec: codecs.AAC}, Samples: make([]linear.Sample, 3)}}, nil, "no access unit"},
	{"absurd time", []linear.Track{func() linear.Track {
		v := video(10, 10, 0, 3600)
		v.Samples[5].PTS = -1 << 63
		return v
	}()}, nil, "out of range"},
	{"audio gone before the video", []linear.Track{func() linear.Track {
		v := video(10, 10, 0, 3600)
		for i := range v.Samples {
			v.Samples[i].PTS += 900_000
		}
		return v
	}(), audio(10, 48000)}, nil, "before the video"},
}

func TestBadClipsAreRefused(t *testing.T) {
	for _, tt := range badClips {
		_, err := linear.NewClip(tt.tracks, names{})
		if err == nil || (tt.err != nil && !errors.Is(err, tt.err)) || !strings.Contains(err.Error(), tt.say) {
			t.Errorf("NewClip(%s): error = %v, want %v %q", tt.name, err, tt.err, tt.say)
		}
	}
}

func TestSegmentTooBigForMemoryIsRefused(t *testing.T) {
	v := video(500, 500, 0, 3600)
	for i := range v.Samples {
		v.Samples[i].Size = 1 << 20
	}
	c, err := linear.NewClip([]linear.Track{v}, names{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := linear.NewProgram(c); err == nil || !strings.Contains(err.Error(), "random access point") {
		t.Errorf("NewProgram: error = %v", err)
	}
}

var errDisk = errors.New("disk on fire")

type broken struct{ names }

func (b broken) Payload(track, sample int) ([]byte, error) {
	if sample == 7 {
		return nil, errDisk
	}
	return b.names.Payload(track, sample)
}

func TestUnreadablePayloadIsTheSegmentsError(t *testing.T) {
	c, err := linear.NewClip([]linear.Track{video(250, 50, 0, 3600)}, broken{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := linear.NewProgram(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Segment(p.SegmentAt(now / p.Length() * p.Length())); !errors.Is(err, errDisk) {
		t.Errorf("Segment: error = %v, want %v", err, errDisk)
	}
}

func TestExcerptHoldsTheFirstSeconds(t *testing.T) {
	p := program(t, []linear.Track{video(260, 50, 0, 3600), audio(488, 48000)})
	units, err := linear.Excerpt(p, 12)
	if err != nil {
		t.Fatal(err)
	}
	var n [2]int
	for _, au := range units {
		n[au.Track]++
	}
	if n[0] != 300 || n[1] != 563 || units[0].DTS != 0 {
		t.Errorf("Excerpt(12) = %d video and %d audio access units from %d on, want 300, 563, 0", n[0], n[1], units[0].DTS)
	}
	if _, err := linear.Excerpt(p, 1<<40); err == nil {
		t.Error("Excerpt of 2^40 s: no error")
	}
}

// FuzzProgram looks for clips whose segments do not join.
func FuzzProgram(f *testing.F) {
	f.Add(uint16(260), uint16(50), uint16(3600), uint16(488), uint32(48000), int32(0), int64(now))
	f.Add(uint16(1), uint16(1), uint16(1), uint16(0), uint32(44100), int32(500), int64(0))
	f.Add(uint16(0), uint16(1), uint16(1), uint16(1), uint32(44100), int32(-500), int64(-1))
	f.Fuzz(func(t *testing.T, n, gop, duration, units uint16, rate uint32, shift int32, at int64) {
		v, a := linear.Track{Track: codecs.Track{Codec: codecs.H264}}, linear.Track{Track: codecs.Track{Codec: codecs.AAC}}
		if n > 0 && gop > 0 {
			v = video(int(n%2000), int(gop), 0, int64(duration))
		}
		if rate = rate % 200000; rate > 0 {
			a = audio(int(units%2000), int(rate))
		}
		for i := range a.Samples {
			a.Samples[i].PTS += int64(shift)
		}
		c, err := linear.NewClip([]linear.Track{v, a}, names{})
		if err != nil {
			return
		}
		p, err := linear.NewProgram(c)
		if err != nil {
			return
		}
		at %= linear.MaxTicks / 1024
		join(t, p, at, 10*codecs.ClockRate)
	})
}
