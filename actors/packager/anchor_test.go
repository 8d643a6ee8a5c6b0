package packager

import (
	"testing"
	"time"
)

// Numbers that other nodes work out from an anchor, by a clock that is wrong by ppm.
func workedOut(a Anchor, at time.Duration, ppm int64) int64 {
	elapsed := at - a.At
	return a.Number + int64((elapsed+elapsed*time.Duration(ppm)/1_000_000)/a.Period)
}

// TestOtherNodesNeverFallBehind lets streams of several habits run for two days, and asks at each cut whether a node that goes by
// the newest anchor would number its own first segment, two above what it works out, above all that were finished.
func TestOtherNodesNeverFallBehind(t *testing.T) {
	const period = 4 * time.Second
	for _, tt := range []struct {
		name   string
		length func(i int64) time.Duration
		most   int // anchors in two days
	}{
		{"even", func(int64) time.Duration { return period }, 750},
		{"longer than they say", func(int64) time.Duration { return period + 20*time.Millisecond }, 750},
		{"shorter than they say", func(int64) time.Duration { return period - 20*time.Millisecond }, 750},
		{"long and short", func(i int64) time.Duration { return period + time.Duration(i%2*2-1)*time.Second }, 750},
		{"a burst of short ones each hour", func(i int64) time.Duration {
			if i%900 < 8 {
				return time.Second
			}
			return period
		}, 1400},
	} {
		for _, ppm := range []int64{-2000, -600, 0, 600, 2000} {
			var told Anchor
			anchors := 0
			at := time.Duration(0)
			for number := int64(100); at < 48*time.Hour; number++ {
				if now := (Anchor{number, period, at}); !told.Holds(now) {
					told = now
					anchors++
				}
				if out := workedOut(told, at, ppm); out+2 <= number || out > number+2 {
					t.Fatalf("%s, %d ppm: at %v segment %d begins, and another node works out %d", tt.name, ppm, at, number, out)
				}
				at += tt.length(number)
			}
			if anchors > tt.most {
				t.Errorf("%s: %d anchors in two days, want at most %d", tt.name, anchors, tt.most)
			}
		}
	}
}

func TestNoAnchorHoldsNothing(t *testing.T) {
	if (Anchor{}).Holds(Anchor{1, time.Second, 0}) || (Anchor{Number: 1}).Holds(Anchor{1, time.Second, 0}) {
		t.Error("an anchor without number or period holds")
	}
}
