package h265_test

import (
	"bytes"
	"errors"
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

	config = h265.Config{LengthSize: 4, VPS: [][]byte{vps}, SPS: [][]byte{sps}, PPS: [][]byte{pps}}
)

func same(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

func TestRecordSaysWhatAnotherWriterSays(t *testing.T) {
	got, err := config.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	rec, err := oracle.CreateHEVCDecConfRec(config.VPS, config.SPS, config.PPS, true, true, true, true)
	if err != nil {
		t.Fatal(err)
	}
	// mp4ff leaves the temporal layers unstated.
	rec.NumTemporalLayers, rec.TemporalIDNested = 1, 1
	var want bytes.Buffer
	if err := rec.Encode(&want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("Marshal() =\n%x, want\n%x", got, want.Bytes())
	}
	track, err := config.Track()
	if w := (codecs.Track{Codec: codecs.H265, Config: got, Width: 960, Height: 540}); err != nil || !track.Equal(w) {
		t.Errorf("Track() = %+v, %v, want %+v", track, err, w)
	}
	for _, bad := range []h265.Config{
		{},
		{VPS: config.VPS, SPS: config.SPS},
		{VPS: config.VPS, SPS: [][]byte{sps[:9]}, PPS: config.PPS},
		{VPS: config.VPS, SPS: config.SPS, PPS: [][]byte{nil}},
		{VPS: slices.Repeat(config.VPS, 99), SPS: config.SPS, PPS: config.PPS},
	} {
		if _, err := bad.Track(); err == nil {
			t.Errorf("Track() of %+v succeeds", bad)
		}
	}
}

// head is the record up to the number of arrays.
func head() []byte {
	b, err := config.Marshal()
	if err != nil {
		panic(err)
	}
	return b[:22:22]
}

var configTests = []struct {
	name string
	in   []byte
	want h265.Config
	err  error
	ok   bool
}{
	{name: "no arrays", in: append(head(), 0), want: h265.Config{LengthSize: 4}, ok: true},
	{
		name: "sets and what is none", ok: true,
		in:   append(head(), 3, 0xa0, 0, 2, 0, 1, 7, 0, 0, 39, 0, 1, 0, 1, 8, 0xa2, 0, 1, 0, 2, 9, 9),
		want: h265.Config{LengthSize: 4, VPS: [][]byte{{7}}, PPS: [][]byte{{9, 9}}},
	},
	{name: "empty", err: h265.ErrTruncated},
	{name: "cut in an array", in: append(head(), 1, 0xa0, 0), err: h265.ErrTruncated},
	{name: "cut in a length", in: append(head(), 1, 0xa0, 0, 1, 0), err: h265.ErrTruncated},
	{name: "cut in a set", in: append(head(), 1, 0xa0, 0, 1, 0, 9, 1), err: h265.ErrTruncated},
	{name: "65535 sets announced", in: append(head(), 255, 0xa0, 255, 255), err: h265.ErrTruncated},
	{name: "too many sets", in: append(append(head(), 1, 0xa0, 0, 200), bytes.Repeat([]byte{0, 1, 7}, 200)...)},
	{name: "of another version", in: make([]byte, 23)},
}

func TestConfigIsParsed(t *testing.T) {
	for _, test := range configTests {
		got, err := h265.ParseConfig(test.in)
		if (err == nil) != test.ok || test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("ParseConfig(%s): error %v", test.name, err)
		}
		if got.LengthSize != test.want.LengthSize || !same(got.VPS, test.want.VPS) || !same(got.SPS, test.want.SPS) || !same(got.PPS, test.want.PPS) {
			t.Errorf("ParseConfig(%s) = %+v, want %+v", test.name, got, test.want)
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
		if got := config.Keep(test.unit); got != test.want {
			t.Errorf("Keep(%x) = %v, want %v", test.unit, got, test.want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, test := range configTests {
		f.Add(test.in)
	}
	full, err := config.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := h265.ParseConfig(b)
		if err != nil {
			return
		}
		again, err := c.Marshal()
		if err != nil {
			return
		}
		d, err := h265.ParseConfig(again)
		if err != nil || d.LengthSize != 4 || !same(c.VPS, d.VPS) || !same(c.SPS, d.SPS) || !same(c.PPS, d.PPS) {
			t.Errorf("%+v became %+v, %v", c, d, err)
		}
		_, _ = c.Track()
	})
}
