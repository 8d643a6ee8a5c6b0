// Package load measures the load of a node: the burden of its machine, its clients and captures, the bit rates of its streams, and
// the outages of streams that it has taken over.
//
// It does not know what its figures are used for.
package load

import (
	"maps"
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

	mu      sync.Mutex
	load    control.Load
	at      time.Duration          // when load was measured
	streams map[string]*throughput // by name

	output Growth // used by Measure only
}

// A throughput is what a stream's input brings.
type throughput struct {
	volume Growth
	rate   int64         // bits per second
	at     time.Duration // when it was measured
}

// New returns a Meter that has not measured anything yet.
func New(c Config) *Meter { return &Meter{cfg: c, streams: map[string]*throughput{}} }

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
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cfg.Streams.Each(func(name string, live *stream.Live) {
		s := m.streams[name]
		if s == nil {
			s = &throughput{}
			m.streams[name] = s
		}
		s.rate, s.at = 8*s.volume.rate(now, live.Hub.Volume()), now
	})
	maps.DeleteFunc(m.streams, func(_ string, s *throughput) bool { return s.at != now })
	m.load, m.at = l, now
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
	if s := m.streams[stream]; s != nil {
		return s.rate
	}
	return 0
}
