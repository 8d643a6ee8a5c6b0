package gop_test

import (
	"testing"

	"weir/codecs"
	"weir/codecs/gop"
)

// Access units in a notation: K a key picture, p another one, a audio; each 40 ms after the one before. ! before one
// marks a discontinuity.
func add(x *gop.Index, from uint64, units string, video bool) {
	broken := false
	for _, c := range units {
		if c == '!' {
			broken = true
			continue
		}
		au := &codecs.AccessUnit{DTS: int64(from) * 3600, RandomAccess: c != 'p', Discontinuity: broken}
		if video && c == 'a' {
			au.Track = 1
		}
		x.Add(from, au, video)
		from++
		broken = false
	}
}

var newestTests = []struct {
	name  string
	units string // numbered from 100
	video bool
	trim  uint64
	want  uint64 // zero: none
}{
	{"nothing", "", true, 0, 0},
	{"no key picture", "papapa", true, 0, 0},
	{"two GOPs", "KapappaaKpap", true, 0, 108},
	{"audio does not count with video", "aaKaaa", true, 0, 102},
	{"trimmed away", "Kppp", true, 101, 0},
	{"trimmed up to it", "KppKpp", true, 103, 103},
	{"audio, less than a second", "aaaa", false, 0, 100},
	{"audio, one second back", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, 0, 114},
	{"audio, trimmed", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, 130, 130},
	{"audio, not over a break", "aaaaaaaa!aaa", false, 0, 108},
	{"a break in video", "Kpp!ppp", true, 0, 100},
}

func TestViewerStartsAtTheNewestPoint(t *testing.T) {
	for _, test := range newestTests {
		var x gop.Index
		add(&x, 100, test.units, test.video)
		x.Trim(test.trim)
		got, ok := x.Newest()
		if got != test.want || ok != (test.want > 0) {
			t.Errorf("Newest(%s) = %d, %v, want %d", test.name, got, ok, test.want)
		}
	}
}

func TestViewerThatComesFromElsewhereGoesOnBeforeWhatItHas(t *testing.T) {
	var x gop.Index
	if seq, ok := x.Before(1 << 40); ok {
		t.Errorf("Before() = %d of an empty index, want none", seq)
	}
	for seq, dts := range []int64{10, 20, 30, 40, 50} {
		x.Add(uint64(100+seq), &codecs.AccessUnit{DTS: dts, RandomAccess: seq%2 == 0}, true)
	}
	for _, test := range []struct {
		dts  int64
		want uint64
	}{{9, 0}, {10, 100}, {29, 100}, {30, 102}, {49, 102}, {50, 104}, {1000, 104}} {
		if got, ok := x.Before(test.dts); got != test.want || ok != (test.want > 0) {
			t.Errorf("Before(%d) = %d, %v, want %d", test.dts, got, ok, test.want)
		}
	}
}

func TestPointsOfOtherTracksAreForgotten(t *testing.T) {
	var x gop.Index
	add(&x, 100, "aaaa", false)
	add(&x, 104, "pap", true)
	if seq, ok := x.Newest(); ok {
		t.Errorf("Newest() = %d before the first key picture, want none", seq)
	}
	add(&x, 107, "Kp", true)
	if seq, _ := x.Newest(); seq != 107 {
		t.Errorf("Newest() = %d, want 107", seq)
	}
	add(&x, 107, "K", true) // a number that does not ascend
	add(&x, 50, "K", true)
	if seq, _ := x.Newest(); seq != 107 {
		t.Errorf("Newest() = %d, want 107", seq)
	}
	x.Reset()
	if seq, ok := x.Newest(); ok {
		t.Errorf("Newest() = %d after Reset, want none", seq)
	}
}

func TestIndexThatNobodyTrimsStaysSmall(t *testing.T) {
	var x gop.Index
	for seq := range uint64(10_000) {
		x.Add(seq, &codecs.AccessUnit{DTS: int64(seq), RandomAccess: true}, true)
	}
	if seq, _ := x.Newest(); seq != 9999 {
		t.Errorf("Newest() = %d, want 9999", seq)
	}
	if seq, ok := x.Before(5000); ok {
		t.Errorf("Before(5000) = %d: old points are kept", seq)
	}
}

// Budget: no allocation for an access unit.
func BenchmarkAdd(b *testing.B) {
	var x gop.Index
	au := &codecs.AccessUnit{RandomAccess: true}
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		x.Add(seq, au, true)
		x.Trim(seq - 10)
		x.Newest()
	}
}
