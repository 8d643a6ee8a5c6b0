package main

import (
	"fmt"
	"net"
	"strconv"
)

// loopback is where the demonstration listens: nobody outside this machine reaches it.
const loopback = "127.0.0.1"

// demoPorts are the ports of one node.
type demoPorts struct{ http, rtmp, rtsp int }

// The ports from which each kind is counted up: what people expect, as far as no privileges are needed.
const (
	firstHTTP = 8081
	firstRTMP = 1935
	firstRTSP = 8554
)

// portsTried is how many ports of each kind are looked at before any free one will do.
const portsTried = 50

// pickPorts chooses the ports of n nodes, the same at each start unless others have them. Free says whether a port can
// be listened at; anyFree gives one that can, by the machine's choice.
func pickPorts(n int, free func(int) bool, anyFree func() (int, error)) ([]demoPorts, error) {
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
	nodes := make([]demoPorts, n)
	for _, kind := range []struct {
		first int
		of    func(*demoPorts) *int
	}{
		{firstHTTP, func(p *demoPorts) *int { return &p.http }},
		{firstRTMP, func(p *demoPorts) *int { return &p.rtmp }},
		{firstRTSP, func(p *demoPorts) *int { return &p.rtsp }},
	} {
		for i := range nodes {
			port, err := pick(kind.first)
			if err != nil {
				return nil, fmt.Errorf("choosing ports: %w", err)
			}
			*kind.of(&nodes[i]) = port
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
