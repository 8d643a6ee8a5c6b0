// Package place says which node captures a stream: HOME, a balanced and static assignment over the nodes that the
// files name, SPILL, where the streams of dead nodes go, and the static total order that settles duplicates.
//
// It is a set of functions of names: the same names give the same answer on every node, in whatever order they are
// listed. It knows no liveness of its own, no clock, no network and no actor: its caller says which nodes are alive, and
// which claims which stream.
//
// # Scores and the static order
//
// The score of a node for a stream is [Score], a 64-bit hash of the two names. In the static total order of a stream its pin
// comes first, then its home, then the other nodes in falling score; nodes of equal score by name ([Before]).
//
// # HOME
//
// Every node of the files counts, alive or dead. A stream whose pin is one of the nodes that may have it has its home there.
// All other streams are free. The load of a node is the number of its homes, pinned ones included.
//
// The quota levels the loads as far as the pins allow: a number low for all nodes, and one more for extra of them. To find
// it, let the nodes be all those that take part, and the total the number of free streams and of those pinned to these nodes.
// low is the total divided by the number of the nodes, rounded down, and extra is the remainder. While pins alone give
// some of these nodes more than low, those nodes are left out, and low and extra are computed anew.
//
// Then all pairs of a free stream and a node are gone through in falling score, equal scores by the stream's name, then by the
// node's. The node becomes the home of the stream if the stream has none yet, and the node's load is below low, or is low
// while fewer than extra nodes have been raised from low to one more.
//
// So of two nodes one has at most one stream more than the other, unless all that it has is pinned to it.
//
// Where files differ, [Stream.On] restricts which node may have a stream. Then the rule is applied in rounds: in each, the
// nodes are those that may have at least one of the streams that are still free, pairs of a stream and a node that may not have it
// are left out, and loads count from the rounds before. After the last round single free streams move, by the hash of their
// name, each to the node with the lowest load (of equal ones the first by score) that may have it and has at least two
// fewer, until none can.
//
// # SPILL
//
// SPILL says where each stream belongs while some nodes are dead. A stream whose home lives belongs there. Otherwise, a live
// node that has the stream keeps it. The other streams are orphans. The load of a live node is the number of streams that
// belong to it so far.
//
// The orphans are dealt out one after the other, in the order of [Hash] of their names. An orphan goes to the node with the
// highest score of those live nodes that may have it and whose load is below the even share; if there is none, to the live node
// with the lowest load that may have it, of equal ones the first by score. The even share is the quota of HOME over
// the live nodes, rounded up: low, plus one if extra is not 0, where the streams pinned to a live node count there, and all
// others, whether an orphan or not, are free.
//
// Streams that no node may have now ([Nowhere]) count nowhere in SPILL; in HOME they count like others. [Plan.Within] says what
// limits of nodes change.
package place

import (
	"cmp"
	"slices"
)

// A Stream is what placement has to know of a stream.
type Stream struct {
	Name string

	// Pin names the node that shall have the stream whenever it lives. A pin that is empty, unknown, or a node that is
	// not in On counts as none.
	Pin string

	// On holds the nodes whose file has the stream; no other may get it. Nil means every node.
	On Set
}

// A Set is a set of indexes into the list of nodes. Nil means all of them.
type Set []uint64

// NewSet returns an empty set that has room for n nodes. It is not nil, even for n = 0.
func NewSet(n int) Set { return make(Set, (n+63)/64) }

// Add puts node i into the set, which has to have room for it.
func (s Set) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Has says whether node i is in the set.
func (s Set) Has(i int) bool { return s == nil || i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0 }

// Golden is 2^64 divided by the Golden ratio, made odd: multiples of it are spread over the whole range.
const Golden = 0x9e3779b97f4a7c15

// Mix is the finaliser of SplitMix64. FNV alone leaves the high bits of short names alike, so that rendezvous over it
// gives one node twice what another gets.
func Mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Hash gives the 64-bit hash of a name from which scores are made. It is part of the protocol between nodes: another
// hash would give nodes of two versions different homes.
func Hash(name string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return Mix(h)
}

// nodeKey is the node's share of a score, computed once for each node.
func nodeKey(node string) uint64 { return Hash(node)*Golden + 1 }

// Score is the rendezvous weight of a node for a stream: the node with the highest one is the first choice.
func Score(stream, node string) uint64 { return Mix(Hash(stream) ^ nodeKey(node)) }

// Before says whether node a comes strictly before node b in the static total order of a stream: its pin, then its
// home, then by score, equal scores by name. An empty pin or home means that there is none.
func Before(stream, pin, home, a, b string) bool {
	switch {
	case a == b:
		return false
	case pin != "" && (a == pin || b == pin):
		return a == pin
	case home != "" && (a == home || b == home):
		return a == home
	}
	if x, y := Score(stream, a), Score(stream, b); x != y {
		return x > y
	}
	return a < b
}

// A Plan holds the homes of a set of streams and answers where each belongs while some nodes are dead. It belongs to
// one goroutine. It keeps the slices that it was made from; they must not change.
type Plan struct {
	streams []Stream
	nodes   []string
	hash    []uint64 // of each stream's name
	key     []uint64 // of each node
	pin     []int    // index of the pin that counts, or -1
	home    []int    // index of the home, or -1 if no node may have the stream
	order   []int    // streams in the order in which orphans are dealt out; made when first needed
	load    []int    // scratch: streams of each node
	used    []int    // scratch: streams of each node, with limits
	pins    []int    // scratch: streams that are pinned to each node
	alive   []int    // scratch: the live nodes
	over    int      // streams that the last placement gave to a full node
}

// NewPlan computes the homes, by the rule that the package's comment gives. Names have to be unique, among the streams and
// among the nodes; their order does not matter.
func NewPlan(streams []Stream, nodes []string) *Plan {
	p := &Plan{
		streams: streams, nodes: nodes,
		hash: make([]uint64, len(streams)), key: make([]uint64, len(nodes)),
		pin: make([]int, len(streams)), home: make([]int, len(streams)),
		load: make([]int, len(nodes)), pins: make([]int, len(nodes)), used: make([]int, len(nodes)),
	}
	index := make(map[string]int, len(nodes))
	for i, name := range nodes {
		p.key[i] = nodeKey(name)
		index[name] = i
	}
	free, restricted := make([]int, 0, len(streams)), false
	for i, s := range streams {
		p.hash[i], p.pin[i], p.home[i] = Hash(s.Name), -1, -1
		if at, ok := index[s.Pin]; ok && s.Pin != "" && s.On.Has(at) {
			p.pin[i], p.home[i] = at, at
			p.load[at]++
			continue
		}
		free = append(free, i)
		restricted = restricted || s.On != nil
	}
	p.deal(free)
	if restricted {
		p.level(free)
	}
	return p
}

// Home returns the index of the home of stream i, or -1 if no node may have it.
func (p *Plan) Home(i int) int { return p.home[i] }

// May says whether the file of a node has stream i.
func (p *Plan) May(i, node int) bool { return p.streams[i].On.Has(node) }

// before is [Before] with the hashes of the plan, for stream i and nodes a and b.
func (p *Plan) before(i, a, b int) bool {
	switch {
	case a == b:
		return false
	case a == p.pin[i] || b == p.pin[i]:
		return a == p.pin[i]
	case a == p.home[i] || b == p.home[i]:
		return a == p.home[i]
	}
	return p.outscores(i, a, b)
}

// outscores says whether a comes before b by score and name alone.
func (p *Plan) outscores(i, a, b int) bool {
	x, y := Mix(p.hash[i]^p.key[a]), Mix(p.hash[i]^p.key[b])
	return x > y || x == y && p.nodes[a] < p.nodes[b]
}

// Rank says how many live nodes that may have stream i come before node in its static order, when the node first
// takes the first place. So it is 0 for first itself and at least 1 for all others. It staggers the fallback of
// nodes that were not chosen.
func (p *Plan) Rank(i, node, first int, live []bool) int {
	if node == first {
		return 0
	}
	r := 1
	for k := range p.nodes {
		if k != first && live[k] && p.May(i, k) && p.before(i, k, node) {
			r++
		}
	}
	return r
}

// Nowhere stands in the list of claimants for a stream that no node may have now.
const Nowhere = -2

// Spill appends to dst the index of the node where each stream belongs while only the live nodes can have any, or -1
// where no live node may. It goes by the rule that the package's comment gives. claimed[i] is the node that has stream i, -1
// if no node has it, or [Nowhere].
//
// Nodes that see a failure at different moments agree: what the first of them has claimed is exactly what the others
// would have given it.
func (p *Plan) Spill(live []bool, claimed []int, dst []int) []int {
	clear(p.load)
	orphans := 0
	base := len(dst)
	for i, h := range p.home {
		at := -1
		switch {
		case claimed[i] == Nowhere:
		case h >= 0 && live[h]:
			at = h
		case claimed[i] >= 0 && live[claimed[i]]:
			at = claimed[i]
		default:
			orphans++
		}
		if at >= 0 {
			p.load[at]++
		}
		dst = append(dst, at)
	}
	if orphans == 0 {
		return dst
	}
	share := p.share(live, claimed)
	if len(p.alive) == 0 {
		return dst
	}
	for _, i := range p.spillOrder() {
		if dst[base+i] >= 0 || claimed[i] == Nowhere {
			continue
		}
		if to := p.successor(i, live, p.load, nil, share); to >= 0 {
			dst[base+i] = to
			p.load[to]++
		}
	}
	return dst
}

// share is the even share of the live nodes, rounded up: the cap of SPILL. It depends on the pins, not on what is claimed, or
// nodes that see a failure later than others would go by another cap.
func (p *Plan) share(live []bool, claimed []int) int {
	p.alive = p.alive[:0]
	for k, l := range live {
		if l {
			p.alive = append(p.alive, k)
		}
	}
	clear(p.pins)
	free := 0
	for i := range p.home {
		switch {
		case claimed[i] == Nowhere:
		case p.pinned(i, live):
			p.pins[p.pin[i]]++
		default:
			free++
		}
	}
	low, extra := quota(p.pins, p.alive, free)
	return low + min(extra, 1)
}

// successor picks the live node that gets a stream that no live node has, or -1: by score below the even share, else the least
// loaded with room, else the least loaded. A nil room means that no node has limits. load is what each node carries.
func (p *Plan) successor(i int, live []bool, load, room []int, share int) int {
	best := -1
	may := func(k int) bool { return live[k] && p.May(i, k) }
	free := func(k int) bool { return may(k) && (room == nil || p.used[k] < room[k]) }
	for k := range p.nodes {
		if p.load[k] < share && free(k) && (best < 0 || p.outscores(i, k, best)) {
			best = k
		}
	}
	if best >= 0 {
		return best
	}
	if to := p.least(i, load, free); to >= 0 || room == nil {
		return to
	}
	to := p.least(i, load, may)
	if to >= 0 {
		p.over++
	}
	return to
}

// least is the node with the smallest load of those that may get stream i, the first by score of equal ones; -1 for none.
func (p *Plan) least(i int, load []int, may func(node int) bool) int {
	to := -1
	for k := range p.nodes {
		if (to < 0 || load[k] < load[to] || load[k] == load[to] && p.outscores(i, k, to)) && may(k) {
			to = k
		}
	}
	return to
}

// spillOrder returns the streams by hash, equal hashes by name: an order that no listing can influence.
func (p *Plan) spillOrder() []int {
	if p.order == nil {
		p.order = make([]int, len(p.streams))
		for i := range p.order {
			p.order[i] = i
		}
		slices.SortFunc(p.order, p.compare)
	}
	return p.order
}

// compare orders streams by hash, equal hashes by name.
func (p *Plan) compare(a, b int) int {
	if c := cmp.Compare(p.hash[a], p.hash[b]); c != 0 {
		return c
	}
	return cmp.Compare(p.streams[a].Name, p.streams[b].Name)
}
