package load

import (
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/net"
)

func TestInterfaceLoadIsThatOfTheBusierDirectionOfTheBusiestLink(t *testing.T) {
	counters := []net.IOCountersStat{{Name: "eth0"}, {Name: "eth1"}, {Name: "lo"}, {Name: "tun0"}}
	m := NewMachine()
	m.links = func() ([]net.IOCountersStat, error) { return counters, nil }
	m.speed = func(name string) int64 { return map[string]int64{"eth0": 1e9, "eth1": 10e9}[name] }
	start := time.Now()
	for _, tt := range []struct {
		name       string
		sent, read uint64 // of eth0, MB more
		eth1       uint64
		want       int
	}{
		{"first", 0, 0, 0, 0},
		{"sending", 50, 10, 0, 200},
		{"receiving", 5, 125, 0, 500},
		{"another link is busier", 25, 0, 500, 200},
		{"idle", 0, 0, 0, 0},
	} {
		counters[0].BytesSent += tt.sent * 1e6
		counters[0].BytesRecv += tt.read * 1e6
		counters[1].BytesSent += tt.eth1 * 1e6
		counters[2].BytesSent += 9e12 // the loopback's does not count
		start = start.Add(2 * time.Second)
		if got := m.network(start); got != tt.want {
			t.Errorf("%s: load %d ‰, want %d", tt.name, got, tt.want)
		}
	}
	counters[0].BytesSent = 0 // the counter began anew
	if got := m.network(start.Add(time.Second)); got != 0 {
		t.Errorf("after a restart of the counter: %d ‰, want 0", got)
	}
}

func TestBurdenIsMeasuredHere(t *testing.T) {
	m := NewMachine()
	m.Measure(time.Now())
	b := m.Measure(time.Now().Add(time.Second))
	if b.Memory <= 0 || b.Memory > 1000 || b.CPU < 0 || b.CPU > 1000 || b.Interface < 0 {
		t.Errorf("burden %+v, want shares in permille and some memory in use", b)
	}
}
