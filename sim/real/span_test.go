package real

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestSpansAreSetsOfInstants compares the operations with the same ones on single instants.
func TestSpansAreSetsOfInstants(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func() (list []span) {
		for range rng.IntN(5) {
			from := time.Duration(rng.IntN(30))
			list = append(list, span{from, from + time.Duration(rng.IntN(8))})
		}
		return list
	}
	for range 2000 {
		a, b := joined(draw()), joined(draw())
		or, and, not := a.or(b), a.and(b), a.not()
		for at := range time.Duration(40) {
			if or.has(at) != (a.has(at) || b.has(at)) || and.has(at) != (a.has(at) && b.has(at)) || not.has(at) == a.has(at) {
				t.Fatalf("at %d: %v and %v: or %v, and %v, not %v", at, a, b, or, and, not)
			}
		}
	}
}
