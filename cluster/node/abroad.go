package node

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"weir/actors/input"
	"weir/cluster/conf"
	"weir/cluster/srs"
	"weir/codecs"
	"weir/protocols"
)

// An abroad is what the node has to do with SRS servers and with the virtual hosts of its file.
type abroad struct {
	cluster *srs.Cluster
	hooks   *srs.Hooks
	meter   srs.Meter
}

func (n *Node) newAbroad() *abroad {
	a := &abroad{}
	instance := n.cfg.Outside.Instance()
	a.hooks = srs.NewHooks(n.cfg.Hostname, instance, n.log)
	a.cluster = srs.New(srs.Config{
		Vhosts: vhosts(n.file()),
		Owner:  n.owner,
		Own:    n.ownAddress,
		Node:   n.name, Instance: instance, Wall: n.wallTicks, Log: n.log,
	})
	return a
}

// wallTicks is the wall clock in ticks.
func (n *Node) wallTicks() int64 {
	return n.cfg.Outside.Wall().UnixMicro() * codecs.ClockRate / 1_000_000
}

// vhosts are the virtual hosts of a file.
func vhosts(f *conf.File) []srs.Vhost {
	list := make([]srs.Vhost, 0, len(f.Vhosts))
	for _, v := range f.Vhosts {
		list = append(list, srs.Vhost{
			Name: v.Name, Remote: v.Remote, Origins: v.Origins, Fetch: srs.Fetch(v.Fetch), TokenTraverse: v.TokenTraverse,
			OriginCluster: v.OriginCluster, Coworkers: v.Coworkers, Register: v.Register, Hooks: v.Hooks,
		})
	}
	return list
}

// owner says which node of this cluster has a stream, and where RTMP clients reach it.
func (n *Node) owner(name string) (srs.Owner, bool) {
	view, _ := n.dir.View()
	node, ok := view.Owned(name)
	if !ok {
		return srs.Owner{}, false
	}
	if node != view.Self {
		p := view.Nodes[node]
		if p.Public == nil {
			return srs.Owner{}, false
		}
		return srs.Owner{Name: node, Host: p.Public.Hostname(), Port: p.Ports.RTMP}, true
	}
	v := n.view.get()
	if v == nil || v.Draining {
		return srs.Owner{}, false
	}
	f := n.file()
	o := srs.Owner{Name: node, Host: f.Advertise, Port: f.AdvertisePort}
	if o.Port == 0 {
		o.Port = n.sockets().ports().RTMP
	}
	if o.Host == "" && len(v.Entries) > 0 {
		if p := peersByEntry(f)[v.Entries[0]]; p.PublicGiven {
			if u, err := url.Parse(p.Public); err == nil {
				o.Host = u.Hostname()
			}
		}
	}
	if list := f.Listeners[protocols.RTMP]; o.Host == "" && len(list) > 0 && !nobody(list[0].Host) {
		o.Host = list[0].Host
	}
	return o, true
}

// nobody says whether a host at which a listener listens tells nobody where it is.
func nobody(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || err == nil && (a.IsLoopback() || a.IsUnspecified())
}

// ownAddress says whether an RTMP address is this node's: one of its ports, at a host that is this machine.
func (n *Node) ownAddress(host, port string) bool {
	f := n.file()
	if host == f.Advertise && port == strconv.Itoa(f.AdvertisePort) {
		return true
	}
	mine := slices.ContainsFunc(n.sockets().list, func(k *socket) bool {
		return k.of.Protocol == protocols.RTMP && strconv.Itoa(portOf(k.l)) == port
	})
	if !mine {
		return false
	}
	if host == "localhost" || host == f.Advertise {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if addr.IsLoopback() {
		return true
	}
	local, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(local, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == addr.Unmap()
	})
}

// await waits until a peer captures the stream, and returns its name and private URL; no name if it is to be fetched from
// SRS servers. The error is the context's.
func (n *Node) await(ctx context.Context, name string) (peer, private string, err error) {
	for {
		view, changed := n.dir.View()
		var expected <-chan struct{}
		if n.abroad != nil {
			expected = n.abroad.cluster.Expecting()
		}
		if peer, private = view.Upstream(name); peer != "" {
			return peer, private, nil
		}
		if n.abroad != nil && n.abroad.cluster.Expected(name) {
			return "", "", nil
		}
		select {
		case <-changed:
		case <-expected:
		case <-ctx.Done():
			return "", "", ctx.Err()
		}
	}
}

// fetch pulls a stream that SRS servers have. It is done unless a node of this cluster has it by now.
func (n *Node) fetch(ctx context.Context, name string, w input.Writer) (done bool, err error) {
	while, cancel := n.dir.While(ctx, name, "", "")
	defer cancel()
	err = n.abroad.cluster.Pull(while, name, w)
	return while.Err() == nil || ctx.Err() != nil, err
}
