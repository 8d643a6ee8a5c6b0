package load

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	avg "github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
)

// Figures are what the machine says of itself and of this process, for a page or an API. What the machine does not tell is zero.
type Figures struct {
	ParentPID    int
	Args, Dir    string        // how this process was started, and where
	Own          Usage         // of this process
	Uptime, Idle time.Duration // of the machine; Idle is summed over its processors

	CPU                      float64 // the busy part of the processors, 0 to 1
	CPUs                     int
	Load1, Load5, Load15     float64
	RAM, Swap                uint64  // bytes
	RAMUsed, SwapUsed        float64 // parts, 0 to 1
	DiskRead, DiskWritten    uint64  // bytes so far
	DiskBusy                 time.Duration
	Received, Sent           uint64 // bytes so far, by interfaces that are not loopback
	LocalReceived, LocalSent uint64 // by loopback
	TCP, Established         int    // connections of the machine
	TimeWait, UDP            int
}

// Usage is what a process has used so far.
type Usage struct {
	User, System                            time.Duration
	Memory                                  int64 // the most bytes of memory at one time
	MinorFaults, MajorFaults, Swaps         int64
	BlocksIn, BlocksOut                     int64
	MessagesSent, MessagesReceived          int64
	Signals, Switches, ForcedSwitches       int64
	SharedText, UnsharedData, UnsharedStack int64
}

// Read takes the figures now. It reads files of the machine and takes some milliseconds.
func Read() (f Figures) {
	f.ParentPID, f.CPUs = os.Getppid(), runtime.NumCPU()
	f.Args = strings.Join(os.Args[:1], " ") // what stands behind may hold secrets
	f.Dir, _ = os.Getwd()
	f.Own = usage()
	if up, err := host.Uptime(); err == nil {
		f.Uptime = time.Duration(up) * time.Second
	}
	if t, err := cpu.Times(false); err == nil && len(t) == 1 {
		f.Idle = time.Duration(t[0].Idle * float64(time.Second))
	}
	if a, err := avg.Avg(); err == nil {
		f.Load1, f.Load5, f.Load15 = a.Load1, a.Load5, a.Load15
	}
	if m, err := mem.VirtualMemory(); err == nil {
		f.RAM, f.RAMUsed = m.Total, m.UsedPercent/100
	}
	if s, err := mem.SwapMemory(); err == nil {
		f.Swap, f.SwapUsed = s.Total, s.UsedPercent/100
	}
	f.disks()
	f.network()
	return f
}

func (f *Figures) disks() {
	all, err := disk.IOCounters()
	if err != nil {
		return
	}
	for _, d := range all {
		f.DiskRead += d.ReadBytes
		f.DiskWritten += d.WriteBytes
		f.DiskBusy = max(f.DiskBusy, time.Duration(d.IoTime)*time.Millisecond)
	}
}

func (f *Figures) network() {
	if all, err := net.IOCounters(true); err == nil {
		for _, c := range all {
			if c.Name == "lo" || strings.HasPrefix(c.Name, "lo0") {
				f.LocalReceived += c.BytesRecv
				f.LocalSent += c.BytesSent
				continue
			}
			f.Received += c.BytesRecv
			f.Sent += c.BytesSent
		}
	}
	if p, err := net.ProtoCounters([]string{"tcp"}); err == nil && len(p) == 1 {
		f.Established = int(p[0].Stats["CurrEstab"])
	}
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return // not Linux
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		of := func(name string) int {
			for i := 1; i+1 < len(words); i += 2 {
				if words[i] == name {
					n, _ := strconv.Atoi(words[i+1])
					return n
				}
			}
			return 0
		}
		switch {
		case strings.HasPrefix(line, "TCP:"):
			f.TimeWait = of("tw")
			f.TCP = of("inuse") + f.TimeWait
		case strings.HasPrefix(line, "UDP:"):
			f.UDP = of("inuse")
		}
	}
}
