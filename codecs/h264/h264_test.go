package h264_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	oracle "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs"
	"weir/codecs/h264"
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
	pps = []byte{0x68, 0xcb, 0x8c, 0xb2}
)

func record(parts ...[]byte) []byte { return slices.Concat(parts...) }

var configTests = []struct {
	name string
	in   []byte
	want h264.Config
	err  error // matched with errors.Is where the record is truncated
	ok   bool
}{
	{
		name: "one of each", ok: true,
		in:   record([]byte{1, 0x42, 0xc0, 0x28, 0xff, 0xe1, 0, 25}, sps, []byte{1, 0, 4}, pps),
		want: h264.Config{LengthSize: 4, SPS: [][]byte{sps}, PPS: [][]byte{pps}},
	},
	{
		name: "two picture parameter sets, an empty one, and trailing bytes", ok: true,
		in:   record([]byte{1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 25}, spsHigh, []byte{3, 0, 4}, pps, []byte{0, 0, 0, 4}, pps, []byte{0xfd, 0xf8, 0xf8, 0}),
		want: h264.Config{LengthSize: 4, SPS: [][]byte{spsHigh}, PPS: [][]byte{pps, pps}},
	},
	{name: "no parameter sets, short lengths", ok: true, in: []byte{1, 66, 0, 30, 0xfd, 0xe0, 0}, want: h264.Config{LengthSize: 2}},
	{name: "length size of 3", in: []byte{1, 66, 0, 30, 0xfe, 0xe0, 0}},
	{name: "empty", err: h264.ErrTruncated},
	{name: "of another version", in: []byte{2, 66, 0, 30, 0xff, 0xe0, 0}},
	{name: "half a parameter set", in: record([]byte{1, 0x42, 0xc0, 0x28, 0xff, 0xe1, 0, 25}, sps[:10]), err: h264.ErrTruncated},
	{name: "no picture parameter sets", in: record([]byte{1, 0x42, 0xc0, 0x28, 0xff, 0xe1, 0, 25}, sps), err: h264.ErrTruncated},
	{name: "half a length", in: record([]byte{1, 0x42, 0xc0, 0x28, 0xff, 0xe1, 0, 25}, sps, []byte{1, 0}), err: h264.ErrTruncated},
}

func TestConfigIsParsed(t *testing.T) {
	for _, test := range configTests {
		got, err := h264.ParseConfig(test.in)
		if (err == nil) != test.ok || test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("ParseConfig(%s): error %v", test.name, err)
		}
		if !same(got.SPS, test.want.SPS) || !same(got.PPS, test.want.PPS) || got.LengthSize != test.want.LengthSize {
			t.Errorf("ParseConfig(%s) = %+v, want %+v", test.name, got, test.want)
		}
	}
}

func same(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

func TestTrackIsMadeOfParameterSets(t *testing.T) {
	got, err := h264.Config{SPS: [][]byte{spsHigh}, PPS: [][]byte{pps}}.Track()
	want := codecs.Track{Codec: codecs.H264, Width: 1280, Height: 720, Config: record(
		[]byte{1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 25}, spsHigh, []byte{1, 0, 4}, pps, []byte{0xfd, 0xf8, 0xf8, 0},
	)}
	if err != nil || !got.Equal(want) {
		t.Errorf("Track() = %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []h264.Config{
		{},
		{SPS: [][]byte{sps}},
		{SPS: [][]byte{{0x67}}, PPS: [][]byte{pps}},
		{SPS: [][]byte{sps}, PPS: [][]byte{nil}},
		{SPS: [][]byte{spsHigh[:6]}, PPS: [][]byte{pps}},
		{SPS: slices.Repeat([][]byte{sps}, 32), PPS: [][]byte{pps}},
	} {
		if track, err := bad.Track(); err == nil {
			t.Errorf("Track() of %v = %+v, want an error", bad, track)
		}
	}
}

var payloadTests = []struct {
	name  string
	in    []byte
	units [][]byte
	whole bool
}{
	{"nothing", nil, nil, false},
	{"two", []byte{0, 0, 0, 2, 0x67, 0x64, 0, 0, 0, 1, 0x65}, [][]byte{{0x67, 0x64}, {0x65}}, true},
	{"an empty one between", []byte{0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0x65}, [][]byte{{9}, {0x65}}, true},
	{"only empty ones", []byte{0, 0, 0, 0}, nil, false},
	{"half a unit", []byte{0, 0, 0, 1, 9, 0, 0, 0, 9, 0x65}, [][]byte{{9}}, false},
	{"half a length", []byte{0, 0, 0, 1, 9, 0, 0}, [][]byte{{9}}, false},
	{"the largest length", []byte{0xff, 0xff, 0xff, 0xff, 9}, nil, false},
}

func TestUnitsAreYieldedUpToTheFirstBrokenOne(t *testing.T) {
	for _, test := range payloadTests {
		if got := slices.Collect(h264.Units(test.in)); !same(got, test.units) {
			t.Errorf("Units(%s) = %x, want %x", test.name, got, test.units)
		}
		if got := h264.Whole(test.in); got != test.whole {
			t.Errorf("Whole(%s) = %v, want %v", test.name, got, test.whole)
		}
	}
}

var annexBTests = []struct {
	name string
	in   []byte
	want [][]byte
}{
	{"nothing", nil, nil},
	{"no start code", []byte{1, 2, 3}, nil},
	{"start codes of three and four bytes", []byte{0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 1}, [][]byte{{9, 0xf0}, {0x65, 1}}},
	{"trailing zeros", []byte{0, 0, 1, 0x65, 0, 0, 0, 0, 1, 0x41, 0, 0}, [][]byte{{0x65}, {0x41}}},
	{"something before", []byte{7, 0, 0, 1, 0x65}, [][]byte{{0x65}}},
	{"empty units", []byte{0, 0, 1, 0, 0, 1, 0, 0, 1}, nil},
}

func TestByteStreamIsSplit(t *testing.T) {
	for _, test := range annexBTests {
		if got := slices.Collect(h264.SplitAnnexB(test.in)); !same(got, test.want) {
			t.Errorf("SplitAnnexB(%s) = %x, want %x", test.name, got, test.want)
		}
	}
}

func TestParameterSetsOfTheConfigurationAreNotKept(t *testing.T) {
	c := h264.Config{SPS: [][]byte{sps}, PPS: [][]byte{pps}}
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
		if got := c.Keep(test.unit); got != test.want {
			t.Errorf("Keep(%x) = %v, want %v", test.unit, got, test.want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, test := range configTests {
		f.Add(test.in)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := h264.ParseConfig(b)
		if err != nil {
			return
		}
		again, err := c.Marshal()
		if err != nil {
			return
		}
		d, err := h264.ParseConfig(again)
		if err != nil || d.LengthSize != 4 || !same(c.SPS, d.SPS) || !same(c.PPS, d.PPS) {
			t.Errorf("%+v became %+v, %v", c, d, err)
		}
		_, _ = c.Track()
	})
}

func FuzzPayload(f *testing.F) {
	for _, test := range payloadTests {
		f.Add(test.in)
	}
	for _, test := range annexBTests {
		f.Add(test.in)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a oracle.AVCC
		err := a.Unmarshal(b)
		units := slices.Collect(h264.Units(b))
		if len(units) <= oracle.MaxNALUsPerAccessUnit && (err == nil) != h264.Whole(b) {
			t.Errorf("Whole(%x) = %v, but mediacommon says %v", b, h264.Whole(b), err)
		}
		if err == nil && !same(units, a) {
			t.Errorf("Units(%x) = %x, want %x", b, units, [][]byte(a))
		}
		if h264.Whole(b) {
			if got := len(h264.AppendAnnexB(nil, h264.Join(units...))); got != len(h264.Join(units...)) {
				t.Errorf("a byte stream of %d bytes for a payload of %d", got, len(h264.Join(units...)))
			}
		}
		split := slices.Collect(h264.SplitAnnexB(b))
		back := slices.Collect(h264.SplitAnnexB(h264.AppendAnnexB(nil, h264.Join(split...))))
		if !same(split, back) {
			t.Errorf("SplitAnnexB(%x) = %x, and again %x", b, split, back)
		}
	})
}
