package playlist

import (
	"testing"
	"time"
)

func TestNumbersDoNotGoBackWhileAPlayerMayHaveSeenThem(t *testing.T) {
	var r Repeat
	began := time.Unix(0, 0)
	if r.Repeats(began) {
		t.Error("there is something to repeat before anything was served")
	}
	for _, tt := range []struct {
		name        string
		at          time.Duration
		first, last int64
		want        bool
	}{
		{"the first", 0, 10, 15, true},
		{"one that ends earlier", time.Second, 10, 14, false},
		{"one that begins earlier", 2 * time.Second, 9, 15, false},
		{"a newer one", 3 * time.Second, 11, 16, true},
		{"lower numbers, which count from now", 30 * time.Second, 1, 2, false},
		{"and go on", 89 * time.Second, 2, 3, false},
		{"until players have given up", 90 * time.Second, 2, 3, true},
		{"one that ends earlier than that", 91 * time.Second, 2, 2, false},
		{"long after", 91*time.Second + RepeatFor, 1, 1, true},
	} {
		if got := r.Take(tt.first, tt.last, began.Add(tt.at)); got != tt.want {
			t.Errorf("%s: taken %v, want %v", tt.name, got, tt.want)
		}
	}
	last := began.Add(91*time.Second + RepeatFor)
	if !r.Repeats(last.Add(RepeatFor-1)) || r.Repeats(last.Add(RepeatFor)) {
		t.Errorf("the last playlist is not repeated for %v exactly", RepeatFor)
	}
}
