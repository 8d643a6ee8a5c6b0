package place

import (
	"math"
	"slices"
)

// maxRounds bounds the rounds of [Plan.deal]. Each but the last gives every node that can still take something its
// share of the rest, so files that differ in a few ways need two or three; only files made to be awkward need more, and
// for them the rest goes to the least loaded node.
const maxRounds = 64

// deal gives the unpinned streams their homes, in rounds; without sets there is exactly one.
func (p *Plan) deal(rest []int) {
	for range maxRounds {
		if len(rest) == 0 {
			return
		}
		open := p.takers(rest)
		if len(open) == 0 {
			return
		}
		rest = p.round(rest, open)
	}
	rest = slices.Clone(rest)
	slices.SortFunc(rest, p.compare)
	for _, i := range rest {
		to := p.least(i, p.load, func(k int) bool { return p.May(i, k) })
		if to >= 0 {
			p.home[i] = to
			p.load[to]++
		}
	}
}

// takers returns the nodes that may have at least one of the streams.
func (p *Plan) takers(rest []int) []int {
	may := NewSet(len(p.nodes))
	var last *uint64 // streams of one file share their set
	for _, i := range rest {
		on := p.streams[i].On
		if on == nil {
			all := make([]int, len(p.nodes))
			for k := range all {
				all[k] = k
			}
			return all
		}
		if len(on) == 0 || &on[0] == last {
			continue
		}
		last = &on[0]
		for w := range min(len(on), len(may)) {
			may[w] |= on[w]
		}
	}
	var out []int
	for k := range p.nodes {
		if may.Has(k) {
			out = append(out, k)
		}
	}
	return out
}

// quota returns how many streams each of the nodes may have so that they can take count more and end level: low for
// all, and one more for extra of them. Nodes whose load is above low already get none and do not count.
func quota(load, nodes []int, count int) (low, extra int) {
	for low = math.MaxInt; ; {
		within, total := 0, count
		for _, k := range nodes {
			if load[k] <= low {
				within++
				total += load[k]
			}
		}
		if within == 0 {
			return 0, 0
		}
		if total/within == low {
			return low, total % within
		}
		low = total / within
	}
}

// A candidate is the best pair that is left for a stream.
type candidate struct {
	score        uint64
	stream, node int
}

// round hands streams out by pairs in falling score within the quota, and returns those for which no node had room.
//
// Sorting all pairs would need 10^8 of them for 100,000 streams and 1,000 nodes. A node that is full never opens
// again within a round, so it is enough to keep for each stream its best open node, in a heap; when the best turns out
// to be full, the next best among the nodes still open is looked for. The result is that of the sorted list.
func (p *Plan) round(rest, nodes []int) (left []int) {
	r := dealing{Plan: p}
	r.low, r.extra = quota(p.load, nodes, len(rest))
	r.reopen(nodes)
	heap := make([]candidate, 0, len(rest))
	for _, i := range rest {
		if c, ok := r.best(i); ok {
			heap = append(heap, c)
		} else {
			left = append(left, i)
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		r.down(heap, i)
	}
	for len(heap) > 0 {
		c := heap[0]
		if r.room(c.node) {
			p.home[c.stream] = c.node
			r.take(c.node)
		} else if next, ok := r.best(c.stream); ok {
			heap[0] = next
			r.down(heap, 0)
			continue
		} else {
			left = append(left, c.stream)
		}
		heap[0] = heap[len(heap)-1]
		heap = heap[:len(heap)-1]
		r.down(heap, 0)
	}
	return left
}

// A dealing is one round: what the quota is, and which nodes are below it.
type dealing struct {
	*Plan
	low, extra int      // extra counts the nodes that may still go one above low
	open       []int    // the nodes with room
	keys       []uint64 // their keys, beside each other for the inner loop
}

func (r *dealing) room(node int) bool {
	return r.load[node] < r.low || r.load[node] == r.low && r.extra > 0
}

func (r *dealing) reopen(nodes []int) {
	var open []int
	var keys []uint64
	for _, k := range nodes {
		if r.room(k) {
			open, keys = append(open, k), append(keys, r.key[k])
		}
	}
	r.open, r.keys = open, keys
}

// take counts one stream more for a node, and closes the nodes that are full then.
func (r *dealing) take(node int) {
	r.load[node]++
	if r.room(node) {
		return
	}
	if r.load[node] > r.low {
		r.extra--
		if r.extra == 0 { // by this every node that has low is full
			r.reopen(r.open)
			return
		}
	}
	if i := slices.Index(r.open, node); i >= 0 {
		r.open, r.keys = slices.Delete(r.open, i, i+1), slices.Delete(r.keys, i, i+1)
	}
}

// best finds the open node with the highest score for a stream that may have it.
func (r *dealing) best(stream int) (candidate, bool) {
	h, on := r.hash[stream], r.streams[stream].On
	top, at := uint64(0), -1
	for j, key := range r.keys {
		x := Mix(h ^ key)
		if x < top || !on.Has(r.open[j]) {
			continue
		}
		if at < 0 || x > top || r.nodes[r.open[j]] < r.nodes[r.open[at]] {
			top, at = x, j
		}
	}
	if at < 0 {
		return candidate{}, false
	}
	return candidate{score: top, stream: stream, node: r.open[at]}, true
}

func (r *dealing) less(a, b candidate) bool {
	if a.score != b.score {
		return a.score > b.score
	}
	if a.stream != b.stream {
		return r.streams[a.stream].Name < r.streams[b.stream].Name
	}
	return r.nodes[a.node] < r.nodes[b.node]
}

// down restores the heap below i; the highest score is at the top.
func (r *dealing) down(heap []candidate, i int) {
	for {
		c := 2*i + 1
		if c >= len(heap) {
			return
		}
		if c+1 < len(heap) && r.less(heap[c+1], heap[c]) {
			c++
		}
		if !r.less(heap[c], heap[i]) {
			return
		}
		heap[i], heap[c] = heap[c], heap[i]
		i = c
	}
}

// maxPasses bounds [Plan.level]: every move brings two loads nearer to each other, so that it ends by itself; a few
// passes do nearly all of it.
const maxPasses = 16

// level moves single streams from a node to one that may have them and has at least two fewer, until there is none.
func (p *Plan) level(free []int) {
	order := slices.Clone(free)
	slices.SortFunc(order, p.compare)
	for range maxPasses {
		moved := false
		for _, i := range order {
			from := p.home[i]
			if from < 0 {
				continue
			}
			to := p.least(i, p.load, func(k int) bool { return p.load[k]+2 <= p.load[from] && p.May(i, k) })
			if to >= 0 {
				p.home[i] = to
				p.load[from]--
				p.load[to]++
				moved = true
			}
		}
		if !moved {
			return
		}
	}
}
