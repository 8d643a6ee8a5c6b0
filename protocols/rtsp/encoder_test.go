package rtsp

import (
	"bytes"
	"context"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/h264"
	"weir/protocols/listen"
)

var timeTests = []struct {
	pts   int64
	clock int
	rtp   uint32
	ntp   uint64
}{
	{0, 48000, 0, 2_208_988_800 << 32},
	{90000, 48000, 48000, 2_208_988_801 << 32},
	{45000, 44100, 22050, 2_208_988_800<<32 | 1<<31},
	{2090, 44100, 1024, 2_208_988_800<<32 | 2090<<32/90000}, // 1024 samples are 2089.8 ticks: what was rounded comes back
	{4180, 44100, 2048, 2_208_988_800<<32 | 4180<<32/90000},
	{157_788_000_000_000, 90000, uint32(157_788_000_000_000 % (1 << 32)), (2_208_988_800 + 1_753_200_000) << 32},
	{157_788_000_000_000, 96000, uint32(1_753_200_000 * 96000 % (1 << 32)), (2_208_988_800 + 1_753_200_000) << 32},
	{-45000, 48000, 1<<32 - 24000, 2_208_988_799<<32 | 1<<31},
}

func TestTimestampsDeriveFromThePTSAlone(t *testing.T) {
	for _, c := range timeTests {
		if got := rtpTime(c.pts, c.clock); got != c.rtp {
			t.Errorf("rtpTime(%d, %d) = %d, want %d", c.pts, c.clock, got, c.rtp)
		}
		if got := ntpTime(c.pts); got != c.ntp {
			t.Errorf("ntpTime(%d) = %#x, want %#x", c.pts, got, c.ntp)
		}
	}
}

func TestReportsAndByeAreRTCP(t *testing.T) {
	s := sender{medium: medium{ssrc: 7, clock: 48000}, packets: 3, payloads: 400}
	got, err := rtcp.Unmarshal(s.appendReport(nil, 90000))
	want := &rtcp.SenderReport{SSRC: 7, NTPTime: 2_208_988_801 << 32, RTPTime: 48000, PacketCount: 3, OctetCount: 400}
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0].(*rtcp.SenderReport).Header(), want.Header()) || got[0].(*rtcp.SenderReport).NTPTime != want.NTPTime ||
		got[0].(*rtcp.SenderReport).RTPTime != want.RTPTime || got[0].(*rtcp.SenderReport).PacketCount != 3 || got[0].(*rtcp.SenderReport).OctetCount != 400 {
		t.Errorf("report = %v, %v, want %v", got, err, want)
	}
	got, err = rtcp.Unmarshal(appendBye(nil, 7))
	if err != nil || len(got) != 2 {
		t.Fatalf("bye = %v, %v", got, err)
	}
	if bye, ok := got[1].(*rtcp.Goodbye); !ok || !reflect.DeepEqual(bye.Sources, []uint32{7}) {
		t.Errorf("bye = %v", got)
	}
}

func patternTracks(t testing.TB) codecs.Tracks {
	p, err := fake.New(fake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Tracks()
}

// hevc is the configuration of a 1280x720 stream, made by x265.
var hevc = []byte{
	1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 3,
	0xa0, 0, 1, 0, 4, 0x40, 1, 0x0c, 1,
	0xa1, 0, 1, 0, 4, 0x42, 1, 1, 1,
	0xa2, 0, 1, 0, 4, 0x44, 1, 0xc1, 0x72,
}

// payloads are access units that RTP carries, each with its track.
var payloads = []struct {
	name string
	in   codecs.Track
	unit []byte
	want [][]byte // what a receiver makes of it
}{
	{"H265", codecs.Track{Codec: codecs.H265, Config: hevc}, h264.Join([]byte{0x26, 1, 1, 2}, bytes.Repeat([]byte{0x26}, 5000)), [][]byte{
		{0x40, 1, 0x0c, 1}, {0x42, 1, 1, 1}, {0x44, 1, 0xc1, 0x72}, {0x26, 1, 1, 2}, bytes.Repeat([]byte{0x26}, 5000),
	}},
	{"AAC", codecs.Track{Codec: codecs.AAC, Config: []byte{0x12, 0x10}, SampleRate: 44100, Channels: 2}, []byte("aac"), [][]byte{[]byte("aac")}},
	{"AAC in many packets", codecs.Track{Codec: codecs.AAC, Config: []byte{0x12, 0x10}}, make([]byte, 4000), [][]byte{make([]byte, 4000)}},
	{"HE-AAC", codecs.Track{Codec: codecs.AAC, Config: []byte{0x2b, 0x11, 0x88, 0x00}, SampleRate: 48000, Channels: 2}, []byte("sbr"), [][]byte{[]byte("sbr")}},
	{"Opus", codecs.Track{Codec: codecs.Opus, SampleRate: 48000, Channels: 2}, []byte("opus"), [][]byte{[]byte("opus")}},
	{"Opus beyond a packet", codecs.Track{Codec: codecs.Opus, SampleRate: 48000, Channels: 2}, make([]byte, 1500), nil},
	{"empty", codecs.Track{Codec: codecs.Opus, SampleRate: 48000, Channels: 2}, nil, nil},
	{"H265 without NAL units", codecs.Track{Codec: codecs.H265, Config: hevc}, []byte{0, 0, 0, 9, 1}, nil},
	{"MP3", codecs.Track{Codec: codecs.MP3, SampleRate: 44100, Channels: 2}, mp3, [][]byte{mp3}},
	{"AC3", codecs.Track{Codec: codecs.AC3, SampleRate: 48000, Channels: 6}, ac3, [][]byte{ac3}},
}

var (
	mp3 = append([]byte{0xff, 0xfb, 0x90, 0x64}, make([]byte, 413)...)              // 128 kbit/s at 44.1 kHz
	ac3 = append([]byte{0x0b, 0x77, 0, 0, 0x14, 0x40, 0x43}, make([]byte, 1536)...) // longer than one packet
)

// decode receives packets as a player does.
func decode(t *testing.T, f format.Format, packets []*rtp.Packet) (units [][]byte) {
	t.Helper()
	var next func(*rtp.Packet) ([][]byte, error)
	switch f := f.(type) {
	case *format.H265:
		d, err := f.CreateDecoder()
		if err != nil {
			t.Fatal(err)
		}
		next = d.Decode
	case *format.MPEG4Audio:
		d, err := f.CreateDecoder()
		if err != nil {
			t.Fatal(err)
		}
		next = d.Decode
	case *format.MPEG1Audio:
		d, err := f.CreateDecoder()
		if err != nil {
			t.Fatal(err)
		}
		next = d.Decode
	case *format.AC3, *format.Opus: // their packets are looked at as they are
		next = func(p *rtp.Packet) ([][]byte, error) { return [][]byte{p.Payload}, nil }
	}
	for i, p := range packets {
		got, err := next(p)
		if err != nil && i == len(packets)-1 {
			t.Errorf("packet %d: %v", i, err)
		}
		units = append(units, got...)
	}
	return units
}

func TestReceiverGetsTheAccessUnitThatWasSent(t *testing.T) {
	for _, c := range payloads {
		t.Run(c.name, func(t *testing.T) {
			e := newEncoder("s", quiet)
			e.Prologue(codecs.Tracks{{Codec: codecs.AV1}, c.in})
			if len(e.layout.media) != 1 || len(e.layout.left) != 1 {
				t.Fatalf("layout has %d media, %d are left out: %v", len(e.layout.media), len(e.layout.left), e.layout.left)
			}
			wire := e.Encode(&codecs.AccessUnit{Track: 1, DTS: 90000, PTS: 180000, RandomAccess: true, Payload: c.unit})
			if got := e.Encode(&codecs.AccessUnit{Track: 0, Payload: []byte("av1")}); got != nil {
				t.Errorf("a track that is left out became %d bytes", len(got))
			}
			var packets []*rtp.Packet
			size := 0
			for channel, b := range split(wire) {
				size += frameHead + len(b)
				if channel == 1 {
					continue
				}
				p := new(rtp.Packet)
				if err := p.Unmarshal(b); err != nil {
					t.Fatal(err)
				}
				if want := uint32(2 * e.layout.media[0].clock); p.Timestamp != want {
					t.Errorf("timestamp %d, want %d", p.Timestamp, want)
				}
				packets = append(packets, p)
			}
			if size != len(wire) || cap(wire) != len(wire) {
				t.Errorf("%d bytes in packets, %d in all, %d allocated", size, len(wire), cap(wire))
			}
			got := decode(t, e.layout.media[0].format, packets)
			switch c.in.Codec {
			case codecs.AC3: // two bytes of head in each packet (RFC 4184, 4)
				var whole []byte
				for _, b := range got {
					whole = append(whole, b[2:]...)
				}
				got = [][]byte{whole}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("received %d units %.60x, want %d", len(got), got, len(c.want))
			}
		})
	}
}

var brokenTracks = []codecs.Track{
	{},
	{Codec: codecs.H264},
	{Codec: codecs.H264, Config: []byte{1, 0x64, 0, 0x1f, 0xff, 0xe0, 0}},
	{Codec: codecs.H265, Config: []byte("short")},
	{Codec: codecs.AAC},
	{Codec: codecs.AAC, Config: []byte{0xff, 0xff}},
	{Codec: codecs.AC3},
	{Codec: codecs.Opus, Channels: 99},
	{Codec: codecs.AV1},
}

func TestTrackThatCannotBeReadIsLeftOut(t *testing.T) {
	for _, track := range brokenTracks {
		if l := layoutOf("s", codecs.Tracks{track}); len(l.media) != 0 || len(l.left) != 1 {
			t.Errorf("%v: %d media, left out: %v", track, len(l.media), l.left)
		}
	}
	many := make(codecs.Tracks, maxMedia+3)
	for i := range many {
		many[i] = codecs.Track{Codec: codecs.MP3}
	}
	if l := layoutOf("s", many); len(l.media) != maxMedia || len(l.left) != 3 {
		t.Errorf("%d media, %d left out; want %d and 3", len(l.media), len(l.left), maxMedia)
	}
}

// FuzzEncode packetises payloads that inputs may bring, of any codec, and configurations.
func FuzzEncode(f *testing.F) {
	for _, c := range payloads {
		f.Add(uint8(c.in.Codec), c.in.Config, c.unit)
	}
	for _, track := range brokenTracks {
		f.Add(uint8(track.Codec), track.Config, []byte{0, 0, 0, 1, 0x65})
	}
	for _, track := range patternTracks(f) {
		f.Add(uint8(track.Codec), track.Config, []byte{0, 0, 0, 1, 0x26, 0, 0, 0, 1, 0x26})
	}
	f.Fuzz(func(t *testing.T, codec uint8, config, payload []byte) {
		e := newEncoder("s", quiet)
		note := e.Prologue(codecs.Tracks{{Codec: codecs.Codec(codec), Config: config, SampleRate: 48000, Channels: 2}})
		if len(note) != 9 {
			t.Fatalf("note of %d bytes", len(note))
		}
		if len(e.layout.media) > 0 {
			if _, err := e.layout.description().Marshal(); err != nil {
				t.Fatalf("layout that cannot be described: %v", err)
			}
		}
		wire := e.Encode(&codecs.AccessUnit{RandomAccess: true, Payload: payload})
		size := 0
		for channel, b := range split(wire) {
			size += frameHead + len(b)
			if channel > 1 || len(b) > maxPayload+12 {
				t.Fatalf("%d bytes on channel %d", len(b), channel)
			}
		}
		if size != len(wire) {
			t.Fatalf("%d bytes of packets in %d", size, len(wire))
		}
	})
}

var urlTests = []struct {
	url, path, escaped string
	track              int
}{
	{"rtsp://n/a", "/a", "/a", 0},
	{"rtsp://n/live/a%20b/trackID=1", "/live/a b", "/live/a%20b", 1},
	{"rtsp://n/live%2Fa/", "/live/a", "/live%2Fa", 0},
	{"rtsp://n/a?q=1/trackID=2", "/a", "/a", 2},
	{"rtsp://n/a/trackID=x", "/a", "/a", 0},
	{"rtsp://n/a/trackID=99999999999999999999", "/a", "/a", 0},
	{"rtsp://n/a/trackID=1/trackID=2", "/a/trackID=1", "/a/trackID=1", 2},
	{"rtsp://n/%zz", "", "", 0},
}

func TestPathIsKeptAsItWasWritten(t *testing.T) {
	for _, c := range urlTests {
		u, err := base.ParseURL(c.url)
		if err != nil {
			if c.path != "" {
				t.Errorf("%s: %v", c.url, err)
			}
			continue
		}
		if got := escapedPath(u, c.path); got != c.escaped {
			t.Errorf("escapedPath(%s, %s) = %s, want %s", c.url, c.path, got, c.escaped)
		}
		if got := trackID(u); got != c.track {
			t.Errorf("trackID(%s) = %d, want %d", c.url, got, c.track)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, c := range urlTests {
		f.Add(c.url, c.path)
	}
	f.Fuzz(func(t *testing.T, raw, path string) {
		u, err := base.ParseURL(raw)
		if err != nil {
			return
		}
		if n := trackID(u); n < 0 {
			t.Fatalf("trackID(%q) = %d", raw, n)
		}
		got := escapedPath(u, path)
		if back, err := url.PathUnescape(got); err != nil || back != path {
			t.Fatalf("escapedPath(%q, %q) = %q, which means %q, %v", raw, path, got, back, err)
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
