package place

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func names(format string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i+1)
	}
	return out
}

func streams(n int) []Stream {
	out := make([]Stream, n)
	for i, name := range names("cam%03d", n) {
		out[i].Name = name
	}
	return out
}

// homes maps each stream to the name of its home, so that plans over different listings can be compared.
func homes(p *Plan) map[string]string {
	out := map[string]string{}
	for i, s := range p.streams {
		if h := p.Home(i); h >= 0 {
			out[s.Name] = p.nodes[h]
		} else {
			out[s.Name] = ""
		}
	}
	return out
}

// loads counts the streams of each node.
func loads(p *Plan, at []int) []int {
	out := make([]int, len(p.nodes))
	for _, k := range at {
		if k >= 0 {
			out[k]++
		}
	}
	return out
}

func filled(n int, live bool) []bool { return slices.Repeat([]bool{live}, n) }

func unclaimed(n int) []int { return slices.Repeat([]int{-1}, n) }

var sizes = []struct{ nodes, streams int }{
	{1, 5},
	{2, 1},
	{2, 20},
	{3, 0},
	{3, 30},
	{3, 31},
	{5, 100},
	{7, 100},
	{20, 100},
	{20, 1000},
	{100, 1000},
}

func TestHomesAreThoseOfAllPairsSortedByScore(t *testing.T) {
	for _, size := range sizes {
		list := streams(size.streams)
		for i := 0; i < len(list); i += 7 {
			list[i].Pin = "n2"
		}
		p := NewPlan(list, names("n%d", size.nodes))
		if want := slowHomes(p); !slices.Equal(p.home, want) {
			t.Errorf("NewPlan(%d streams, %d nodes) has homes %v, want %v", size.streams, size.nodes, p.home, want)
		}
	}
}

func TestHomesDifferByAtMostOneAsFarAsPinsAllow(t *testing.T) {
	for _, size := range sizes {
		for _, pinned := range []int{0, size.streams / (2 * size.nodes), size.streams / 3} {
			list := streams(size.streams)
			for i := range pinned {
				list[i].Pin = "n1"
			}
			p := NewPlan(list, names("n%d", size.nodes))
			got := loads(p, p.home)
			if got[0] > slices.Min(got)+1 && got[0] > pinned || len(got) > 1 && slices.Max(got[1:])-slices.Min(got[1:]) > 1 || slices.Max(got[0:])-got[0] > 1 {
				t.Errorf("%d streams, %d pinned, %d nodes: loads = %v, want them even within one", size.streams, pinned, size.nodes, got)
			}
			for i := range pinned {
				if p.nodes[p.Home(i)] != "n1" {
					t.Errorf("home of %s, pinned to n1, = %s", list[i].Name, p.nodes[p.Home(i)])
				}
			}
		}
	}
}

func TestPlacementIgnoresTheOrderOfItsInput(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	list, nodes := streams(101), names("10.0.0.%d:8080", 7)
	list[5].Pin, list[6].Pin = "10.0.0.3:8080", "nobody"
	live := map[string]bool{}
	for i, n := range nodes {
		live[n] = i != 2 && i != 4
	}
	place := func(list []Stream, nodes []string) (map[string]string, map[string]string) {
		p := NewPlan(list, nodes)
		alive := make([]bool, len(nodes))
		for i, n := range nodes {
			alive[i] = live[n]
		}
		spill := map[string]string{}
		for i, k := range p.Spill(alive, unclaimed(len(list)), nil) {
			spill[list[i].Name] = nodes[k]
		}
		return homes(p), spill
	}
	wantHome, wantSpill := place(list, nodes)
	for range 20 {
		list, nodes := slices.Clone(list), slices.Clone(nodes)
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		home, spill := place(list, nodes)
		for _, s := range list {
			if home[s.Name] != wantHome[s.Name] || spill[s.Name] != wantSpill[s.Name] {
				t.Fatalf("%s shuffled: home %s, spill %s, want %s, %s", s.Name, home[s.Name], spill[s.Name], wantHome[s.Name], wantSpill[s.Name])
			}
		}
	}
}

func TestOneFailureMovesOnlyTheStreamsOfTheDeadNode(t *testing.T) {
	for _, size := range sizes {
		if size.nodes < 2 {
			continue
		}
		list := streams(size.streams)
		for i := 0; i < len(list); i += 5 {
			list[i].Pin = "n1"
		}
		p := NewPlan(list, names("n%d", size.nodes))
		for dead := range p.nodes {
			live := filled(size.nodes, true)
			live[dead] = false
			moved := 0
			to := p.Spill(live, unclaimed(len(list)), nil)
			for i, to := range to {
				if p.home[i] != dead && to != p.home[i] {
					t.Fatalf("%d×%d, n%d dead: %s moved from a live node", size.nodes, size.streams, dead+1, list[i].Name)
				}
				if to == dead || to < 0 {
					t.Fatalf("%d×%d, n%d dead: %s at %d", size.nodes, size.streams, dead+1, list[i].Name, to)
				}
				if to != p.home[i] {
					moved++
				}
			}
			// B8 and B9 of the cluster rules.
			if limit := max((size.streams+size.nodes-1)/size.nodes, pinnedTo(p, dead)); moved > limit {
				t.Errorf("%d×%d, n%d dead: %d moved, want at most %d", size.nodes, size.streams, dead+1, moved, limit)
			}
			for k, got := range loads(p, to) {
				if limit := max(share(p, live), pinnedTo(p, k)); got > limit {
					t.Errorf("%d×%d, n%d dead: n%d has %d streams, want at most %d", size.nodes, size.streams, dead+1, k+1, got, limit)
				}
			}
		}
	}
}

func TestSecondFailureLeavesClaimedOrphansWhereTheyAre(t *testing.T) {
	list := streams(1000)
	p := NewPlan(list, names("n%02d", 20))
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		live := filled(20, true)
		a, b := r.IntN(20), r.IntN(20)
		live[a] = false
		first := p.Spill(live, unclaimed(1000), nil)
		live[b] = false
		second := p.Spill(live, first, nil)
		for i := range list {
			if first[i] != b && second[i] != first[i] {
				t.Fatalf("n%02d then n%02d dead: %s moved from %s though it lives", a+1, b+1, list[i].Name, p.nodes[first[i]])
			}
		}
	}
}

// A node that sees the failure later finds the claims of those that saw it first. What it then computes for itself has
// to be what they left to it.
func TestNodesThatSeeAFailureLaterAgreeWithTheFirst(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		n, m := 3+r.IntN(10), 1+r.IntN(300)
		list, nodes := streams(m), names("n%d", n)
		pinnedAtRandom(r, list, nodes, false)
		p := NewPlan(list, nodes)
		live := filled(n, true)
		live[r.IntN(n)] = false
		if n > 4 {
			live[r.IntN(n)] = false
		}
		want := p.Spill(live, unclaimed(m), nil)
		claimed := unclaimed(m)
		for _, node := range r.Perm(n) {
			if got := p.Spill(live, claimed, nil); !slices.Equal(got, want) {
				t.Fatalf("%d×%d: with the claims of the first nodes Spill = %v, want %v", n, m, got, want)
			}
			for i, k := range want {
				if k == node {
					claimed[i] = k
				}
			}
		}
	}
}

func TestAnEditMovesFewHomes(t *testing.T) {
	moved := func(a, b map[string]string) (n int) {
		for s, h := range a {
			if b[s] != h {
				n++
			}
		}
		return n
	}
	for _, size := range []struct{ nodes, streams int }{{5, 100}, {20, 100}, {20, 1000}} {
		old := homes(NewPlan(streams(size.streams), names("n%d", size.nodes)))
		if got, limit := moved(old, homes(NewPlan(streams(size.streams), names("n%d", size.nodes+1)))), 2*(size.streams+size.nodes)/(size.nodes+1); got > limit {
			t.Errorf("%d×%d: a node more moves %d homes, want at most %d", size.nodes, size.streams, got, limit)
		}
		for more := 1; more <= 20; more++ {
			next := homes(NewPlan(streams(size.streams+more), names("n%d", size.nodes)))
			if got := moved(old, next); got > 12 {
				t.Errorf("%d×%d: stream %d more moves %d other homes, want at most 12", size.nodes, size.streams, more, got)
			}
			old = next
		}
	}
}

// on makes a set of n nodes from indexes.
func on(n int, at ...int) Set {
	s := NewSet(n)
	for _, i := range at {
		s.Add(i)
	}
	return s
}

var restrictedTests = []struct {
	name    string
	nodes   int
	streams []Stream
	loads   []int
	homes   map[string]string // those that are forced
}{
	{
		name:  "a node with few streams takes those, the others share the rest",
		nodes: 2,
		streams: []Stream{
			{Name: "a", On: on(2, 0, 1)},
			{Name: "b", On: on(2, 0, 1)},
			{Name: "c", On: on(2, 0)},
			{Name: "d", On: on(2, 0)},
		},
		loads: []int{2, 2},
		homes: map[string]string{"c": "n1", "d": "n1"},
	},
	{
		name:    "nobody may have it",
		nodes:   2,
		streams: []Stream{{Name: "a", On: on(2)}, {Name: "b"}},
		homes:   map[string]string{"a": ""},
	},
	{
		name:    "a pin to a node that may not have it counts as none",
		nodes:   2,
		streams: []Stream{{Name: "a", Pin: "n2", On: on(2, 0)}},
		loads:   []int{1, 0},
	},
	{
		name:    "every stream in one file only",
		nodes:   3,
		streams: []Stream{{Name: "a", On: on(3, 0)}, {Name: "b", On: on(3, 1)}, {Name: "c", On: on(3, 2)}},
		loads:   []int{1, 1, 1},
		homes:   map[string]string{"a": "n1", "b": "n2", "c": "n3"},
	},
	{
		name:    "one file has everything",
		nodes:   3,
		streams: []Stream{{Name: "a", On: on(3, 0)}, {Name: "b", On: on(3, 0)}, {Name: "c", On: on(3, 0)}, {Name: "d", On: on(3, 0)}},
		loads:   []int{4, 0, 0},
	},
}

func TestOnlyNodesWhoseFileHasAStreamGetIt(t *testing.T) {
	for _, tt := range restrictedTests {
		t.Run(tt.name, func(t *testing.T) {
			p := NewPlan(tt.streams, names("n%d", tt.nodes))
			if got := loads(p, p.home); tt.loads != nil && !slices.Equal(got, tt.loads) {
				t.Errorf("loads = %v, want %v", got, tt.loads)
			}
			got := homes(p)
			for s, want := range tt.homes {
				if got[s] != want {
					t.Errorf("home of %s = %q, want %q", s, got[s], want)
				}
			}
		})
	}
}

func TestRandomFilesNeverPlaceAStreamOutsideThem(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		n, m := 1+r.IntN(70), r.IntN(200)
		list := streams(m)
		for i := range list {
			if r.IntN(3) == 0 {
				continue
			}
			list[i].On = NewSet(n)
			for k := range n {
				if r.IntN(4) == 0 {
					list[i].On.Add(k)
				}
			}
		}
		p := NewPlan(list, names("n%d", n))
		live := make([]bool, n)
		for k := range live {
			live[k] = r.IntN(2) == 0
		}
		spill := p.Spill(live, unclaimed(m), nil)
		for i, s := range list {
			possible, alive := false, false
			for k := range n {
				possible = possible || s.On.Has(k)
				alive = alive || s.On.Has(k) && live[k]
			}
			if h := p.Home(i); (h >= 0) != possible || h >= 0 && !s.On.Has(h) {
				t.Fatalf("home of %s = %d, its nodes are %v", s.Name, h, s.On)
			}
			if k := spill[i]; (k >= 0) != alive || k >= 0 && (!s.On.Has(k) || !live[k]) {
				t.Fatalf("spill of %s = %d, its nodes are %v, live are %v", s.Name, k, s.On, live)
			}
		}
		for i := range list { // no single move could level more
			from := p.Home(i)
			for k := range n {
				if from >= 0 && list[i].On.Has(k) && p.homeLoad(k)+2 <= p.homeLoad(from) {
					t.Fatalf("%s stays at a node with %d though one with %d may have it", list[i].Name, p.homeLoad(from), p.homeLoad(k))
				}
			}
		}
	}
}

// homeLoad counts the homes of a node.
func (p *Plan) homeLoad(node int) (n int) {
	for _, h := range p.home {
		if h == node {
			n++
		}
	}
	return n
}

// order gives the nodes in the static total order of a stream, first choice first.
func order(stream, pin, home string, nodes []string) []string {
	o := slices.Clone(nodes)
	slices.SortFunc(o, func(a, b string) int {
		switch {
		case Before(stream, pin, home, a, b):
			return -1
		case Before(stream, pin, home, b, a):
			return 1
		}
		return 0
	})
	return o
}

func TestStaticOrderIsPinThenHomeThenScore(t *testing.T) {
	nodes := names("n%d", 6)
	for _, tt := range []struct {
		pin, home string
		first     []string
	}{
		{"n3", "n5", []string{"n3", "n5"}},
		{"", "n5", []string{"n5"}},
		{"n3", "n3", []string{"n3"}},
		{"gone", "", nil},
	} {
		got := order("cam", tt.pin, tt.home, nodes)
		if !slices.Equal(got[:len(tt.first)], tt.first) {
			t.Errorf("order(pin %q, home %q) = %v, want %v first", tt.pin, tt.home, got, tt.first)
		}
		for i := len(tt.first) + 1; i < len(got); i++ {
			if Score("cam", got[i-1]) < Score("cam", got[i]) {
				t.Errorf("order(pin %q, home %q) = %v, want falling scores at %d", tt.pin, tt.home, got, i)
			}
		}
		for i, a := range got {
			for k, b := range got {
				if Before("cam", tt.pin, tt.home, a, b) != (i < k) {
					t.Errorf("Before(%s, %s) = %v in the order %v", a, b, i >= k, got)
				}
			}
		}
	}
}

func TestRankFollowsTheStaticOrderOfTheLive(t *testing.T) {
	list := streams(20)
	list[3].Pin = "n4"
	nodes := names("n%d", 6)
	p := NewPlan(list, nodes)
	live := filled(6, true)
	live[1] = false
	for i, s := range list {
		pin := ""
		if p.pin[i] >= 0 {
			pin = nodes[p.pin[i]]
		}
		sorted := order(s.Name, pin, nodes[p.Home(i)], nodes)
		first := slices.Index(nodes, sorted[2])
		want := 1
		for _, name := range sorted {
			k := slices.Index(nodes, name)
			if k == first {
				if got := p.Rank(i, k, first, live); got != 0 {
					t.Errorf("Rank of the chosen node for %s = %d, want 0", s.Name, got)
				}
				continue
			}
			if !live[k] {
				continue
			}
			if got := p.Rank(i, k, first, live); got != want {
				t.Errorf("Rank(%s, %s) = %d, want %d in %v", s.Name, name, got, want, sorted)
			}
			want++
		}
	}
}

// The hash is part of the protocol: nodes of two versions have to agree.
func TestHashStaysWhatItIs(t *testing.T) {
	for name, want := range map[string]uint64{"": 0xf52a15e9a9b5e89b, "cam01": 0xf480f1f0b552b902} {
		if got := Hash(name); got != want {
			t.Errorf("Hash(%q) = %#x, want %#x", name, got, want)
		}
	}
}

// 100,000 streams over 1,000 nodes have to be placed within a second.
func BenchmarkNewPlan(b *testing.B) {
	for _, size := range []struct{ nodes, streams int }{{20, 1000}, {100, 10000}, {1000, 100000}} {
		b.Run(fmt.Sprintf("%dx%d", size.nodes, size.streams), func(b *testing.B) {
			list, nodes := streams(size.streams), names("n%d", size.nodes)
			b.ReportAllocs()
			for b.Loop() {
				NewPlan(list, nodes)
			}
		})
	}
}

func BenchmarkSpill(b *testing.B) {
	p := NewPlan(streams(100000), names("n%d", 1000))
	live := filled(1000, true)
	live[7] = false
	claimed, dst := unclaimed(100000), make([]int, 0, 100000)
	p.Spill(live, claimed, dst)
	b.ReportAllocs()
	for b.Loop() {
		p.Spill(live, claimed, dst)
	}
}

func TestRestrictionThatRestrictsNothingChangesNothing(t *testing.T) {
	for n := 2; n < 7; n++ {
		list := streams(17)
		free := NewPlan(list, names("n%d", n))
		restricted := slices.Clone(list)
		for i := range restricted {
			restricted[i].On = NewSet(n)
			for k := range n {
				restricted[i].On.Add(k)
			}
		}
		p := NewPlan(restricted, names("n%d", n))
		for i, s := range list {
			if p.Home(i) != free.Home(i) {
				t.Errorf("%d nodes: home of %s = %d where every node's file has it, want %d as without restrictions", n, s.Name, p.Home(i), free.Home(i))
			}
		}
	}
}

func TestOrphanGoesToTheLeastLoadedWhereAllHaveTheirShare(t *testing.T) {
	on := func(nodes ...int) Set {
		s := NewSet(4)
		for _, k := range nodes {
			s.Add(k)
		}
		return s
	}
	list := streams(10) // node 2 lives and may have none
	for i := range list {
		switch {
		case i < 5:
			list[i].On = on(0)
		case i < 8:
			list[i].On = on(1)
		default:
			list[i].On, list[i].Pin = on(0, 1, 3), "n4"
		}
	}
	p := NewPlan(list, names("n%d", 4))
	to := p.Spill([]bool{true, true, true, false}, unclaimed(10), nil)
	if to[8] != 1 || to[9] != 1 {
		t.Errorf("the orphans go to %v, want both at node 1, which has fewer streams than node 0", to[8:])
	}
}
