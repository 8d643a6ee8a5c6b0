package rtp

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/nal"
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
	s := sender{Medium: Medium{SSRC: 7, Clock: 48000}, packets: 3, payloads: 400}
	got, err := rtcp.Unmarshal(s.report(90000))
	want := &rtcp.SenderReport{SSRC: 7, NTPTime: 2_208_988_801 << 32, RTPTime: 48000, PacketCount: 3, OctetCount: 400}
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0].(*rtcp.SenderReport).Header(), want.Header()) || got[0].(*rtcp.SenderReport).NTPTime != want.NTPTime ||
		got[0].(*rtcp.SenderReport).RTPTime != want.RTPTime || got[0].(*rtcp.SenderReport).PacketCount != 3 || got[0].(*rtcp.SenderReport).OctetCount != 400 {
		t.Errorf("report = %v, %v, want %v", got, err, want)
	}
	got, err = rtcp.Unmarshal(Bye(7))
	if err != nil || len(got) != 2 {
		t.Fatalf("bye = %v, %v", got, err)
	}
	if bye, ok := got[1].(*rtcp.Goodbye); !ok || !reflect.DeepEqual(bye.Sources, []uint32{7}) {
		t.Errorf("bye = %v", got)
	}
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
	{"H265", codecs.Track{Codec: codecs.H265, Config: hevc}, nal.Join([]byte{0x26, 1, 1, 2}, bytes.Repeat([]byte{0x26}, 5000)), [][]byte{
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

// packetizer returns one with the layout of tracks, and the layout.
func packetizer(tracks codecs.Tracks) (*Packetizer, Layout) {
	p, l := &Packetizer{}, LayoutOf("s", tracks, 16)
	p.SetLayout(l, len(tracks))
	return p, l
}

func TestReceiverGetsTheAccessUnitThatWasSent(t *testing.T) {
	for _, c := range payloads {
		t.Run(c.name, func(t *testing.T) {
			p, l := packetizer(codecs.Tracks{{Codec: codecs.AV1}, c.in})
			if len(l.Media) != 1 || len(l.Left) != 1 {
				t.Fatalf("layout has %d media, %d are left out: %v", len(l.Media), len(l.Left), l.Left)
			}
			_, packets, reports, err := p.Pack(&codecs.AccessUnit{Track: 1, DTS: 90000, PTS: 180000, RandomAccess: true, Payload: c.unit})
			if (err != nil) != (c.name == "Opus beyond a packet") {
				t.Fatal(err)
			}
			if (len(reports) == 1) != (len(packets) > 0) {
				t.Errorf("%d reports before %d packets, want one before the first", len(reports), len(packets))
			}
			if _, got, _, _ := p.Pack(&codecs.AccessUnit{Track: 0, Payload: []byte("av1")}); got != nil {
				t.Errorf("a track that is left out became %d packets", len(got))
			}
			for _, packet := range packets {
				if want := uint32(2 * l.Media[0].Clock); packet.Timestamp != want || packet.SSRC != l.Media[0].SSRC {
					t.Errorf("timestamp %d, source %d, want %d, %d", packet.Timestamp, packet.SSRC, want, l.Media[0].SSRC)
				}
			}
			got := decode(t, l.Media[0].Format, packets)
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

func TestPacketsGoOnBeingNumberedWhenOnlyParameterSetsChange(t *testing.T) {
	other := bytes.Clone(hevc)
	other[len(other)-1]++
	p, l := packetizer(codecs.Tracks{{Codec: codecs.H265, Config: hevc}})
	au := &codecs.AccessUnit{Payload: nal.Join([]byte{2, 1, 9})}
	_, first, _, err := p.Pack(au)
	if err != nil {
		t.Fatal(err)
	}
	changed := LayoutOf("s", codecs.Tracks{{Codec: codecs.H265, Config: other}}, 16)
	p.SetLayout(changed, 1)
	_, second, reports, err := p.Pack(au)
	if err != nil || l.Signature != changed.Signature || second[0].SequenceNumber != first[0].SequenceNumber+1 || len(reports) != 1 {
		t.Errorf("packets %d and %d with %d reports, %v, want them to follow each other, and one", first[0].SequenceNumber, second[0].SequenceNumber, len(reports), err)
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
		if l := LayoutOf("s", codecs.Tracks{track}, 16); len(l.Media) != 0 || len(l.Left) != 1 {
			t.Errorf("%v: %d media, left out: %v", track, len(l.Media), l.Left)
		}
	}
	many := make(codecs.Tracks, 16+3)
	for i := range many {
		many[i] = codecs.Track{Codec: codecs.MP3}
	}
	if l := LayoutOf("s", many, 16); len(l.Media) != 16 || len(l.Left) != 3 {
		t.Errorf("%d media, %d left out; want %d and 3", len(l.Media), len(l.Left), 16)
	}
}

// FuzzPack packetises payloads that inputs may bring, of any codec, and configurations.
func FuzzPack(f *testing.F) {
	for _, c := range payloads {
		f.Add(uint8(c.in.Codec), c.in.Config, c.unit)
	}
	for _, track := range brokenTracks {
		f.Add(uint8(track.Codec), track.Config, []byte{0, 0, 0, 1, 0x65})
	}
	pattern, err := fake.New(fake.Config{})
	if err != nil {
		f.Fatal(err)
	}
	for _, track := range pattern.Tracks() {
		f.Add(uint8(track.Codec), track.Config, []byte{0, 0, 0, 1, 0x26, 0, 0, 0, 1, 0x26})
	}
	f.Fuzz(func(t *testing.T, codec uint8, config, payload []byte) {
		p, l := packetizer(codecs.Tracks{{Codec: codecs.Codec(codec), Config: config, SampleRate: 48000, Channels: 2}})
		medium, packets, reports, err := p.Pack(&codecs.AccessUnit{RandomAccess: true, Payload: payload})
		if err == nil && (medium >= max(len(l.Media), 1) || len(reports) > 0 && len(reports) != len(l.Media)) {
			t.Fatalf("packets of medium %d of %d with %d reports", medium, len(l.Media), len(reports))
		}
		for _, packet := range packets {
			if n := packet.MarshalSize(); n > 1450+12 {
				t.Fatalf("a packet of %d bytes", n)
			}
		}
	})
}
