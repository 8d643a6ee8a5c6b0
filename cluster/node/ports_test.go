package node

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// freeAddresses are n addresses of the loopback interface at which no socket listens. Their ports are below the range from which
// systems choose the ports of outgoing connections: such a connection could take the port before the test listens at it.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	const lowest, highest = 20000, 32000
	addrs := make([]string, 0, n)
	for p, tried := lowest+rand.IntN(highest-lowest), 0; len(addrs) < n; p, tried = p+1, tried+1 {
		if tried > highest-lowest {
			t.Fatal("no ports are free")
		}
		if p == highest {
			p = lowest
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		addrs = append(addrs, l.Addr().String())
		_ = l.Close()
	}
	return addrs
}
