package control

import "slices"

const (
	// damping is how long a return is held against a node or a stream (R7).
	damping = 600 * Second

	// maxDamping bounds the hold-down, at 2 to this power times itself.
	maxDamping = 3

	// maxReturns bounds what is remembered; more make no difference.
	maxReturns = maxDamping + 2
)

// LongestHolddown is the longest that damping makes a hold-down.
func LongestHolddown(hold Instant) Instant { return damped(hold, maxDamping) }

// damped is rule R7: the hold-down after k returns before this one.
func damped(hold Instant, k int) Instant { return hold << min(max(k, 0), maxDamping) }

// returns are the instants at which a node, or a stream, came back, the oldest first.
type returns []Instant

// add adds the present one.
func (r *returns) add(now Instant) {
	if len(*r) == maxReturns {
		*r = slices.Delete(*r, 0, 1)
	}
	*r = append(*r, now)
}

// count counts those that are still held against the node or the stream.
func (r *returns) count(now Instant) int {
	*r = slices.DeleteFunc(*r, func(t Instant) bool { return now-t >= damping })
	return len(*r)
}

// yieldAt is rule R7 for a peer that flaps: that is dead and alive again and again, as when the only link to it is bad. This node
// has to capture its streams each time it is gone. If it let go each time the peer is back, they would start and stop with the
// link. So from the second time on, this node keeps a stream that it had already when the peer came back, until the peer has stayed
// for the hold-down. Both capture the stream meanwhile, as they would if the link had stayed broken. A source that allows one
// connection is let go of at once.
func (n *Node) yieldAt(s *stream, p *peer) Instant {
	k := p.Flaps.count(n.now)
	if k < 2 || s.single() {
		return n.now
	}
	back := p.Flaps[k-1]
	if s.Began > back {
		return n.now
	}
	return back + damped(n.cfg.ReturnHolddown, k-2)
}

// holddown is how long after its boot this node takes nothing back. The node remembers no life before this one. Its peers
// tell it how often they have seen it return, this time included.
func (n *Node) holddown() Instant {
	count := 0
	for _, p := range n.peers {
		if p.Alive {
			count = max(count, p.Counts)
		}
	}
	return damped(n.cfg.ReturnHolddown, count-1)
}

// hold lets this node take a stream back no earlier than after a return, because it had to let go of it.
func (n *Node) hold(s *stream) {
	s.HoldUntil = n.now + damped(n.cfg.ReturnHolddown, s.Returns.count(n.now))
}
