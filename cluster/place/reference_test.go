package place

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// slowHomes is the definition of HOME for files that are alike: all pairs in falling score. A node has room while its load
// is below what levelling the loads gives it.
func slowHomes(p *Plan) []int {
	type pair struct{ stream, node int }
	var pairs []pair
	at, load, free := unclaimed(len(p.streams)), make([]int, len(p.nodes)), 0
	for i := range p.streams {
		if at[i] = p.pin[i]; at[i] >= 0 {
			load[at[i]]++
			continue
		}
		free++
		for k := range p.nodes {
			pairs = append(pairs, pair{i, k})
		}
	}
	score := func(x pair) uint64 { return Score(p.streams[x.stream].Name, p.nodes[x.node]) }
	slices.SortFunc(pairs, func(a, b pair) int {
		if score(a) > score(b) {
			return -1
		}
		return 1
	})
	end := raised(load, free)
	low := slices.Min(end)
	above := 0 // nodes that end one above the lowest, by free streams
	for k := range end {
		if end[k] == low+1 && load[k] <= low {
			above++
		}
	}
	for _, x := range pairs {
		switch {
		case at[x.stream] >= 0:
		case load[x.node] < low:
			at[x.stream] = x.node
			load[x.node]++
		case load[x.node] == low && above > 0:
			at[x.stream] = x.node
			load[x.node]++
			above--
		}
	}
	return at
}

// raised gives streams one after the other to the node with the lowest load, and returns the loads at the end.
func raised(load []int, count int) []int {
	load = slices.Clone(load)
	for range count {
		load[slices.Index(load, slices.Min(load))]++
	}
	return load
}

// slowSpill is the definition of SPILL, for any files.
func slowSpill(p *Plan, live []bool, claimed []int) []int {
	at, load := unclaimed(len(p.streams)), make([]int, len(p.nodes))
	var pins []int // of the live nodes
	place, free := map[int]int{}, 0
	for k, l := range live {
		if l {
			place[k] = len(pins)
			pins = append(pins, 0)
		}
	}
	var orphans []int
	for i := range p.streams {
		if claimed[i] == Nowhere {
			continue
		}
		if pin := p.pin[i]; pin >= 0 && live[pin] {
			pins[place[pin]]++
		} else {
			free++
		}
		switch h, c := p.home[i], claimed[i]; {
		case h >= 0 && live[h]:
			at[i] = h
		case c >= 0 && live[c]:
			at[i] = c
		default:
			orphans = append(orphans, i)
			continue
		}
		load[at[i]]++
	}
	if len(pins) == 0 {
		return at
	}
	share := slices.Min(pins)
	for spare(pins, share) < free {
		share++
	}
	slices.SortFunc(orphans, func(a, b int) int {
		if Hash(p.streams[a].Name) < Hash(p.streams[b].Name) {
			return -1
		}
		return 1
	})
	for _, i := range orphans {
		var may []int
		for k := range p.nodes {
			if live[k] && p.streams[i].On.Has(k) {
				may = append(may, k)
			}
		}
		slices.SortFunc(may, func(a, b int) int {
			if Before(p.streams[i].Name, "", "", p.nodes[a], p.nodes[b]) {
				return -1
			}
			return 1
		})
		if len(may) == 0 {
			continue
		}
		to := slices.IndexFunc(may, func(k int) bool { return load[k] < share })
		if to < 0 {
			to = slices.IndexFunc(may, func(k int) bool {
				return !slices.ContainsFunc(may, func(o int) bool { return load[o] < load[k] })
			})
		}
		at[i] = may[to]
		load[may[to]]++
	}
	return at
}

// spare is how many streams nodes with these pinned ones can take up to a share.
func spare(pins []int, share int) (n int) {
	for _, have := range pins {
		n += max(0, share-have)
	}
	return n
}

// pinnedAtRandom pins some streams, mostly to few nodes, and restricts some if files differ.
func pinnedAtRandom(r *rand.Rand, list []Stream, nodes []string, differ bool) {
	few := nodes[:1+r.IntN(len(nodes))]
	every := 1 + r.IntN(5)
	for i := range list {
		if r.IntN(every) == 0 {
			list[i].Pin = few[r.IntN(len(few))]
		}
		if differ && r.IntN(3) == 0 {
			list[i].On = NewSet(len(nodes))
			for k := range nodes {
				if r.IntN(3) == 0 {
					list[i].On.Add(k)
				}
			}
		}
	}
}

func TestHomesAndSpillAreThoseOfTheirDefinition(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 9))
		n, m := 1+r.IntN(9), r.IntN(80)
		list, nodes := streams(m), names("n%d", n)
		pinnedAtRandom(r, list, nodes, seed%2 == 1)
		p := NewPlan(list, nodes)
		if seed%2 == 0 {
			if want := slowHomes(p); !slices.Equal(p.home, want) {
				t.Fatalf("seed %d: homes = %v, want %v", seed, p.home, want)
			}
		}
		live, claimed := make([]bool, n), unclaimed(m)
		for k := range live {
			live[k] = r.IntN(3) > 0
		}
		for i := range claimed {
			if r.IntN(4) == 0 {
				claimed[i] = r.IntN(n+1) - 2 // also Nowhere
			}
		}
		if got, want := p.Spill(live, claimed, nil), slowSpill(p, live, claimed); !slices.Equal(got, want) {
			t.Fatalf("seed %d: Spill = %v, want %v", seed, got, want)
		}
	}
}

// Row A18 of the features: with the two streams of README's file, of which one is pinned, each of two nodes has one.
func TestAPinnedStreamCountsInTheSpreadOfTheOthers(t *testing.T) {
	for pin := range 3 {
		nodes := []string{"n1.example.com", "n2.example.com", "n3.example.com"}
		for m := 2; m <= 9; m++ {
			list := streams(m)
			list[m-1].Pin = nodes[pin]
			p := NewPlan(list, nodes)
			if got := loads(p, p.home); slices.Max(got)-slices.Min(got) > 1 {
				t.Errorf("%d streams, one pinned to %s: loads = %v, want them within one", m, nodes[pin], got)
			}
		}
	}
}

func TestNoNodeHasTwoMoreThanAnotherUnlessByPins(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 10))
		n, m := 1+r.IntN(20), r.IntN(200)
		list, nodes := streams(m), names("n%d", n)
		pinnedAtRandom(r, list, nodes, false)
		p := NewPlan(list, nodes)
		check := func(what string, at []int, live []bool) {
			load, pins := loads(p, at), make([]int, n)
			for i, k := range at {
				if k >= 0 && p.pin[i] == k {
					pins[k]++
				}
			}
			for a := range nodes {
				for b := range nodes {
					if live[a] && live[b] && load[a] > load[b]+1 && load[a] > pins[a] {
						t.Fatalf("seed %d: %s: loads %v of which pinned %v: n%d has two more than n%d", seed, what, load, pins, a+1, b+1)
					}
				}
			}
		}
		check("all live", p.home, filled(n, true))
		for a := range n {
			live := filled(n, true)
			live[a] = false
			to := p.Spill(live, unclaimed(m), nil)
			limit := share(p, live)
			for k, l := range loads(p, to) {
				pins := pinnedTo(p, k)
				if live[k] && l > max(limit, pins) {
					t.Fatalf("seed %d: n%d dead: n%d has %d streams, %d pinned, want at most the share %d", seed, a+1, k+1, l, pins, limit)
				}
			}
			moved := 0
			for i, h := range p.home {
				if to[i] != h {
					moved++
				}
				if h != a && to[i] != h {
					t.Fatalf("seed %d: n%d dead: %s leaves a live node", seed, a+1, list[i].Name)
				}
			}
			if most := max((m+n-1)/n, pinnedTo(p, a)); n > 1 && moved > most {
				t.Fatalf("seed %d: n%d dead: %d moved, want at most %d (B8)", seed, a+1, moved, most)
			}
		}
	}
}

// share is the even share of the live nodes by its definition.
func share(p *Plan, live []bool) int {
	var pins []int
	free := 0
	for k, l := range live {
		if l {
			pins = append(pins, pinnedTo(p, k))
		}
	}
	for i := range p.streams {
		if p.pin[i] < 0 || !live[p.pin[i]] {
			free++
		}
	}
	if len(pins) == 0 {
		return 0
	}
	s := 0
	for spare(pins, s) < free {
		s++
	}
	return s
}

func pinnedTo(p *Plan, node int) (n int) {
	for _, k := range p.pin {
		if k == node {
			n++
		}
	}
	return n
}

// An edit that pins a stream changes the quota by one stream, not the homes of all.
func TestAPinMoreMovesFewHomes(t *testing.T) {
	for _, size := range []struct{ nodes, streams int }{{5, 100}, {20, 100}, {20, 1000}} {
		list, nodes := streams(size.streams), names("n%d", size.nodes)
		old := homes(NewPlan(list, nodes))
		for pinned := range 20 {
			list = slices.Clone(list)
			list[pinned*3].Pin = nodes[pinned%size.nodes]
			next := homes(NewPlan(list, nodes))
			moved := 0
			for s, h := range old {
				if next[s] != h {
					moved++
				}
			}
			if moved > 12 {
				t.Errorf("%d×%d: pin %d moves %d homes, want at most 12", size.nodes, size.streams, pinned+1, moved)
			}
			old = next
		}
	}
}
