package input

import (
	"sync"

	"weir/codecs/reception"
)

// A Monitor keeps what a source or a publisher reports. The zero Monitor is ready. Any goroutine may use it.
type Monitor struct {
	mu     sync.Mutex
	record reception.Record
}

// LeaveOut implements [reception.Report].
func (m *Monitor) LeaveOut(tracks []reception.LeftOut) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record.LeaveOut(tracks)
}

// Meet implements [reception.Report].
func (m *Monitor) Meet(c reception.Condition, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record.Meet(c, reason)
}

// Count implements [reception.Report].
func (m *Monitor) Count(c reception.Counter, n int, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record.Count(c, n, why)
}
