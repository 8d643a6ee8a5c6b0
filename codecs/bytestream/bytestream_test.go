package bytestream_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/codecs"
	"weir/codecs/bytestream"
)

// bits writes those of a string of 0 and 1, spaces left out, behind a NAL unit header, and ends the NAL unit.
func coded(header byte, text string) []byte {
	text = strings.ReplaceAll(text, " ", "") + "1"
	b := []byte{header}
	for len(text)%8 != 0 {
		text += "0"
	}
	for ; text != ""; text = text[8:] {
		v := byte(0)
		for _, c := range text[:8] {
			v = v<<1 | byte(c-'0')
		}
		b = append(b, v)
	}
	return b
}

// ue is an ue(v) of ITU-T H.264 (9.1).
func ue(v int) string {
	s := fmt.Sprintf("%b", v+1)
	return strings.Repeat("0", len(s)-1) + s
}

// Parameter sets of 320x192 in fields, with 4 bits each of frame_num and pic_order_cnt_lsb.
var (
	sps = append([]byte{0x67, 77, 0, 30}, coded(0, ue(0)+ue(0)+ue(0)+ue(0)+ue(1)+"0"+ue(19)+ue(5)+"0 0 1 0 0")[1:]...)
	pps = coded(0x68, ue(0)+ue(0)+"0 0")
	aud = []byte{9, 0xf0}
	sei = []byte{6, 5, 1, 7, 0x80}
)

// A slice is one of H.264.
type slice struct {
	header   byte
	mb       int
	frameNum int
	field    string // "" for a frame, "top" or "bottom"
	lsb      int
}

func (s slice) unit() []byte {
	text := ue(s.mb) + ue(7) + ue(0) + fmt.Sprintf("%04b", s.frameNum)
	switch s.field {
	case "":
		text += "0"
	case "top":
		text += "10"
	default:
		text += "11"
	}
	if s.header&0x1f == 5 {
		text += ue(0)
	}
	return append(coded(s.header, text+fmt.Sprintf("%04b", s.lsb)), byte(0x80|s.mb), byte(s.frameNum), 0x55)
}

func idr(mb int) []byte { return slice{header: 0x65, mb: mb}.unit() }
func picture(frameNum, lsb, mb int) []byte {
	return slice{header: 0x41, frameNum: frameNum, lsb: lsb, mb: mb}.unit()
}

func field(header byte, name string, frameNum, lsb, mb int) []byte {
	return slice{header: header, field: name, frameNum: frameNum, lsb: lsb, mb: mb}.unit()
}

// A piece is one event of a stream: NAL units or bytes, a mark, or a gap.
type piece struct {
	units [][]byte // behind start codes
	raw   []byte
	mark  *bytestream.Mark
	gap   bool
}

func at(ticks int64) piece {
	return piece{mark: &bytestream.Mark{PTS: ticks, DTS: ticks, Timed: true}}
}

func nals(units ...[]byte) piece { return piece{units: units} }
func raw(b ...byte) piece        { return piece{raw: b} }

var gap = piece{gap: true}

// adts is a frame of AAC with a payload of so many bytes; latm is one in LOAS, and ac3, eac3 and mp3 are others.
func adts(fill byte, n int) []byte {
	size := n + 7
	return append([]byte{0xff, 0xf1, 0x4c, 0x80 | byte(size>>11), byte(size >> 3), byte(size<<5) | 0x1f, 0xfc}, bytes.Repeat([]byte{fill}, n)...)
}

func ac3(fill byte) []byte {
	return append([]byte{0x0b, 0x77, 0, 0, 0x00, 8 << 3, 0x40}, bytes.Repeat([]byte{fill}, 128-7)...)
}

func eac3() []byte {
	return append([]byte{0x0b, 0x77, 0, 63, 0x34, 16 << 3}, bytes.Repeat([]byte{1}, 128-6)...)
}

func mp3(fill byte) []byte {
	return append([]byte{0xff, 0xfb, 0x14, 0xc0}, bytes.Repeat([]byte{fill}, 96-4)...)
}

func mp2(fill byte) []byte {
	return append([]byte{0xff, 0xfd, 0x14, 0xc0}, bytes.Repeat([]byte{fill}, 96-4)...)
}

// latm is an AudioSyncStream with a frame of n bytes. Configured says that it tells its configuration: AAC-LC, 48 kHz, stereo.
func latm(version int, configured bool, fill byte, n int) []byte {
	text := "1"
	if configured {
		const config = "00010 0011 0010 0 0 0"
		text = "0 0 1 000000 0000 000" + config + "000 11111111 0 0"
		if version == 1 {
			text = "0 1 0" + "00 00000000" + "1 000000 0000 000" + "00 00010010" + config + "00" + "000 11111111 0 0"
		}
	}
	text += fmt.Sprintf("%08b", n) + strings.Repeat(fmt.Sprintf("%08b", fill), n)
	b := coded(0, text)[1:]
	return append([]byte{0x56, 0xe0 | byte(len(b)>>8), byte(len(b))}, b...)
}

func opus(fill byte, n int) []byte {
	return append([]byte{0x7f, 0xe0, byte(n)}, bytes.Repeat([]byte{fill}, n)...)
}

// cuts are streams and the access units in them: "TIME: PARTS", of which PARTS are the lengths of NAL units, or of frames behind the
// fill byte. The table is shared with the fuzz target.
var cuts = []struct {
	name    string
	form    bytestream.Form
	in      []piece
	want    string
	damaged int
}{
	{
		"a picture for each mark", bytestream.H264,
		[]piece{at(0), nals(aud, sps, pps, idr(0)), at(10), nals(aud, picture(1, 2, 0)), at(20), nals(aud, picture(2, 4, 0))},
		"0: 9 7 8 5; 10: 9 1; 20: 9 1", 0,
	},
	{
		"several pictures behind a mark", bytestream.H264,
		[]piece{at(0), nals(aud, sps, pps, idr(0), aud, picture(1, 2, 0)), at(20), nals(aud, picture(2, 4, 0), aud, picture(3, 6, 0))},
		"0: 9 7 8 5; -: 9 1; 20: 9 1; -: 9 1", 0,
	},
	{
		"a picture over several marks", bytestream.H264,
		[]piece{at(0), nals(aud, sps, pps), at(1), nals(idr(0)), at(2), nals(idr(10)), at(3), raw(1, 2, 3), at(10), nals(aud, picture(1, 2, 0))},
		"0: 9 7 8 5 5; 10: 9 1", 0,
	},
	{
		"parameter sets with a mark of their own that has no time", bytestream.H264,
		[]piece{{mark: &bytestream.Mark{}}, nals(sps, pps), at(5), nals(idr(0)), at(10), nals(picture(1, 2, 0))},
		"5: 7 8 5; 10: 1", 0,
	},
	{
		"a mark in the middle of a picture", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0)), at(10), raw(7, 7, 7), nals(aud, picture(1, 2, 0)), at(20), raw(8, 8), nals(aud, picture(2, 4, 0))},
		"0: 7 8 5; 10: 9 1; 20: 9 1", 0,
	},
	{
		"a mark within a start code", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0)), raw(0), at(10), raw(0, 0, 1, 9, 0xf0), nals(picture(1, 2, 0))},
		"0: 7 8 5; 10: 9 1", 0,
	},
	{
		"no delimiters", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0)), at(10), nals(picture(1, 2, 0)), at(20), nals(picture(2, 4, 0))},
		"0: 7 8 5; 10: 1; 20: 1", 0,
	},
	{
		"slices", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0), idr(9), idr(18)), at(10), nals(picture(1, 2, 0), picture(1, 2, 30), picture(2, 4, 0), picture(2, 4, 7))},
		"0: 7 8 5 5 5; 10: 1 1; -: 1 1", 0,
	},
	{
		"slices in any order", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0)), at(10), nals(picture(1, 2, 0), picture(2, 4, 9), picture(2, 4, 0), picture(2, 4, 20))},
		"0: 7 8 5; 10: 1; -: 1 1 1", 0,
	},
	{
		"SEI before the delimiter", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0)), at(10), nals(sei, aud, picture(1, 2, 0)), at(20), nals(sei, aud, picture(2, 4, 0))},
		"0: 7 8 5; 10: 6 9 1; 20: 6 9 1", 0,
	},
	{
		"parameter sets between slices", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0), pps, sei, idr(9)), at(10), nals(pps, picture(1, 2, 0))},
		"0: 7 8 5 8 6 5; 10: 8 1", 0,
	},
	{
		"two fields of a frame", bytestream.H264,
		[]piece{
			at(0), nals(aud, sps, pps, field(0x65, "top", 0, 0, 0), field(0x65, "top", 0, 0, 5)), at(5), nals(aud, field(0x41, "bottom", 0, 1, 0)),
			at(10), nals(aud, field(0x41, "top", 1, 2, 0), aud, field(0x41, "bottom", 1, 3, 0)),
			at(20), nals(aud, field(0x01, "bottom", 2, 4, 0)), at(25), nals(aud, field(0x01, "top", 2, 5, 0)),
			at(30), nals(aud, field(0x01, "bottom", 2, 6, 0)), at(35), nals(aud, field(0x01, "top", 2, 7, 0)),
		},
		"0: 9 7 8 5 5 9 1; 10: 9 1 9 1; 20: 9 1 9 1; 30: 9 1 9 1", 0,
	},
	{
		"from the middle of a picture on", bytestream.H264,
		[]piece{raw(1, 2, 3), nals(picture(1, 2, 9), sps, pps), at(10), nals(idr(0)), at(20), nals(picture(1, 2, 0))},
		"10: 7 8 5; 20: 1", 0,
	},
	{
		"a gap in a picture", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0)), at(10), nals(aud, picture(1, 2, 0)), gap, raw(9, 9), nals(picture(1, 2, 30)), at(20), nals(aud, picture(2, 4, 0)), at(30), nals(aud, picture(3, 6, 0))},
		"0: 7 8 5; 20: 9 1; 30: 9 1", 1,
	},
	{
		"a gap in which a picture begins", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0), aud, picture(1, 2, 0)), gap, raw(9, 9), nals(aud, picture(3, 6, 0)), at(40), nals(aud, picture(4, 8, 0))},
		"0: 7 8 5; -: 9 1; 40: 9 1", 1,
	},
	{
		"a break behind a gap", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0)), {mark: &bytestream.Mark{Break: true}}, nals(aud, picture(1, 2, 0)), gap, at(20), nals(picture(2, 4, 0))},
		"0: 7 8 5; 20!: 1", 1,
	},
	{
		"the beginning of a picture is missing", bytestream.H264,
		[]piece{at(0), nals(sps, pps, idr(0), aud, sei, picture(1, 2, 0)), gap, nals(sei, picture(2, 4, 9)), at(30), nals(aud, picture(3, 6, 0))},
		"0: 7 8 5; 30: 9 1", 1,
	},
	{
		"pictures of H.265", bytestream.H265,
		[]piece{
			at(0), nals([]byte{0x46, 1, 0x50}, []byte{0x40, 1, 1}, []byte{0x42, 1, 1}, []byte{0x44, 1, 1}, []byte{0x26, 1, 0x80, 1}, []byte{0x26, 1, 0x20, 1}, []byte{0x50, 1, 5}),
			at(10), nals([]byte{0x4e, 1, 5}, []byte{2, 1, 0x80, 1}, []byte{2, 9, 0x80, 1}, []byte{2, 1, 0x80, 2}),
		},
		"0: 35 32 33 34 19 19 40; 10: 39 1 1; -: 1", 0,
	},
	{
		"a gap in H.265", bytestream.H265,
		[]piece{at(0), nals([]byte{0x26, 1, 0x80, 1}), gap, nals([]byte{0x26, 1, 0x20, 1}), at(10), nals([]byte{2, 1, 0x80, 1})},
		"10: 1", 1,
	},
	{"frames of AAC", bytestream.ADTS, []piece{at(0), raw(slices.Concat(adts(1, 9), adts(2, 20))...), at(10), raw(adts(3, 5)...)}, "0: 1x9; -: 2x20; 10: 3x5", 0},
	{
		"a frame over two marks", bytestream.ADTS,
		[]piece{at(0), raw(adts(1, 9)...), raw(adts(2, 20)[:11]...), at(10), raw(adts(2, 20)[11:]...), raw(adts(3, 5)...)},
		"0: 1x9; -: 2x20; 10: 3x5", 0,
	},
	{
		"from the middle of a frame on", bytestream.ADTS,
		[]piece{raw(5, 5, 0xff, 0xf1, 0x50, 0x80, 1, 0x1f, 0xfc, 5), raw(slices.Concat(adts(1, 9), adts(2, 20), adts(3, 20))...)},
		"-: 1x9; -: 2x20; -: 3x20", 0,
	},
	{
		"a gap in a frame", bytestream.ADTS,
		[]piece{at(0), raw(adts(1, 9)...), raw(adts(2, 20)[:11]...), gap, raw(2, 2, 2), raw(slices.Concat(adts(3, 9), adts(4, 9))...), at(10), raw(adts(5, 9)...)},
		"0: 1x9; -: 3x9; -: 4x9; 10: 5x9", 1,
	},
	{
		"bytes that do not belong", bytestream.ADTS,
		[]piece{at(0), raw(adts(1, 9)...), raw(7, 7, 7), raw(slices.Concat(adts(2, 9), adts(3, 9))...)},
		"0: 1x9; -: 2x9; -: 3x9", 1,
	},
	{"AC-3", bytestream.AC3, []piece{at(0), raw(slices.Concat(ac3(1), ac3(2))...), at(10), raw(ac3(3)...)}, "0: 11x128; -: 11x128; 10: 11x128", 0},
	{"E-AC-3 where AC-3 was announced", bytestream.AC3, []piece{at(0), raw(slices.Concat(eac3(), eac3())...)}, "0: E-AC-3; -: E-AC-3", 0},
	{"layer III", bytestream.MPEGAudio, []piece{at(0), raw(slices.Concat(mp3(1), mp3(2))...)}, "0: 255x96; -: 255x96", 0},
	{"layer II", bytestream.MPEGAudio, []piece{at(0), raw(slices.Concat(mp2(1), mp2(2))...)}, "0: MPEG audio, layer 2; -: MPEG audio, layer 2", 0},
	{
		"LATM", bytestream.LATM,
		[]piece{at(0), raw(slices.Concat(latm(0, false, 1, 9), latm(0, true, 2, 9), latm(0, false, 3, 300%256))...), at(10), raw(latm(0, false, 4, 7)...)},
		"-: 2x9; -: 3x44; 10: 4x7", 0,
	},
	{"LATM of version 1", bytestream.LATM, []piece{at(0), raw(slices.Concat(latm(1, true, 2, 9), latm(1, false, 3, 44))...)}, "0: 2x9; -: 3x44", 0},
	{"Opus", bytestream.Opus, []piece{at(0), raw(slices.Concat(opus(1, 9), opus(2, 20))...)}, "0: 1x9; -: 2x20", 0},
}

// cut has a stream cut, in pieces of so many bytes, and describes what comes out.
func cut(t testing.TB, form bytestream.Form, in []piece, size int) (out string, damaged int) {
	t.Helper()
	var units []string
	s := bytestream.NewSplitter(form, func(u *bytestream.Unit) error {
		units = append(units, describe(form, u))
		return nil
	})
	write := func(b []byte) {
		for len(b) > 0 {
			n := min(len(b), size)
			if err := s.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
		}
	}
	for _, p := range in {
		switch {
		case p.mark != nil:
			s.Mark(*p.mark)
		case p.gap:
			if err := s.Gap(); err != nil {
				t.Fatal(err)
			}
		default:
			write(p.raw)
			for _, u := range p.units {
				write(append([]byte{0, 0, 0, 1}[len(u)%2:], u...)) // start codes of both kinds
			}
		}
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(units, "; "), s.Damaged()
}

func describe(form bytestream.Form, u *bytestream.Unit) string {
	text := "-"
	if u.Timed {
		text = fmt.Sprint(u.PTS)
	}
	if u.Break {
		text += "!"
	}
	text += ":"
	unsupported := (*codecs.UnsupportedError)(nil)
	if errors.As(u.Refused, &unsupported) {
		return text + " " + unsupported.Name
	}
	for _, p := range u.Parts {
		switch form {
		case bytestream.H264:
			text += fmt.Sprintf(" %d", p[0]&0x1f)
		case bytestream.H265:
			text += fmt.Sprintf(" %d", p[0]>>1)
		default:
			text += fmt.Sprintf(" %dx%d", p[0], len(p))
		}
	}
	return text
}

func TestStreamsAreCutIntoAccessUnits(t *testing.T) {
	for _, tt := range cuts {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1 << 10, 7, 3, 1} {
				got, damaged := cut(t, tt.form, tt.in, size)
				if got != tt.want || damaged != tt.damaged {
					t.Errorf("pieces of %d: %s; %d damaged\nwant %s; %d", size, got, damaged, tt.want, tt.damaged)
				}
			}
		})
	}
}

func TestConfigurationOfAACIsTold(t *testing.T) {
	want := []byte{0x11, 0x90}
	for form, frame := range map[bytestream.Form][]byte{bytestream.ADTS: adts(1, 9), bytestream.LATM: latm(0, true, 1, 9)} {
		s := bytestream.NewSplitter(form, func(u *bytestream.Unit) error {
			if !bytes.Equal(u.Config, want) && !bytes.HasPrefix(u.Config, want) {
				t.Errorf("form %d: configuration % x, want % x", form, u.Config, want)
			}
			return nil
		})
		s.Mark(bytestream.Mark{})
		if err := s.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrorOfTheReceiverIsReturned(t *testing.T) {
	enough := errors.New("enough")
	for _, tt := range cuts {
		n := 0
		s := bytestream.NewSplitter(tt.form, func(*bytestream.Unit) error {
			n++
			return enough
		})
		var all []byte
		for _, p := range tt.in {
			all = append(all, p.raw...)
			for _, u := range p.units {
				all = append(append(all, 0, 0, 1), u...)
			}
		}
		if err := errors.Join(s.Write(all), s.Flush()); !errors.Is(err, enough) || n == 0 || n > 2 {
			t.Errorf("%s: %v after %d access units, want %v", tt.name, err, n, enough)
		}
	}
}

func TestFormIsRecognised(t *testing.T) {
	for _, tt := range []struct {
		in   []byte
		want bytestream.Form
	}{
		{slices.Concat(adts(1, 9), adts(2, 9)), bytestream.ADTS},
		{slices.Concat(latm(0, true, 1, 9), latm(0, false, 2, 9)), bytestream.LATM},
		{slices.Concat(ac3(1), ac3(2)), bytestream.AC3},
		{slices.Concat(mp3(1), mp3(2)), bytestream.MPEGAudio},
		{adts(1, 9), 0},
		{append(adts(1, 9), 1, 2, 3, 4, 5, 6, 7, 8), 0},
		{[]byte{0x10, 2, 0x44}, 0},
		{nil, 0},
	} {
		if got := bytestream.Recognise(tt.in); got != tt.want {
			t.Errorf("Recognise(% x) = %d, want %d", tt.in[:min(8, len(tt.in))], got, tt.want)
		}
	}
}

func TestLongPicturesAreBounded(t *testing.T) {
	n := 0
	s := bytestream.NewSplitter(bytestream.H264, func(*bytestream.Unit) error { n++; return nil })
	chunk := bytes.Repeat([]byte{2}, 1<<20)
	if err := s.Write(slices.Concat([]byte{0, 0, 1}, sps, []byte{0, 0, 1}, pps, []byte{0, 0, 1}, idr(0))); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if err := s.Write(chunk); err != nil {
			t.Fatal(err)
		}
		if s.Held() > 20<<20 {
			t.Fatalf("%d bytes are held", s.Held())
		}
	}
	if s.Damaged() != 1 || n != 0 {
		t.Errorf("%d access units, %d damaged, want one that is damaged", n, s.Damaged())
	}
}

// FuzzSplitter cuts garbage. What comes out must not depend on the pieces in which it comes.
func FuzzSplitter(f *testing.F) {
	for _, tt := range cuts {
		var all []byte
		for _, p := range tt.in {
			all = append(all, p.raw...)
			for _, u := range p.units {
				all = append(append(all, 0, 0, 1), u...)
			}
		}
		f.Add(all, byte(tt.form), byte(3), uint16(len(all)/2))
	}
	f.Fuzz(func(t *testing.T, b []byte, form, size byte, gapAt uint16) {
		of := bytestream.Form(form%7 + 1)
		i := min(int(gapAt), len(b))
		in := []piece{at(0), raw(b[:i]...), gap, at(10), raw(b[i:]...)}
		whole, damaged := cut(t, of, in, 1<<20)
		pieces, damagedPieces := cut(t, of, in, int(size)+1)
		if whole != pieces || damaged != damagedPieces {
			t.Errorf("in one piece: %s; %d damaged\nin pieces of %d: %s; %d", whole, damaged, int(size)+1, pieces, damagedPieces)
		}
	})
}
