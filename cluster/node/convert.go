package node

import (
	"net"
	"net/url"
	"strconv"

	"weir/cluster/balance"
	"weir/cluster/balancer"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/directory"
	"weir/cluster/srs"
	"weir/cluster/status"
	"weir/cluster/trust"
	"weir/protocols"
)

// peersByEntry are the peers of a file, by [conf.Peer.Entry].
func peersByEntry(f *conf.File) map[string]conf.Peer {
	m := make(map[string]conf.Peer, len(f.Peers))
	for _, p := range f.Peers {
		m[p.Entry()] = p
	}
	return m
}

// sourceLink is the name of the link to a source.
func sourceLink(name string) string { return "source " + name }

// keysOf are the common keys of a file, and the links to its peers and sources with theirs.
func keysOf(f *conf.File) (common []string, links []trust.Link) {
	for _, p := range f.Peers {
		links = append(links, trust.Link{Name: p.Entry(), Keys: p.Keys(), Accepted: true})
	}
	for _, s := range f.Sources {
		links = append(links, trust.Link{Name: sourceLink(s.Name), Keys: s.Keys()})
	}
	return f.Keys(), links
}

// Facts are the settings of a file that the directory needs.
func Facts(f *conf.File) directory.Facts {
	peers := peersByEntry(f)
	return directory.Facts{
		Default: policy(f.Delivery),
		Policy: func(stream string) (p directory.Policy, ok bool) {
			if s := f.Stream(stream); s != nil {
				return policy(s.Delivery), true
			}
			return p, false
		},
		URLs: func(entry string) (public, private *url.URL, given bool) {
			p := peers[entry]
			return mustURL(p.Public), mustURL(p.Private), p.PublicGiven
		},
	}
}

func policy(d conf.Delivery) directory.Policy {
	p := directory.Policy{HLS: directory.HLSMode(d.HLS)}
	for _, name := range d.Redirect {
		if p.Redirect == nil {
			p.Redirect = map[protocols.Protocol]bool{}
		}
		p.Redirect[protocols.Protocol(name)] = true
	}
	for _, name := range d.Relay {
		if p.Relay == nil {
			p.Relay = map[protocols.Protocol]bool{}
		}
		p.Relay[protocols.Protocol(name)] = true
	}
	return p
}

// mustURL parses a URL that package conf has checked; nil for an empty one.
func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil || s == "" {
		return nil
	}
	return u
}

// ControlConfig converts a configuration file for the control plane. The caller fills in what is new at each start: instance,
// seed and advert. If the file gives no name, the node is called hostname until it finds the peer entry that means itself.
func ControlConfig(f *conf.File, hostname string) control.Config {
	return control.Config{
		Self: hostname, Named: f.Name != "",
		Peers: controlPeers(f), Streams: controlStreams(f),
		ReturnHolddown: control.Instant(f.ReturnHolddown),
		RebalanceRate:  f.RebalanceRate,
		Limits:         limits(f.ChannelLimit, f.CPULimit),
		Hash:           f.Hash(),
	}
}

// controlStreams converts the streams of a file for the control plane.
func controlStreams(f *conf.File) []control.Stream {
	out := make([]control.Stream, 0, len(f.Streams))
	for _, s := range f.Streams {
		out = append(out, controlStream(s))
	}
	return out
}

func controlStream(s conf.Stream) control.Stream {
	c := control.Stream{
		Name: s.Name, Kind: control.Published, Clustered: s.Ingest != nil, Disabled: s.Disabled, Restreamed: s.Restreamed,
	}
	for _, in := range s.Inputs {
		if in.Scheme != "publish" {
			c.Kind = control.Kept
		}
	}
	if !s.Static && c.Kind == control.Kept {
		c.OnDemand, c.ClientsTimeout = true, control.Instant(s.ClientsTimeout)
	}
	if s.Ingest != nil {
		c.Pin, c.Break = s.Ingest.CaptureAt, s.Ingest.Handover == conf.Break
	}
	return c
}

// limits converts limits for the control plane, which counts in permille.
func limits(channels, cpu int) control.Limits {
	return control.Limits{Channels: channels, CPU: cpu * 10}
}

func controlPeers(f *conf.File) []control.Peer {
	out := make([]control.Peer, 0, len(f.Peers))
	names := f.NodeNames()
	for i, p := range f.Peers {
		out = append(out, control.Peer{
			Entry: p.Entry(), Host: p.Host, Name: names[i], Fetch: control.Instant(p.FetchTimeout), Stale: control.Instant(p.StaleTimeout),
			Limits: limits(p.ChannelLimit, p.CPULimit),
		})
	}
	return out
}

// balancersOf converts the balancers of a file for package balancer.
func balancersOf(f *conf.File) []balancer.Balancer {
	peers := make(map[string]conf.Peer, len(f.Peers))
	for _, p := range f.Peers {
		peers[p.Name()] = p
	}
	out := make([]balancer.Balancer, 0, len(f.Balancers))
	for _, c := range f.Balancers {
		b := balancer.Balancer{Name: c.Name, Mode: balance.Mode(c.Mode), Blind: !c.InFlight}
		for _, s := range c.Servers {
			server := balancer.Server{
				Entry: balance.Entry{Name: s.Name(), MaxBitrate: s.MaxBitrate, Countries: s.Countries, Default: s.Default},
				Key:   serverKey(s), Public: s.URL(), Private: s.URL(),
			}
			if s.Peer != "" {
				p := peers[s.Peer]
				server.Peer, server.Key, server.Private = true, p.Entry(), p.Private
				server.Public, server.PublicGiven = p.Public, p.PublicGiven
			}
			b.Servers = append(b.Servers, server)
		}
		out = append(out, b)
	}
	return out
}

// serverKey is this node's name for a server that is not a peer: HOST:PORT, with the default port if the file gives none.
func serverKey(s conf.Server) string {
	port := s.Port
	if port == 0 {
		port = 80
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}

// otherServers are the balancers' servers that are not peers: their keys, see [serverKey], in the order of the file, and their
// URLs by key.
func otherServers(f *conf.File) (keys []string, urls map[string]string) {
	urls = map[string]string{}
	for _, b := range f.Balancers {
		for _, s := range b.Servers {
			if key := serverKey(s); s.Peer == "" && urls[key] == "" {
				keys = append(keys, key)
				urls[key] = s.URL()
			}
		}
	}
	return keys, urls
}

// vhosts converts the virtual hosts of a file for package srs.
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

// shown converts the settings of a file that the API shows, for package status.
func shown(f *conf.File) status.File {
	out := status.File{
		Hash: f.Hash(), Peers: make(map[string]status.Peer, len(f.Peers)), ReturnHolddown: f.ReturnHolddown, StreamMetrics: f.StreamMetrics,
		Stream: func(name string) (st status.Stream, ok bool) {
			s := f.Stream(name)
			if s == nil {
				return st, false
			}
			st.Title = s.Title
			if s.Ingest != nil {
				st.Clustered, st.CaptureAt = true, s.Ingest.CaptureAt
			}
			for _, in := range s.Inputs {
				st.Inputs = append(st.Inputs, in.Shown())
			}
			return st, true
		},
	}
	for _, p := range f.Peers {
		out.Peers[p.Entry()] = status.Peer{
			Hostname: p.Name(), API: p.APIURL, Public: p.Public, Given: p.PublicGiven, Fetch: p.FetchTimeout, Stale: p.StaleTimeout,
			Channels: p.ChannelLimit, CPU: p.CPULimit, Bitrate: p.MaxBitrate,
		}
	}
	return out
}
