package load

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
)

// A Burden is the load of the machine by all its processes, in permille. A figure that the system does not tell is zero, so no
// limit is ever reached by it.
type Burden struct {
	CPU       int // of all processors together, since the last call of Measure
	Memory    int // in use
	Interface int // of the busiest network interface, in its busier direction, since the last call of Measure
}

// A Machine measures the burden of this machine. It belongs to one goroutine at a time.
type Machine struct {
	links func() ([]net.IOCountersStat, error)
	speed func(name string) int64 // bits per second; 0 means that it is not known

	at     time.Time
	before map[string]net.IOCountersStat
}

// NewMachine returns a Machine that has not measured anything yet.
func NewMachine() *Machine {
	return &Machine{links: func() ([]net.IOCountersStat, error) { return net.IOCounters(true) }, speed: linkSpeed}
}

// Measure gives the burden since the last call.
func (m *Machine) Measure(now time.Time) (b Burden) {
	if p, err := cpu.Percent(0, false); err == nil && len(p) == 1 {
		b.CPU = int(p[0]*10 + 0.5)
	}
	if v, err := mem.VirtualMemory(); err == nil && v.Total > 0 {
		b.Memory = int(v.UsedPercent*10 + 0.5)
	}
	b.Interface = m.network(now)
	return b
}

// network is the load of the busiest interface whose speed is known. Loopback and virtual interfaces have no speed.
func (m *Machine) network(now time.Time) (permille int) {
	list, err := m.links()
	if err != nil {
		return 0
	}
	passed := now.Sub(m.at).Seconds()
	after := make(map[string]net.IOCountersStat, len(list))
	for _, c := range list {
		after[c.Name] = c
		was, known := m.before[c.Name]
		speed := m.speed(c.Name)
		if !known || passed <= 0 || speed <= 0 || c.BytesSent < was.BytesSent || c.BytesRecv < was.BytesRecv {
			continue
		}
		bits := 8 * float64(max(c.BytesSent-was.BytesSent, c.BytesRecv-was.BytesRecv)) / passed
		permille = max(permille, int(bits/float64(speed)*1000+0.5))
	}
	m.at, m.before = now, after
	return permille
}

// linkSpeed reads the speed of an interface from Linux, which gives megabits per second, and nothing or -1 if there is no link.
func linkSpeed(name string) int64 {
	b, err := os.ReadFile(filepath.Join("/sys/class/net", filepath.Base(name), "speed"))
	if err != nil {
		return 0
	}
	megabits, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || megabits <= 0 {
		return 0
	}
	return megabits * 1_000_000
}
