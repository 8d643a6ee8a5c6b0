package control

import (
	"math"
	"slices"
)

// rebalance lets one stream go to the home that an edit has given it, while some node has two streams or more above
// another. An edit itself moves nothing that runs; this does, at a rate: one node of the group at a time, the one with
// the fewest streams that could take one, and each at most so many per interval of polls.
func (n *Node) rebalance() {
	if n.cfg.RebalanceRate <= 0 || !n.warm || n.draining || len(n.peers) == 0 {
		return
	}
	count, least, most := n.counts()
	if most-least < 2 {
		return
	}
	taker, stream := -1, -1
	for i, s := range n.planned {
		at, home := n.claimed[i], n.plan.Home(i)
		if at < 0 || home < 0 || at == home || !n.live[at] || !n.live[home] || count[at]-count[home] < 2 {
			continue
		}
		switch {
		case taker < 0 || count[home] < count[taker] || count[home] == count[taker] && n.nodes[home] < n.nodes[taker]:
			taker, stream = home, i
		case home == taker && (count[at] > count[n.claimed[stream]] || count[at] == count[n.claimed[stream]] && s.Name < n.planned[stream].Name):
			stream = i
		}
	}
	if taker != n.me {
		return
	}
	s := n.planned[stream]
	if s.MayReturn { // it is under way, or waits for its hold-down
		return
	}
	if next := n.rebalanced + max(1, n.fetch/Instant(n.cfg.RebalanceRate)); n.rebalanced != 0 && n.now < next {
		n.due(next)
		return
	}
	n.rebalanced = n.now
	s.MayReturn = true // rule R2 does the rest
	n.dirty = true
	n.do(Note{Kind: NoteRebalanced, Stream: s.Name, Node: n.nodes[n.claimed[stream]]})
	n.due(n.now + 1)
}

// counts returns how many streams of the plan each node has, until it is called again, and the least and the most of a node that lives and stays.
func (n *Node) counts() (count []int, least, most int) {
	n.count = slices.Grow(n.count[:0], len(n.nodes))[:len(n.nodes)]
	count = n.count
	clear(count)
	for _, at := range n.claimed {
		if at >= 0 {
			count[at]++
		}
	}
	least = math.MaxInt
	for i, live := range n.live {
		if live {
			least, most = min(least, count[i]), max(most, count[i])
		}
	}
	return count, least, most
}
