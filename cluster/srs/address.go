package srs

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"weir/cluster/directory"
)

// An Address is how SRS servers and their clients reach the RTMP server of this node.
type Address struct {
	// Host and Port are what the file says; empty and 0 if it does not say so.
	Host string
	Port int

	// Public is the host of the public URL that the file gives to this node, and Listener that at which it listens for
	// RTMP; empty for none.
	Public, Listener string

	// Ports are the ports at which this node listens for RTMP.
	Ports []int
}

// OwnerOf says which node of weir's cluster has a stream now, as [Config.Owner] does. own is the address of this node, and
// leaving says that this node is about to let go of its streams.
func OwnerOf(v *directory.View, stream string, own Address, leaving bool) (Owner, bool) {
	node, ok := v.Owned(stream)
	switch {
	case !ok:
		return Owner{}, false
	case node == v.Self:
		return own.owner(node), !leaving
	}
	p := v.Nodes[node]
	if p.Public == nil {
		return Owner{}, false
	}
	return Owner{Name: node, Host: p.Public.Hostname(), Port: p.Ports.RTMP}, true
}

func (a Address) owner(name string) Owner {
	o := Owner{Name: name, Host: cmp.Or(a.Host, a.Public), Port: a.Port}
	if o.Port == 0 && len(a.Ports) > 0 {
		o.Port = a.Ports[0]
	}
	if o.Host == "" && !onlyHere(a.Listener) {
		o.Host = a.Listener
	}
	return o
}

// onlyHere says whether a host means this machine to itself only.
func onlyHere(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || err == nil && (a.IsLoopback() || a.IsUnspecified())
}

// Own says whether an RTMP address is this node's: one of its ports, at a host that is this machine.
func (a Address) Own(host, port string) bool {
	n, err := strconv.Atoi(port)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == a.Host && n == a.Port:
		return true
	case !slices.Contains(a.Ports, n):
		return false
	case host == "localhost" || host == a.Host || err == nil && addr.IsLoopback():
		return true
	case err != nil:
		return false
	}
	local, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(local, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == addr.Unmap()
	})
}
