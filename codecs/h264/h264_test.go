package h264_test

import (
	"bytes"
	"slices"
	"testing"

	"weir/codecs"
	"weir/codecs/h264"
	"weir/codecs/nal"
)

var (
	sps = []byte{
		0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03,
		0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20,
	}
	// High profile, 4:2:0, 8 bits, 1280 by 720.
	spsHigh = []byte{
		0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x6c, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00,
		0x00, 0x1e, 0x07, 0x8c, 0x18, 0xcb,
	}
	pps    = []byte{0x68, 0xcb, 0x8c, 0xb2}
	spsExt = []byte{13, 0x80}
)

// head is a record of Baseline up to its sequence parameter sets, of which there is one.
var head = []byte{1, 0x42, 0xc0, 0x28, 0xff, 0xe1}

func sized(set []byte) []byte { return append([]byte{0, byte(len(set))}, set...) }

var configTests = []struct {
	name   string
	in     []byte
	length int
	sets   [][]byte
	ok     bool
}{
	{
		name: "one of each", ok: true, length: 4,
		in:   slices.Concat(head, sized(sps), []byte{1}, sized(pps)),
		sets: [][]byte{sps, pps},
	},
	{
		name: "two picture parameter sets, an empty one, and the fields of High", ok: true, length: 4,
		in:   slices.Concat([]byte{1, 0x64, 0, 0x1f, 0xff, 0xe1}, sized(spsHigh), []byte{3}, sized(pps), sized(nil), sized(pps), []byte{0xfd, 0xf8, 0xf8, 0}),
		sets: [][]byte{spsHigh, pps, pps},
	},
	{
		name: "High without its fields", ok: true, length: 4,
		in:   slices.Concat([]byte{1, 0x64, 0, 0x1f, 0xff, 0xe1}, sized(spsHigh), []byte{1}, sized(pps)),
		sets: [][]byte{spsHigh, pps},
	},
	{
		name: "an extension of the sequence parameter set, and half of another", ok: true, length: 4,
		in:   slices.Concat([]byte{1, 0x64, 0, 0x1f, 0xff, 0xe1}, sized(spsHigh), []byte{1}, sized(pps), []byte{0xfd, 0xf8, 0xf8, 2}, sized(spsExt), []byte{0, 9, 13}),
		sets: [][]byte{spsHigh, pps, spsExt},
	},
	{
		name: "trailing bytes", ok: true, length: 4,
		in:   slices.Concat(head, sized(sps), []byte{1}, sized(pps), []byte{1, 2, 3, 4, 5}),
		sets: [][]byte{sps, pps},
	},
	{name: "no parameter sets, short lengths", ok: true, length: 2, in: []byte{1, 66, 0, 30, 0xfd, 0xe0, 0}},
	{name: "length size of 3", in: []byte{1, 66, 0, 30, 0xfe, 0xe0, 0}},
	{name: "empty"},
	{name: "of another version", in: []byte{2, 66, 0, 30, 0xff, 0xe0, 0}},
	{name: "half a parameter set", in: slices.Concat(head, sized(sps)[:10])},
	{name: "no picture parameter sets", in: slices.Concat(head, sized(sps))},
	{name: "half a length", in: slices.Concat(head, sized(sps), []byte{1, 0})},
	{name: "larger than any", in: slices.Concat(head, sized(sps), []byte{1}, sized(pps), make([]byte, nal.MaxRecord))},
}

func TestRecordIsRead(t *testing.T) {
	for _, test := range configTests {
		got, err := h264.Syntax.Read(test.in)
		if (err == nil) != test.ok || !same(got.Sets, test.sets) || got.LengthSize != test.length {
			t.Errorf("Read(%s) = %+v, %v, want %x", test.name, got, err, test.sets)
		}
	}
}

func same(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// TestEveryHighProfileHasTheLastFields compares with records of ffmpeg's, whose profile is High 4:4:4 Predictive, and
// with what ISO/IEC 14496-15 says: all profiles have the fields but Baseline, Main and Extended.
func TestEveryHighProfileHasTheLastFields(t *testing.T) {
	for profile, want := range map[byte][]byte{
		66: nil, 77: nil, 88: nil, 100: {0xfd, 0xf8, 0xf8, 0}, 110: {0xfd, 0xf8, 0xf8, 0}, 122: {0xfd, 0xf8, 0xf8, 0},
		244: {0xfd, 0xf8, 0xf8, 0}, 44: {0xfd, 0xf8, 0xf8, 0},
	} {
		set := bytes.Clone(spsHigh)
		if want == nil {
			set = bytes.Clone(sps)
		}
		set[1] = profile
		track, err := h264.Syntax.Track([][]byte{pps, set})
		want = slices.Concat([]byte{1, profile, set[2], set[3], 0xff, 0xe1}, sized(set), []byte{1}, sized(pps), want)
		if err != nil || !bytes.Equal(track.Config, want) {
			t.Errorf("profile %d: %x, %v, want %x", profile, track.Config, err, want)
		}
	}
	real := []byte{
		0x67, 0xf4, 0x00, 0x0a, 0x91, 0x9b, 0x28, 0xc4, 0xd8, 0x08, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x19, 0x07,
		0x89, 0x12, 0xcb,
	}
	track, err := h264.Syntax.Track([][]byte{real, spsExt, pps})
	want := slices.Concat([]byte{1, 0xf4, 0, 0x0a, 0xff, 0xe1}, sized(real), []byte{1}, sized(pps), []byte{0xff, 0xf8, 0xf8, 1}, sized(spsExt))
	if err != nil || !bytes.Equal(track.Config, want) || track.Width != 96 || track.Height != 64 {
		t.Errorf("4:4:4: %+v, %v, want %x", track, err, want)
	}
	if c, err := h264.Syntax.Read(track.Config); err != nil || !same(c.Sets, [][]byte{real, pps, spsExt}) {
		t.Errorf("read again: %x, %v", c.Sets, err)
	}
}

func TestTrackIsMadeOfParameterSets(t *testing.T) {
	got, err := h264.Syntax.Track([][]byte{pps, spsHigh})
	want := codecs.Track{Codec: codecs.H264, Width: 1280, Height: 720, Config: slices.Concat(
		[]byte{1, 0x64, 0, 0x1f, 0xff, 0xe1}, sized(spsHigh), []byte{1}, sized(pps), []byte{0xfd, 0xf8, 0xf8, 0},
	)}
	if err != nil || !got.Equal(want) || got.FrameRate != 30 {
		t.Errorf("Track() = %+v, %v, want %+v", got, err, want)
	}
	if again, err := h264.Syntax.Describe(got.Config); err != nil || !again.Equal(want) {
		t.Errorf("Describe() = %+v, %v, want %+v", again, err, want)
	}
	for _, bad := range [][][]byte{
		nil,
		{sps},
		{pps},
		{{0x67}, pps},
		{spsHigh[:6], pps},
		append(slices.Repeat([][]byte{sps}, 32), pps),
		{sps, append(bytes.Clone(pps), make([]byte, 0xffff)...)},
	} {
		if track, err := h264.Syntax.Track(bad); err == nil {
			t.Errorf("Track() of %x = %+v, want an error", bad, track)
		}
	}
}

func TestLengthSizeOfADescribedTrackIsFour(t *testing.T) {
	in := slices.Concat(head, sized(sps), []byte{1}, sized(pps), []byte{7, 7})
	in[4] = 0xfd
	got, err := h264.Syntax.Describe(in)
	if in[4] = 0xff; err != nil || !bytes.Equal(got.Config, in) {
		t.Errorf("Describe() = %x, %v, want %x", got.Config, err, in)
	}
	if _, err := h264.Syntax.Describe([]byte{1, 66, 0, 30, 0xff, 0xe0, 0}); err == nil {
		t.Error("a record without parameter sets is taken")
	}
}

func TestParameterSetsOfTheConfigurationAreNotKept(t *testing.T) {
	for _, test := range []struct {
		unit []byte
		want bool
	}{
		{nil, false},
		{[]byte{9, 0xf0}, false},
		{sps, false},
		{spsHigh, true},
		{pps, false},
		{[]byte{0x68, 1}, true},
		{[]byte{0x65, 1}, true},
	} {
		if got := h264.Syntax.Keep(test.unit, [][]byte{sps, pps}); got != test.want {
			t.Errorf("Keep(%x) = %v, want %v", test.unit, got, test.want)
		}
	}
}

func TestRandomAccessPoints(t *testing.T) {
	for _, test := range []struct {
		unit      []byte
		key, want bool
	}{
		{[]byte{0x65, 1}, false, true},
		{[]byte{0x41, 1}, true, false},
		{[]byte{6, 6, 1, 0x80}, false, true},
		{[]byte{6, 6, 1, 0x40}, false, false}, // right after some pictures only
		{[]byte{6, 6, 1, 0x40}, true, true},
		{[]byte{6, 0, 1, 0x80, 1, 2, 0, 0, 6, 1, 0x80, 0x80}, false, true}, // behind the buffering period and the timing of the picture
		{[]byte{6, 5, 4, 0, 0, 3, 1, 9, 6, 1, 0x80, 0x80}, false, true},    // behind an emulation prevention byte
		{[]byte{6, 0, 9, 6, 1, 0x80}, false, false},                        // in a message that is cut off
		{[]byte{6, 5, 1, 0x80}, true, false},
		{[]byte{6}, true, false},
	} {
		if got := h264.Syntax.Random(test.unit, test.key); got != test.want {
			t.Errorf("Random(%x, %v) = %v, want %v", test.unit, test.key, got, test.want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, test := range configTests[:len(configTests)-1] {
		f.Add(test.in)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := h264.Syntax.Read(b)
		if err != nil {
			return
		}
		again, err := h264.Syntax.Track(c.Sets)
		if err != nil {
			return
		}
		d, err := h264.Syntax.Read(again.Config)
		want, _ := h264.Syntax.Ordered(c.Sets)
		got, _ := h264.Syntax.Ordered(d.Sets)
		if err != nil || d.LengthSize != 4 || !same(got, want) {
			t.Errorf("%+v became %+v, %v", c, d, err)
		}
	})
}
