package identity

import (
	"context"
	"net"
)

// Loopback is the address that Reachable gives when it knows no better one.
const Loopback = "127.0.0.1"

// Reachable is the address of this machine from which its peers, by host:port, are reached, and so most likely the one under
// which they reach it. A peer may be this machine itself, so a loopback address counts only where there is no other; sure
// is false if some peer's name could not be looked up then. Connecting a UDP socket sends nothing.
func Reachable(ctx context.Context, peers []string) (ip string, sure bool) {
	sure = true
	for _, p := range peers {
		conn, err := (&net.Dialer{}).DialContext(ctx, "udp", p)
		if err != nil {
			sure = false
			continue
		}
		ip := conn.LocalAddr().(*net.UDPAddr).IP
		_ = conn.Close() // nothing was sent
		if !ip.IsLoopback() {
			return ip.String(), true
		}
	}
	return Loopback, sure
}
