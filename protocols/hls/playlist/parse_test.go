package playlist

import (
	"bytes"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"weir/protocols/cmaf"
)

var parseFileTests = []struct {
	name string
	want File
	ok   bool
}{
	{"index.m3u8", File{Kind: MultivariantFile, AnyForm: true}, true},
	{"index.fmp4.m3u8", File{Kind: MultivariantFile, Form: cmaf.CMAF}, true},
	{"ts.m3u8", File{Kind: MediaFile}, true},
	{"cmaf.m3u8", File{Kind: MediaFile, Form: cmaf.CMAF}, true},
	{"s0.ts", File{Kind: SegmentFile}, true},
	{"s123.ts", File{Kind: SegmentFile, Number: 123}, true},
	{"s123.m4s", File{Kind: SegmentFile, Form: cmaf.CMAF, Number: 123}, true},
	{"s999999999999999999.ts", File{Kind: SegmentFile, Number: 999999999999999999}, true},
	{"i0123456789abcdef.mp4", File{Kind: InitFile, Form: cmaf.CMAF, Generation: "0123456789abcdef"}, true},
	{name: ""},
	{name: "s.ts"},
	{name: "s1"},
	{name: "s-1.ts"},
	{name: "s01.ts"},
	{name: "s1000000000000000000.ts"},
	{name: "s1.mp4"},
	{name: "s1.ts.ts"},
	{name: "i0123456789ABCDEF.mp4"},
	{name: "i0123456789abcde.mp4"},
	{name: "index.m3u8/"},
	{name: "INDEX.m3u8"},
}

func TestEachFileHasOneName(t *testing.T) {
	for _, test := range parseFileTests {
		want := test.want
		if test.ok {
			want.Name = test.name
		}
		if got, ok := ParseFile(test.name); got != want || ok != test.ok {
			t.Errorf("ParseFile(%q) = %+v, %t, want %+v, %t", test.name, got, ok, want, test.ok)
		}
	}
}

// mediaPlaylists are playlists of ours, which another node may send.
var mediaPlaylists = []string{
	"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns5.ts\n",
	"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\ns5.ts\n#EXTINF:4,\ns6.ts",
	"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-MAP:URI=\"i0123456789abcdef.mp4\"\n#EXTINF:4,\ns0.m4s\n",
}

// foreign are texts that are no playlists of ours.
var foreign = []struct{ name, text string }{
	{"page", "<html>"},
	{"empty", ""},
	{"no segments", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n"},
	{"segment elsewhere", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\nhttp://evil/s5.ts\n"},
	{"other form", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns5.m4s\n"},
	{"wrong number", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns6.ts\n"},
	{"two sequences", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns5.ts\n"},
	{"sequence after a segment", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\ns5.ts\n#EXT-X-MEDIA-SEQUENCE:6\n#EXTINF:4,\ns6.ts\n"},
	{"no target duration", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns5.ts\n"},
	{"no duration", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\ns5.ts\n"},
	{"negative duration", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:-4,\ns5.ts\n"},
	{"key elsewhere", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-KEY:URI=\"http://evil\"\n#EXTINF:4,\ns5.ts\n"},
	{"init segment elsewhere", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-MAP:URI=\"http://evil\"\n#EXTINF:4,\ns5.ts\n"},
	{"too long", "#EXTM3U\n" + strings.Repeat("#\n", MaxBytes/2)},
}

func TestForeignPlaylistsAreRefused(t *testing.T) {
	for _, test := range foreign {
		for _, f := range []File{{}, {Kind: MediaFile}} {
			if p, err := Parse([]byte(test.text), f); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: Parse() = %v, %v, want %v", test.name, p, err, ErrInvalid)
			}
		}
	}
}

func FuzzParseMedia(f *testing.F) {
	for _, text := range mediaPlaylists {
		f.Add([]byte(text))
	}
	for _, test := range foreign {
		if len(test.text) < 1000 {
			f.Add([]byte(test.text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, form := range []cmaf.Form{cmaf.TS, cmaf.CMAF} {
			file := File{Kind: MediaFile, Form: form}
			p, err := Parse(text, file)
			if err != nil {
				continue
			}
			if n := p.Last() - p.Segments[0].Number + 1; n < 1 || int(n) != len(p.Segments) || !p.Lists(p.Segments[0].Number) || p.Lists(p.Last()+1) {
				t.Fatalf("Parse(%q) has %d to %d, %d segments", text, p.Segments[0].Number, p.Last(), len(p.Segments))
			}
			if again, err := Parse(p.Text, file); err != nil || !reflect.DeepEqual(again, p) {
				t.Fatalf("Parse(%q) = %+v, %v, want %+v", p.Text, again, err, p)
			}
			const prefix = "http://public/cam/"
			moved := p.Render(Numbering{}, prefix, "")
			if want := len(p.Text) + len(prefix)*len(p.Files()); len(moved) != want {
				t.Fatalf("Render() has %d bytes, want %d", len(moved), want)
			}
			// Every URI now is below the prefix, and nothing else has changed.
			for line := range strings.Lines(string(moved)) {
				if line[0] != '#' && !strings.HasPrefix(line, prefix+"s") {
					t.Fatalf("Render() has the line %q", line)
				}
			}
			if got := strings.ReplaceAll(string(moved), prefix, ""); got != string(p.Text) {
				t.Fatalf("Render() without the prefix = %q, want %q", got, p.Text)
			}
		}
	})
}

func FuzzParseMultivariant(f *testing.F) {
	f.Add([]byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nts.m3u8?session=1\n"), "session=0&token=x")
	f.Add([]byte("#EXTM3U\ncmaf.m3u8\n\n"), "")
	f.Fuzz(func(t *testing.T, text []byte, query string) {
		p, err := Parse(text, File{})
		if err != nil {
			return
		}
		if again, err := Parse(p.Text, File{}); err != nil || !bytes.Equal(again.Text, p.Text) {
			t.Fatalf("Parse(%q) = %+v, %v, want itself", p.Text, again, err)
		}
		if strings.ContainsAny(query, "\n\r") {
			return // no URL has one
		}
		if again, err := Parse(p.RenderVariants("", "?"+query), File{}); err != nil || !bytes.Equal(again.Text, p.Text) {
			t.Fatalf("Parse() with the query %q = %+v, %v, want %q", query, again, err, p.Text)
		}
	})
}

func FuzzParseFile(f *testing.F) {
	for _, test := range parseFileTests {
		f.Add(test.name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		is, ok := ParseFile(name)
		if ok && (url.PathEscape(name) != name || is.Number < 0 || is.Name != name) {
			t.Fatalf("ParseFile(%q) = %+v, which is no plain name", name, is)
		}
	})
}
