// Package load measures what a node carries: the burden of its machine, its clients and captures, the bit rates of its
// streams, and the outages of streams that it has taken over.
//
// It knows neither where its figures go nor what they decide.
package load

import (
	"sync"
	"time"

	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/control"
	"weir/protocols"
)

// Interval is how often the load of a node is measured.
const Interval = 2 * time.Second

// Config says where the figures come from.
type Config struct {
	Sessions *session.Registry
	Streams  *stream.Registry

	// Burden measures what the machine carries.
	Burden func() Burden

	// Captures is how many streams this node captures.
	Captures func() int

	// Playlists counts the bytes that the HLS server has sent: a viewer by playlist has no connection of its own.
	Playlists func() uint64

	// Chosen gives for how many clients this node has chosen servers per second since it was last asked.
	Chosen func(now time.Duration) int
}

// A Meter measures the load of a node and remembers the newest figures. Any goroutine may use it, but for
// [Meter.Measure].
type Meter struct {
	cfg Config

	mu    sync.Mutex
	load  control.Load
	at    time.Duration
	rates map[string]int64 // bits per second, by stream

	// What follows belongs to Measure.
	output  Growth
	streams map[string]*Growth
}

// New returns a Meter that has not measured yet.
func New(c Config) *Meter { return &Meter{cfg: c} }

// Measure measures what this node carries now. It is called every [Interval], by one goroutine at a time.
func (m *Meter) Measure(now time.Duration) control.Load {
	b := m.cfg.Burden()
	l := control.Load{
		Uptime: int64(now.Seconds()), CPU: b.CPU, Memory: b.Memory, Interface: b.Interface,
		Captures: m.cfg.Captures(), OutBits: 8 * m.output.ramp(now, m.Sent()), Chosen: m.cfg.Chosen(now),
	}
	for _, s := range m.cfg.Sessions.List() {
		if s.Watches() {
			l.Clients++
		}
	}
	rates, meters := map[string]int64{}, map[string]*Growth{}
	for _, name := range m.cfg.Streams.Names() {
		live, _, ok := m.cfg.Streams.Get(name)
		if !ok {
			continue
		}
		one := m.streams[name]
		if one == nil {
			one = &Growth{}
		}
		meters[name] = one
		rates[name] = 8 * one.rate(now, live.Hub.Volume())
	}
	m.streams = meters
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load, m.at, m.rates = l, now, rates
	return l
}

// Sent counts the bytes that were sent to clients and other nodes.
func (m *Meter) Sent() (bytes uint64) {
	for proto, t := range m.cfg.Sessions.Totals() {
		if proto != protocols.HLS {
			bytes += t.BytesOut
		}
	}
	return bytes + m.cfg.Playlists()
}

// Load is the newest load, and when it was measured.
func (m *Meter) Load() (control.Load, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load, m.at
}

// Rate is the bit rate of a stream; zero if it is not here, or not for long enough to tell.
func (m *Meter) Rate(stream string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rates[stream]
}
