package node

import (
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"

	"weir/actors"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/srs"
	"weir/protocols"
	"weir/protocols/api"
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
	var edit *api.Credentials
	if a := n.file().EditAuth; a != nil {
		edit = &api.Credentials{User: a.User, Password: a.Password}
	}
	s.srsAPI = srs.NewAPI(srs.APIConfig{
		Cluster: s.srs, Hooks: s.hooks, Build: n.cfg.Build, PID: os.Getpid(), Uptime: n.tree.env.Now, Wall: n.cfg.Machine.Wall,
		MayEdit: func(r *http.Request) (int, error) { return api.MayEdit(r, edit) },
		Streams: n.liveStreams,
		Sessions: func() []srs.Session {
			list := n.sessions.List()
			out := make([]srs.Session, len(list))
			for i, s := range list {
				out[i] = srs.Session(s)
			}
			return out
		},
		Close: func(id string) { n.tree.send(actors.Sessions, session.Close{ID: id}) },
		Machine: func() (cpu float64, memory uint64) {
			if v := n.View(); v != nil {
				cpu = float64(v.Load.CPU) / 1000
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return cpu, m.Sys
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
			out = append(out, srs.Live{Name: name, Frames: live.Hub.Written(), Tracks: live.Hub.Tracks()})
		}
	}
	return out
}
