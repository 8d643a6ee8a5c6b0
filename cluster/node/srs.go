package node

import (
	"net/url"
	"os"
	"slices"

	"weir/actors"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/load"
	"weir/cluster/srs"
	"weir/protocols"
)

// newSRS makes the parts of the node that work together with SRS servers: cluster, hooks and API.
func (n *Node) newSRS(s *servers) {
	instance := n.cfg.Machine.Instance()
	s.hooks = srs.NewHooks(n.cfg.Hostname, instance, n.log)
	s.srs = srs.New(srs.Config{
		Vhosts: vhosts(n.file()), Node: n.group.name, Instance: instance, Wall: n.wall, Log: n.log,
		Owner: func(stream string) (srs.Owner, bool) {
			view, _ := n.group.directory.View()
			v := n.View()
			return srs.OwnerOf(view, stream, n.rtmpAddress(), v == nil || v.Draining)
		},
		Own: func(host, port string) bool { return n.rtmpAddress().Own(host, port) },
	})
	s.srsAPI = srs.NewAPI(srs.APIConfig{
		Cluster: s.srs, Hooks: s.hooks, Build: n.cfg.Build, PID: os.Getpid(), Uptime: n.tree.env.Now, Wall: n.cfg.Machine.Wall,
		MayEdit: s.access.MayEdit, MaySee: s.access.MaySee,
		Streams: n.liveStreams,
		Sessions: func() []srs.Session {
			list := n.sessions.List()
			out := make([]srs.Session, len(list))
			for i, s := range list {
				out[i] = srs.Session{ID: s.ID, ClientStats: s.ClientStats}
			}
			return out
		},
		Close: func(id string) { n.tree.send(actors.Sessions, session.Close{ID: id}) },
		Figures: func() load.Figures {
			f := load.Read()
			if v := n.View(); v != nil {
				f.CPU = float64(v.Load.CPU) / 1000
			}
			return f
		},
	})
}

// rtmpAddress is the address at which SRS servers reach this node.
func (n *Node) rtmpAddress() srs.Address {
	f := n.file()
	a := srs.Address{Host: f.Advertise.Host, Port: f.Advertise.Port}
	for _, s := range n.servers.sockets.list {
		if s.of.Protocol == protocols.RTMP {
			a.Ports = append(a.Ports, portOf(s.l))
		}
	}
	if list := f.Listeners[protocols.RTMP]; len(list) > 0 {
		a.Listener = list[0].Host
	}
	if v := n.View(); v != nil && len(v.Entries) > 0 {
		if p := peersByEntry(f)[v.Entries[0]]; p.PublicGiven {
			if u, err := url.Parse(p.Public); err == nil {
				a.Public = u.Hostname()
			}
		}
	}
	return a
}

// liveStreams are the streams of which this node has media.
func (n *Node) liveStreams() (out []srs.Live) {
	for _, name := range slices.Sorted(slices.Values(n.streams.Names())) {
		if live, is, ok := n.streams.Get(name); ok && live.Hub.Written() > 0 && is.Role != stream.Idle {
			active := slices.ContainsFunc(is.All(), func(in stream.InputState) bool { return in.Active })
			out = append(out, srs.Live{Name: name, Active: active, Frames: live.Hub.Pictures(), Tracks: live.Hub.Tracks()})
		}
	}
	return out
}
