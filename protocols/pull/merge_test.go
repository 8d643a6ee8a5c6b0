package pull_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/codecs/mpegts"
	"weir/protocols/pull"
)

// unansweredFrom has the station not answer requests for files that begin so, in a time.
func unansweredFrom(prefix string, from, to time.Duration) func(*station) {
	return func(s *station) {
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			if strings.HasPrefix(file, prefix) && between(s, from, to) {
				return unanswered, nil
			}
			return 0, nil
		}
	}
}

// slow has the first answer for a file come late.
func slow(name string, by time.Duration) func(*station) {
	return func(s *station) {
		once := false
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if file == name && !once {
				once = true
				time.Sleep(by)
			}
			return 0, nil
		}
	}
}

// long joins so many segments of pictures or sound each.
func long(kind string, of int64) func(*station) {
	return func(s *station) {
		name := kind + "t"
		s.answer = func(s *station, _ *http.Request, file string) (int, []byte) {
			last := (s.newest() + 1) / of * of
			switch n := numberOf(file); {
			case file == name+".m3u8":
				d := time.Duration(of) * s.target()
				text := fmt.Sprintf("#EXTM3U\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n", int(d/time.Second), last/of-3)
				for n := last - 3*of; n < last; n += of {
					text += fmt.Sprintf("#EXTINF:%.3f,\n%s-%d.ts\n", d.Seconds(), name, n)
				}
				return http.StatusOK, []byte(text)
			case strings.HasPrefix(file, name+"-"):
				tracks, units := s.of(n, kind)
				for n++; n%of != 0; n++ {
					_, more := s.of(n, kind)
					units = append(units, more...)
				}
				return http.StatusOK, mpegts.Segment(tracks, units)
			}
			return 0, nil
		}
	}
}

// missesOnce has the first answer for a file be an error.
func missesOnce(name string) func(*station) {
	return func(s *station) {
		once := false
		s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
			if file == name && !once {
				once = true
				return http.StatusNotFound, nil
			}
			return 0, nil
		}
	}
}

// TestOneMediumOfARecordingDoesNotRunAhead has the sound of a recording of five minutes be late.
func TestOneMediumOfARecordingDoesNotRunAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		s.window, s.ended = 75, stationBase
		most := 0
		both(multi("vt.m3u8", "at.m3u8"), func(s *station) {
			s.answer = func(_ *station, _ *http.Request, file string) (int, []byte) {
				if file == "at.m3u8" {
					time.Sleep(3 * time.Second)
					s.mu.Lock()
					defer s.mu.Unlock()
					for _, r := range s.requests {
						if strings.HasPrefix(r, "/vt-") {
							most++
						}
					}
				}
				return 0, nil
			}
		})(s)
		_, _ = pullFor(t, s, "multi.m3u8", 10*time.Second, pull.Options{})
		if want := int(20*time.Second/s.target()) + 1; most == 0 || most > want {
			t.Errorf("%d segments of pictures were asked for before the sound came, want at most %d", most, want)
		}
	})
}

// TestSoundAndPicturesOfTwoPlaylistsWaitForEachOther has one of two playlists be late, hang without an answer, or come in longer
// segments. The other one waits so long that both are announced at once and lie where they belong, and no longer.
func TestSoundAndPicturesOfTwoPlaylistsWaitForEachOther(t *testing.T) {
	apart := multi("vt.m3u8", "at.m3u8")
	for _, tt := range []struct {
		name  string
		set   func(*station)
		ended bool          // it is a recording
		first time.Duration // until which the first picture has come
		pause time.Duration // longer than which no pictures are missing
		told  []int         // how many tracks were announced
		sound time.Duration // at least of sound
	}{
		{"the sound never answers", unansweredFrom("at", 0, time.Hour), false, 15 * time.Second, time.Second, []int{1}, 0},
		{"the segments of sound never come", unansweredFrom("at-", 0, time.Hour), false, 15 * time.Second, time.Second, []int{1}, 0},
		{"the sound comes after twelve seconds", unansweredFrom("at", 0, 15*time.Second), false, 15 * time.Second, time.Second, nil, 10 * time.Second},
		{"the sound hangs in the middle", unansweredFrom("at", 20*time.Second, time.Hour), false, 5 * time.Second, 15 * time.Second, []int{2}, 12 * time.Second},
		{"the sound is three seconds late", slow("at.m3u8", 3*time.Second), false, 5 * time.Second, time.Second, []int{2}, 40 * time.Second},
		{"the pictures are three seconds late", slow("vt.m3u8", 3*time.Second), false, 5 * time.Second, time.Second, []int{2}, 40 * time.Second},
		{"the sound of a recording is three seconds late", slow("at.m3u8", 3*time.Second), true, 5 * time.Second, time.Second, []int{2}, 40 * time.Second},
		{"the pictures of a recording are three seconds late", slow("vt.m3u8", 3*time.Second), true, 5 * time.Second, time.Second, []int{2}, 40 * time.Second},
		{"sound in segments of twice the length", long("a", 2), false, 15 * time.Second, time.Second, []int{2}, 40 * time.Second},
		{"sound in segments of five times the length", long("a", 5), false, 25 * time.Second, 15 * time.Second, []int{2}, 30 * time.Second},
		{"pictures in segments of twice the length", long("v", 2), false, 15 * time.Second, time.Second, []int{2}, 40 * time.Second},
		{"the playlist of the sound is missing once", missesOnce("at.m3u8"), false, 5 * time.Second, time.Second, []int{2}, 40 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t)
				if s.window = 12; tt.ended {
					s.window, s.ended = 24, stationBase
				}
				both(apart, tt.set)(s)
				began := time.Now()
				p, err := pullFor(t, s, "multi.m3u8", plenty, pull.Options{Connect: 20 * time.Second})
				if !errors.Is(err, context.DeadlineExceeded) && (!tt.ended || !errors.Is(err, pull.ErrEnded)) {
					t.Fatalf("HLS = %v", err)
				}
				if tt.told != nil && fmt.Sprint(p.told) != fmt.Sprint(tt.told) {
					t.Errorf("announced were %v tracks, want %v", p.told, tt.told)
				}
				last := began
				sound := int64(0)
				for i, au := range p.units {
					if !p.video[i] {
						sound += au.Duration
						continue
					}
					if most := max(tt.pause, tt.first); last == began && p.times[i].Sub(began) > tt.first || p.times[i].Sub(last) > most {
						t.Fatalf("a picture comes %v after the one before, %v after the beginning", p.times[i].Sub(last), p.times[i].Sub(began))
					} else if last != began && p.times[i].Sub(last) > tt.pause {
						t.Fatalf("no picture comes for %v", p.times[i].Sub(last))
					}
					last = p.times[i]
				}
				if d := time.Since(last); d > time.Second {
					t.Errorf("the last picture came %v ago", d)
				}
				if want := int64(tt.sound/time.Second) * codecs.ClockRate; sound < want {
					t.Errorf("%d ticks of sound came, want %d", sound, want)
				}
				s.inTime(t, p)
				for i := 1; i < len(p.units) && tt.sound >= 30*time.Second; i++ {
					if p.units[i].DTS < p.units[i-1].DTS-codecs.ClockRate/10 {
						t.Fatalf("access unit %d, video %t, comes %d ticks too late", i, p.video[i], p.units[i-1].DTS-p.units[i].DTS)
					}
				}
			})
		})
	}
}
