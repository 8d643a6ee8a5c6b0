package oracle

import (
	"cmp"
	"slices"
)

// A Placement says where the streams of a group belong by the rules HOME and SPILL. It is the plain reference: it tries all
// pairs, and remembers nothing.
//
// HOME: a stream whose pin is a node of the group is there. The others go to nodes by pairs of a stream and a node in falling
// score, as long as the node has fewer streams than its share; see [share]. SPILL: the streams of dead nodes go, in the order
// of their hashes, each to the live node of the highest score that has fewer than the share of the live nodes; a live node that has
// the stream already keeps it.
type Placement struct {
	Streams []Stream // that the group captures; Disabled ones are not among them
	Nodes   []string
	Pins    []int // of each stream: the index of its pin; -1: none
	Homes   []int // of each stream: the index of its home; -1: none
}

// Place computes the homes of streams that every node may have.
func Place(streams []Stream, nodes []string) *Placement {
	p := &Placement{Streams: streams, Nodes: nodes, Pins: make([]int, len(streams)), Homes: make([]int, len(streams))}
	type pair struct {
		score        uint64
		stream, node int
	}
	var pairs []pair
	load := make([]int, len(nodes))
	free := 0
	for i := range streams {
		p.Pins[i] = slices.Index(nodes, streams[i].Pin)
		p.Homes[i] = p.Pins[i]
		if p.Pins[i] >= 0 {
			load[p.Pins[i]]++
			continue
		}
		free++
		for k := range nodes {
			pairs = append(pairs, pair{score(streams[i].Name, nodes[k]), i, k})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(streams[a.stream].Name, streams[b.stream].Name),
			cmp.Compare(nodes[a.node], nodes[b.node]))
	})
	low, more := share(slices.Clone(load), free)
	for _, x := range pairs {
		switch {
		case p.Homes[x.stream] >= 0:
		case load[x.node] < low:
			p.Homes[x.stream] = x.node
			load[x.node]++
		case load[x.node] == low && more > 0:
			p.Homes[x.stream] = x.node
			load[x.node]++
			more--
		}
	}
	return p
}

// share says how many streams each node may have, and how many nodes may have one more, if so many are to be dealt out over nodes
// that have a load by their pins. Nodes whose pins alone are more than that take no part.
func share(pinned []int, free int) (low, more int) {
	for len(pinned) > 0 {
		total := free
		for _, n := range pinned {
			total += n
		}
		low, more = total/len(pinned), total%len(pinned)
		part := slices.DeleteFunc(slices.Clone(pinned), func(n int) bool { return n > low })
		if len(part) == len(pinned) {
			return low, more
		}
		pinned = part
	}
	return 0, 0
}

// within says where each stream belongs while only live nodes can have any. Has is the index of the node that has the stream
// now; -1: none.
func (p *Placement) within(live []bool, has []int) []int {
	at := make([]int, len(p.Streams))
	load := make([]int, len(p.Nodes))
	free := 0
	var orphans []int
	pins := make([]int, len(p.Nodes))
	for i, h := range p.Homes {
		at[i] = -1
		switch {
		case h >= 0 && live[h]:
			at[i] = h
		case has[i] >= 0 && live[has[i]]:
			at[i] = has[i]
		default:
			orphans = append(orphans, i)
		}
		if at[i] >= 0 {
			load[at[i]]++
		}
		if p.Pins[i] >= 0 && live[p.Pins[i]] {
			pins[p.Pins[i]]++
		} else {
			free++
		}
	}
	var pinned []int
	for k := range p.Nodes {
		if live[k] {
			pinned = append(pinned, pins[k])
		}
	}
	if len(pinned) == 0 {
		return at
	}
	slices.SortFunc(orphans, func(a, b int) int {
		return cmp.Or(cmp.Compare(hash(p.Streams[a].Name), hash(p.Streams[b].Name)), cmp.Compare(p.Streams[a].Name, p.Streams[b].Name))
	})
	limit, more := share(pinned, free)
	limit += min(more, 1)
	for _, i := range orphans {
		best := -1
		for k := range p.Nodes {
			if live[k] && load[k] < limit && (best < 0 || first(p.Streams[i].Name, p.Nodes[k], p.Nodes[best])) {
				best = k
			}
		}
		for k := range p.Nodes { // all are at their share: the least loaded
			if best < 0 || load[best] >= limit {
				if live[k] && (best < 0 || load[k] < load[best] || load[k] == load[best] && first(p.Streams[i].Name, p.Nodes[k], p.Nodes[best])) {
					best = k
				}
			}
		}
		at[i] = best
		load[best]++
	}
	return at
}

// Before says whether node a comes strictly before node b in the static order of a stream: the pin, the home, then by score,
// equal scores by name. An empty pin or home means that there is none.
func Before(stream, pin, home, a, b string) bool {
	if a == b {
		return false
	}
	for _, top := range []string{pin, home} {
		if top != "" && (a == top || b == top) {
			return a == top
		}
	}
	return first(stream, a, b)
}

// first says whether node a comes before node b by score, equal scores by name.
func first(stream, a, b string) bool {
	x, y := score(stream, a), score(stream, b)
	return x > y || x == y && a < b
}

// golden is 2^64 over the golden ratio, odd.
const golden = 0x9e3779b97f4a7c15

// score is the weight of a node for a stream. It is part of the protocol: nodes of two versions have to agree on it.
func score(stream, node string) uint64 { return finalise(hash(stream) ^ (hash(node)*golden + 1)) }

// hash is FNV-1a of 64 bits and the finaliser of SplitMix64 over it.
func hash(name string) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range []byte(name) {
		h ^= uint64(b)
		h *= 1099511628211
	}
	return finalise(h)
}

func finalise(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
