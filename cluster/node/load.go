package node

import (
	"net/netip"
	"time"

	"weir/cluster/control"
)

// measure measures what this node carries, for the control actor.
func (n *Node) measure() control.Load {
	now := n.env.Now()
	if n.srsAPI != nil {
		n.srsAPI.Measure(now)
	}
	return n.load.Measure(now)
}

// playlists counts the bytes that viewers by playlist were sent.
func (n *Node) playlists() uint64 {
	if n.servers == nil {
		return 0
	}
	return n.servers.hls.Stats().Bytes
}

// chosen is how many clients per second were sent to other servers.
func (n *Node) chosen(now time.Duration) int {
	if n.balancers == nil {
		return 0
	}
	return n.balancers.PerSecond(now)
}

// trusted says whether the proxy at an address is believed what it says about its clients.
func (n *Node) trusted(a netip.Addr) bool {
	for _, p := range n.file().TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
