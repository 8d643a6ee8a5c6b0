package amf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/yutopp/go-amf0"

	"weir/codecs/flv/amf"
)

// nested returns an object in an object, n deep, without ends.
func nested(n int) []byte { return bytes.Repeat([]byte{0x03, 0, 1, 'a'}, n) }

var readTests = []struct {
	name string
	in   []byte
	want []any
	err  error // matched with errors.Is; nil means success
}{
	{name: "nothing"},
	{name: "number", in: []byte{0, 0x40, 0x72, 0xe0, 0, 0, 0, 0, 0}, want: []any{302.0}},
	{
		name: "command", in: []byte{2, 0, 4, 'p', 'l', 'a', 'y', 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0, 1, 'x', 1, 1},
		want: []any{"play", 0.0, nil, "x", true},
	},
	{
		name: "object", in: []byte{3, 0, 1, 'a', 2, 0, 1, 'b', 0, 1, 'c', 6, 0, 0, 9},
		want: []any{amf.Object{{"a", "b"}, {"c", amf.Undefined{}}}},
	},
	{name: "typed object", in: []byte{0x10, 0, 1, 'T', 0, 1, 'a', 5, 0, 0, 9}, want: []any{amf.Object{{"a", nil}}}},
	{
		name: "ECMA array with a wrong count", in: []byte{8, 0xff, 0xff, 0xff, 0xff, 0, 1, 'a', 1, 0, 0, 0, 9},
		want: []any{amf.ECMAArray{{"a", false}}},
	},
	{
		name: "ECMA array that ends with the body", in: []byte{8, 0, 0, 0, 1, 0, 1, 'a', 5},
		want: []any{amf.ECMAArray{{"a", nil}}},
	},
	{name: "strict array", in: []byte{0x0a, 0, 0, 0, 2, 5, 1, 1}, want: []any{[]any{nil, true}}},
	{name: "long string", in: []byte{0x0c, 0, 0, 0, 2, 'h', 'i'}, want: []any{"hi"}},
	{name: "date", in: []byte{0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60}, want: []any{amf.Date(0)}},
	{name: "reference", in: []byte{7, 0, 1, 0x0d}, want: []any{amf.Undefined{}, amf.Undefined{}}},
	{name: "array of 2^31-1 announced", in: []byte{0x0a, 0x7f, 0xff, 0xff, 0xff}, err: amf.ErrTruncated},
	{name: "array of 2^32-1 announced", in: []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 5, 5}, err: amf.ErrTruncated},
	{name: "long string of 4 GB announced", in: []byte{0x0c, 0xff, 0xff, 0xff, 0xff, 'a'}, err: amf.ErrTruncated},
	{name: "string longer than the body", in: []byte{2, 0, 9, 'a'}, err: amf.ErrTruncated},
	{name: "half a number", in: []byte{0, 1, 2}, err: amf.ErrTruncated},
	{name: "empty key without end", in: []byte{3, 0, 0, 5}, err: amf.ErrMalformed},
	{name: "AMF3", in: []byte{0x11, 1}, err: amf.ErrUnsupported},
	{name: "movie clip", in: []byte{4}, err: amf.ErrUnsupported},
	{name: "as deep as allowed", in: append(nested(amf.MaxDepth), 5), want: []any{deep(amf.MaxDepth)}},
	{name: "too deep", in: append(nested(amf.MaxDepth+1), 5), err: amf.ErrTooDeep},
	{name: "deep arrays", in: bytes.Repeat([]byte{0x0a, 0, 0, 0, 1}, 40), err: amf.ErrTooDeep},
	{name: "too many values", in: bytes.Repeat([]byte{5}, amf.MaxValues+1), err: amf.ErrTooMany},
}

func deep(n int) any {
	if n == 0 {
		return nil
	}
	return amf.Object{{"a", deep(n - 1)}}
}

func TestReadGivesTheValuesOrSaysWhatIsWrong(t *testing.T) {
	for _, tt := range readTests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := amf.Read(tt.in)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Read: error = %v, want %v", err, tt.err)
			}
			if tt.err == nil && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Read(%x) = %#v, want %#v", tt.in, got, tt.want)
			}
		})
	}
}

func TestBombsCostNothing(t *testing.T) {
	for name, bomb := range map[string][]byte{
		"nested object of 16 MB": nested(4 << 20),
		"nested arrays":          bytes.Repeat([]byte{0x0a, 0, 0xff, 0xff, 0xff}, 3<<20),
		"16 million nulls":       bytes.Repeat([]byte{5}, 16<<20),
		"announced array":        {0x0a, 0x7f, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := amf.Read(bomb)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("Read: no error")
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
				t.Errorf("Read allocated %d bytes, want at most 2 MB", got)
			}
		})
	}
}

func TestLongStringsAndIntegersAreWritten(t *testing.T) {
	long := strings.Repeat("x", 70000)
	got, err := amf.Read(amf.Append(nil, long, 7))
	if want := []any{long, 7.0}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Read(Append) = %.40v, %v, want the same values", got, err)
	}
}

func TestObjectsAreAskedByKey(t *testing.T) {
	o, ok := amf.AsObject(amf.ECMAArray{{"s", "v"}, {"n", 3.0}, {"z", nil}})
	if !ok || o.String("s") != "v" || o.Get("n") != 3.0 || !o.Has("z") || o.Has("q") || o.String("n") != "" {
		t.Errorf("AsObject = %v, %v", o, ok)
	}
	if _, ok := amf.AsObject("x"); ok {
		t.Error("AsObject of a string: ok")
	}
}

// FuzzRead holds the reader to its limits, writing to reading, and both to go-amf0 as an oracle where that can read.
func FuzzRead(f *testing.F) {
	for _, tt := range readTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		vs, err := amf.Read(in)
		if err != nil {
			return
		}
		again, err := amf.Read(amf.Append(nil, vs...))
		if err != nil || !equal(again, vs) {
			t.Fatalf("written and read again = %#v, %v, want %#v", again, err, vs)
		}
		if len(vs) == 0 {
			return
		}
		switch want := vs[0].(type) {
		case float64, string, bool:
			var got any
			if err := amf0.NewDecoder(bytes.NewReader(in)).Decode(&got); err == nil && !equal([]any{got}, []any{want}) {
				t.Fatalf("go-amf0 reads %#v, Read %#v", got, want)
			}
		}
	})
}

// equal is DeepEqual with NaN equal to itself.
func equal(a, b []any) bool {
	return bytes.Equal(amf.Append(nil, a...), amf.Append(nil, b...))
}

func TestNumbersAreBigEndian(t *testing.T) {
	b := amf.Append(nil, 302.0)
	if got := math.Float64frombits(binary.BigEndian.Uint64(b[1:])); b[0] != 0 || got != 302 {
		t.Errorf("Append(302) = %x", b)
	}
}
