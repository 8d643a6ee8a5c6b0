package node

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/directory"
	"weir/cluster/identity"
	"weir/cluster/trust"
	"weir/protocols"
)

// entry is how the control plane calls a peer of the file: with its port, whether or not the file gives it.
func entry(p conf.Peer) string {
	port := p.Port
	if port == 0 {
		port = 80
		if u, err := url.Parse(p.APIURL); err == nil && u.Scheme == "https" {
			port = 443
		}
	}
	return net.JoinHostPort(p.Host, strconv.Itoa(port))
}

// peersByEntry are the file's peers by [entry].
func peersByEntry(f *conf.File) map[string]conf.Peer {
	m := make(map[string]conf.Peer, len(f.Peers))
	for _, p := range f.Peers {
		m[entry(p)] = p
	}
	return m
}

// sourceLink is the name of the link to a source.
func sourceLink(name string) string { return "source " + name }

// keyring derives the keys of the links of a file.
func keyring(f *conf.File) *trust.Keyring {
	var links []trust.Link
	for _, p := range f.Peers {
		links = append(links, trust.Link{Name: entry(p), Key: p.ClusterKey, Accepted: true})
	}
	for _, s := range f.Sources {
		links = append(links, trust.Link{Name: sourceLink(s.Name), Key: s.ClusterKey})
	}
	return trust.NewKeyring(f.ClusterKey, links)
}

// published is what was last made of the control plane's view. It belongs to the control actor.
type published struct {
	view      *control.View
	file      *conf.File
	directory *directory.View
}

// publish gives the control plane's view to all who decide by it. It runs in the control actor. Most views tell nothing
// new but what the nodes carry.
func (n *Node) publish(v *control.View) {
	n.view.Store(v)
	was, f := n.published, n.file()
	n.published = published{view: v, file: f}
	if f == was.file && was.view != nil && sameStreams(v, was.view) && sameGroup(v, was.view) {
		n.published.directory = carrying(was.directory, v)
		n.dir.Publish(n.published.directory)
		return
	}
	n.published.directory = directoryView(v, f)
	n.outages.Changed(v, n.env.Now(), n.metrics.Gap)
	n.dir.Publish(n.published.directory)
	if n.provider != nil {
		n.provider.Publish(identityView(v, identity.Member{Addr: n.sys.Address(), SysID: n.sys.ID}))
	}
}

// sameStreams says whether two views share their streams, which the control plane makes anew when any changes.
func sameStreams(a, b *control.View) bool {
	return len(a.Streams) == len(b.Streams) && (len(a.Streams) == 0 || &a.Streams[0] == &b.Streams[0])
}

// sameGroup says whether the nodes of two views, and the ways to reach them, are the same.
func sameGroup(a, b *control.View) bool {
	return a.Self == b.Self && a.Warm == b.Warm && slices.EqualFunc(a.Peers, b.Peers, func(a, b control.PeerView) bool {
		return a.Name == b.Name && a.Entry == b.Entry && a.Alive == b.Alive && a.Status == b.Status &&
			a.Generation == b.Generation && a.Advert == b.Advert
	})
}

// carrying is a directory's view with what the nodes carry now.
func carrying(d *directory.View, v *control.View) *directory.View {
	if !slices.ContainsFunc(v.Peers, func(p control.PeerView) bool { return d.Nodes[p.Name].Clients != p.Load.Clients }) {
		return d
	}
	c := *d
	c.Nodes = maps.Clone(d.Nodes)
	for _, p := range v.Peers {
		node := c.Nodes[p.Name]
		node.Clients = p.Load.Clients
		c.Nodes[p.Name] = node
	}
	return &c
}

// directoryView is what look-ups need of the control plane's view and of the file.
func directoryView(v *control.View, f *conf.File) *directory.View {
	d := &directory.View{
		Self: v.Self, Warm: v.Warm, Default: policy(f.Delivery),
		Nodes:   make(map[string]directory.Node, len(v.Peers)),
		Streams: make(map[string]directory.Stream, len(v.Streams)),
	}
	peers := peersByEntry(f)
	for _, p := range v.Peers {
		c := peers[p.Entry]
		d.Nodes[p.Name] = directory.Node{
			Name: p.Name, Alive: p.Alive, Draining: p.Status == control.Draining,
			Public: mustURL(c.Public), Private: mustURL(c.Private),
			Ports: p.Advert.Ports, Clients: p.Load.Clients,
		}
	}
	for i := range v.Streams {
		d.Streams[v.Streams[i].Name] = directoryStream(v, &v.Streams[i], f, d)
	}
	return d
}

func directoryStream(v *control.View, s *control.StreamView, f *conf.File, d *directory.View) directory.Stream {
	out := directory.Stream{
		Here:       s.Mine == control.Starting || s.Mine == control.Running,
		Running:    s.Mine == control.Running,
		Configured: s.Here, Disabled: s.State == control.StreamDisabled,
		Waiting:  s.Kind == control.Published && s.Owner == "",
		OnDemand: s.OnDemand, Own: s.OnDemand && s.Here && !s.Clustered,
		Policy: d.Default,
	}
	if c := f.Stream(s.Name); c != nil {
		out.Policy = policy(c.Delivery)
	}
	solo := slices.ContainsFunc(s.Claimants, func(c control.ClaimView) bool { return c.Node == s.Owner && c.Solo })
	if !solo && s.Owner != v.Self && d.Nodes[s.Owner].Alive {
		out.Owner = s.Owner
		out.OwnerRunning = s.OwnerState == control.ClaimRunning || s.OwnerState == control.ClaimDraining
	}
	serves := func(name string) bool { return name != v.Self && d.Nodes[name].Alive && !d.Nodes[name].Draining }
	for _, c := range s.Claimants {
		if c.Solo && c.State == control.ClaimRunning && serves(c.Node) {
			out.Owners = append(out.Owners, c.Node)
		}
	}
	if !s.Clustered && s.Kind == control.Kept && !s.Here {
		for _, n := range s.On {
			if serves(n) {
				out.Elsewhere = append(out.Elsewhere, n)
			}
		}
	}
	return out
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

// identityView is what protoactor's cluster needs.
func identityView(v *control.View, self identity.Member) *identity.View {
	i := &identity.View{Self: v.Self, Owner: make(map[string]string, len(v.Streams))}
	self.Name = v.Self
	i.Members = append(i.Members, self)
	for _, p := range v.Peers {
		if p.Alive {
			i.Members = append(i.Members, identity.Member{
				Name: p.Name, Addr: p.Advert.Remote, SysID: p.Advert.SysID, Gen: int(p.Generation),
			})
		}
	}
	for _, s := range v.Streams {
		if s.Owner != "" {
			i.Owner[s.Name] = s.Owner
		}
	}
	return i
}

// mustURL parses a URL that package conf has made; nil for none.
func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil || s == "" {
		return nil
	}
	return u
}

// ControlConfig is what the control plane needs of a configuration file; what differs from start to start (instance,
// seed, advert) is left to the caller. Without a name in the file the node is called hostname until it finds itself
// behind a peer entry. keyID identifies the cluster key, so that files with different keys are known to differ.
func ControlConfig(f *conf.File, hostname, keyID string) control.Config {
	return control.Config{
		Self: hostname, Named: f.Name != "",
		Peers: controlPeers(f), Streams: controlStreams(f),
		ReturnHolddown: control.Instant(f.ReturnHolddown),
		RebalanceRate:  f.RebalanceRate,
		Limits:         limits(f.ChannelLimit, f.CPULimit),
		Hash:           f.Hash(keyID),
	}
}

// controlStreams is what the control plane needs of the file's streams.
func controlStreams(f *conf.File) []control.Stream {
	out := make([]control.Stream, 0, len(f.Streams))
	for _, s := range f.Streams {
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
		out = append(out, c)
	}
	return out
}

// limits turns percent into permille.
func limits(channels, cpu int) control.Limits {
	return control.Limits{Channels: channels, CPU: cpu * 10}
}

func controlPeers(f *conf.File) []control.Peer {
	out := make([]control.Peer, 0, len(f.Peers))
	for _, p := range f.Peers {
		out = append(out, control.Peer{
			Entry: entry(p), Host: p.Host, Fetch: control.Instant(p.FetchTimeout), Stale: control.Instant(p.StaleTimeout),
			Limits: limits(p.ChannelLimit, p.CPULimit),
		})
	}
	return out
}
