// Package listentest finds ports for the listeners of tests.
//
// It knows no node and no protocol.
package listentest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports returns n ports of 127.0.0.1 at which no socket listens. They are below the range from which systems choose the
// ports of outgoing connections: such a connection could take the port before the test listens at it, or while a node of
// the test is down.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	const lowest, highest = 20000, 32000
	ports := make([]int, 0, n)
	for p, tried := lowest+rand.IntN(highest-lowest), 0; len(ports) < n; p, tried = p+1, tried+1 {
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
		_ = l.Close()
		ports = append(ports, p)
	}
	return ports
}
