package oracle

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"weir/cluster/place"
)

// The oracle computes placements from the text of the rules; the nodes compute them fast. Both have to agree.
func TestReferencePlacementAgreesWithTheNodes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 400 {
		n, m := 1+rng.IntN(9), rng.IntN(60)
		var nodes []string
		for i := range n {
			nodes = append(nodes, fmt.Sprintf("n%d", i+1))
		}
		var ours []Stream
		var theirs []place.Stream
		for i := range m {
			s := Stream{Name: fmt.Sprintf("cam%d-%d", round, i)}
			if rng.IntN(5) == 0 {
				s.Pin = fmt.Sprintf("n%d", 1+rng.IntN(n+2))
			}
			ours, theirs = append(ours, s), append(theirs, place.Stream{Name: s.Name, Pin: s.Pin})
		}
		want, got := place.NewPlan(theirs, nodes), Place(ours, nodes)
		live, has := make([]bool, n), make([]int, m)
		for k := range live {
			live[k] = rng.IntN(3) > 0
		}
		for i := range has {
			if has[i] = -1; rng.IntN(2) == 0 {
				has[i] = rng.IntN(n)
			}
			if want.Home(i) != got.Homes[i] {
				t.Fatalf("round %d: home of %s = %d, the nodes take %d", round, ours[i].Name, got.Homes[i], want.Home(i))
			}
			for _, a := range nodes {
				for _, b := range nodes {
					pin, home := ours[i].Pin, nodes[max(0, got.Homes[i])]
					if Before(ours[i].Name, pin, home, a, b) != place.Before(ours[i].Name, pin, home, a, b) {
						t.Fatalf("round %d: order of %s and %s for %s differs", round, a, b, ours[i].Name)
					}
				}
			}
		}
		spill, placed := want.Spill(live, has, nil), got.within(live, has)
		for i := range placed {
			if spill[i] != placed[i] {
				t.Fatalf("round %d: %s belongs at %d, the nodes take %d", round, ours[i].Name, placed[i], spill[i])
			}
		}
	}
}
