package hls

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
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

func taken(t testing.TB, text []byte) *lines {
	t.Helper()
	l, err := parseLines(text)
	if err != nil {
		t.Fatalf("parseLines(%q): %v", text, err)
	}
	return l
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
		name   string
		line   line
		after  []byte
		forced bool
		want   string
		behind bool
	}{
		{"numbered alike", line{}, listing(101, 6, 1004, 3, 0), false, "101 3 i s101.m4s s102.m4s s103.m4s s104.m4s s105.m4s s106.m4s", false},
		{"numbered alike, just after", line{}, listing(106, 2, 1024, 3, 0), false, "106 3 i s106.m4s s107.m4s", false},
		{"numbered alike, late", line{}, listing(98, 6, 992, 3, 0), false, "", true},
		{"higher numbers", line{}, listing(500, 6, 1008, 0, 0), false, "106 3 ! i s504.m4s s505.m4s", false},
		{"lower numbers", line{}, listing(7, 6, 1008, 0, 0), false, "106 3 ! i s11.m4s s12.m4s", false},
		{"cut elsewhere", line{}, listing(500, 6, 1010, 0, 0), false, "106 3 ! i s503.m4s s504.m4s s505.m4s", false},
		{"with a discontinuity of its own after", line{}, listing(500, 6, 1012, 8, 504), false, "106 3 ! i s503.m4s ! s504.m4s s505.m4s", false},
		{"with one of its own there", line{}, listing(500, 6, 1008, 8, 504), false, "106 3 ! i s504.m4s s505.m4s", false},
		{"nothing new", line{}, listing(500, 6, 996, 0, 0), false, "", true},
		{"nothing new, for long", line{}, listing(500, 6, 996, 0, 0), true, "106 3 ! i s505.m4s", false},
		{"begins later", line{}, listing(500, 6, 1040, 0, 0), false, "106 3 ! i s503.m4s s504.m4s s505.m4s", false},
		{"after another move", line{moved: true, from: 90, offset: 900, breaks: 2}, listing(7, 6, 1008, 0, 0), false, "1006 5 ! i s11.m4s s12.m4s", false},
		{"numbered alike after another move", line{moved: true, from: 90, offset: 900, breaks: 2}, listing(101, 6, 1004, 3, 0), false, "1001 5 i s101.m4s s102.m4s s103.m4s s104.m4s s105.m4s s106.m4s", false},
	} {
		l, err := tt.line.follow(taken(t, before), taken(t, tt.after), tt.forced)
		if errors.Is(err, errBehind) != tt.behind || err != nil && !tt.behind {
			t.Errorf("%s: %v, want behind %t", tt.name, err, tt.behind)
			continue
		}
		if got := short(taken(t, tt.after).render(l, "", "")); !tt.behind && got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestDiscontinuitiesAreCountedAfterTheyHaveLeftThePlaylist(t *testing.T) {
	before, moved := taken(t, listing(100, 6, 1000, 3, 0)), taken(t, listing(500, 6, 1008, 7, 502))
	l, err := line{}.follow(before, moved, false)
	if err != nil {
		t.Fatal(err)
	}
	for first, want := range map[int64]string{
		503: "106 3 ! i s504.m4s s505.m4s s506.m4s s507.m4s s508.m4s",
		504: "106 3 ! i s504.m4s s505.m4s s506.m4s s507.m4s s508.m4s s509.m4s",
		505: "107 4 i s505.m4s s506.m4s s507.m4s s508.m4s s509.m4s s510.m4s",
	} {
		if got := short(taken(t, listing(first, 6, 1008+4*(first-500), 8, 0)).render(l, "", "")); got != want {
			t.Errorf("from %d: %s\nwant %s", first, got, want)
		}
	}
}

func TestURIsGetPrefixAndQuery(t *testing.T) {
	got := string(taken(t, listing(5, 1, 0, 0, 0)).render(line{}, "http://n2/cam/", "?session=x"))
	for _, want := range []string{"\nhttp://n2/cam/s5.m4s?session=x\n", `#EXT-X-MAP:URI="http://n2/cam/i0123456789abcdef.mp4?session=x"`, "#EXT-X-TARGETDURATION:4\n", "#EXT-X-INDEPENDENT-SEGMENTS\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
}

// FuzzSplice moves a viewer between servers whose playlists are drawn from data: what he is shown never goes back.
func FuzzSplice(f *testing.F) {
	f.Add([]byte{0, 10, 0, 1, 20, 5, 0, 3, 1, 2, 0, 4})
	f.Add([]byte("viewers that move from server to server and back again"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var shown *lines
		var l line
		server, number, breaks := byte(255), int64(-1), int64(-1)
		first, second, dseq := [4]int64{1, 1000, 40, 7}, [4]int64{0, 3, 900, -5}, [4]int64{}
		for i := 0; i+2 < len(data); i += 3 {
			at := data[i] % 4
			first[at] += int64(data[i+1] % 8)
			second[at] += int64(data[i+1]%8)*4 + int64(data[i+2]%3)
			dseq[at] += int64(data[i+1] % 2)
			count := int64(data[i+2]%6) + 1
			pl := taken(t, listing(first[at], count, 1_000_000+second[at], dseq[at], first[at]+int64(data[i+2]>>4)))
			next := l
			if shown != nil && at != server {
				var err error
				if next, err = l.follow(shown, pl, data[i]&128 != 0); err != nil {
					continue
				}
			} else if at == server && pl.last().number < shown.last().number {
				continue // a server's own numbers do not go back
			}
			if !next.shows(pl) {
				continue
			}
			out := taken(t, pl.render(next, "", ""))
			if last := out.last().number; last < number || at != server && last < number {
				t.Fatalf("numbers end at %d after %d: %s", last, number, short(pl.render(next, "", "")))
			}
			if raw := out.last().raw; at != server && raw < breaks {
				t.Fatalf("discontinuities go back from %d to %d: %s", breaks, raw, short(pl.render(next, "", "")))
			}
			shown, l, server, number, breaks = pl, next, at, out.last().number, out.last().raw
		}
	})
}
