package status

import (
	"context"
	"slices"
	"time"

	"weir/cluster/control"
	"weir/protocols/api"
)

// A Peer holds the settings of a peer in the file.
type Peer struct {
	Hostname string
	API      string // URL

	// Public is the URL at which clients reach the peer. If Given says that the file gives it, internal URLs are shown neither on
	// pages nor in errors.
	Public string
	Given  bool

	Fetch, Stale  time.Duration
	Channels, CPU int   // limits
	Bitrate       int64 // the most that the peer may send, in bits per second
}

// Peers implements [api.Node].
func (s *Status) Peers(ctx context.Context) []api.Peer {
	v := s.cfg.View()
	if v == nil {
		return nil
	}
	file, now := s.cfg.File(), control.Instant(s.cfg.Now())
	others := s.others(ctx)
	out := []api.Peer{s.self(v, file, now)}
	for i := range v.Peers {
		p := &v.Peers[i]
		if !p.Met && p.Name == v.Self {
			continue // an entry that means this node, by a name at which this node cannot reach itself
		}
		a := peer(v, p, file.Peers[p.Entry], now)
		a.Stats.InputKbit = inputKbit(others[p.Name])
		out = append(out, a)
	}
	return out
}

// self shows this node.
func (s *Status) self(v *control.View, file File, now control.Instant) api.Peer {
	a := api.Peer{
		Hostname: v.Self, Name: api.Maybe(v.Self), Self: true, Status: string(control.Alive), Since: seconds(now - v.Since),
		Stats: stats(v.Advert, v.Load, v.Instance, file.Hash),
	}
	switch {
	case v.Draining:
		a.Status = string(control.Draining)
	case !v.Warm:
		a.Status = string(control.Booting)
	case v.LeftOut:
		a.Status, a.Since = string(control.LeftOut), seconds(now-v.OutSince)
	}
	a.Stats.StreamerStatus = streamerStatus(control.Status(a.Status))
	a.Stats.InputKbit = inputKbit(s.Figures())
	for _, st := range v.Streams {
		if st.Here {
			a.Stats.TotalStreams++
		}
	}
	if len(v.Entries) > 0 {
		c := file.Peers[v.Entries[0]]
		a.Hostname = c.Hostname
		c.show(&a)
	}
	return a
}

func peer(v *control.View, p *control.PeerView, c Peer, now control.Instant) api.Peer {
	a := api.Peer{
		Hostname: c.Hostname, Status: string(p.Status), Since: seconds(now - p.Since), Error: p.Detail,
		Stats: stats(p.Advert, p.Load, p.Instance, p.Hash),
	}
	a.Stats.StreamerStatus = streamerStatus(p.Status)
	if p.Met {
		a.Name = api.Maybe(p.Name)
	}
	if a.Hostname == "" {
		a.Hostname = p.Name
	}
	if c.Given && p.Detail != "" {
		a.Error = string(p.Why) // the detail contains an internal URL
	}
	a.Stats.RTT = float64(p.RTT) / float64(control.Millisecond)
	c.show(&a)
	for _, st := range v.Streams {
		if slices.Contains(st.On, p.Name) {
			a.Stats.TotalStreams++
		}
	}
	return a
}

// show fills in the settings of the file.
func (c Peer) show(a *api.Peer) {
	a.PublicPayloadURL = c.Public
	if !c.Given {
		a.APIURL = c.API
	}
	a.FetchTimeout, a.StaleTimeout = c.Fetch.Milliseconds(), c.Stale.Milliseconds()
	a.ChannelLimit, a.CPULimit, a.MaxBitrate = c.Channels, c.CPU, c.Bitrate
	if c.Bitrate > 0 {
		a.Stats.BandwidthUsage = float64(100_000*a.Stats.OutputKbit) / float64(c.Bitrate)
	}
}

func stats(a control.Advert, l control.Load, instance, hash string) api.PeerStats {
	return api.PeerStats{
		ID: instance, ServerVersion: a.Build, ConfigVersion: hash, Uptime: l.Uptime,
		CPUUsage: float64(l.CPU) / 10, MemoryUsage: float64(l.Memory) / 10, InterfaceLoad: float64(l.Interface) / 10,
		OutputKbit: l.OutBits / 1000, OnlineStreams: l.Captures, TotalClients: l.Clients,
	}
}

// streamerStatus is the status of a node in the words of the API; empty if the node does not answer.
func streamerStatus(s control.Status) string {
	switch s {
	case control.Alive, control.Drifted, control.LeftOut:
		return "running"
	case control.Booting, control.Draining:
		return string(s)
	}
	return ""
}
