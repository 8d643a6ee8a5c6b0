package reception_test

import (
	"testing"

	"weir/codecs"
	"weir/codecs/reception"
)

const each = second / 25

// sends hands media to a judge as it is made, from one instant to before another one: pictures, sound or both, with a random access point at each full
// second if points.
func sends(j *reception.Judge, from, to int64, pictures, sound, points bool) {
	for at := from; at < to; at += each {
		if pictures {
			j.Unit(at, &codecs.AccessUnit{DTS: at, RandomAccess: points && at%second == 0})
		}
		if sound {
			j.Unit(at, &codecs.AccessUnit{Track: 1, DTS: at})
		}
	}
}

// atOnce hands pictures over at one instant.
func atOnce(j *reception.Judge, now, from, to int64) {
	for at := from; at < to; at += each {
		j.Unit(now, &codecs.AccessUnit{DTS: at, RandomAccess: at%second == 0})
	}
}

// one hands a picture over.
func one(j *reception.Judge, now, dts int64) {
	j.Unit(now, &codecs.AccessUnit{DTS: dts, RandomAccess: true})
}

// TestConditionsBeginAndEndAtTheirLimits looks at an input just before and just behind each limit.
func TestConditionsBeginAndEndAtTheirLimits(t *testing.T) {
	const s = second
	tenths := func(n int64) int64 { return n * s / 10 }
	well := func(j *reception.Judge, to int64) { sends(j, 0, to, true, true, true) }
	for _, tt := range []struct {
		name string
		c    reception.Condition
		feed func(j *reception.Judge, x int64) (now int64) // x is the limit, or a little more
		x    int64
		more int64 // in tenths of a second
	}{
		{"nothing comes", reception.NoMedia, func(j *reception.Judge, x int64) int64 { well(j, 10*s); return 10*s + x }, 29 * s / 10, 2},
		{"nothing comes behind a segment", reception.NoMedia, func(j *reception.Judge, x int64) int64 { atOnce(j, 0, 0, 6*s); return x }, 89 * s / 10, 2},
		{"nothing comes behind what was late", reception.NoMedia, func(j *reception.Judge, x int64) int64 { one(j, 0, 0); one(j, 6*s, s); return x }, 89 * s / 10, 2},
		{"nothing comes behind a minute that came at once", reception.NoMedia, func(j *reception.Judge, x int64) int64 { atOnce(j, 0, 0, 60*s); return x }, 22 * s, 12},
		{"sound without pictures", reception.NoPicture, func(j *reception.Judge, x int64) int64 {
			well(j, 10*s)
			sends(j, 10*s, 10*s+x, false, true, true)
			return 10*s + x
		}, 29 * s / 10, 2},
		{"pictures without sound", reception.SilentTrack, func(j *reception.Judge, x int64) int64 {
			well(j, 10*s)
			sends(j, 10*s, 10*s+x, true, false, true)
			return 10*s + x
		}, 49 * s / 10, 2},
		{"no random access point", reception.NoKeyPicture, func(j *reception.Judge, x int64) int64 {
			well(j, 10*s)
			sends(j, 10*s, 10*s+x, true, true, false)
			return 10*s + x
		}, 89 * s / 10, 3},
		{"a gap", reception.Gaps, func(j *reception.Judge, x int64) int64 { well(j, 10*s); one(j, 10*s+x, 10*s+x); return 10*s + x }, 9 * s / 10, 2},
		{"a gap among pictures of two seconds", reception.Gaps, func(j *reception.Judge, x int64) int64 {
			for at := int64(0); at <= 20*s; at += 2 * s {
				one(j, at, at)
			}
			one(j, 20*s+x, 20*s+x)
			return 20*s + x
		}, 79 * s / 10, 2},
		{"media is late", reception.Jittering, func(j *reception.Judge, x int64) int64 { well(j, 10*s); one(j, 10*s+x, 10*s); return 10*s + x }, tenths(4), 2},
	} {
		for _, more := range []bool{false, true} {
			var j reception.Judge
			j.SetTracks(both)
			x := tt.x
			if more {
				x += tenths(tt.more)
			}
			if c, reason := j.Condition(tt.feed(&j, x)); (c == tt.c) != more {
				t.Errorf("%s, %d ticks: %q %s", tt.name, x, c, reason)
			}
		}
	}
}

func TestEventsAreShownForTenSeconds(t *testing.T) {
	for _, counter := range []reception.Counter{reception.ContinuityErrors, reception.LostSegments} {
		var j reception.Judge
		j.SetTracks(both)
		sends(&j, 0, 5*second, true, true, true)
		j.Count(5*second, counter, 1, nil)
		sends(&j, 5*second, 15*second, true, true, true)
		if c, _ := j.Condition(15*second - 1); c != reception.Continuity {
			t.Errorf("%v: %q before ten seconds have passed", counter, c)
		}
		if c, _ := j.Condition(15 * second); c != 0 {
			t.Errorf("%v: %q when ten seconds have passed", counter, c)
		}
	}
}

// An input that stays behind its time has found its place, and so has one whose clock is a hundredth slow.
func TestInputThatStaysBehindIsNotLate(t *testing.T) {
	for name, by := range map[string]func(at int64) int64{
		"two seconds": func(at int64) int64 { return min(at, 2*second) },
		"a hundredth": func(at int64) int64 { return at / 100 },
	} {
		var j reception.Judge
		j.SetTracks(both)
		now := int64(0)
		for at := int64(0); at < 120*second; at += each {
			now = at + by(at)
			j.Unit(now, &codecs.AccessUnit{DTS: at, RandomAccess: at%second == 0})
		}
		if c, reason := j.Condition(now); c != 0 {
			t.Errorf("%s behind for two minutes: %q %s", name, c, reason)
		}
	}
}

func TestJitterOfSoundAlone(t *testing.T) {
	var j reception.Judge
	j.SetTracks(codecs.Tracks{{Codec: codecs.AAC}})
	for at := int64(0); at < 10*second; at += each {
		j.Unit(at+at/each%2*each/2, &codecs.AccessUnit{DTS: at})
	}
	if d := j.Jitter() * 1000 / second; d < 10 || d > 20 {
		t.Errorf("the jitter is %d ms, want nearly 20", d)
	}
}
