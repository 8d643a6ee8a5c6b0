package node

import (
	"net"
	"strconv"

	"weir/actors"
	"weir/cluster/balance"
	"weir/cluster/balancer"
	"weir/cluster/conf"
	"weir/cluster/follower"
)

func (n *Node) newBalancers() *balancer.Balancers {
	b := balancer.New(balancer.Config{
		View: n.group.view.Load, Now: n.env.Now, Load: n.load.Load, Rate: n.load.Rate, Country: n.geo.Country,
	})
	b.Configure(balancersOf(n.file()))
	return b
}

// balancersOf are the balancers of a file.
func balancersOf(f *conf.File) []balancer.Balancer {
	peers := make(map[string]conf.Peer, len(f.Peers))
	for _, p := range f.Peers {
		peers[p.Name()] = p
	}
	out := make([]balancer.Balancer, 0, len(f.Balancers))
	for _, c := range f.Balancers {
		b := balancer.Balancer{Name: c.Name, Mode: balance.Mode(c.Mode), Blind: !c.InFlight}
		for _, s := range c.Servers {
			is := balancer.Server{
				Entry: balance.Entry{Name: s.Name(), MaxBitrate: s.MaxBitrate, Countries: s.Countries, Default: s.Default},
				Key:   serverKey(s), Public: s.URL(), Private: s.URL(),
			}
			if s.Peer != "" {
				p := peers[s.Peer]
				is.Peer, is.Key, is.Public, is.Private = true, entry(p), p.Public, p.Private
			}
			b.Servers = append(b.Servers, is)
		}
		out = append(out, b)
	}
	return out
}

// serverKey is how this node calls a server that is no peer: with its port, whether or not the file gives it.
func serverKey(s conf.Server) string {
	port := s.Port
	if port == 0 {
		port = 80
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}

// otherServers are the servers of balancers that are no peers, by [serverKey], in the order of the file.
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

// serverLinks are the actors of the links to servers that are no peers.
func (n *Node) serverLinks(f *conf.File) (out []actors.Child) {
	keys, _ := otherServers(f)
	for _, key := range keys {
		out = append(out, actors.Child{Name: key, Props: follower.Outsider(n.env, follower.OutsiderConfig{
			Config: follower.Config{Entry: key, Fetcher: n.fetcher, Measured: n.fetched}, Kind: "server",
			Every: conf.DefaultFetchTimeout, Stale: conf.DefaultStaleTimeout, Changed: n.balancers.Seen,
		})})
	}
	return out
}
