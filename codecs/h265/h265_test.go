package h265_test

import (
	"bytes"
	"slices"
	"testing"

	oracle "github.com/Eyevinn/mp4ff/hevc"

	"weir/codecs"
	"weir/codecs/h265"
)

var (
	vps = []byte{
		0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
		0x00, 0x7b, 0x18, 0xb0, 0x24,
	}
	sps = []byte{
		0x42, 0x01, 0x01, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x7b, 0xa0,
		0x07, 0x82, 0x00, 0x88, 0x7d, 0xb6, 0x71, 0x8b, 0x92, 0x44, 0x80, 0x53, 0x88, 0x88, 0x92, 0xcf, 0x24, 0xa6, 0x92,
		0x72, 0xc9, 0x12, 0x49, 0x22, 0xdc, 0x91, 0xaa, 0x48, 0xfc, 0xa2, 0x23, 0xff, 0x00, 0x01, 0x00, 0x01, 0x6a, 0x02,
		0x02, 0x02, 0x01,
	}
	pps = []byte{0x44, 0x01, 0xc0, 0x25, 0x2f, 0x05, 0x32, 0x40}

	sets = [][]byte{vps, sps, pps}
)

func same(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

func TestRecordSaysWhatAnotherWriterSays(t *testing.T) {
	got, err := h265.Syntax.Track([][]byte{pps, sps, vps})
	if err != nil {
		t.Fatal(err)
	}
	rec, err := oracle.CreateHEVCDecConfRec([][]byte{vps}, [][]byte{sps}, [][]byte{pps}, true, true, true, true)
	if err != nil {
		t.Fatal(err)
	}
	// mp4ff leaves the temporal layers unstated where it makes the whole record.
	rec.NumTemporalLayers, rec.TemporalIDNested = 1, 1
	var want bytes.Buffer
	if err := rec.Encode(&want); err != nil {
		t.Fatal(err)
	}
	if w := (codecs.Track{Codec: codecs.H265, Config: want.Bytes(), Width: 960, Height: 540}); !got.Equal(w) {
		t.Errorf("Track() =\n%+v, want\n%+v", got, w)
	}
	if again, err := h265.Syntax.Describe(got.Config); err != nil || !again.Equal(got) || again.FrameRate != got.FrameRate {
		t.Errorf("Describe() = %+v, %v, want %+v", again, err, got)
	}
	for _, bad := range [][][]byte{
		nil,
		{vps, sps},
		{vps, pps},
		{sps, pps},
		{vps, sps[:9], pps},
		{vps, sps, append(bytes.Clone(pps), make([]byte, 0xffff)...)},
	} {
		if _, err := h265.Syntax.Track(bad); err == nil {
			t.Errorf("Track() of %x succeeds", bad)
		}
	}
}

// head is the record up to the number of arrays.
func head() []byte {
	track, err := h265.Syntax.Track(sets)
	if err != nil {
		panic(err)
	}
	return track.Config[:22:22]
}

var (
	vpsShort = []byte{0x40, 1}
	ppsShort = []byte{0x44, 1}
)

var configTests = []struct {
	name string
	in   []byte
	sets [][]byte
	ok   bool
}{
	{name: "no arrays", in: append(head(), 0), ok: true},
	{
		name: "sets and what is none", ok: true,
		in:   append(head(), 3, 0xa0, 0, 2, 0, 2, 0x40, 1, 0, 0, 39, 0, 1, 0, 2, 0x4e, 1, 0xa2, 0, 1, 0, 2, 0x44, 1),
		sets: [][]byte{vpsShort, ppsShort},
	},
	{name: "empty"},
	{name: "cut in an array", in: append(head(), 1, 0xa0, 0)},
	{name: "cut in a length", in: append(head(), 1, 0xa0, 0, 1, 0)},
	{name: "cut in a set", in: append(head(), 1, 0xa0, 0, 1, 0, 9, 1)},
	{name: "65535 sets announced", in: append(head(), 255, 0xa0, 255, 255)},
	{name: "too many sets", in: append(append(head(), 1, 0xa0, 0, 200), bytes.Repeat([]byte{0, 2, 0x40, 1}, 200)...)},
	{name: "of another version", in: make([]byte, 23)},
}

func TestRecordIsRead(t *testing.T) {
	for _, test := range configTests {
		got, err := h265.Syntax.Read(test.in)
		if (err == nil) != test.ok || !same(got.Sets, test.sets) {
			t.Errorf("Read(%s) = %+v, %v, want %x", test.name, got, err, test.sets)
		}
	}
}

func TestParameterSetsOfTheConfigurationAreNotKept(t *testing.T) {
	for _, test := range []struct {
		unit []byte
		want bool
	}{
		{nil, false},
		{[]byte{0x46}, false},
		{[]byte{0x46, 1, 0x50}, false},
		{vps, false},
		{sps, false},
		{pps, false},
		{pps[:4], true},
		{[]byte{0x26, 1, 2}, true},
	} {
		if got := h265.Syntax.Keep(test.unit, sets); got != test.want {
			t.Errorf("Keep(%x) = %v, want %v", test.unit, got, test.want)
		}
	}
}

func TestRandomAccessPoints(t *testing.T) {
	for kind := range byte(48) {
		if got, want := h265.Syntax.Random([]byte{kind << 1, 1}, true), kind >= 16 && kind <= 21; got != want {
			t.Errorf("Random of type %d = %v, want %v", kind, got, want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, test := range configTests {
		f.Add(test.in)
	}
	full, err := h265.Syntax.Track(sets)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full.Config)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := h265.Syntax.Read(b)
		if err != nil {
			return
		}
		again, err := h265.Syntax.Track(c.Sets)
		if err != nil {
			return
		}
		d, err := h265.Syntax.Read(again.Config)
		want, _ := h265.Syntax.Ordered(c.Sets)
		if err != nil || d.LengthSize != 4 || !same(d.Sets, want) {
			t.Errorf("%+v became %+v, %v", c, d, err)
		}
	})
}
