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
			kept = min(min(max(descriptors/8, 32), 1024)+2*pulled(f), descriptors/2)
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
