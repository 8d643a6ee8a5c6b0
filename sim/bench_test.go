package sim

import (
	"runtime/debug"
	"syscall"
	"testing"
	"time"
)

// processor is the time that this process has had of all processors: what others do on the machine is not in it.
func processor(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The budgets, times real time on one core: with the control planes alone, at F 1 s, 20,000 for 5 nodes × 50 streams, 2,000 for
// 20 × 100 and 100 for 50 × 500; with actors, at F 2 s, 9,000 for 5 × 50, which is 300 hours in a minute on two cores. The figure
// counts the time that the process has of the processors. Where others use them and their caches too, it is lower all the same.
func benchmark(b *testing.B, nodes, streams int, timeouts [2]int, fidelity Fidelity, simulated time.Duration) {
	s := group(b, nodes, streams, "", timeouts[:]...)
	s.Fidelity = fidelity
	s.Until = simulated
	b.ReportAllocs()
	defer debug.SetGCPercent(debug.SetGCPercent(GCPercent))
	var total time.Duration
	var events uint64
	began := processor(b)
	for b.Loop() {
		r := Run(s, Options{})
		if len(r.Violations) > 0 {
			b.Fatal(r.Violations[0].Text)
		}
		total += r.Simulated
		events += r.Events
	}
	used := processor(b) - began
	b.ReportMetric(float64(total)/float64(used), "×real-time/core")
	b.ReportMetric(float64(events)/used.Seconds(), "events/s/core")
}

func BenchmarkCore5x50(b *testing.B) {
	benchmark(b, 5, 50, [2]int{1000, 3000}, Core, time.Hour)
}

func BenchmarkCore20x100(b *testing.B) {
	benchmark(b, 20, 100, [2]int{1000, 3000}, Core, time.Hour)
}

func BenchmarkCore50x500(b *testing.B) {
	benchmark(b, 50, 500, [2]int{1000, 3000}, Core, 10*time.Minute)
}

func BenchmarkCore100x1000(b *testing.B) {
	benchmark(b, 100, 1000, [2]int{2000, 10000}, Core, 2*time.Minute)
}

func BenchmarkActors5x50(b *testing.B) {
	benchmark(b, 5, 50, [2]int{2000, 10000}, Actors, time.Hour)
}

func BenchmarkActors20x100(b *testing.B) {
	benchmark(b, 20, 100, [2]int{2000, 10000}, Actors, 2*time.Minute)
}

func BenchmarkActors100x1000(b *testing.B) {
	benchmark(b, 100, 1000, [2]int{2000, 10000}, Actors, 30*time.Second)
}
