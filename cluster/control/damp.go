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

// LongestHolddown is how long a stream, or a node, that keeps coming back is not taken back, if the hold-down of one that
// does not is so long.
func LongestHolddown(hold Instant) Instant { return damped(hold, maxDamping) }

// damped is rule R7: the hold-down after k returns before this one.
func damped(hold Instant, k int) Instant { return hold << min(max(k, 0), maxDamping) }

// remember adds an instant to those that are held against somebody.
func remember(at *[]Instant, now Instant) {
	if len(*at) == maxReturns {
		*at = slices.Delete(*at, 0, 1)
	}
	*at = append(*at, now)
}

// recent counts those that still are.
func recent(at *[]Instant, now Instant) int {
	*at = slices.DeleteFunc(*at, func(t Instant) bool { return now-t >= damping })
	return len(*at)
}

func (p *peer) returned(now Instant) { remember(&p.returns, now) }

func (p *peer) recent(now Instant) int { return recent(&p.returns, now) }

// holddown is how long after its boot this node takes nothing back. It remembers no life before this one, but its peers
// tell it how often they have seen it return, this time included.
func (n *Node) holddown() Instant {
	count := 0
	for _, p := range n.peers {
		if p.alive {
			count = max(count, p.counts)
		}
	}
	return damped(n.cfg.ReturnHolddown, count-1)
}
