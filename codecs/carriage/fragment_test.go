package carriage

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/pion/rtp"

	"weir/codecs/sdp"
)

// fragments are payloads, with what is read of each: units in brackets, a part with [ and ] where it begins and ends.
var fragments = []struct {
	name   string
	read   func([]byte) (Fragment, error)
	in     string
	want   string
	refuse bool
}{
	{name: "H.264, one unit", read: fragmentH264, in: "\x65abc", want: "[\x65abc]"},
	{name: "H.264, units behind start codes, as some cameras put them into one packet", read: fragmentH264, in: "\x67a\x00\x00\x00\x01\x68b\x00\x00\x01\x65c", want: "[\x67a][\x68b][\x65c]"},
	{name: "H.264, STAP-A", read: fragmentH264, in: "\x78\x00\x02\x67a\x00\x03\x68bc", want: "[\x67a][\x68bc]"},
	{name: "H.264, STAP-A with padding", read: fragmentH264, in: "\x78\x00\x02\x67a\x00\x00\x00\x00\x00", want: "[\x67a]"},
	{name: "H.264, STAP-A that breaks off", read: fragmentH264, in: "\x78\x00\x02\x67a\x00\x09\x68bc", refuse: true},
	{name: "H.264, STAP-B", read: fragmentH264, in: "\x79\x01\x02\x00\x02\x67a\x00\x02\x68b", want: "[\x67a][\x68b]"},
	{name: "H.264, MTAP16", read: fragmentH264, in: "\x7a\x00\x01\x00\x02\x00\x00\x05\x65a", want: "[\x65a]"},
	{name: "H.264, MTAP24", read: fragmentH264, in: "\x7b\x00\x01\x00\x02\x00\x00\x00\x05\x65a", want: "[\x65a]"},
	{name: "H.264, FU-A begins", read: fragmentH264, in: "\x7c\x85abc", want: "[\x65abc"},
	{name: "H.264, FU-A goes on", read: fragmentH264, in: "\x7c\x05abc", want: "abc"},
	{name: "H.264, FU-A ends", read: fragmentH264, in: "\x7c\x45abc", want: "abc]"},
	{name: "H.264, FU-A begins and ends, which the standard forbids", read: fragmentH264, in: "\x7c\xc5abc", want: "[\x65abc]"},
	{name: "H.264, FU-B begins", read: fragmentH264, in: "\x7d\x85\x00\x01abc", want: "[\x65abc"},
	{name: "H.264, FU-A of one byte", read: fragmentH264, in: "\x7c", refuse: true},
	{name: "H.264, a type that is not in use", read: fragmentH264, in: "\x7fabc", refuse: true},
	{name: "H.264, nothing", read: fragmentH264, refuse: true},
	{name: "H.265, one unit", read: fragmentH265(false), in: "\x26\x01abc", want: "[\x26\x01abc]"},
	{name: "H.265, aggregation", read: fragmentH265(false), in: "\x60\x01\x00\x03\x40\x01a\x00\x03\x42\x01b", want: "[\x40\x01a][\x42\x01b]"},
	{name: "H.265, a fragment begins", read: fragmentH265(false), in: "\x62\x01\x93abc", want: "[\x26\x01abc"},
	{name: "H.265, a fragment begins and ends", read: fragmentH265(false), in: "\x62\x01\xd3abc", want: "[\x26\x01abc]"},
	{name: "H.265, one unit with its order", read: fragmentH265(true), in: "\x26\x01\x00\x07abc", want: "[\x26\x01abc]"},
	{name: "H.265, aggregation with orders", read: fragmentH265(true), in: "\x60\x01\x00\x07\x00\x03\x40\x01a\x01\x00\x03\x42\x01b", want: "[\x40\x01a][\x42\x01b]"},
	{name: "H.265, a fragment with its order", read: fragmentH265(true), in: "\x62\x01\x93\x00\x07abc", want: "[\x26\x01abc"},
	{name: "H.265, a fragment goes on", read: fragmentH265(true), in: "\x62\x01\x13abc", want: "abc"},
	{name: "H.265, an order that breaks off", read: fragmentH265(true), in: "\x26\x01\x00", refuse: true},
	{name: "H.265, PACI", read: fragmentH265(false), in: "\x64\x01abc", refuse: true},
}

func TestPayloadsOfNALUnitsAreRead(t *testing.T) {
	for _, c := range fragments {
		f, err := c.read([]byte(c.in))
		var b strings.Builder
		for _, u := range f.Units {
			fmt.Fprintf(&b, "[%s]", u)
		}
		if f.First {
			b.WriteByte('[')
		}
		b.Write(f.Part)
		if f.Last {
			b.WriteByte(']')
		}
		if got := b.String(); (err != nil) != c.refuse || err == nil && got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// aacPackets are packets of AAC, with the frames that come of them. A packet that begins with ! follows on a loss, one that ends with .
// has the marker.
var aacPackets = []struct {
	name, params string
	packets      []string
	want         []string
}{
	{"high bit-rate", "", []string{"\x00\x10\x00\x18abc."}, []string{"abc"}},
	{"two in a packet", "", []string{"\x00\x20\x00\x10\x00\x18abcde."}, []string{"ab", "cde"}},
	{"no marker", "", []string{"\x00\x10\x00\x18abc", "\x00\x10\x00\x10de"}, []string{"abc", "de"}},
	{"in two packets, whose size is that of the whole", "", []string{"\x00\x10\x00\x28abc", "\x00\x10\x00\x28de."}, []string{"abcde"}},
	{"in two packets, the second of which is lost", "", []string{"\x00\x10\x00\x28abc", "!\x00\x10\x00\x10fg."}, []string{"fg"}},
	{"low bit-rate", "mode=AAC-lbr", []string{"\x00\x08\x0cabc."}, []string{"abc"}},
	{"sizes of 16 bits without an index", "sizelength=16;indexlength=0;indexdeltalength=0", []string{"\x00\x20\x00\x02\x00\x01abc."}, []string{"ab", "c"}},
	{"sizes of 6 bits, times and flags", "sizelength=6;indexlength=2;indexdeltalength=2;ctsdeltalength=7;randomaccessindication=1", []string{"\x00\x12\x0c\xaa\x40abc."}, []string{"abc"}},
	{"a constant size", "constantsize=2", []string{"abcd."}, []string{"ab", "cd"}},
	{"an auxiliary section", "auxiliarydatasizelength=8", []string{"\x00\x10\x00\x18\x08Zabc."}, []string{"abc"}},
	{"an ADTS header is left before it", "", []string{"\x00\x10\x00\x50\xff\xf1\x4c\x80\x01\x5f\xfcabc."}, []string{"abc"}},
	{"sizes beyond the packet", "", []string{"\x00\x20\x00\x10\x00\x80abc."}, []string{"ab"}},
	{"no packet", "", []string{"\x00", "", "\xff\xff", "\x00\x00", "\x00\x10\x00\x18abc."}, []string{"abc"}},
}

func TestPacketsOfAACAreRead(t *testing.T) {
	for _, c := range aacPackets {
		f := described(t, "97 mpeg4-generic/48000/2", "config=1190;"+c.params)
		u, err := unpackAAC(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := framesOf(u, c.packets); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: frames %q, want %q", c.name, got, c.want)
		}
	}
}

func described(t testing.TB, rtpmap, fmtp string) *sdp.Format {
	t.Helper()
	s := sdp.Parse([]byte("m=audio 0 RTP/AVP 97\na=rtpmap:" + rtpmap + "\na=fmtp:97 " + fmtp + "\n"))
	if len(s.Media) != 1 || len(s.Media[0].Formats) != 1 {
		t.Fatalf("description %+v", s)
	}
	return &s.Media[0].Formats[0]
}

func framesOf(u *Unpacking, packets []string) (frames []string) {
	for _, in := range packets {
		in, lost := strings.CutPrefix(in, "!")
		in, marker := strings.CutSuffix(in, ".")
		got, _ := u.Frames(&rtp.Packet{Header: rtp.Header{Marker: marker}, Payload: []byte(in)}, lost)
		for _, f := range got {
			frames = append(frames, string(f))
		}
	}
	return frames
}

func TestLATMIsReadByItsConfiguration(t *testing.T) {
	u, err := unpackAAC(described(t, "97 MP4A-LATM/48000/2", "profile-level-id=1;object=2;cpresent=0;config=400023203fc0"))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprintf("%x", u.Config) != "1190" || u.Clock != 48000 {
		t.Errorf("configuration %x, clock %d, want 1190, 48000", u.Config, u.Clock)
	}
	want := []string{"abc", "de"}
	if got := framesOf(u, []string{"\x03a", "bc.", "\x05ab", "!\x02de."}); !reflect.DeepEqual(got, want) {
		t.Errorf("frames %q, want %q", got, want)
	}
	for _, params := range []string{"", "config=zz", "cpresent=0;config=00", "cpresent=1"} {
		if u, err := unpackAAC(described(t, "97 MP4A-LATM/90000", params)); err == nil {
			t.Errorf("%q is read as %+v", params, u)
		}
	}
}

func TestAACWithoutAConfigurationIsTakenForPlainAAC(t *testing.T) {
	for _, params := range []string{"", "config=", "config=xyz", "config=ff"} {
		u, err := unpackAAC(described(t, "97 mpeg4-generic/16000/1", params))
		if err != nil || fmt.Sprintf("%x", u.Config) != "1408" || u.Clock != 16000 {
			t.Errorf("%q: %+v, %v, want the configuration 1408", params, u, err)
		}
	}
	if u, err := unpackAAC(described(t, "97 mpeg4-generic", "")); err == nil {
		t.Errorf("AAC of no known rate is read as %+v", u)
	}
}

// FuzzUnpack gives payloads to the readers of all formats.
func FuzzUnpack(f *testing.F) {
	for _, c := range fragments {
		f.Add("96 H264/90000", "", []byte(c.in), false)
		f.Add("96 H265/90000", "sprop-max-don-diff=1", []byte(c.in), true)
	}
	for _, c := range aacPackets {
		for _, p := range c.packets {
			f.Add("97 mpeg4-generic/48000/2", "config=1190;"+c.params, []byte(p), true)
		}
	}
	f.Add("97 MP4A-LATM/48000/2", "cpresent=0;config=400023203fc0", []byte("\x03abc"), true)
	f.Add("97 opus/48000/2", "sprop-stereo=1", []byte("abc"), true)
	f.Add("97 ac3/48000", "", []byte("\x00\x01\x0b\x77"), true)
	f.Fuzz(func(t *testing.T, rtpmap, fmtp string, payload []byte, marker bool) {
		s := sdp.Parse([]byte("m=audio 0 RTP/AVP 97\na=rtpmap:" + rtpmap + "\na=fmtp:97 " + fmtp + "\n"))
		for _, m := range s.Media {
			for i := range m.Formats {
				for c := range rows {
					if rows[c].Unpack == nil {
						continue
					}
					u, err := rows[c].Unpack(&m.Formats[i])
					if u == nil || err != nil {
						continue
					}
					for n := range uint16(3) {
						if u.Fragment != nil {
							if f, err := u.Fragment(payload); err == nil && len(f.Units) > 0 && f.Part != nil {
								t.Fatalf("%q is whole units and a part", payload)
							}
							continue
						}
						frames, _ := u.Frames(&rtp.Packet{Header: rtp.Header{Marker: marker, SequenceNumber: n}, Payload: payload}, n == 2)
						size := 0
						for _, f := range frames {
							size += len(f)
						}
						if size > 4*len(payload)+16 {
							t.Fatalf("%d bytes of a payload of %d", size, len(payload))
						}
					}
				}
			}
		}
	})
}
