package real

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The addresses of a run. Every node listens at one of its own; the proxy of the link from one node to another listens at
// one for the pair, and that for a node's actors, which has one address for all who ask, at one more for each node.
func nodeHost(node int) string     { return fmt.Sprintf("127.0.0.%d", 11+node) }
func actorsHost(node int) string   { return fmt.Sprintf("127.0.0.%d", 111+node) }
func linkHost(from, to int) string { return fmt.Sprintf("127.0.%d.%d", 1+from, 1+to) }

// sourceHost is where the sources are.
const sourceHost = "127.0.0.10"

// maxNodes is how many nodes the addresses are enough for.
const maxNodes = 100

// Ports are chosen below the range from which systems choose those of outgoing connections: such a connection could take
// the port while a node is down.
const lowestPort, highestPort = 20000, 32000

// freePorts finds n ports that are free at all of the hosts.
func freePorts(n int, hosts []string) ([]int, error) {
	var ports []int
	for p, tried := lowestPort+rand.IntN(highestPort-lowestPort), 0; len(ports) < n; p, tried = p+1, tried+1 {
		if tried > highestPort-lowestPort {
			return nil, errors.New("no ports are free")
		}
		if p == highestPort {
			p = lowestPort
		}
		if !slices.ContainsFunc(hosts, func(h string) bool { return !free(h, p) }) {
			ports = append(ports, p)
		}
	}
	return ports, nil
}

func free(host string, port int) bool {
	l, err := net.Listen("tcp", address(host, port))
	return err == nil && l.Close() == nil
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// errUnknown says that none of the processes has opened a connection.
var errUnknown = errors.New("no node has opened the connection")

// opener finds out which of some processes has opened a connection: from is its address at the process, to the one at which
// it was accepted.
func opener(from, to net.Addr, pids []int) (pid int, err error) {
	inode, err := inodeOf(from, to)
	if err != nil {
		return 0, err
	}
	want := "socket:[" + inode + "]"
	for _, pid := range pids {
		dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, e := range entries {
			if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && to == want {
				return pid, nil
			}
		}
	}
	return 0, errUnknown
}

// inodeOf finds the socket of a connection in the kernel's table.
func inodeOf(from, to net.Addr) (string, error) {
	local, err := kernelForm(from)
	if err != nil {
		return "", err
	}
	remote, err := kernelForm(to)
	if err != nil {
		return "", err
	}
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return "", fmt.Errorf("asking the kernel who has opened a connection: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	for s := bufio.NewScanner(f); s.Scan(); {
		if c := strings.Fields(s.Text()); len(c) > 9 && c[1] == local && c[2] == remote {
			return c[9], nil
		}
	}
	return "", errUnknown
}

// kernelForm is an address as the kernel's table has it: the bytes of the host from the last to the first, and the port.
func kernelForm(a net.Addr) (string, error) {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return "", fmt.Errorf("reading an address: %w", err)
	}
	host := ap.Addr().Unmap().As4()
	slices.Reverse(host[:])
	return strings.ToUpper(hex.EncodeToString(host[:])) + fmt.Sprintf(":%04X", ap.Port()), nil
}
