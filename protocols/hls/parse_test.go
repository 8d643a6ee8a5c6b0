package hls

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"weir/protocols/cmaf"
)

var parseFileTests = []struct {
	name string
	want file
	ok   bool
}{
	{"index.m3u8", file{kind: multivariant, any: true}, true},
	{"index.fmp4.m3u8", file{kind: multivariant, form: cmaf.CMAF}, true},
	{"ts.m3u8", file{kind: mediaPlaylist}, true},
	{"cmaf.m3u8", file{kind: mediaPlaylist, form: cmaf.CMAF}, true},
	{"s0.ts", file{kind: segment}, true},
	{"s123.ts", file{kind: segment, number: 123}, true},
	{"s123.m4s", file{kind: segment, form: cmaf.CMAF, number: 123}, true},
	{"s999999999999999999.ts", file{kind: segment, number: 999999999999999999}, true},
	{"i0123456789abcdef.mp4", file{kind: initSegment, form: cmaf.CMAF, generation: "0123456789abcdef"}, true},
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
			want.name = test.name
		}
		if got, ok := parseFile(test.name); got != want || ok != test.ok {
			t.Errorf("parseFile(%q) = %+v, %t, want %+v, %t", test.name, got, ok, want, test.ok)
		}
		if got := Serves(test.name); got != test.ok {
			t.Errorf("Serves(%q) = %t, want %t", test.name, got, test.ok)
		}
	}
}

// mediaPlaylists are playlists of ours, which another node may send.
var mediaPlaylists = []string{
	"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\ns5.ts\n",
	"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\ns5.ts\n#EXTINF:4,\ns6.ts",
	"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-MAP:URI=\"i0123456789abcdef.mp4\"\n#EXTINF:4,\ns0.m4s\n",
}

func TestRenderedPlaylistsAreUnderstood(t *testing.T) {
	w := stored(t, noon).Window()
	for _, f := range []cmaf.Form{cmaf.TS, cmaf.CMAF} {
		p, err := parseMedia(renderMedia(w, f), f)
		if err != nil || p.first != noon-6 || p.last != noon-1 || p.target != 4 {
			t.Errorf("parseMedia() = %+v, %v, want %d to %d", p, err, noon-6, noon-1)
		}
		text := renderMultivariant(w, f)
		if got, err := checkMultivariant(withQuery(text, "a=b")); err != nil || !bytes.Equal(got, text) {
			t.Errorf("checkMultivariant() = %q, %v, want %q", got, err, text)
		}
	}
}

func FuzzParseMedia(f *testing.F) {
	for _, text := range mediaPlaylists {
		f.Add([]byte(text))
	}
	for _, test := range badUpstreams {
		if len(test.body) < 1000 {
			f.Add([]byte(test.body))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, form := range []cmaf.Form{cmaf.TS, cmaf.CMAF} {
			p, err := parseMedia(text, form)
			if err != nil {
				continue
			}
			if n := p.last - p.first + 1; n < 1 || int(n) > len(p.files) || len(p.files) != len(p.uris) {
				t.Fatalf("parseMedia(%q) has %d to %d, %d files, %d URIs", text, p.first, p.last, len(p.files), len(p.uris))
			}
			const prefix = "http://public/cam/"
			moved := p.absolute(prefix)
			if want := len(text) + len(prefix)*len(p.files); len(moved) != want {
				t.Fatalf("absolute() has %d bytes, want %d", len(moved), want)
			}
			// Every URI now is below the prefix, and nothing else has changed.
			for line := range strings.Lines(string(moved)) {
				if line[0] != '#' && line[0] != '\n' && !strings.HasPrefix(line, prefix+"s") {
					t.Fatalf("absolute() has the line %q", line)
				}
			}
			if got := strings.ReplaceAll(string(moved), prefix, ""); !strings.Contains(string(text), prefix) && got != string(text) {
				t.Fatalf("absolute() without the prefix = %q, want %q", got, text)
			}
		}
	})
}

func FuzzCheckMultivariant(f *testing.F) {
	f.Add([]byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nts.m3u8?session=1\n"), "session=0&token=x")
	f.Add([]byte("#EXTM3U\ncmaf.m3u8\n\n"), "")
	f.Fuzz(func(t *testing.T, text []byte, query string) {
		bare, err := checkMultivariant(text)
		if err != nil {
			return
		}
		if again, err := checkMultivariant(bare); err != nil || !bytes.Equal(again, bare) {
			t.Fatalf("checkMultivariant(%q) = %q, %v, want itself", bare, again, err)
		}
		if strings.ContainsAny(query, "\n\r") {
			return // no URL has one
		}
		if again, err := checkMultivariant(withQuery(bare, query)); err != nil || !bytes.Equal(again, bare) {
			t.Fatalf("checkMultivariant(withQuery(%q)) = %q, %v", bare, again, err)
		}
	})
}

func FuzzParseFile(f *testing.F) {
	for _, test := range parseFileTests {
		f.Add(test.name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		is, ok := parseFile(name)
		if ok && (url.PathEscape(name) != name || is.number < 0 || is.name != name) {
			t.Fatalf("parseFile(%q) = %+v, which is no plain name", name, is)
		}
	})
}
