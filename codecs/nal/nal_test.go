package nal_test

import (
	"bytes"
	"slices"
	"testing"

	oracle "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs/nal"
)

func same(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

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

// whole says whether payload consists of complete NAL units behind their lengths and has at least one.
func whole(payload []byte) bool {
	units, err := nal.Split(payload, 4)
	return err == nil && len(units) > 0
}

func TestUnitsAreYieldedUpToTheFirstBrokenOne(t *testing.T) {
	for _, test := range payloadTests {
		if got := slices.Collect(nal.Units(test.in)); !same(got, test.units) {
			t.Errorf("Units(%s) = %x, want %x", test.name, got, test.units)
		}
		if got := whole(test.in); got != test.whole {
			t.Errorf("Split(%s) succeeds: %v, want %v", test.name, got, test.whole)
		}
	}
}

func TestLengthsOfAnySizeAreSplit(t *testing.T) {
	for _, test := range []struct {
		in   []byte
		size int
		want [][]byte
		ok   bool
	}{
		{[]byte{1, 9, 0, 2, 6, 7}, 1, [][]byte{{9}, {6, 7}}, true},
		{[]byte{0, 1, 9, 0, 2, 6, 7}, 2, [][]byte{{9}, {6, 7}}, true},
		{[]byte{0, 1, 9, 0}, 2, nil, false},
		{[]byte{0, 1, 9, 0, 3, 1}, 2, nil, false},
	} {
		if got, err := nal.Split(test.in, test.size); !same(got, test.want) || (err == nil) != test.ok {
			t.Errorf("Split(%x, %d) = %x, %v, want %x", test.in, test.size, got, err, test.want)
		}
	}
}

func FuzzPayload(f *testing.F) {
	for _, test := range payloadTests {
		f.Add(test.in)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a oracle.AVCC
		err := a.Unmarshal(b)
		units := slices.Collect(nal.Units(b))
		if len(units) <= oracle.MaxNALUsPerAccessUnit && (err == nil) != whole(b) {
			t.Errorf("Split(%x) succeeds: %v, but mediacommon says %v", b, whole(b), err)
		}
		if err == nil && !same(units, a) {
			t.Errorf("Units(%x) = %x, want %x", b, units, [][]byte(a))
		}
		if !whole(b) {
			return
		}
		if again := slices.Collect(nal.Units(nal.Join(units...))); !same(again, units) {
			t.Errorf("Units(Join(%x)) = %x", units, again)
		}
		if n := len(nal.AppendAnnexB(nil, units...)); n != len(nal.Join(units...)) {
			t.Errorf("a byte stream of %d bytes for a payload of %d", n, len(nal.Join(units...)))
		}
	})
}
