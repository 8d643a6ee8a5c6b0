package playlist

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/protocols/cmaf"
)

// listing writes a media playlist of count segments of 4 s, the first of which begins at seconds. Before the segment of
// the number broken there is a discontinuity.
func listing(first, count, seconds int64, breaks, broken int64) []byte {
	b := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n#EXT-X-INDEPENDENT-SEGMENTS\n", first, breaks)
	for i := range count {
		if first+i == broken {
			b = append(b, "#EXT-X-DISCONTINUITY\n"...)
		}
		if i == 0 || first+i == broken {
			b = append(b, "#EXT-X-MAP:URI=\"i0123456789abcdef.mp4\"\n"...)
		}
		at := time.Unix(seconds+4*i, 0).UTC()
		b = fmt.Appendf(b, "#EXT-X-PROGRAM-DATE-TIME:%s\n#EXTINF:4.00000,\ns%d.m4s\n", at.Format("2006-01-02T15:04:05.000Z"), first+i)
	}
	return b
}

func parsed(t testing.TB, text []byte) *Playlist {
	t.Helper()
	p, err := Parse(text, File{Kind: MediaFile, Form: cmaf.CMAF})
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return p
}

// ends are the media sequence number and the discontinuity sequence number of the last segment of a playlist.
func ends(t *testing.T, text []byte) (number, sequence int64) {
	t.Helper()
	fields := strings.Fields(short(text))
	var err [2]error
	number, err[0] = strconv.ParseInt(fields[0], 10, 64)
	sequence, err[1] = strconv.ParseInt(fields[1], 10, 64)
	if err := errors.Join(err[:]...); err != nil {
		t.Fatal(err)
	}
	number--
	for _, f := range fields[2:] {
		switch f[0] {
		case 's':
			number++
		case '!':
			sequence++
		}
	}
	return number, sequence
}

// short shows a playlist in a line: its numbers, and for each segment its name, with ! before a discontinuity.
func short(text []byte) string {
	var out []string
	for l := range strings.Lines(string(text)) {
		l = strings.TrimSpace(l)
		switch tag, value, _ := strings.Cut(l, ":"); {
		case tag == "#EXT-X-MEDIA-SEQUENCE", tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
			out = append(out, value)
		case l == "#EXT-X-DISCONTINUITY":
			out = append(out, "!")
		case tag == "#EXT-X-MAP":
			out = append(out, "i")
		case !strings.HasPrefix(l, "#"):
			out = append(out, l)
		}
	}
	return strings.Join(out, " ")
}

func TestPlaylistsOfAnotherServerGoOnWhereTheFormerEnded(t *testing.T) {
	// The viewer was shown 100 to 105, which are the seconds 1000 to 1024.
	before := listing(100, 6, 1000, 3, 0)
	for _, tt := range []struct {
		name      string
		numbering Numbering
		after     []byte
		force     bool
		want      string
		behind    bool
	}{
		{"numbered alike", Numbering{}, listing(101, 6, 1004, 3, 0), false, "101 3 i s101.m4s s102.m4s s103.m4s s104.m4s s105.m4s s106.m4s", false},
		{"numbered alike, just after", Numbering{}, listing(106, 2, 1024, 3, 0), false, "106 3 i s106.m4s s107.m4s", false},
		{"numbered alike, late", Numbering{}, listing(98, 6, 992, 3, 0), false, "", true},
		{"higher numbers", Numbering{}, listing(500, 6, 1008, 0, 0), false, "106 3 ! i s504.m4s s505.m4s", false},
		{"lower numbers", Numbering{}, listing(7, 6, 1008, 0, 0), false, "106 3 ! i s11.m4s s12.m4s", false},
		{"cut elsewhere", Numbering{}, listing(500, 6, 1010, 0, 0), false, "106 3 ! i s503.m4s s504.m4s s505.m4s", false},
		{"with a discontinuity of its own after", Numbering{}, listing(500, 6, 1012, 8, 504), false, "106 3 ! i s503.m4s ! s504.m4s s505.m4s", false},
		{"with one of its own there", Numbering{}, listing(500, 6, 1008, 8, 504), false, "106 3 ! i s504.m4s s505.m4s", false},
		{"nothing new", Numbering{}, listing(500, 6, 996, 0, 0), false, "", true},
		{"nothing new, for long", Numbering{}, listing(500, 6, 996, 0, 0), true, "106 3 ! i s505.m4s", false},
		{"begins later", Numbering{}, listing(500, 6, 1040, 0, 0), false, "106 3 ! i s503.m4s s504.m4s s505.m4s", false},
		{"after another move", Numbering{moved: true, from: 90, offset: 900, discontinuities: 2}, listing(7, 6, 1008, 0, 0), false, "1006 5 ! i s11.m4s s12.m4s", false},
		{"numbered alike after another move", Numbering{moved: true, from: 90, offset: 900, discontinuities: 2}, listing(101, 6, 1004, 3, 0), false, "1001 5 i s101.m4s s102.m4s s103.m4s s104.m4s s105.m4s s106.m4s", false},
	} {
		n, err := tt.numbering.Follow(parsed(t, before), parsed(t, tt.after), tt.force)
		if errors.Is(err, ErrBehind) != tt.behind || err != nil && !tt.behind {
			t.Errorf("%s: %v, want behind %t", tt.name, err, tt.behind)
			continue
		}
		if got := short(parsed(t, tt.after).Render(n, "", "")); !tt.behind && got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestDiscontinuitiesAreCountedAfterTheyHaveLeftThePlaylist(t *testing.T) {
	before, moved := parsed(t, listing(100, 6, 1000, 3, 0)), parsed(t, listing(500, 6, 1008, 7, 502))
	n, err := Numbering{}.Follow(before, moved, false)
	if err != nil {
		t.Fatal(err)
	}
	for first, want := range map[int64]string{
		503: "106 3 ! i s504.m4s s505.m4s s506.m4s s507.m4s s508.m4s",
		504: "106 3 ! i s504.m4s s505.m4s s506.m4s s507.m4s s508.m4s s509.m4s",
		505: "107 4 i s505.m4s s506.m4s s507.m4s s508.m4s s509.m4s s510.m4s",
	} {
		if got := short(parsed(t, listing(first, 6, 1008+4*(first-500), 8, 0)).Render(n, "", "")); got != want {
			t.Errorf("from %d: %s\nwant %s", first, got, want)
		}
	}
}

func TestURIsGetPrefixAndQuery(t *testing.T) {
	got := string(parsed(t, listing(5, 1, 0, 0, 0)).Render(Numbering{}, "http://n2/cam/", "?session=x"))
	for _, want := range []string{"\nhttp://n2/cam/s5.m4s?session=x\n", `#EXT-X-MAP:URI="http://n2/cam/i0123456789abcdef.mp4?session=x"`, "#EXT-X-TARGETDURATION:4\n", "#EXT-X-INDEPENDENT-SEGMENTS\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
}

// FuzzNumbering moves a viewer between servers whose playlists are drawn from data: what the viewer is shown never goes
// back.
func FuzzNumbering(f *testing.F) {
	f.Add([]byte{0, 10, 0, 1, 20, 5, 0, 3, 1, 2, 0, 4})
	f.Add([]byte("viewers that move from server to server and back again"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var shown *Playlist
		var n Numbering
		server, number, sequence := byte(255), int64(-1), int64(-1)
		first, second, breaks := [4]int64{1, 1000, 40, 7}, [4]int64{0, 3, 900, -5}, [4]int64{}
		for i := 0; i+2 < len(data); i += 3 {
			at := data[i] % 4
			first[at] += int64(data[i+1] % 8)
			second[at] += int64(data[i+1]%8)*4 + int64(data[i+2]%3)
			breaks[at] += int64(data[i+1] % 2)
			count := int64(data[i+2]%6) + 1
			p := parsed(t, listing(first[at], count, 1_000_000+second[at], breaks[at], first[at]+int64(data[i+2]>>4)))
			next := n
			if shown != nil && at != server {
				var err error
				if next, err = n.Follow(shown, p, data[i]&128 != 0); err != nil {
					continue
				}
			} else if at == server && p.Last() < shown.Last() {
				continue // a server's own numbers do not go back
			}
			if !next.Shows(p) {
				continue
			}
			text := p.Render(next, "", "")
			last, lastSequence := ends(t, text)
			if last < number {
				t.Fatalf("numbers end at %d after %d: %s", last, number, short(text))
			}
			if at != server && lastSequence < sequence {
				t.Fatalf("discontinuities go back from %d to %d: %s", sequence, lastSequence, short(text))
			}
			shown, n, server, number, sequence = p, next, at, last, lastSequence
		}
	})
}

// Two nodes made segments at the same time with the same numbers, and the viewers of one are shown what the other goes on with.
func TestPlaylistOfAnotherNodeGoesOnBehindTheLastSegment(t *testing.T) {
	before := parsed(t, listing(945, 3, 1000, 940, 945)) // 945 to 947, until second 1012
	for _, tt := range []struct {
		name  string
		after []byte
		ok    bool
		first int64 // that is shown
		text  string
	}{
		{name: "the same node a segment later", after: listing(945, 4, 1000, 940, 945), ok: true, first: 945, text: "945 940 ! i s945.m4s s946.m4s s947.m4s s948.m4s"},
		{name: "the same node without a newer segment", after: listing(945, 3, 1000, 940, 945), ok: true, first: 945, text: "945 940 ! i s945.m4s s946.m4s s947.m4s"},
		{name: "lower numbers", after: listing(940, 7, 990, 900, 0), ok: false},
		{name: "higher numbers and older media", after: listing(944, 6, 974, 900, 0), ok: false},
		{name: "of a node whose clock is far behind", after: listing(950, 2, 700, 949, 950), ok: true, first: 950, text: "950 949 ! i s950.m4s s951.m4s"},
		{name: "other media under the same numbers", after: listing(942, 8, 991, 900, 0), ok: true, first: 948, text: "948 941 ! i s948.m4s s949.m4s"},
		{name: "of which some is older", after: listing(942, 8, 985, 900, 0), ok: true, first: 949, text: "949 941 ! i s949.m4s"},
		{name: "a list that begins anew with a lower discontinuity sequence", after: listing(950, 2, 1014, 900, 950), ok: true, first: 950, text: "950 941 ! i s950.m4s s951.m4s"},
		{name: "a list that begins anew with a higher one", after: listing(950, 2, 1014, 949, 950), ok: true, first: 950, text: "950 949 ! i s950.m4s s951.m4s"},
		{name: "a list that begins anew with older media", after: listing(950, 3, 1004, 949, 950), ok: true, first: 952, text: "952 941 ! i s952.m4s"},
		{name: "the next segment", after: listing(948, 2, 1012, 941, 0), ok: true, first: 948, text: "948 941 i s948.m4s s949.m4s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after := parsed(t, tt.after)
			n, ok := Numbering{}.GoOn(before, after)
			if ok != tt.ok {
				t.Fatalf("goes on: %v, want %v", ok, tt.ok)
			}
			if !ok {
				return
			}
			if first := n.First(after); first != tt.first {
				t.Errorf("it begins with segment %d, want %d", first, tt.first)
			}
			if got := short(after.Render(n, "", "")); got != tt.text {
				t.Errorf("it is %q, want %q", got, tt.text)
			}
		})
	}
}
