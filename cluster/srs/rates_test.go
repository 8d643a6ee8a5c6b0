package srs

import (
	"testing"
	"time"
)

func TestRatesAreOfTheLastHalfMinute(t *testing.T) {
	var m rates
	if got := m.of("x"); got != (rate{}) {
		t.Errorf("rate of nothing = %+v", got)
	}
	for s := range 60 {
		m.sample(time.Duration(s)*time.Second, map[string]count{"x": {received: uint64(s) * 1000, sent: uint64(max(0, s-29)) * 125}})
	}
	if got := m.of("x"); got != (rate{Received: 8, Sent: 1}) {
		t.Errorf("rate = %+v, want 8 and 1 kbit/s", got)
	}
	if got := m.of("y"); got != (rate{}) {
		t.Errorf("rate of another key = %+v", got)
	}
}
