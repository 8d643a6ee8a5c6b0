package m3u8_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir/protocols/pull/m3u8"
)

func TestPlaylistsOfAllWritersAreRead(t *testing.T) {
	key := &m3u8.Key{Method: "AES-128", URI: "k", IV: append(make([]byte, 15), 42)}
	for _, tt := range []struct {
		name, text string
		want       *m3u8.Playlist
	}{
		{"segments", "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:5.5,title\na.ts\n#EXTINF:6\nb.ts\n", &m3u8.Playlist{
			Target: 6 * time.Second, Segments: []m3u8.Segment{{Number: 7, URI: "a.ts", Duration: 5500 * time.Millisecond}, {Number: 8, URI: "b.ts", Duration: 6 * time.Second}},
		}},
		{"a mark, line ends of another system, comments, unknown tags, no target duration", "\ufeff#EXTM3U\r\n\r\n# x\r\n#EXT-X-NEW:A=1\r\n#EXTINF: 4.0 ,\r\n a.ts\r\nstray.ts\r\n", &m3u8.Playlist{
			Target: 4 * time.Second, Segments: []m3u8.Segment{{URI: "a.ts", Duration: 4 * time.Second}},
		}},
		{"none yet", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n", &m3u8.Playlist{Target: 2 * time.Second}},
		{"ranges", "#EXTM3U\n#EXT-X-MAP:URI=\"i\",BYTERANGE=\"5\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:10@5\nf\n#EXT-X-BYTERANGE:20\n#EXTINF:1,\nf\n#EXT-X-ENDLIST\n", &m3u8.Playlist{
			Target: time.Second, Ended: true, Complete: true, Segments: []m3u8.Segment{
				{URI: "f", Duration: time.Second, Bytes: m3u8.Range{Offset: 5, Length: 10}, Map: &m3u8.Map{URI: "i", Bytes: m3u8.Range{Length: 5}}},
				{Number: 1, URI: "f", Duration: time.Second, Bytes: m3u8.Range{Offset: 15, Length: 20}, Map: &m3u8.Map{URI: "i", Bytes: m3u8.Range{Length: 5}}},
			},
		}},
		{"keys, of which one is a DRM's, and none", "#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"drm\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x2a\n#EXTINF:1,\na\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\nb\n", &m3u8.Playlist{
			Target: time.Second, Segments: []m3u8.Segment{{URI: "a", Duration: time.Second, Key: key}, {Number: 1, URI: "b", Duration: time.Second}},
		}},
		{"a discontinuity and a gap", "#EXTM3U\n#EXTINF:1,\na\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nb\n#EXT-X-GAP\n#EXTINF:1,\nc\n", &m3u8.Playlist{
			Target: time.Second, Segments: []m3u8.Segment{{URI: "a", Duration: time.Second}, {Number: 1, URI: "b", Duration: time.Second, Discontinuity: true}, {Number: 2, URI: "c", Duration: time.Second, Gap: true}},
		}},
		{"variables", "#EXTM3U\n#EXT-X-DEFINE:NAME=\"t\",VALUE=\"x=1\"\n#EXTINF:1,\na?{$t}&{$none}&{$open\n", &m3u8.Playlist{
			Target: time.Second, Segments: []m3u8.Segment{{URI: "a?x=1&&{$open", Duration: time.Second}},
		}},
		{"variants", "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a,b\",NAME=\"x=y\",DEFAULT=YES,URI=\"s.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1000, CODECS=\"avc1.42c01e, mp4a.40.2\",AUDIO=\"a,b\"\nv.m3u8\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i\"\n", &m3u8.Playlist{
			Variants:   []m3u8.Variant{{URI: "v.m3u8", Bandwidth: 1000, Codecs: []string{"avc1.42c01e", "mp4a.40.2"}, Audio: "a,b"}},
			Renditions: []m3u8.Rendition{{Kind: "AUDIO", Group: "a,b", Name: "x=y", URI: "s.m3u8", Default: true}},
		}},
	} {
		got, err := m3u8.Parse([]byte(tt.text))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestWhatIsNoPlaylistIsSaidByItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "no playlist",
		"<html>":                            `begins with "<html>"`,
		"#EXTM3U\nx\n":                      "neither variants nor segments",
		"#EXTM3U\n#EXTINF:x,\na\n":          "line 2: EXTINF",
		"#EXTM3U\n#EXTINF:-1,\na\n":         "line 2: EXTINF",
		"#EXTM3U\n#EXTINF:NaN,\na\n":        "line 2: EXTINF",
		"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-1": "line 2",
		"#EXTM3U\n#EXTINF:1,\na\n#EXT-X-MEDIA-SEQUENCE:1":                "behind the first segment",
		"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,IV=0xzz":                     "line 2: EXT-X-KEY",
		"#EXTM3U\n#EXTINF:1,\n#EXT-X-BYTERANGE:9223372036854775807@1\na": "line 3: EXT-X-BYTERANGE",
		"#EXTM3U\n#EXTINF:1,\na\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv":       "variants and segments",
	} {
		if _, err := m3u8.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// live is a playlist of segments of two seconds with numbers and names.
func live(first int64, names ...string) *m3u8.Playlist {
	p := &m3u8.Playlist{Target: 2 * time.Second}
	for i, name := range names {
		p.Segments = append(p.Segments, m3u8.Segment{Number: first + int64(i), URI: name, Duration: 2 * time.Second})
	}
	return p
}

func TestFollowerGivesEachSegmentOnce(t *testing.T) {
	recorded := live(0, "a", "b", "c", "d", "e", "f")
	recorded.Complete, recorded.Ended = true, true
	for _, tt := range []struct {
		name  string
		lists []*m3u8.Playlist
		want  []string // what each brings: names, how many are lost, and an exclamation mark if the server has begun anew
	}{
		{"from three target durations before the end", []*m3u8.Playlist{live(5, "a", "b", "c", "d", "e"), live(6, "b", "c", "d", "e", "f"), live(6, "b", "c", "d", "e", "f")}, []string{"cde", "f", ""}},
		{"a short list", []*m3u8.Playlist{live(5, "a"), live(5, "a", "b")}, []string{"a", "b"}},
		{"a recording from its beginning", []*m3u8.Playlist{recorded}, []string{"abcdef"}},
		{"nothing yet", []*m3u8.Playlist{live(0), live(0, "a")}, []string{"", "a"}},
		{"reloaded too late", []*m3u8.Playlist{live(5, "a", "b", "c"), live(10, "f", "g")}, []string{"abc", "fg 2"}},
		{"an old list, as of a cache", []*m3u8.Playlist{live(5, "a", "b", "c"), live(3, "y", "z"), live(3, "y", "z"), live(6, "b", "c", "d")}, []string{"abc", "", "", "d"}},
		{"numbers begin anew, names go on", []*m3u8.Playlist{live(50, "a", "b", "c"), live(0, "b", "c", "d"), live(0, "b", "c", "d"), live(1, "c", "d", "e"), live(2, "d", "e", "f")}, []string{"abc", "d!", "", "e", "f"}},
		{"numbers and names begin anew", []*m3u8.Playlist{live(50, "a", "b", "c"), live(0, "q"), live(0, "q", "r"), live(0, "q", "r", "s"), live(1, "r", "s", "t")}, []string{"abc", "", "", "qrs!", "t"}},
		{"numbers jump ahead, names go on", []*m3u8.Playlist{live(5, "a", "b", "c"), live(900, "b", "c", "d", "e"), live(901, "c", "d", "e", "f")}, []string{"abc", "de!", "f"}},
		{"numbers a little ahead, names go on", []*m3u8.Playlist{live(5, "a", "b", "c", "d"), live(8, "b", "c", "d", "e", "f", "g"), live(9, "c", "d", "e", "f", "g", "h")}, []string{"bcd", "efg!", "h"}},
		{"numbers a little back, names go on", []*m3u8.Playlist{live(5, "a", "b", "c", "d"), live(4, "b", "c", "d", "e"), live(6, "d", "e", "f", "g")}, []string{"bcd", "e!", "fg"}},
		{"names that come round again, reloaded too late", []*m3u8.Playlist{live(5, "a", "b", "c"), live(6, "b", "c", "a"), live(7, "c", "a", "b"), live(8, "a", "b", "c"), live(13, "c", "a", "b")}, []string{"abc", "a", "b", "c", "cab 2"}},
		{"names with tokens", []*m3u8.Playlist{live(50, "a?1", "b?1"), live(0, "b?2"), live(0, "b?3"), live(0, "b?4", "c?4")}, []string{"a?1b?1", "", "", "c?4!"}},
	} {
		var f m3u8.Follower
		for i, p := range tt.lists {
			n := f.Take(p, time.Now())
			got := ""
			for _, s := range n.Segments {
				got += s.URI
			}
			if n.Lost > 0 {
				got += fmt.Sprint(" ", n.Lost)
			}
			if n.Restart {
				got += "!"
			}
			if got != tt.want[i] {
				t.Errorf("%s: list %d brings %q, want %q", tt.name, i+1, got, tt.want[i])
			}
		}
	}
}

func TestReloadsComeTwiceAsOftenWhileNothingIsNew(t *testing.T) {
	var f m3u8.Follower
	f.Take(live(0, "a", "b"), time.Now())
	if d := f.Reload(); d != 2*time.Second {
		t.Errorf("after something new %v, want the target duration", d)
	}
	f.Take(live(0, "a", "b"), time.Now())
	if d := f.Reload(); d != time.Second {
		t.Errorf("after nothing new %v, want half of the target duration", d)
	}
}

func TestFollowerResumes(t *testing.T) {
	var f m3u8.Follower
	p := live(5, "a", "b", "c")
	f.Take(p, time.Now())
	f.Resume(6)
	if n := f.Take(p, time.Now()); len(n.Segments) != 2 || n.Segments[0].URI != "b" {
		t.Errorf("resumed at 6 it brings %v", n)
	}
	f.Resume(6)
	if n := f.Take(live(8, "d"), time.Now()); n.Lost != 2 {
		t.Errorf("%d are lost, want 2", n.Lost)
	}
}

// TestFollowerResumesBehindARestart has numbers begin anew while a segment is asked for again and others behind it have not been played.
func TestFollowerResumesBehindARestart(t *testing.T) {
	for _, first := range []int64{0, 900} {
		var f m3u8.Follower
		f.Take(live(50, "a", "b", "c", "d"), time.Now())
		f.Resume(51)
		got := ""
		for range 4 {
			for _, s := range f.Take(live(first, "a", "b", "c", "d", "e"), time.Now()).Segments {
				got += s.URI
			}
		}
		if got != "bcde" {
			t.Errorf("from %d on it brings %q, want what follows on the one that was played", first, got)
		}
	}
}

// TestFollowerGoesOnWhereItWas has numbers begin anew while nothing is had for a time. The segments that were listed meanwhile are new.
func TestFollowerGoesOnWhereItWas(t *testing.T) {
	began := time.Unix(1e9, 0)
	for _, tt := range []struct {
		name   string
		before *m3u8.Playlist
		behind time.Duration
		after  *m3u8.Playlist
		want   string
	}{
		{"back", live(50, "a", "b", "c"), 9 * time.Second, live(0, "d", "e", "f", "g", "h", "i"), "efghi"},
		{"back, soon", live(50, "a", "b", "c"), 2 * time.Second, live(0, "d", "e", "f", "g", "h", "i"), "ghi"},
		{"back, long after", live(50, "a", "b", "c"), time.Hour, live(0, "d", "e", "f", "g", "h", "i"), "defghi"},
		{"far ahead", live(50, "a", "b", "c"), 9 * time.Second, live(5000, "d", "e", "f", "g", "h", "i"), "efghi"},
	} {
		var f m3u8.Follower
		f.Take(tt.before, began)
		got := ""
		for range 3 {
			for _, s := range f.Take(tt.after, began.Add(tt.behind)).Segments {
				got += s.URI
			}
		}
		if got != tt.want {
			t.Errorf("%s: it brings %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSoundOfAVariant(t *testing.T) {
	p := &m3u8.Playlist{Renditions: []m3u8.Rendition{
		{Kind: "SUBTITLES", Group: "a", URI: "t"},
		{Kind: "AUDIO", Group: "b", URI: "x"},
		{Kind: "AUDIO", Group: "a", URI: "y"},
		{Kind: "AUDIO", Group: "a", URI: "z", Default: true},
		{Kind: "AUDIO", Group: "own", Default: true},
	}}
	for group, want := range map[string]string{"a": "z", "b": "x", "own": "", "": "", "none": ""} {
		if r, ok := p.Sound(&m3u8.Variant{Audio: group}); r.URI != want || ok != (want != "") {
			t.Errorf("group %q: %q, %t, want %q", group, r.URI, ok, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"i\",BYTERANGE=\"1@2\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:3\na\n")
	f.Add("#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{$a}{$a}\"\n#EXT-X-STREAM-INF:BANDWIDTH={$a},AUDIO=\"\nx{$a\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := m3u8.Parse([]byte(text))
		if err != nil {
			return
		}
		var f m3u8.Follower
		n := f.Take(p, time.Now())
		for i, s := range n.Segments {
			if s.Number < 0 || s.Duration < 0 || s.Bytes.Offset < 0 || s.Bytes.Length < 0 || i > 0 && s.Number != n.Segments[i-1].Number+1 {
				t.Fatalf("segment %+v", s)
			}
		}
		if again := f.Take(p, time.Now()); len(again.Segments) > 0 {
			t.Fatalf("the same list brings %v again", again.Segments)
		}
		if f.Reload() <= 0 {
			t.Fatal("reloads do not wait")
		}
	})
}
