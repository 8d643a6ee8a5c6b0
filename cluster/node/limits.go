package node

import (
	"weir/cluster/conf"
	"weir/protocols"
	"weir/protocols/listen"
)

// limitsOf converts the limits of a file for the listeners. descriptors is the most files that this process may have open; 0 if
// that is not known.
func limitsOf(f *conf.File, descriptors int) listen.Limits {
	c := f.Limits
	out := listen.Limits{
		Connections: c.Connections, Protocols: map[protocols.Protocol]int{}, PerAddress: c.ConnectionsPerAddress, Body: c.RequestBody,
		Reserve: mostReserved,
	}
	if descriptors > 0 {
		kept := c.DescriptorReserve
		if kept == 0 {
			kept = min(max(min(descriptors/8, 1024), needs(f, descriptors))+2*pulled(f), descriptors/2)
		}
		if room := max(descriptors-kept, 1); out.Connections == 0 || out.Connections > room {
			out.Connections = room
		}
		out.Reserve = max(min(kept/4, mostReserved), 1)
	}
	out.Protocols[protocols.Cluster] = mostUnproven
	for _, d := range protocols.Listeners() {
		switch n := c.Protocols[d.Protocol]; {
		case n > 0:
			out.Protocols[d.Protocol] = n
		case out.Connections > 0:
			out.Protocols[d.Protocol] = max(out.Connections*3/4, 1)
		}
	}
	return out
}

// mostReserved bounds the connections over HTTP that are accepted above the limits. Nodes leave them after a round trip.
const mostReserved = 64

// own is what a node has open without clients and peers: 10 files and pipes, listeners, logs, and connections to the port of actors
// that are being closed.
const own = 32

// needs is how many descriptors are no clients': the node's own, a connection to each peer for its state and one for its actors, those of
// the clients that wait for the header of a proxy, and a quarter of all for the reserve.
func needs(f *conf.File, descriptors int) int {
	n := own + 2*len(f.Peers)
	for _, d := range protocols.Listeners() {
		n += len(f.Listeners[d.Protocol]) * awaiting(descriptors)
	}
	return n * 4 / 3
}

// awaiting is how many clients of a listener may wait for the header of a proxy, which no limit counts.
func awaiting(descriptors int) int {
	if descriptors == 0 { // not known
		return 256
	}
	return min(max(descriptors/64, 8), 256)
}

// mostUnproven bounds the connections to the address of the cluster that have proved no key yet, for which they have two seconds. It is more
// than all nodes need that come up at once.
const mostUnproven = 256

// pulled is the number of streams for which this node may open connections.
func pulled(f *conf.File) (n int) {
	for i := range f.Streams {
		for _, in := range f.Streams[i].Inputs {
			if in.Scheme != "publish" {
				n++
				break
			}
		}
	}
	return n
}
