package input

import (
	"sync"
	"time"

	"weir/codecs"
	"weir/codecs/reception"
)

// A Monitor watches what a source or a publisher brings and tells, and says how the input is. It outlives the restarts of an input. Any
// goroutine may use it.
type Monitor struct {
	now    func() time.Duration
	change func(Change)

	mu      sync.Mutex
	judge   reception.Judge
	starts  uint64
	looked  time.Duration       // when the condition was last looked at
	told    reception.Condition // as was told last
	leftOut []reception.LeftOut // as was told last
}

// A Change is a change of an input that an operator may want to know.
type Change struct {
	// LeftOut is a track that is left out from now on; it is nil where the condition has changed. No condition says that all is well.
	LeftOut   *reception.LeftOut
	Condition reception.Condition
	Reason    string
}

// NewMonitor makes a monitor whose clock is now. Change is told of each change, by the goroutine that finds it; it must not block.
func NewMonitor(now func() time.Duration, change func(Change)) *Monitor {
	return &Monitor{now: now, change: change}
}

// glance is how often the condition is looked at while media arrives.
const glance = 500 * time.Millisecond

func (m *Monitor) ticks() int64 { return int64(m.now() / time.Microsecond * 9 / 100) }

// Begin says that the source starts, or starts anew.
func (m *Monitor) Begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.starts++
	m.judge.Begin()
}

// LeaveOut implements [reception.Report].
func (m *Monitor) LeaveOut(tracks []reception.LeftOut) {
	m.mu.Lock()
	m.judge.LeaveOut(tracks)
	before := m.leftOut
	m.leftOut = tracks
	m.mu.Unlock()
	for i := range tracks {
		known := false
		for k := range before {
			known = known || before[k] == tracks[i]
		}
		if !known {
			m.change(Change{LeftOut: &tracks[i]})
		}
	}
}

// Meet implements [reception.Report].
func (m *Monitor) Meet(c reception.Condition, reason string) {
	m.mu.Lock()
	m.judge.Meet(c, reason)
	m.mu.Unlock()
	m.Look()
}

// Count implements [reception.Report].
func (m *Monitor) Count(c reception.Counter, n int, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.judge.Count(m.ticks(), c, n, why)
}

// SetTracks says which tracks the media that follows has.
func (m *Monitor) SetTracks(tracks codecs.Tracks) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.judge.SetTracks(tracks)
}

// Unit takes an access unit that has arrived.
func (m *Monitor) Unit(au *codecs.AccessUnit) {
	now := m.now()
	m.mu.Lock()
	m.judge.Unit(int64(now/time.Microsecond*9/100), au)
	due := now-m.looked >= glance
	m.mu.Unlock()
	if due {
		m.Look()
	}
}

// Look finds the condition anew, and tells a change. A change of the reason alone is none.
func (m *Monitor) Look() (c reception.Condition, reason string) {
	m.mu.Lock()
	m.looked = m.now()
	c, reason = m.judge.Condition(m.ticks())
	changed := c != m.told && (c != 0 || m.judge.Began()) // a source that starts anew is not well before it brings media
	if changed {
		m.told = c
	}
	m.mu.Unlock()
	if changed {
		m.change(Change{Condition: c, Reason: reason})
	}
	return c, reason
}

// A Health is how an input is at an instant.
type Health struct {
	Condition reception.Condition // zero: all is well, as far as media has come
	Reason    string
	LeftOut   []reception.LeftOut
	Counts    [reception.Counters]uint64
	Units     uint64 // access units that have arrived
	Bytes     uint64
	Restarts  uint64
	Jitter    time.Duration
}

// Health returns how the input is now.
func (m *Monitor) Health() Health {
	if m == nil {
		return Health{}
	}
	c, reason := m.Look()
	m.mu.Lock()
	defer m.mu.Unlock()
	h := Health{
		Condition: c, Reason: reason, LeftOut: m.judge.LeftOut, Counts: m.judge.Counts, Units: m.judge.Units, Bytes: m.judge.Bytes,
		Jitter: time.Duration(m.judge.Jitter()) * time.Second / codecs.ClockRate,
	}
	if m.starts > 0 {
		h.Restarts = m.starts - 1
	}
	return h
}
