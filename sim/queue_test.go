package sim

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Items come out by instant, and those of one instant in the order in which they were pushed, in whatever way.
func TestQueueKeepsTheOrderOfItems(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var q queue
	now, pushed, waiting := time.Duration(0), uint64(0), map[uint64]time.Duration{}
	for step := range 20_000 {
		if rng.IntN(2) == 0 || len(waiting) == 0 || step < 500 {
			pushed++
			it := item{at: now + time.Duration(rng.IntN(40))<<(3*rng.IntN(11)), number: pushed} // in this instant, up to 40 s later
			waiting[pushed] = it.at
			if rng.IntN(2) == 0 {
				it.at += time.Duration(20 + rng.IntN(2))
				waiting[pushed] = it.at
				q.pushTimeout(it)
			} else {
				q.push(it)
			}
			continue
		}
		first := uint64(0)
		for n, at := range waiting {
			if first == 0 || at < waiting[first] || at == waiting[first] && n < first {
				first = n
			}
		}
		if at := q.next(); at != waiting[first] {
			t.Fatalf("the next item is due at %d, want %d", at, waiting[first])
		}
		it := q.pop()
		if it.number != first || it.at != waiting[first] {
			t.Fatalf("item %d of %d comes out, want %d of %d", it.number, it.at, first, waiting[first])
		}
		now = it.at
		delete(waiting, first)
	}
}
