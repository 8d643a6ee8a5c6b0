package place

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// drawn is a plan with some dead nodes and some streams that are claimed.
func drawn(rng *rand.Rand) (p *Plan, live []bool, claimed []int) {
	n, m := 1+rng.IntN(8), rng.IntN(60)
	nodes, streams := make([]string, n), make([]Stream, m)
	live, claimed = make([]bool, n), make([]int, m)
	for k := range nodes {
		nodes[k], live[k] = fmt.Sprintf("n%d", k), rng.IntN(4) > 0
	}
	for i := range streams {
		streams[i].Name, claimed[i] = fmt.Sprintf("s%d", i), -1
		if rng.IntN(6) == 0 {
			streams[i].Pin = nodes[rng.IntN(n)]
		}
		if rng.IntN(2) == 0 {
			claimed[i] = rng.IntN(n)
		}
	}
	return NewPlan(streams, nodes), live, claimed
}

func TestRoomWithoutEndChangesNothing(t *testing.T) {
	for seed := range uint64(500) {
		p, live, claimed := drawn(rand.New(rand.NewPCG(seed, 1)))
		room := slices.Repeat([]int{math.MaxInt}, len(live))
		want := p.Spill(live, claimed, nil)
		if got := p.Within(live, claimed, room, nil); !slices.Equal(got, want) || p.Over() != 0 {
			t.Fatalf("seed %d: with room without end %v (%d over), want as without limits: %v", seed, got, p.Over(), want)
		}
	}
}

func TestNobodyGetsMoreThanItHasRoomForWhileAnotherHasSome(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		p, live, claimed := drawn(rng)
		room := make([]int, len(live))
		for k := range room {
			room[k] = rng.IntN(20)
		}
		to := p.Within(live, claimed, room, nil)
		has, had := make([]int, len(live)), make([]int, len(live))
		for i, k := range to {
			if c := claimed[i]; c >= 0 && live[c] {
				had[c]++
				if k != c && k != p.Home(i) {
					t.Fatalf("seed %d: stream %d goes from its live owner %d to %d, which is not its home", seed, i, c, k)
				}
				has[c]++ // until it is taken back
			} else if k >= 0 {
				has[k]++
			}
		}
		spare := false
		for k := range live {
			spare = spare || live[k] && has[k] < room[k]
		}
		for k := range live {
			if has[k] > max(room[k], had[k]) && spare {
				t.Fatalf("seed %d: node %d has %d streams with room for %d while another has room: %v of %v", seed, k, has[k], room[k], has, room)
			}
		}
	}
}

func TestHomeGetsBackOnlyAsManyStreamsAsItHasRoomFor(t *testing.T) {
	p := NewPlan(streams(12), names("n%d", 2))
	live, room := filled(2, true), []int{2, math.MaxInt}
	if got := loads(p, p.Within(live, slices.Repeat([]int{1}, 12), room, nil))[0]; got != 2 {
		t.Errorf("node 0, which has room for 2, gets %d of its streams back", got)
	}
}

func TestPinnedStreamsGetRoomBeforeOthers(t *testing.T) {
	list := streams(12)
	list[11].Pin = "n1"
	p := NewPlan(list, names("n%d", 2))
	to := p.Within(filled(2, true), unclaimed(12), []int{1, math.MaxInt}, nil)
	if to[11] != 0 || loads(p, to)[0] != 1 {
		t.Errorf("node 0, which has room for 1, gets %v, want the stream that is pinned to it alone", to)
	}
}

func TestStreamsGivenToFullNodesAreCounted(t *testing.T) {
	p := NewPlan(streams(12), names("n%d", 2))
	to := p.Within(filled(2, true), unclaimed(12), []int{0, 1}, nil)
	if p.Over() != 11 || loads(p, to)[0] != 6 {
		t.Errorf("with room for 1 of 12 streams %d are counted, and node 0 gets %d, want 11 and half of all", p.Over(), loads(p, to)[0])
	}
}
