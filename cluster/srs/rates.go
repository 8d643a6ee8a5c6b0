package srs

import (
	"sync"
	"time"
)

// rateSpan is the time over which rates are averaged.
const rateSpan = 30 * time.Second

// rates turns counters into rates.
type rates struct {
	mu      sync.Mutex
	samples []sample
}

type sample struct {
	at time.Duration
	by map[string]count
}

// A count is how many bytes a client, a stream or a virtual host has received and sent so far.
type count struct{ received, sent uint64 }

func (c *count) add(s Session) {
	c.received += s.BytesIn
	c.sent += s.BytesOut
}

// A rate is how much was carried lately, in kbit/s.
type rate struct {
	Received int `json:"recv_30s"`
	Sent     int `json:"send_30s"`
}

// sample notes the counters at an instant. The caller changes them no more.
func (r *rates) sample(at time.Duration, by map[string]count) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, sample{at, by})
	for len(r.samples) > 2 && at-r.samples[1].at >= rateSpan {
		r.samples = r.samples[1:]
	}
}

// of is what key carried lately, up to the newest sample.
func (r *rates) of(key string) rate {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) < 2 {
		return rate{}
	}
	now := r.samples[len(r.samples)-1]
	end, ok := now.by[key]
	if !ok {
		return rate{}
	}
	for _, s := range r.samples {
		if begin, ok := s.by[key]; ok && now.at > s.at {
			// bits per millisecond are kbit/s
			ms := uint64(max(1, (now.at - s.at).Milliseconds()))
			return rate{Received: int((end.received - min(begin.received, end.received)) * 8 / ms), Sent: int((end.sent - min(begin.sent, end.sent)) * 8 / ms)}
		}
	}
	return rate{}
}
