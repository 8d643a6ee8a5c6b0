package srs

import (
	"sync"
	"time"
)

// meterSpan is over how long rates are told.
const meterSpan = 30 * time.Second

// A Meter turns counters into rates. Its zero value is ready.
type Meter struct {
	mu      sync.Mutex
	samples []sample
}

type sample struct {
	at time.Duration
	by map[string]Count
}

// A Count is how many bytes a client, a stream or a virtual host has received and sent so far.
type Count struct{ Received, Sent uint64 }

// Sample notes the counters at an instant of any clock. The caller changes them no more.
func (m *Meter) Sample(at time.Duration, by map[string]Count) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples = append(m.samples, sample{at, by})
	for len(m.samples) > 2 && at-m.samples[1].at >= meterSpan {
		m.samples = m.samples[1:]
	}
}

// Rate is what key carried lately, up to the newest sample.
func (m *Meter) Rate(key string) Rate {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.samples) < 2 {
		return Rate{}
	}
	now := m.samples[len(m.samples)-1]
	end, ok := now.by[key]
	if !ok {
		return Rate{}
	}
	for _, s := range m.samples {
		if begin, ok := s.by[key]; ok && now.at > s.at {
			// bits per millisecond are kbit/s
			ms := uint64(max(1, (now.at - s.at).Milliseconds()))
			return Rate{Received: int((end.Received - min(begin.Received, end.Received)) * 8 / ms), Sent: int((end.Sent - min(begin.Sent, end.Sent)) * 8 / ms)}
		}
	}
	return Rate{}
}
