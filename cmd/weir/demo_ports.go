package main

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	"weir/protocols"
)

// loopback is where the demonstration listens: nobody outside this machine reaches it.
const loopback = "127.0.0.1"

// demoListeners are the listeners of each node of the demonstration: those that run by default.
func demoListeners() []protocols.Descriptor {
	return slices.DeleteFunc(protocols.Listeners(), func(d protocols.Descriptor) bool { return !d.On })
}

// firstPort is the port from which those of a listener are counted up: what people expect, without privileges. The HTTP
// ports end in the numbers of the nodes.
func firstPort(d protocols.Descriptor) int {
	switch {
	case d.Protocol == protocols.HTTP:
		return 8081
	case d.Port < 1024:
		return 8000 + d.Port
	default:
		return d.Port
	}
}

// portsTried is how many ports of each listener are looked at before any free one will do.
const portsTried = 50

// pickPorts chooses the ports of n nodes, the same at each start unless others have them. Free says whether a port can
// be listened at; anyFree gives one that can, by the machine's choice.
func pickPorts(n int, free func(int) bool, anyFree func() (int, error)) ([]protocols.Ports, error) {
	taken := map[int]bool{}
	pick := func(first int) (int, error) {
		for port := first; port < first+portsTried; port++ {
			if !taken[port] && free(port) {
				taken[port] = true
				return port, nil
			}
		}
		for range portsTried {
			port, err := anyFree()
			if err != nil {
				return 0, err
			}
			if !taken[port] {
				taken[port] = true
				return port, nil
			}
		}
		return 0, fmt.Errorf("no port above %d is free", first)
	}
	nodes := make([]protocols.Ports, n)
	for _, d := range demoListeners() {
		for i := range nodes {
			port, err := pick(firstPort(d))
			if err != nil {
				return nil, fmt.Errorf("choosing ports: %w", err)
			}
			*nodes[i].At(d.Protocol) = port
		}
	}
	return nodes, nil
}

// loopbackAddr is a port on this machine.
func loopbackAddr(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// portIsFree tries to listen at a port.
func portIsFree(port int) bool {
	l, err := net.Listen("tcp", loopbackAddr(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// anyFreePort asks the machine for a port.
func anyFreePort() (int, error) {
	l, err := net.Listen("tcp", loopbackAddr(0))
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
