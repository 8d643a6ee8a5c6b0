package rtsp

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/rtp"
	"weir/codecs/sdp"
	"weir/protocols/listen"
)

func patternTracks(t testing.TB) codecs.Tracks {
	p, err := fake.New(fake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Tracks()
}

var opus = codecs.Track{Codec: codecs.Opus, SampleRate: 48000, Channels: 2}

func TestPacketsAreInterleavedOnTheChannelsOfTheirMedia(t *testing.T) {
	e := newEncoder("s", quiet)
	if note := e.Prologue(codecs.Tracks{{Codec: codecs.AV1}, opus, opus}); len(note) != 9 || note[0] != layoutMagic {
		t.Fatalf("note of %x", note)
	}
	if got := e.Encode(&codecs.AccessUnit{Track: 0, Payload: []byte("av1")}); got != nil {
		t.Errorf("a track that is left out became %d bytes", len(got))
	}
	var channels []int
	size := 0
	wire := e.Encode(&codecs.AccessUnit{Track: 2, DTS: 90000, PTS: 180000, RandomAccess: true, Payload: []byte("opus")})
	for channel, b := range split(wire) {
		channels = append(channels, channel)
		size += frameHead + len(b)
	}
	if want := []int{1, 3, 2}; !slices.Equal(channels, want) || size != len(wire) || cap(wire) != len(wire) {
		t.Errorf("packets on channels %v with %d of %d bytes, %d allocated, want %v and all", channels, size, len(wire), cap(wire), want)
	}
	if got := e.Encode(&codecs.AccessUnit{Track: 1, Payload: make([]byte, 1500)}); got != nil || e.failed != 1 {
		t.Errorf("what fits into no packet became %d bytes, %d failed", len(got), e.failed)
	}
}

func TestDescriptionHasTheSizeAndTheRateOfPictures(t *testing.T) {
	tracks := slices.Clone(patternTracks(t))
	l := rtp.LayoutOf("s", tracks, maxMedia)
	for _, tt := range []struct {
		rate, width, height float64
		want                string
	}{
		{25, 640, 360, "a=framerate:25\r\na=framesize:96 640-360\r\na=control:"},
		{30000. / 1001, 640, 360, "a=framerate:29.97\r\n"},
		{0, 0, 0, ""},
	} {
		tracks[0].FrameRate, tracks[0].Width, tracks[0].Height = tt.rate, int(tt.width), int(tt.height)
		body, err := marshal(l, tracks, &resource{host: "h", written: "/s"})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(body); !strings.Contains(got, tt.want) || strings.Contains(got, "frame") != (tt.want != "") || strings.Count(got, "a=frame") > 2 {
			t.Errorf("%+v: %s", tt, got)
		}
		s := sdp.Parse(body)
		if len(s.Media) != len(l.Media) || s.Media[0].FrameRate != float64(int(tt.rate*1000+0.5))/1000 || s.Media[1].FrameRate != 0 {
			t.Errorf("%+v: read back as %+v", tt, s)
		}
	}
}

// FuzzEncode describes and interleaves what inputs may bring, of any codec.
func FuzzEncode(f *testing.F) {
	for _, track := range append(patternTracks(f), opus, codecs.Track{Codec: codecs.MP3}) {
		f.Add(uint8(track.Codec), track.Config, []byte{0, 0, 0, 1, 0x26, 0, 0, 0, 1, 0x26})
	}
	f.Fuzz(func(t *testing.T, codec uint8, config, payload []byte) {
		tracks := codecs.Tracks{{Codec: codecs.Codec(codec), Config: config, SampleRate: 48000, Channels: 2}}
		if l := rtp.LayoutOf("s", tracks, maxMedia); len(l.Media) > 0 {
			if _, err := describe(l, &resource{host: "h", written: "/s"}).Marshal(); err != nil {
				t.Fatalf("layout that cannot be described: %v", err)
			}
		}
		e := newEncoder("s", quiet)
		if note := e.Prologue(tracks); len(note) != 9 {
			t.Fatalf("note of %d bytes", len(note))
		}
		wire := e.Encode(&codecs.AccessUnit{RandomAccess: true, Payload: payload})
		size := 0
		for channel, b := range split(wire) {
			size += frameHead + len(b)
			if channel > 1 {
				t.Fatalf("%d bytes on channel %d", len(b), channel)
			}
		}
		if size != len(wire) {
			t.Fatalf("%d bytes of packets in %d", size, len(wire))
		}
	})
}

// always is a feed that has one access unit at any time.
type always struct{ wire []byte }

func (a always) Next(_ context.Context, bufs [][]byte) ([][]byte, error) {
	return append(bufs, a.wire), nil
}
func (always) Dropped() uint64 { return 4 }
func (always) Close()          {}

var _ listen.Feed = always{}

func TestSessionAllocatesNothingPerBatch(t *testing.T) {
	var dropped atomic.Uint64
	dropped.Store(3)
	f := layoutFeed{Feed: listen.Counted(always{[]byte{frameMagic, 0, 0, 1, 'x'}}, &dropped)}
	bufs := make([][]byte, 0, 4)
	got := testing.AllocsPerRun(100, func() {
		if b, err := f.Next(t.Context(), bufs[:0]); err != nil || len(b) != 1 {
			t.Fatalf("Next = %v, %v", b, err)
		}
	})
	if got != 0 || dropped.Load() != 7 {
		t.Errorf("%v allocations per batch, want 0; %d dropped, want 7", got, dropped.Load())
	}
}

func TestSplitEndsWhereAPacketIsNotWhole(t *testing.T) {
	n := 0
	for range split([]byte("$\x00\x00\x02ab$\x01\x00\x05ab")) {
		n++
	}
	if n != 1 {
		t.Errorf("%d packets, want 1", n)
	}
	if got := (&route{0: 4}).rewrite([]byte("$\x00\x00\x02ab$\x01\x00\x01c$\x03\x00\x01d")); !strings.HasPrefix(string(got), "$\x04\x00\x02ab$\x05\x00\x01c") {
		t.Errorf("rewrite = %q", got)
	}
}

// BenchmarkEncode packetises a GOP of the test pattern, once for all viewers.
func BenchmarkEncode(b *testing.B) {
	p, err := fake.New(fake.Config{})
	if err != nil {
		b.Fatal(err)
	}
	units, err := p.Segment(440_000_000)
	if err != nil {
		b.Fatal(err)
	}
	e := newEncoder("s", quiet)
	e.Prologue(p.Tracks())
	size := 0
	for _, au := range units {
		size += len(au.Payload)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, au := range units {
			e.Encode(au)
		}
	}
}
