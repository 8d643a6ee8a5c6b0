package load

import (
	"testing"
	"time"
)

func TestMeterAveragesOverItsWindow(t *testing.T) {
	var g Growth
	for _, tt := range []struct {
		at    time.Duration
		count uint64
		want  int64
	}{
		{0, 1000, 0},
		{2 * time.Second, 3000, 200}, // 1000 a second for two of ten seconds
		{4 * time.Second, 5000, 400},
		{10 * time.Second, 11_000, 1000},
		{12 * time.Second, 13_000, 1000},
		{14 * time.Second, 13_000, 800},
		{24 * time.Second, 13_000, 0},
		{26 * time.Second, 500, 0}, // begun anew
		{28 * time.Second, 1500, 100},
	} {
		if got := g.ramp(tt.at, tt.count); got != tt.want {
			t.Errorf("at %v with %d: %d a second, want %d", tt.at, tt.count, got, tt.want)
		}
	}
}

func TestRateIsOverTheTimeMeasured(t *testing.T) {
	var g Growth
	for _, tt := range []struct {
		at    time.Duration
		count uint64
		want  int64
	}{
		{0, 1000, 0},
		{time.Second, 2000, 0}, // too short to tell
		{2 * time.Second, 3000, 1000},
		{12 * time.Second, 13_000, 1000},
		{22 * time.Second, 13_000, 0},
	} {
		if got := g.rate(tt.at, tt.count); got != tt.want {
			t.Errorf("at %v with %d: %d a second, want %d", tt.at, tt.count, got, tt.want)
		}
	}
}
