package srs

import (
	"sync"
	"time"

	"weir/cluster/load"
)

// rateSpan is the time over which rates are averaged.
const rateSpan = 30 * time.Second

// rates turns counters into rates.
type rates struct {
	mu     sync.Mutex
	counts map[string]*[2]load.Growth // bytes received and sent
	latest map[string]rate
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

// sample takes the counters at an instant.
func (r *rates) sample(at time.Duration, by map[string]count) {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := make(map[string]*[2]load.Growth, len(by))
	r.latest = make(map[string]rate, len(by))
	for key, c := range by {
		g := r.counts[key]
		if g == nil {
			g = &[2]load.Growth{{Over: rateSpan}, {Over: rateSpan}}
		}
		counts[key] = g
		received, span := g[0].Grown(at, c.received)
		sent, _ := g[1].Grown(at, c.sent)
		if ms := uint64(span.Milliseconds()); ms > 0 { // bits per millisecond are kbit/s
			r.latest[key] = rate{Received: int(received * 8 / ms), Sent: int(sent * 8 / ms)}
		}
	}
	r.counts = counts
}

// of is what key carried lately, up to the newest sample.
func (r *rates) of(key string) rate {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest[key]
}
