package timeline_test

import (
	"slices"
	"testing"

	"weir/codecs"
	"weir/codecs/order"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

const ms = codecs.ClockRate / 1000

// none is the time of a picture without a timestamp.
const none = -1 << 40

// A row is a picture, in milliseconds: its DTS and PTS as they come, and its picture order count.
type row struct {
	dts, pts int64
	count    int
	key      bool
}

// pictureTests are pictures as they come, and the DTS and PTS that they get, in milliseconds.
var pictureTests = []struct {
	name     string
	in       []row
	depth    int // of the order; -1 if nothing bounds it
	dts, pts []int64
	marked   []int
	repaired uint64
}{
	{
		name: "as they are", in: []row{{0, 40, 0, true}, {40, 160, 0, false}, {80, 80, 0, false}, {120, 120, 0, false}},
		dts: []int64{0, 40, 80, 120}, pts: []int64{40, 160, 80, 120},
	},
	{
		name: "a step back of 55 ms now and then", in: []row{{0, 0, 0, true}, {40, 40, 0, false}, {80, 80, 0, false}, {35, 35, 0, false}, {160, 160, 0, false}},
		dts: []int64{0, 40, 80, 100, 160}, pts: []int64{0, 40, 80, 100, 160}, repaired: 1,
	},
	{
		name: "a step back that stays", in: []row{{0, 0, 0, true}, {40, 40, 0, false}, {80, 80, 0, false}, {65, 65, 0, false}, {105, 105, 0, false}, {145, 145, 0, false}},
		dts: []int64{0, 40, 80, 100, 105, 145}, pts: []int64{0, 40, 80, 100, 105, 145}, repaired: 1,
	},
	{
		name: "an outlier of hours", in: []row{{0, 0, 0, true}, {40, 40, 0, false}, {9e6, 9e6, 0, false}, {120, 120, 0, false}, {160, 160, 0, false}},
		dts: []int64{0, 40, 80, 120, 160}, pts: []int64{0, 40, 80, 120, 160}, repaired: 1,
	},
	{
		name: "outliers in a row, none like the other", in: []row{{0, 0, 0, true}, {40, 40, 0, false}, {9e6, 9e6, 0, false}, {-5e6, -5e6, 0, false}, {160, 160, 0, false}},
		dts: []int64{0, 40, 80, 120, 160}, pts: []int64{0, 40, 80, 120, 160}, repaired: 2,
	},
	{
		name: "a jump in the middle of a GOP", in: []row{{0, 0, 0, true}, {40, 40, 0, false}, {9e6, 9e6, 0, false}, {9e6 + 40, 9e6 + 40, 0, false}},
		dts: []int64{0, 40, 80, 120}, pts: []int64{0, 40, 80, 120}, marked: []int{3}, repaired: 2,
	},
	{
		name: "an encoder that begins anew", in: []row{{5000, 5000, 0, true}, {5040, 5040, 0, false}, {0, 0, 0, true}, {40, 40, 0, false}},
		dts: []int64{5000, 5040, 5080, 5120}, pts: []int64{5000, 5040, 5080, 5120}, marked: []int{2}, repaired: 1,
	},
	{
		name: "an outlier at a random access point", in: []row{{0, 0, 0, true}, {40, 40, 0, false}, {9e6, 9e6, 0, true}, {120, 120, 0, false}},
		dts: []int64{0, 40, 80, 120}, pts: []int64{0, 40, 80, 120}, marked: []int{2, 3}, repaired: 2,
	},
	{
		name: "composition from the last reference", in: []row{{0, 0, 0, true}, {40, 120, 0, false}, {80, 40, 0, false}, {120, 80, 0, false}, {160, 240, 0, false}, {200, 160, 0, false}},
		dts: []int64{0, 40, 60, 80, 120, 160}, pts: []int64{0, 120, 60, 80, 240, 160}, repaired: 1,
	},
	{
		name: "every second without a time", in: []row{{0, 0, 0, true}, {none, none, 2, false}, {80, 80, 4, false}, {none, none, 6, false}, {160, 160, 8, false}, {none, none, 10, false}},
		dts: []int64{0, 40, 80, 120, 160, 200}, pts: []int64{0, 40, 80, 120, 160, 200}, repaired: 3,
	},
	{
		name: "every second without a time, of an order that differs", depth: 1,
		in:  []row{{0, 40, 0, true}, {none, none, 6, false}, {80, 80, 2, false}, {none, none, 4, false}, {160, 280, 12, false}, {none, none, 8, false}, {240, 240, 10, false}},
		dts: []int64{0, 40, 80, 120, 160, 200, 240}, pts: []int64{40, 160, 80, 120, 280, 200, 240}, repaired: 3,
	},
	{
		name: "only random access points have a time", depth: 1,
		in: []row{
			{0, 40, 0, true},
			{none, none, 6, false},
			{none, none, 2, false},
			{none, none, 4, false},
			{160, 200, 0, true},
			{none, none, 6, false},
			{none, none, 2, false},
			{none, none, 4, false},
		},
		dts: []int64{0, 40, 80, 120, 160, 200, 240, 280}, pts: []int64{40, 160, 80, 120, 200, 320, 240, 280}, repaired: 6,
	},
	{
		name: "a PTS only, in the order in which they come", in: []row{{none, 0, 0, true}, {none, 40, 2, false}, {none, 80, 4, false}},
		dts: []int64{0, 40, 80}, pts: []int64{0, 40, 80},
	},
	{
		name: "a PTS only, in an order that is bounded", depth: 1,
		in:  []row{{none, 0, 0, true}, {none, 120, 6, false}, {none, 40, 2, false}, {none, 80, 4, false}, {none, 240, 12, false}, {none, 160, 8, false}},
		dts: []int64{-40, 0, 40, 80, 120, 160}, pts: []int64{0, 120, 40, 80, 240, 160},
	},
	{
		name: "a PTS only, in an order that nothing bounds", depth: -1,
		in:  []row{{none, 0, 0, true}, {none, 160, 8, false}, {none, 80, 4, false}, {none, 40, 2, false}, {none, 120, 6, false}, {none, 320, 16, false}},
		dts: []int64{0, 1, 2, 40, 80, 120}, pts: []int64{0, 160, 80, 40, 120, 320}, repaired: 2,
	},
	{
		name: "a PTS only, that steps back", in: []row{{none, 0, 0, true}, {none, 40, 2, false}, {none, 80, 4, false}, {none, 35, 6, false}, {none, 160, 8, false}},
		dts: []int64{0, 40, 80, 100, 160}, pts: []int64{0, 40, 80, 100, 160}, repaired: 1,
	},
	{
		name: "a PTS only where others have a DTS", in: []row{{0, 40, 0, true}, {40, 160, 6, false}, {none, 80, 2, false}, {none, 120, 4, false}, {160, 280, 12, false}},
		dts: []int64{0, 40, 80, 120, 160}, pts: []int64{40, 160, 80, 120, 280},
	},
}

func stamp(r row) timeline.Stamp {
	switch {
	case r.pts == none:
		return timeline.Stamp{}
	case r.dts == none:
		return timeline.Presented(r.pts * ms)
	}
	return timeline.At(r.dts*ms, r.pts*ms)
}

func TestPicturesGetTimesThatRise(t *testing.T) {
	for _, tt := range pictureTests {
		t.Run(tt.name, func(t *testing.T) {
			var report reception.Record
			track := timeline.New(timeline.Config{Report: &report}).Track(true)
			var out []*codecs.AccessUnit
			for _, r := range tt.in {
				p := order.Picture{Counted: true, Count: r.count, Reset: r.key, Bounded: tt.depth >= 0, Depth: max(0, tt.depth)}
				out = append(out, track.Picture(&codecs.AccessUnit{RandomAccess: r.key}, stamp(r), p)...)
			}
			out = append(out, track.Flush()...)
			var dts, pts []int64
			var marked []int
			for i, au := range out {
				dts, pts = append(dts, au.DTS/ms), append(pts, au.PTS/ms)
				if au.Discontinuity {
					marked = append(marked, i)
				}
			}
			if !slices.Equal(dts, tt.dts) || !slices.Equal(pts, tt.pts) {
				t.Errorf("DTS %v, PTS %v;\nwant %v and %v", dts, pts, tt.dts, tt.pts)
			}
			if n := report.Counts[reception.RepairedTimes]; !slices.Equal(marked, tt.marked) || n != tt.repaired {
				t.Errorf("%v are marked, %d repaired, want %v and %d", marked, n, tt.marked, tt.repaired)
			}
		})
	}
}

// soundTests are sounds of 20 ms as they come, and the DTS that they get, in milliseconds.
var soundTests = []struct {
	name    string
	in, dts []int64
	rounded int64
}{
	{"as they are", []int64{0, 20, 40}, []int64{0, 20, 40}, 0},
	{"without times", []int64{100, none, none, 160}, []int64{100, 120, 140, 160}, 0},
	{"before the first time", []int64{none, 100, 120}, []int64{100, 120}, 0},
	{"rounded up and down", []int64{0, 21, 39, 60}, []int64{0, 20, 40, 60}, ms},
	{"a step back", []int64{0, 20, 5, 60}, []int64{0, 20, 39, 60}, 0},
	{"an outlier", []int64{0, 20, 9e6, 60}, []int64{0, 20, 40, 60}, 0},
	{"a jump", []int64{0, 20, 9e6, 9e6 + 20}, []int64{0, 20, 40, 80}, 0},
	{"a gap", []int64{0, 20, 3000, 3020}, []int64{0, 20, 3000, 3020}, 0},
}

func TestSoundGetsTimesThatRise(t *testing.T) {
	for _, tt := range soundTests {
		track := timeline.New(timeline.Config{Report: reception.Discard, Rounded: tt.rounded}).Track(false)
		var dts []int64
		for _, at := range tt.in {
			s := timeline.Presented(at * ms)
			if at == none {
				s = timeline.Stamp{}
			}
			if au := track.Sound(&codecs.AccessUnit{}, s, 960, 48000); au != nil {
				dts = append(dts, au.DTS/ms)
			}
		}
		if !slices.Equal(dts, tt.dts) {
			t.Errorf("%s: DTS %v, want %v", tt.name, dts, tt.dts)
		}
	}
}

func TestTrackWhoseTimesStandStillGoesOnAtItsPace(t *testing.T) {
	var report reception.Record
	track := timeline.New(timeline.Config{Report: &report}).Track(true)
	var out []*codecs.AccessUnit
	for i := range int64(200) {
		at := min(i, 50) * 40 * ms
		out = append(out, track.Picture(&codecs.AccessUnit{}, timeline.At(at, at), order.Picture{})...)
	}
	if span := (out[199].DTS - out[99].DTS) / ms; span != 4000 {
		t.Errorf("100 pictures of 40 ms whose times stand still last %d ms, want 4000", span)
	}
	if reason := report.Conditions[reception.Stalled]; reason == "" {
		t.Error("nothing says that the times stand still")
	}
	for i := range int64(20) {
		at := (200 + i) * 40 * ms
		out = append(out, track.Picture(&codecs.AccessUnit{}, timeline.At(at, at), order.Picture{})...)
	}
	if last := out[len(out)-1].DTS / ms; last != 219*40 || report.Conditions[reception.Stalled] != "" {
		t.Errorf("when the times go on, the last picture is at %d and %q is said, want %d and nothing", last, report.Conditions, 219*40)
	}
}

// play sends so many seconds of pictures of 40 ms and sound of 20 ms, whose clock runs fast by so many parts in a million and leads by
// what lead says, and returns by how much the sound is ahead at the end of each second.
func play(seconds int64, fast int64, lead func(second int64) int64) (ahead []int64) {
	l := timeline.New(timeline.Config{Report: reception.Discard})
	v, a := l.Track(true), l.Track(false)
	var seen, sound *codecs.AccessUnit
	for s := range seconds {
		for i := range int64(25) {
			at := (s*25 + i) * 40 * ms
			seen = v.Picture(&codecs.AccessUnit{RandomAccess: i == 0}, timeline.At(at, at), order.Picture{})[0]
			for j := range int64(2) {
				heard := at + j*20*ms
				heard += heard*fast/1_000_000 + lead(s)
				sound = a.Sound(&codecs.AccessUnit{}, timeline.Presented(heard), 960, 48000)
			}
		}
		ahead = append(ahead, sound.DTS-seen.DTS)
	}
	return ahead
}

func TestSoundThatDriftsIsBroughtBack(t *testing.T) {
	level := func(int64) int64 { return 0 }
	for _, tt := range []struct {
		name string
		fast int64
		lead func(int64) int64
		want func(first, at int64) bool
	}{
		{"200 ppm fast for three hours", 200, level, func(first, at int64) bool { return at-first < 100*ms && first-at < 20*ms }},
		{"200 ppm slow for three hours", -200, level, func(first, at int64) bool { return first-at < 100*ms && at-first < 20*ms }},
		{"half a percent fast", 5000, level, func(first, at int64) bool { return at-first < 200*ms && first-at < 100*ms }},
		{"not at all", 0, level, func(first, at int64) bool { return at == first }},
		{"not at all, but the sender changes its order", 0, func(s int64) int64 {
			if s > 100 {
				return 300 * ms
			}
			return 0
		}, func(first, at int64) bool { return at == first || at == first+300*ms }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seconds := int64(3 * 3600)
			if tt.fast == 0 || tt.fast == 5000 {
				seconds = 600
			}
			ahead := play(seconds, tt.fast, tt.lead)
			for s, at := range ahead {
				if !tt.want(ahead[0], at) {
					t.Fatalf("after %d s the sound is ahead by %d ms, at first by %d", s, at/ms, ahead[0]/ms)
				}
			}
		})
	}
}

func TestBreakJoinsWhatFollows(t *testing.T) {
	for _, tt := range []struct {
		name string
		next int64
		want int64
	}{
		{"ahead by five seconds", 5000, 80},
		{"back to zero", 0, 80},
		{"as if there were none", 80, 80},
	} {
		l := timeline.New(timeline.Config{Report: reception.Discard})
		v, a := l.Track(true), l.Track(false)
		add := func(at int64) (dts, heard int64, marks int) {
			au := v.Picture(&codecs.AccessUnit{}, timeline.At(at*ms, at*ms), order.Picture{})[0]
			s := a.Sound(&codecs.AccessUnit{}, timeline.Presented(at*ms), 1920, 48000)
			for _, u := range []*codecs.AccessUnit{au, s} {
				if u.Discontinuity {
					marks++
				}
			}
			return au.DTS / ms, s.DTS / ms, marks
		}
		add(0)
		add(40)
		v.Break()
		a.Break()
		if dts, heard, marks := add(tt.next); dts != tt.want || heard != tt.want || marks != 2 {
			t.Errorf("%s: the picture is at %d, the sound at %d, %d marked; want %d for both, and two", tt.name, dts, heard, marks, tt.want)
		}
		if dts, _, marks := add(tt.next + 40); dts != tt.want+40 || marks != 0 {
			t.Errorf("%s: the next picture is at %d, %d marked; want %d and none", tt.name, dts, marks, tt.want+40)
		}
	}
}

// FuzzTimes gives arbitrary stamps to two tracks: nothing is lost, the DTS rises, and no PTS is before it.
func FuzzTimes(f *testing.F) {
	for _, tt := range pictureTests {
		var b []byte
		for _, r := range tt.in {
			b = append(b, byte(r.dts/20), byte(r.pts/20), byte(r.count), byte(r.count&1))
		}
		f.Add(b, tt.depth >= 0)
	}
	f.Fuzz(func(t *testing.T, b []byte, wraps bool) {
		c := timeline.Config{Report: reception.Discard, FromZero: wraps}
		if wraps {
			c.Wrap = 1 << 33
		}
		l := timeline.New(c)
		v, a := l.Track(true), l.Track(false)
		var pictures, sounds []*codecs.AccessUnit
		in, first := 0, -1
		for ; len(b) >= 4; b = b[4:] {
			at := int64(int8(b[0])) << (b[3] >> 3)
			s := timeline.At(at, at+int64(int8(b[1]))*1000)
			switch b[3] & 7 {
			case 0, 1:
				s = timeline.Stamp{}
			case 2:
				s = timeline.Presented(at)
			case 3:
				if au := a.Sound(&codecs.AccessUnit{}, s, int(b[1]), 48000); au != nil {
					sounds = append(sounds, au)
				}
				continue
			case 4:
				v.Break()
			}
			if first < 0 && s != (timeline.Stamp{}) {
				first = in
			}
			in++
			p := order.Picture{Counted: b[2]&1 == 0, Count: int(int8(b[2])), Reset: b[2]&3 == 0, Bounded: b[2]&4 == 0, Depth: int(b[2] >> 4)}
			pictures = append(pictures, v.Picture(&codecs.AccessUnit{RandomAccess: b[2]&8 == 0}, s, p)...)
		}
		pictures = append(pictures, v.Flush()...)
		if first >= 0 && len(pictures) < in-first {
			t.Fatalf("%d pictures of %d, the first with a time %d", len(pictures), in, first)
		}
		for _, out := range [][]*codecs.AccessUnit{pictures, sounds} {
			for i, au := range out {
				if au.PTS < au.DTS || i > 0 && au.DTS <= out[i-1].DTS {
					t.Fatalf("unit %d: DTS %d, PTS %d after %d", i, au.DTS, au.PTS, out[max(0, i-1)].DTS)
				}
			}
		}
	})
}

// TestWhatIsRepeatedComesOnce has an input repeat what it has sent, after it said that it may.
func TestWhatIsRepeatedComesOnce(t *testing.T) {
	for _, tt := range []struct {
		name         string
		from         int64 // where it begins again, in ms; it had come to 2000
		says, breaks bool
		want         int // pictures in all
		marked       int
	}{
		{"a second", 1000, true, false, 75, 0},
		{"nothing", 2000, true, false, 100, 0},
		{"with a gap", 3000, true, false, 100, 0},
		{"another timeline", -500_000, true, false, 100, 1},
		{"a break", 1000, true, true, 100, 1},
		{"all, and does not say so", 0, false, false, 100, 1},
	} {
		l := timeline.New(timeline.Config{Report: &reception.Record{}})
		v, a := l.Track(true), l.Track(false)
		pictures, sounds, marked := 0, 0, 0
		last := int64(-1)
		play := func(from int64) {
			for i := range int64(50) {
				at := (from + 40*i) * ms
				for _, au := range v.Picture(&codecs.AccessUnit{RandomAccess: i%25 == 0}, timeline.At(at, at), order.Picture{}) {
					if au.DTS <= last {
						t.Errorf("%s: a picture at %d behind one at %d", tt.name, au.DTS/ms, last/ms)
					}
					last = au.DTS
					if pictures++; au.Discontinuity {
						marked++
					}
				}
				for j := range 2 {
					stamp := timeline.Presented(at)
					if j > 0 {
						stamp = timeline.Following()
					}
					if a.Sound(&codecs.AccessUnit{}, stamp, 960, 48000) != nil {
						sounds++
					}
				}
			}
		}
		play(0)
		if tt.says {
			l.Again()
		}
		if tt.breaks {
			v.Break()
			a.Break()
		}
		play(tt.from)
		if pictures != tt.want || sounds != 2*tt.want || marked != tt.marked {
			t.Errorf("%s: %d pictures and %d sounds came, %d of the pictures marked; want %d, %d, %d", tt.name, pictures, sounds, marked, tt.want, 2*tt.want, tt.marked)
		}
	}
}
