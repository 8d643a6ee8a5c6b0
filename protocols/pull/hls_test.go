package pull_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/codecs/reception"
	"weir/protocols/pull"
)

// plenty is no multiple of a segment's duration, nor of a token's.
const plenty = 61 * time.Second

// An hlsCase is a server that a pull has to live with. Lost is how many segments may be missing of those of a minute.
type hlsCase struct {
	name  string
	file  string
	set   func(*station)
	lost  int
	marks int    // discontinuities at most
	says  string // a condition that is met on the way
	named string // of a track that is left out
}

var hlsCases = []hlsCase{
	{name: "transport streams", file: "xt.m3u8"},
	{name: "fragmented MP4", file: "xm.m3u8"},
	{name: "sound alone, packed", file: "ap.m3u8"},
	{name: "sound of its own, packed", file: "multi.m3u8", set: multi("vt.m3u8", "ap.m3u8")},
	{name: "sound of its own, in fragments", file: "multi.m3u8", set: multi("vm.m3u8", "am.m3u8")},
	{name: "sound of its own beside a variant with sound", file: "multi.m3u8", set: multi("xt.m3u8", "at.m3u8"), named: "AAC"},
	{name: "sound of its own beside pictures that are missing for ever", file: "multi.m3u8", set: both(multi("vt.m3u8", "ap.m3u8"), func(s *station) {
		s.window = 3
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if file == fmt.Sprintf("vt-%d.ts", stationBase+5) {
				return http.StatusNotFound, nil
			}
			return 0, nil
		}
	}), lost: 1, marks: 2, says: "404"},
	{name: "sound whose playlist is missing", file: "multi.m3u8", set: multi("vt.m3u8", "nothing.txt"), says: "404"},
	{name: "the first segments are forbidden for ten seconds", file: "xt.m3u8", set: refuses(http.StatusForbidden, 0, 10*time.Second), lost: 4, says: "403"},
	{name: "the server fails for ten seconds in the middle", file: "xt.m3u8", set: refuses(http.StatusInternalServerError, 20*time.Second, 30*time.Second), says: "500"},
	{name: "everything is missing for ten seconds", file: "multi.m3u8", set: both(multi("xt.m3u8", ""), refusesAll(20*time.Second, 30*time.Second)), says: "503"},
	{name: "a segment is missing for ever", file: "xt.m3u8", set: without(5, http.StatusNotFound), lost: 1, marks: 2, says: "404"},
	{name: "each fifth segment is missing once", file: "xm.m3u8", set: missingOnce},
	{name: "a segment is empty", file: "xt.m3u8", set: broken(5, func([]byte) []byte { return nil }), lost: 1, marks: 2, says: "empty"},
	{name: "a segment is cut off", file: "xt.m3u8", set: broken(5, func(b []byte) []byte { return append(bytes.Clone(b[:len(b)/2]), "cut off"...) }), lost: 1, marks: 2, says: "cut off"},
	{name: "a segment is a page", file: "xt.m3u8", set: broken(5, func([]byte) []byte { return []byte("<html>busy</html>") }), lost: 1, marks: 2, says: "<html>"},
	{name: "a gap that is announced", file: "xt.m3u8", set: changed(func(s *station, l string) string {
		return strings.Replace(l, "#EXTINF", ifSegment(l, stationBase+5, "#EXT-X-GAP\n")+"#EXTINF", 1)
	}), lost: 1, marks: 2},
	{name: "AES-128, an IV", file: "xt.m3u8", set: keyed(`#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x0000000000000000000000000000002A`, func(int64) []byte { return ivOf(42) })},
	{name: "AES-128, numbers as IV", file: "xm.m3u8", set: both(keyed(`#EXT-X-KEY:METHOD=AES-128,URI="key"`, ivOf), clearInit)},
	{name: "AES-128 in TS, numbers as IV", file: "xt.m3u8", set: keyed(`#EXT-X-KEY:METHOD=AES-128,URI="key"`, ivOf)},
	{name: "AES-128, a key that is had late", file: "xt.m3u8", set: both(keyed(`#EXT-X-KEY:METHOD=AES-128,URI="key"`, ivOf), refusesFile("key", 5*time.Second)), lost: 2, says: "key"},
	{name: "gzip that is announced", file: "xt.m3u8", set: coded("gzip", zipped)},
	{name: "gzip that is not", file: "xt.m3u8", set: func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			return http.StatusOK, zipped(s.serve(file))
		}
	}},
	{name: "a variant that is missing", file: "multi.m3u8", set: variants("nothing.txt", "xt.m3u8")},
	{name: "a variant whose segments are missing", file: "multi.m3u8", set: variants("nowhere/xt.m3u8", "xt.m3u8"), lost: 1},
	{name: "a variant that ceases", file: "multi.m3u8", set: both(variants("xm.m3u8", "xt.m3u8"), refusesFrom("xm", 20*time.Second)), marks: 2, lost: 2, says: "404"},
	{name: "a token that changes with each playlist", file: "multi.m3u8", set: tokens(8 * time.Second), says: "403"},
	{name: "segments are forbidden in the middle", file: "xt.m3u8", set: refuses(http.StatusForbidden, 20*time.Second, 26*time.Second), says: "403"},
	{name: "a segment hangs once", file: "xt.m3u8", set: hangsOnce(5), lost: 1, says: "did not come"},
	{name: "a variant whose segments cease", file: "multi.m3u8", set: both(variants("xm.m3u8", "xt.m3u8"), refusesFrom("xm-", 20*time.Second)), marks: 3, lost: 5, says: "404"},
	{name: "a variant whose playlist stands still", file: "multi.m3u8", set: both(variants("xm.m3u8", "xt.m3u8"), standsStill), marks: 3, lost: 5, says: "nothing new"},
	{name: "a key that is replaced under its URL", file: "xt.m3u8", set: rekeyed, says: "decrypted"},
	{name: "a target duration of an hour", file: "xt.m3u8", set: func(s *station) {
		s.playlist = func(_ *station, lines []string) []string {
			lines[2] = "#EXT-X-TARGETDURATION:3600"
			return lines
		}
	}},
	{name: "cookies", file: "xt.m3u8", set: cookies},
	{name: "a redirect to another host", file: "xt.m3u8", set: redirects},
	{name: "sequence numbers begin anew", file: "xt.m3u8", set: func(s *station) {
		s.playlist = func(s *station, lines []string) []string {
			if time.Since(s.began) > 20*time.Second {
				lines[3] = fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d", s.newest()-stationBase-5)
			}
			return lines
		}
	}, marks: 2},
	{name: "numbers begin anew while the server fails", file: "xt.m3u8", set: both(refusesAll(20*time.Second, 45*time.Second), func(s *station) {
		s.playlist = func(s *station, lines []string) []string {
			if time.Since(s.began) > 30*time.Second {
				lines[3] = fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d", s.newest()-stationBase-5)
			}
			return lines
		}
	}), lost: 5, marks: 2, says: "503"}, // two are lost, and three still wait at the end
	{name: "numbers and names begin anew", file: "xt.m3u8", set: func(s *station) { // the names say nothing then
		s.playlist = func(s *station, lines []string) []string {
			if time.Since(s.began) > 20*time.Second {
				lines[3] = fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d", s.newest()-stationBase-5)
				for i := range lines {
					lines[i] = strings.Replace(lines[i], "xt-", "other/xt-", 1)
				}
			}
			return lines
		}
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if inner, ok := strings.CutPrefix(file, "other/"); ok {
				return http.StatusOK, s.serve(inner)
			}
			return 0, nil
		}
	}, marks: 0},
	{name: "an old playlist now and then", file: "xt.m3u8", set: func(s *station) {
		n := 0
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if n++; !strings.HasSuffix(file, "m3u8") || n%5 != 0 {
				return 0, nil
			}
			began := s.began
			s.began = began.Add(4 * s.target())
			defer func() { s.began = began }()
			return http.StatusOK, s.serve(file)
		}
	}},
	{name: "a playlist of another kind of writer", file: "xt.m3u8", set: func(s *station) {
		s.playlist = func(_ *station, lines []string) []string {
			return append([]string{"\ufeff" + lines[0] + "\r", "", "# a comment", "#EXT-X-SOMETHING:NEW=1"}, strings.Split(strings.Join(lines[1:], "\r\n\r\n"), "\n")...)
		}
	}},
	{name: "another timeline behind a discontinuity", file: "xt.m3u8", set: both(changed(func(_ *station, l string) string {
		return strings.Replace(l, "#EXTINF", ifSegment(l, stationBase+8, "#EXT-X-DISCONTINUITY\n")+"#EXTINF", 1)
	}), otherTimes(8)), marks: 2},
	{name: "a timeline five seconds on behind a discontinuity", file: "xt.m3u8", set: both(markedAt(8), timesMoved(8, 5)), marks: 2},
	{name: "a timeline five seconds on behind a discontinuity, in fragments", file: "xm.m3u8", set: both(markedAt(8), timesMoved(8, 5)), marks: 2},
	{name: "a redirect of the variants to another folder", file: "multi.m3u8", set: func(s *station) {
		variants("xt.m3u8")(s)
		below := s.answer
		s.answer = func(s *station, r *http.Request, file string) (int, []byte) {
			inner, ok := strings.CutPrefix(file, "folder/")
			switch {
			case file == "multi.m3u8":
				return http.StatusFound, []byte("/folder/multi.m3u8")
			case !ok:
				return http.StatusNotFound, nil
			}
			if status, b := below(s, r, inner); status != 0 {
				return status, b
			}
			if b := s.serve(inner); b != nil {
				return http.StatusOK, b
			}
			return http.StatusNotFound, nil
		}
	}},
	{name: "nothing for half a minute", file: "xt.m3u8", set: refusesAll(12*time.Second, 42*time.Second), lost: 8, marks: 2, says: "503"},
	{name: "another timeline without one", file: "xt.m3u8", set: otherTimes(8), marks: 2},
}

func TestHLSOfAllServersIsPlayed(t *testing.T) {
	for _, tt := range slices.Concat(hlsCases, hlsHabits) {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				if tt.set != nil {
					tt.set(s)
				}
				p, err := pullFor(t, s, tt.file, plenty, pull.Options{})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("the pull ends with %v, after %v", err, s.requests)
				}
				dts, marked := p.pictures()
				_, of := s.of(s.first, "v")
				want := int(plenty/s.target()) - 1 - tt.lost
				if strings.HasPrefix(tt.file, "a") {
					if n := p.sounds(); n < want*80 {
						t.Errorf("%d access units of sound came, want those of %d segments", n, want)
					}
					return
				}
				if len(dts) < want*len(of) {
					t.Errorf("%d pictures came, want at least those of %d segments of %d; counts %v", len(dts), want, len(of), p.record.Counts)
				}
				if marked > tt.marks {
					t.Errorf("%d discontinuities, want at most %d", marked, tt.marks)
				}
				if !slices.IsSorted(dts) {
					t.Error("times go back")
				}
				if apart := strings.HasPrefix(tt.name, "sound of its own"); apart && !slices.Equal(p.told, []int{2}) {
					t.Errorf("tracks were announced %d times, want both at once: %v", len(p.told), p.told)
				}
				if n := p.sounds(); n < want*60 && !strings.Contains(tt.name, "is missing") {
					t.Errorf("%d access units of sound came", n)
				}
				p.atPace(t, tt.lost == 0)
				if c := p.record.Counts; tt.lost == 0 && c[reception.Damaged]+c[reception.ContinuityErrors] > 0 {
					t.Errorf("counts %v: something is damaged that was sent whole", c)
				}
				if tt.marks == 0 || strings.Contains(tt.name, "own") {
					s.inTime(t, p)
				}
				if tt.says != "" && !slices.ContainsFunc(p.meets, func(m string) bool { return strings.Contains(m, tt.says) }) {
					t.Errorf("it was said to be %q, want %q among it", p.meets, tt.says)
				}
				if tt.says == "" && len(p.meets) > 0 && p.meets[0] != "" && tt.lost == 0 && tt.marks == 0 && !strings.Contains(tt.name, "missing") && !strings.Contains(tt.name, "variant") {
					t.Errorf("it was said to be %q", p.meets)
				}
				if r := p.record.Conditions[reception.Unavailable]; r != "" && time.Since(p.ill) > 4*time.Second && !strings.Contains(tt.name, "playlist is missing") {
					t.Errorf("in the end it is still unavailable: %s", r)
				}
				if tt.named != "" && (len(p.record.LeftOut) == 0 || p.record.LeftOut[0].Codec != tt.named) {
					t.Errorf("left out is %v, want %s", p.record.LeftOut, tt.named)
				}
			})
		})
	}
}

// TestHLSComesAtItsPace has segments of sound and pictures arrive apart and at once. They leave in the order of their times, at their
// pace.
func TestHLSComesAtItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		multi("vt.m3u8", "ap.m3u8")(s)
		p, _ := pullFor(t, s, "multi.m3u8", plenty, pull.Options{})
		last := [2]int64{}
		for i, au := range p.units {
			if i < len(p.units)/4 {
				last[au.Track] = au.DTS
				continue
			}
			if other := last[1-au.Track]; au.DTS < other-codecs.ClockRate/10 {
				t.Fatalf("%d of track %d comes after %d of the other", au.DTS, au.Track, other)
			}
			last[au.Track] = au.DTS
			if d := p.times[i].Sub(p.times[i-1]); d > 200*time.Millisecond {
				t.Fatalf("nothing comes for %v", d)
			}
		}
	})
}

func TestHLSSaysWhyItCannotBePlayed(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		set        func(*station)
		want       string
	}{
		{"no such playlist", "nothing.txt", nil, "404"},
		{"a page", "x.m3u8", broken2("<html>", "x.m3u8"), "no playlist"},
		{"all variants are missing", "multi.m3u8", variants("nothing.txt", "no.txt"), "404"},
		{"SAMPLE-AES", "xt.m3u8", keyed(`#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"`, ivOf), "encrypted, not supported: SAMPLE-AES"},
		{"keys of a DRM", "xt.m3u8", keyed(`#EXT-X-KEY:METHOD=AES-128,URI="x",KEYFORMAT="urn:uuid:x"`, ivOf), "encrypted, not supported"},
		{"a coding that is not known", "xt.m3u8", coded("br", func(b []byte) []byte { return b }), `"br"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				if tt.set != nil {
					tt.set(s)
				}
				if _, err := pullFor(t, s, tt.file, time.Minute, pull.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
					t.Errorf("HLS = %v, want %q in it", err, tt.want)
				}
			})
		})
	}
}

func broken2(text, name string) func(*station) {
	return func(s *station) {
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if file == name {
				return http.StatusOK, []byte(text)
			}
			return 0, nil
		}
	}
}

// TestRequestsCarryWhatTheInputSays looks at each request of each kind of pull.
func TestRequestsCarryWhatTheInputSays(t *testing.T) {
	for name, read := range map[string]func(context.Context, string, pull.Options, codecs.Writer) error{"TS": pull.TS, "FLV": pull.FLV, "HLS": pull.HLS} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				n := 0
				s.answer = func(_ *station, r *http.Request, _ string) (int, []byte) {
					n++
					user, password, _ := r.BasicAuth()
					cookie, err := r.Cookie("own")
					if err != nil || cookie.Value != "1" {
						t.Errorf("%s carries the cookies %v", r.URL.Path, r.Cookies())
					}
					if c, err := r.Cookie("theirs"); n > 1 && (err != nil || c.Value != "2") {
						t.Errorf("%s does not carry the cookie of the server: %v", r.URL.Path, r.Cookies())
					}
					if r.UserAgent() != "camera" || r.Header.Get("X-Token") != "t1" || user != "user" || password != "secret" {
						t.Errorf("%s carries %v", r.URL.Path, r.Header)
					}
					if n == 1 {
						return http.StatusOK, append([]byte("cookie:theirs=2; Path=/\n"), s.serve("xt.m3u8")...)
					}
					return 0, nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_ = read(ctx, "http://user:secret@station/xt.m3u8", pull.Options{Transport: s, Agent: "camera", Header: http.Header{"x-token": {"t1"}, "cookie": {"own=1"}}}, &taker{})
				if n == 0 {
					t.Error("nothing is asked for")
				}
			})
		})
	}
}

func TestHLSToItsEnd(t *testing.T) {
	for _, file := range []string{"xt.m3u8", "xm.m3u8", "multi.m3u8"} {
		t.Run(file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				multi("vt.m3u8", "ap.m3u8")(s)
				s.first, s.window, s.ended = stationBase, 20, stationBase+5
				p, err := pullFor(t, s, file, 5*time.Minute, pull.Options{})
				if !errors.Is(err, pull.ErrEnded) {
					t.Fatalf("HLS = %v, want %v", err, pull.ErrEnded)
				}
				dts, _ := p.pictures()
				s.inTime(t, p)
				if _, of := s.of(s.ended, "v"); len(dts) < 3*len(of) || dts[len(dts)-1]%(1<<33) != of[len(of)-1].DTS%(1<<33) {
					t.Errorf("the last of %d pictures is at %d, want %d", len(dts), dts[len(dts)-1], of[len(of)-1].DTS)
				}
			})
		})
	}
}

// TestHLSOfARecordingPassesOverWhatIsMissing has segments of a recording be missing for ever, some at the end.
func TestHLSOfARecordingPassesOverWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		s.first, s.window, s.ended = stationBase, 12, stationBase
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if n := numberOf(file) - (stationBase - 12); n == 4 || n == 5 || n == 6 || n > 10 && n < 13 {
				return http.StatusNotFound, nil
			}
			return 0, nil
		}
		p, err := pullFor(t, s, "xt.m3u8", 5*time.Minute, pull.Options{})
		_, of := s.of(s.first, "v")
		if dts, _ := p.pictures(); !errors.Is(err, pull.ErrEnded) || len(dts) < 7*len(of) {
			t.Errorf("HLS = %v after %d pictures, want the end after those of 7 segments of %d", err, len(dts), len(of))
		}
		if n := p.record.Counts[reception.LostSegments]; n != 5 {
			t.Errorf("%d segments are lost, want 5", n)
		}
	})
}

// TestInitSegmentsAreReadAnewBehindADiscontinuity has an encoder begin anew and write over its init segment.
func TestInitSegmentsAreReadAnewBehindADiscontinuity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		changed(func(_ *station, l string) string {
			return strings.Replace(l, "#EXTINF", ifSegment(l, stationBase+5, "#EXT-X-DISCONTINUITY\n")+"#EXTINF", 1)
		})(s)
		inits := 0
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if strings.HasSuffix(file, ".mp4") {
				inits++
			}
			return 0, nil
		}
		_, _ = pullFor(t, s, "xm.m3u8", plenty, pull.Options{})
		if inits != 2 {
			t.Errorf("the init segment was read %d times, want 2", inits)
		}
	})
}

// TestSecretsStayAtTheServerOfTheInput has playlists and redirects lead to other servers.
func TestSecretsStayAtTheServerOfTheInput(t *testing.T) {
	for _, tt := range []struct {
		where string // the segments are
		own   bool
	}{
		{"http://station/", true},
		{"http://STATION:80/", true},
		{"https://station/", true},
		{"http://station:8080/", false},
		{"http://edge/", false},
		{"http://station.edge/", false},
	} {
		for _, redirected := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				media := 0
				s.playlist = func(_ *station, lines []string) []string {
					for i := range lines {
						if at := "\n" + tt.where; !redirected {
							lines[i] = strings.Replace(lines[i], "\nxt-", at+"xt-", 1)
						}
					}
					return lines
				}
				s.answer = func(_ *station, r *http.Request, file string) (int, []byte) {
					at := r.URL.Scheme + "://" + r.URL.Host + "/"
					if redirected && numberOf(file) > 0 && r.URL.RawQuery == "" {
						return http.StatusFound, []byte(tt.where + file + "?x")
					}
					if numberOf(file) == 0 {
						return 0, nil
					}
					media++
					h := r.Header
					_, _, login := r.BasicAuth()
					secret := h.Get("X-Token") == "t1" && strings.Contains(h.Get("Cookie"), "c=1") && login && r.Host == "name"
					none := h.Get("X-Token") == "" && h.Get("Cookie") == "" && !login && r.Host != "name"
					if at != tt.where || tt.own && !secret || !tt.own && !none || h.Get("Referer") != "http://page/" || h.Get("User-Agent") != "camera" {
						t.Errorf("%s, redirected %t: %s%s carries %v, host %q", tt.where, redirected, at, file, h, r.Host)
					}
					return 0, nil
				}
				header := http.Header{"X-Token": {"t1"}, "Cookie": {"c=1"}, "Referer": {"http://page/"}, "Host": {"name"}}
				_, _ = pullFor(t, s, "xt.m3u8", 10*time.Second, pull.Options{Agent: "camera", Header: header})
				if media == 0 {
					t.Errorf("%s, redirected %t: no segment was asked for", tt.where, redirected)
				}
			})
		}
	}
}

// FuzzPlaylist has a server send any playlist. Nothing may be asked for but by http and https, and no more than the playlist lists.
func FuzzPlaylist(f *testing.F) {
	f.Add("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nxt-1000.ts\n#EXT-X-ENDLIST\n")
	f.Add("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nxt.m3u8\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"ap.m3u8\"\n")
	f.Add("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"key\",IV=0x1\n#EXT-X-MAP:URI=\"x-0.mp4\",BYTERANGE=\"10@5\"\n#EXT-X-BYTERANGE:10\n#EXTINF:1e3,\nfile:///etc/passwd\n")
	f.Add("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
	f.Add("#EXTM3U\n#EXT-X-DEFINE:NAME=\"x\",VALUE=\"{$x}\"\n#EXTINF:{$x},\n{$x\n")
	f.Fuzz(func(t *testing.T, text string) {
		synctest.Test(t, func(t *testing.T) {
			s := newStation(t)
			s.answer = func(_ *station, r *http.Request, file string) (int, []byte) {
				if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
					t.Errorf("asks for %v", (&url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path}).String())
				}
				if file == "fuzz.m3u8" {
					return http.StatusOK, []byte(text)
				}
				return 0, nil
			}
			p, err := pullFor(t, s, "fuzz.m3u8", 20*time.Second, pull.Options{})
			if err == nil {
				t.Error("the pull ends without saying why")
			}
			for _, au := range p.units {
				if au.Track < 0 || au.Track >= len(p.tracks) {
					t.Fatalf("access unit of track %d of %d", au.Track, len(p.tracks))
				}
			}
		})
	})
}
