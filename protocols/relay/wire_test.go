package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"

	"weir/codecs"
	"weir/codecs/fake"
)

var quiet = slog.New(slog.DiscardHandler)

// A collector keeps what a reader hands on, each as a codecs.Tracks or a *codecs.AccessUnit.
type collector struct {
	got  []any
	fail error
}

func (c *collector) SetTracks(t codecs.Tracks) { c.got = append(c.got, t) }

func (c *collector) Write(au *codecs.AccessUnit) error {
	c.got = append(c.got, au)
	return c.fail
}

func readAll(b []byte) (got []any, err error) {
	var c collector
	for r := NewReader(bytes.NewReader(b)); err == nil; {
		err = r.Next(&c)
	}
	return c.got, err
}

// encode makes a body of tracks and access units, one list of tracks per codecs.Tracks in items.
func encode(items []any) []byte {
	b := []byte(header)
	e := NewEncoder(quiet)
	for _, item := range items {
		switch item := item.(type) {
		case codecs.Tracks:
			b = append(b, e.Prologue(item)...)
		case *codecs.AccessUnit:
			b = append(b, e.Encode(item)...)
		case []byte:
			b = append(b, item...)
		}
	}
	return b
}

var (
	video = codecs.Track{Codec: codecs.H264, Config: []byte{1, 0x64, 0, 0x1f, 0xff}, Width: 1920, Height: 1080}
	audio = codecs.Track{Codec: codecs.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}
	rated = codecs.Track{Codec: video.Codec, Config: video.Config, Width: video.Width, Height: video.Height, FrameRate: 23.976}
	mp3   = codecs.Track{Codec: codecs.MP3, SampleRate: 44100, Channels: 1}
)

var roundTripTests = []struct {
	name string
	in   []any
}{
	{"nothing", nil},
	{"no tracks", []any{codecs.Tracks{}}},
	{"video and audio", []any{
		codecs.Tracks{video, audio},
		&codecs.AccessUnit{DTS: 157_788_000_000_000, PTS: 157_788_000_007_200, Duration: 3600, RandomAccess: true, Discontinuity: true, Cut: 12, Payload: []byte("idr")},
		&codecs.AccessUnit{Track: 1, DTS: 157_788_000_000_100, PTS: 157_788_000_000_100, Duration: 1920, Payload: []byte{}},
		&codecs.AccessUnit{DTS: 157_788_000_003_600, PTS: 157_788_000_000_000, Payload: bytes.Repeat([]byte("p"), 200_000)},
	}},
	{"a rate that the configuration does not tell", []any{
		codecs.Tracks{audio, rated},
		codecs.Tracks{mp3, video},
	}},
	{"new tracks", []any{
		codecs.Tracks{mp3},
		&codecs.AccessUnit{RandomAccess: true, Payload: []byte("a")},
		codecs.Tracks{video, audio},
		&codecs.AccessUnit{Track: 1, RandomAccess: true, Payload: []byte("b")},
	}},
	{"extremes", []any{
		codecs.Tracks{{Codec: 255, Config: make([]byte, MaxConfig), Width: maxSide, Height: maxSide, SampleRate: maxRate, Channels: 255}},
		&codecs.AccessUnit{DTS: math.MinInt64, PTS: math.MaxInt64, Duration: 1 << 62, Cut: math.MinInt64, Payload: []byte{0}},
		&codecs.AccessUnit{DTS: math.MaxInt64, PTS: math.MinInt64, Cut: -1, Payload: []byte{0}},
	}},
}

func TestReaderReturnsWhatTheEncoderTook(t *testing.T) {
	for _, c := range roundTripTests {
		got, err := readAll(encode(c.in))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: error = %v, want io.ErrUnexpectedEOF", c.name, err)
		}
		if len(got) != len(c.in) {
			t.Errorf("%s: read %d items, want %d", c.name, len(got), len(c.in))
			continue
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], c.in[i]) {
				t.Errorf("%s: item %d = %.200v, want %.200v", c.name, i, got[i], c.in[i])
			}
		}
	}
}

func record(kind byte, body ...byte) []byte {
	return append(appendRecord(nil, kind, len(body)), body...)
}

var oneTrack = codecs.Tracks{mp3}

var endTests = []struct {
	name string
	in   []byte
	err  error
}{
	{"ended", encode([]any{oneTrack, endStream.record()}), ErrEnded},
	{"moved", encode([]any{oneTrack, endMoved.record()}), ErrMoved},
	{"reason of a later version", encode([]any{record(kindEnd, 77, 1, 2)}), ErrMoved},
	{"end without reason", encode([]any{record(kindEnd)}), ErrMalformed},
	{"empty", nil, io.ErrUnexpectedEOF},
	{"half a header", []byte(header[:4]), io.ErrUnexpectedEOF},
	{"a web page", []byte("<!DOCTYPE html>"), ErrMalformed},
	{"version 2", []byte(magic + "\x02"), ErrMalformed},
	{"keep-alives and unknown records that may be passed over", encode([]any{keepAlive, record(200, 1, 2, 3), keepAlive, endStream.record()}), ErrEnded},
	{"unknown record that matters", encode([]any{record(9, 1, 2, 3)}), ErrMalformed},
	{"long unknown record", encode([]any{appendRecord(nil, 200, maxOther+1)}), ErrMalformed},
	{"unit before tracks", encode([]any{record(kindUnit, 0, 0, 0, 0, 0, 'x')}), ErrMalformed},
	{"unit of a track that is not", encode([]any{oneTrack, record(kindUnit, 1, 0, 0, 0, 0, 'x')}), ErrMalformed},
	{"unit with unknown flags", encode([]any{oneTrack, record(kindUnit, 0, 0x80, 0, 0, 0, 'x')}), ErrMalformed},
	{"unit with cut 0", encode([]any{oneTrack, record(kindUnit, 0, flagCut, 0, 0, 0, 0, 'x')}), ErrMalformed},
	{"unit shorter than its head", encode([]any{oneTrack, record(kindUnit, 0, 0, 0x80)}), ErrMalformed},
	{"unit that is cut off", encode([]any{oneTrack, record(kindUnit, 0, 0, 0, 0, 0, 'x')[:6]}), io.ErrUnexpectedEOF},
	{"unit beyond the limit", encode([]any{oneTrack, appendRecord(nil, kindUnit, MaxUnit+maxHead+1)}), ErrMalformed},
	{"unit of 2^63 bytes", encode([]any{oneTrack, binary.AppendUvarint([]byte{kindUnit}, 1<<63)}), ErrMalformed},
	{"length without end", encode([]any{bytes.Repeat([]byte{0xff}, 20)}), nil},
	{"17 tracks", encode([]any{record(kindTracks, append([]byte{17}, make([]byte, 17*6)...)...)}), ErrMalformed},
	{"tracks record beyond the limit", encode([]any{appendRecord(nil, kindTracks, maxTracks+1)}), ErrMalformed},
	{"track that is cut off", encode([]any{record(kindTracks, 1, byte(codecs.AAC), 0, 0)}), ErrMalformed},
	{"configuration beyond its record", encode([]any{record(kindTracks, 1, byte(codecs.AAC), 0, 0, 0, 0, 5, 1)}), ErrMalformed},
	{"configuration beyond the limit", encode([]any{record(kindTracks, append([]byte{1, 1, 0, 0, 0, 0}, binary.AppendUvarint(nil, MaxConfig+1)...)...)}), ErrMalformed},
	{"a rate that no video has", encode([]any{record(kindRates, binary.AppendUvarint(nil, 1<<30)...)}), ErrMalformed},
	{"more rates than tracks", encode([]any{record(kindRates, 1, 2, 3, 4), oneTrack, endStream.record()}), ErrEnded},
	{"bytes after the tracks", encode([]any{record(kindTracks, 0, 1)}), ErrMalformed},
}

func TestReaderRefusesWhatIsBeyondTheFraming(t *testing.T) {
	for _, c := range endTests {
		if _, err := readAll(c.in); err == nil || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: error = %v, want %v", c.name, err, c.err)
		}
	}
}

func TestErrorOfTheWriterEndsReading(t *testing.T) {
	c := collector{fail: io.ErrClosedPipe}
	r := NewReader(bytes.NewReader(encode(roundTripTests[2].in)))
	if err := r.Next(&c); err != nil {
		t.Fatal(err)
	}
	if err := r.Next(&c); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Next = %v, want %v", err, io.ErrClosedPipe)
	}
}

func TestEncoderLeavesOutWhatAReaderWouldRefuse(t *testing.T) {
	e := NewEncoder(quiet)
	if b := e.Encode(&codecs.AccessUnit{Payload: []byte("x")}); b != nil {
		t.Errorf("an access unit before any tracks became %d bytes", len(b))
	}
	e.Prologue(oneTrack)
	for _, au := range []*codecs.AccessUnit{{Track: 1}, {Track: -1}, {Payload: make([]byte, MaxUnit+1)}} {
		if b := e.Encode(au); b != nil {
			t.Errorf("track %d, %d bytes: encoded", au.Track, len(au.Payload))
		}
	}
	if b := e.Prologue(make(codecs.Tracks, MaxTracks+1)); b != nil {
		t.Error("too many tracks were encoded")
	}
	if b := e.Encode(&codecs.AccessUnit{}); b != nil {
		t.Error("an access unit of tracks that could not be announced was encoded")
	}
	largest := &codecs.AccessUnit{Payload: make([]byte, MaxUnit), DTS: math.MinInt64, PTS: math.MaxInt64, Duration: 1 << 62, Cut: math.MinInt64}
	if got, err := readAll(encode([]any{oneTrack, largest})); len(got) != 2 {
		t.Errorf("the largest access unit was not read: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range roundTripTests {
		if b := encode(c.in); len(b) < 4096 {
			f.Add(b)
		}
	}
	for _, c := range endTests {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAll(b)
		if err == nil {
			t.Fatal("a body of finite length ended without an error")
		}
		tracks := 0
		for _, item := range got {
			switch item := item.(type) {
			case codecs.Tracks:
				tracks = len(item)
				if tracks > MaxTracks {
					t.Fatalf("%d tracks", tracks)
				}
				for _, track := range item {
					if len(track.Config) > MaxConfig {
						t.Fatalf("%d bytes of configuration", len(track.Config))
					}
				}
			case *codecs.AccessUnit:
				if item.Track < 0 || item.Track >= tracks || len(item.Payload) > MaxUnit || item.Duration < 0 {
					t.Fatalf("access unit out of bounds: track %d of %d, %d bytes", item.Track, tracks, len(item.Payload))
				}
			}
		}
		again, err := readAll(encode(got))
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) > 0 && !reflect.DeepEqual(again, got) {
			t.Fatalf("second trip: %v; got %.300v, want %.300v", err, again, got)
		}
	})
}

// BenchmarkEncode makes the record of an access unit. Budget: 1 allocation, its copy on the wire.
func BenchmarkEncode(b *testing.B) {
	e := NewEncoder(quiet)
	e.Prologue(oneTrack)
	au := &codecs.AccessUnit{DTS: 157_788_000_000_000, PTS: 157_788_000_000_000, Payload: make([]byte, 5000)}
	b.SetBytes(5000)
	b.ReportAllocs()
	for b.Loop() {
		e.Encode(au)
	}
}

// BenchmarkRead reads access units. Budget: 2 allocations, the access unit and its payload.
func BenchmarkRead(b *testing.B) {
	au := &codecs.AccessUnit{DTS: 157_788_000_000_000, PTS: 157_788_000_000_000, Payload: make([]byte, 5000)}
	one := encode([]any{oneTrack, au})
	head := len(encode([]any{oneTrack}))
	r := NewReader(io.MultiReader(bytes.NewReader(one), &repeat{b: one[head:]}))
	var w discard
	b.SetBytes(5000)
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Next(w); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) SetTracks(codecs.Tracks)        {}
func (discard) Write(*codecs.AccessUnit) error { return nil }

// repeat reads b over and over.
type repeat struct {
	b   []byte
	off int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.off:])
	r.off = (r.off + n) % len(r.b)
	return n, nil
}

func TestURLKeepsTheNameInOneSegment(t *testing.T) {
	got := URL("http://10.0.0.1:8080/", "live/a b?ü", 1)
	want := "http://10.0.0.1:8080/cluster/relay/live%2Fa%20b%3F%C3%BC?hops=1"
	if got != want {
		t.Errorf("URL = %q, want %q", got, want)
	}
	if strings.Count(got, "/") != 5 {
		t.Errorf("URL = %q has more segments", got)
	}
}

func TestFrameRateComesWithTheConfiguration(t *testing.T) {
	p, err := fake.New(fake.Config{Rate: 10})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := readAll(encode([]any{p.Tracks()}))
	if tracks, ok := got[0].(codecs.Tracks); !ok || len(tracks) != 2 || tracks[0].FrameRate != 10 {
		t.Errorf("tracks = %+v, want 10 pictures in a second", got)
	}
}
