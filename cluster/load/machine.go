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

// A Burden is what the machine carries, from all its processes, in permille. A figure that the system does not tell is
// zero, which keeps no stream away.
type Burden struct {
	CPU       int // of all processors, since it was asked before
	Memory    int // in use
	Interface int // of the busiest network interface in its busier direction, since it was asked before
}

// A Machine measures the burden of this machine. It belongs to one goroutine at a time.
type Machine struct {
	links func() ([]net.IOCountersStat, error)
	speed func(name string) int64 // bits per second; 0 means that it is not known

	at     time.Time
	before map[string]net.IOCountersStat
}

// NewMachine returns one that has not measured yet.
func NewMachine() *Machine {
	return &Machine{links: func() ([]net.IOCountersStat, error) { return net.IOCounters(true) }, speed: linkSpeed}
}

// Measure gives the burden now; shares of a time are of that since it was called before.
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

// network is the load of the busiest interface whose speed is known. Virtual ones and the loopback have none.
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

// linkSpeed reads what Linux says of an interface: megabits per second, or nothing or -1 where there is no link.
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
