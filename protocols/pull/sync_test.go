package pull_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/protocols/pull"
)

// TestPicturesAndSoundStayTogetherOverAJump has the timeline jump at a segment of pictures or of sound that is missing for ever, so that
// the other one gets there first.
func TestPicturesAndSoundStayTogetherOverAJump(t *testing.T) {
	for _, missing := range []string{"", "vt", "at"} {
		for _, marked := range []bool{false, true} {
			for _, by := range []int64{-1000, 1000} {
				t.Run(fmt.Sprintf("%q is missing, marked %t, by %d s", missing, marked, by), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newStation(t)
						s.window = 4
						multi("vt.m3u8", "at.m3u8")(s)
						timesMoved(8, by)(s)
						if marked {
							markedAt(8)(s)
						}
						if missing != "" {
							before := s.answer
							s.answer = func(s *station, r *http.Request, file string) (int, []byte) {
								if file == fmt.Sprintf("%s-%d.ts", missing, stationBase+8) {
									return http.StatusNotFound, nil
								}
								return before(s, r, file)
							}
						}
						p, _ := pullFor(t, s, "multi.m3u8", 90*time.Second, pull.Options{})
						s.together(t, p)
					})
				})
			}
		}
	}
}

// together checks that the beeps, which are at each full second, are as far from the pictures as they were made.
func (s *station) together(t *testing.T, p *pulled) {
	t.Helper()
	pictures, beep := map[string]int64{}, []byte(nil)
	for n := s.first - 5; n <= s.newest(); n++ {
		tracks, units := s.of(n, "")
		for _, au := range units {
			if tracks[au.Track].Codec.Video() {
				pictures[string(au.Payload)] = au.DTS
			} else if len(au.Payload) > len(beep) {
				beep = au.Payload
			}
		}
	}
	_, units := s.of(s.first, "a")
	at := int64(0)
	for _, au := range units {
		if bytes.Equal(au.Payload, beep) {
			at = au.DTS
			break
		}
	}
	shift, known, checked := int64(0), false, 0
	for i, au := range p.units {
		if p.video[i] {
			if dts, ok := pictures[string(au.Payload)]; ok {
				shift, known = au.DTS-dts, true
			}
		} else if known && bytes.Equal(au.Payload, beep) {
			off := (au.DTS - shift - at) % codecs.ClockRate
			if off > codecs.ClockRate/2 {
				off -= codecs.ClockRate
			} else if off < -codecs.ClockRate/2 {
				off += codecs.ClockRate
			}
			if checked++; max(off, -off) > codecs.ClockRate/10 {
				t.Errorf("a beep at %v is %d ms from where it belongs", time.Duration(i), off*1000/codecs.ClockRate)
				return
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d beeps were heard", checked)
	}
}
