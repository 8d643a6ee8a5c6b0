// Package load measures the load of a node: the burden of its machine, its clients and captures, the bit rates of its streams, and
// the outages of streams that it has taken over.
//
// It does not know what its figures are used for.
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

	// Burden measures the load of the machine.
	Burden func() Burden

	// Captures is the number of streams that this node captures.
	Captures func() int

	// Playlists is the number of bytes that the HLS server has sent. The sessions of HLS viewers do not count them.
	Playlists func() uint64

	// Chosen is the number of clients per second for which this node has chosen a server since the last call.
	Chosen func(now time.Duration) int
}

// A Meter measures the load of a node and keeps the newest figures. Any goroutine may call its methods, except [Meter.Measure].
type Meter struct {
	cfg Config

	mu    sync.Mutex
	load  control.Load
	at    time.Duration    // when load was measured
	rates map[string]int64 // bits per second, by stream

	// The fields below are used by Measure only.
	output  Growth
	streams map[string]*Growth
}

// New returns a Meter that has not measured anything yet.
func New(c Config) *Meter { return &Meter{cfg: c} }

// Measure measures the load now. It must be called every [Interval], by one goroutine at a time.
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

// Sent is the number of bytes that were sent to clients and other nodes so far.
func (m *Meter) Sent() (bytes uint64) {
	for proto, t := range m.cfg.Sessions.Totals() {
		if proto != protocols.HLS {
			bytes += t.BytesOut
		}
	}
	return bytes + m.cfg.Playlists()
}

// Load is the newest load, and the instant at which it was measured.
func (m *Meter) Load() (control.Load, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load, m.at
}

// Rate is the bit rate of a stream; zero if this node does not have the stream, or has not had it for [Interval] yet.
func (m *Meter) Rate(stream string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rates[stream]
}
