package pull_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/protocols/pull"
)

// ladder has three variants of one, two and four Mbit/s, whose segments come over a link of so many kbit/s; below zero it is that fast
// for the variant of four alone, and a hundred times as fast for others. The second character of a file is that of its variant. Kind is v
// where the sound has a playlist of its own.
func ladder(kind string, link func(s *station) int) func(*station) {
	kbits := map[byte]int{'1': 1000, '2': 2000, '4': 4000}
	text, sound := "#EXTM3U\n", ""
	if kind == "v" {
		text += "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"main\",URI=\"ap.m3u8\"\n"
		sound = ",AUDIO=\"a\""
	}
	for _, name := range []string{"1t", "4t", "2t"} {
		text += fmt.Sprintf("#EXT-X-STREAM-INF:BANDWIDTH=%d,CODECS=\"avc1.42c01e,mp4a.40.2\"%s\n%s%s.m3u8\n", 1000*kbits[name[0]], sound, kind, name)
	}
	return func(s *station) {
		s.answer = func(s *station, r *http.Request, file string) (int, []byte) {
			if file == "multi.m3u8" {
				return http.StatusOK, []byte(text)
			}
			if numberOf(file) > 0 && file[0] != 'a' {
				rate := link(s)
				if rate < 0 {
					if rate = -rate; file[1] != '4' {
						rate *= 100
					}
				}
				select {
				case <-r.Context().Done():
					return unanswered, nil
				case <-time.After(time.Duration(kbits[file[1]]) * s.target() / time.Duration(rate)):
				}
			}
			return 0, nil
		}
	}
}

// TestVariantFitsTheLink has the link be slower and faster. Variants are the second characters of those of which segments were asked for.
func TestVariantFitsTheLink(t *testing.T) {
	for _, tt := range []struct {
		name     string
		link     func(s *station) int
		lasts    time.Duration
		variants string // one after the other
		whole    bool   // no picture is missing
	}{
		{"a fast link", func(*station) int { return 20_000 }, time.Minute, "4", true},
		{"a link for the second", func(*station) int { return 3200 }, 90 * time.Second, "42", true},
		{"a link for the third", func(*station) int { return 1500 }, 90 * time.Second, "421", false},
		{"a link on which nothing of the first comes in time", func(*station) int { return -900 }, 40 * time.Second, "42", false},
		{"slow for a minute, from the third one on", func(s *station) int {
			if between(s, 30*time.Second, 90*time.Second) {
				return 1500
			}
			return 20_000
		}, 4 * time.Minute, "42124", false},
		{"slow for one segment", func(s *station) int {
			if between(s, 30*time.Second, 34*time.Second) {
				return 3500
			}
			return 20_000
		}, 90 * time.Second, "4", true},
		// Tried again after 30 s, 1 and 2 min.
		{"slow for the first alone", func(*station) int { return -3600 }, 255 * time.Second, "42424242", true},
	} {
		for _, kind := range []string{"x", "v"} {
			t.Run(kind+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStation(t)
					s.window = 15
					ladder(kind, tt.link)(s)
					p, err := pullFor(t, s, "multi.m3u8", tt.lasts, pull.Options{})
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Fatalf("HLS = %v", err)
					}
					got := ""
					var numbers []int64
					for _, r := range s.requests {
						if file := strings.TrimPrefix(r, "/"); numberOf(file) > 0 && file[0] != 'a' {
							if !strings.HasSuffix(got, file[1:2]) {
								got += file[1:2]
							}
							numbers = append(numbers, numberOf(file))
						}
					}
					if got != tt.variants {
						t.Errorf("variants %s were played, want %s", got, tt.variants)
					}
					if n := slices.Compact(slices.Clone(numbers)); tt.whole && (len(n) != len(numbers) || !slices.IsSorted(n)) {
						t.Errorf("segments %v were asked for, want each once", numbers)
					}
					dts, marked := p.pictures()
					for i := 1; i < len(dts); i++ {
						if d := dts[i] - dts[i-1]; d != codecs.ClockRate/25 {
							t.Errorf("picture %d comes %d ticks behind the one before", i, d)
						}
					}
					if marked > 0 {
						t.Errorf("%d discontinuities, and nothing is missing", marked)
					}
					p.atPace(t, true)
					s.inTime(t, p)
				})
			})
		}
	}
}
