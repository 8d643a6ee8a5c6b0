package node

import (
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"
)

// A Burden is what the machine carries, whoever caused it.
type Burden struct {
	CPU    int   // permille of all processors, since it was asked before
	Memory int64 // bytes in use
}

// machineBurden asks the system. What it does not tell is zero, which stops nothing.
func machineBurden() (b Burden) {
	if p, err := cpu.Percent(0, false); err == nil && len(p) == 1 {
		b.CPU = int(p[0]*10 + 0.5)
	}
	if m, err := mem.VirtualMemory(); err == nil {
		b.Memory = int64(m.Used)
	}
	return b
}
