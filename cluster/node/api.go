package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/identity"
	"weir/cluster/wire"
	"weir/protocols/api"
)

// newAPI makes the handler of the HTTP API.
func newAPI(n *Node) http.Handler {
	o := api.Options{Metrics: n.metrics, Control: shown{n}, Log: n.log}
	if c := n.file().EditAuth; c != nil {
		o.Edit = &api.Credentials{User: c.User, Password: c.Password}
	}
	if c := n.file().ViewAuth; c != nil {
		o.View = &api.Credentials{User: c.User, Password: c.Password}
	}
	return api.Handler(shown{n}, o)
}

// shown is what the API shows of a node.
type shown struct{ n *Node }

var (
	_ api.Node    = shown{}
	_ api.Control = shown{}
)

// Streams implements [api.Node].
func (s shown) Streams() []api.Stream {
	v := s.n.view.get()
	if v == nil {
		return nil
	}
	watched := map[string]int{}
	for _, is := range s.n.sessions.List() {
		if is.Watches() {
			watched[is.Stream]++
		}
	}
	out := make([]api.Stream, 0, len(v.Streams))
	for i := range v.Streams {
		st := s.stream(v, &v.Streams[i])
		st.Clients = watched[st.Name]
		out = append(out, st)
	}
	return out
}

func (s shown) stream(v *control.View, sv *control.StreamView) api.Stream {
	st := api.Stream{
		Name: sv.Name, Owner: api.Maybe(sv.Owner), State: string(sv.State), Reason: api.Maybe(sv.Reason),
		SpillOf: sv.Of, Error: sv.Detail, Disabled: sv.State == control.StreamDisabled, OnDemand: sv.OnDemand,
	}
	c := s.n.file().Stream(sv.Name)
	if c != nil {
		st.Title = c.Title
		if c.Ingest != nil {
			st.ClusterIngest = &api.ClusterIngest{CaptureAt: c.Ingest.CaptureAt}
		}
		for _, in := range c.Inputs {
			st.Inputs = append(st.Inputs, api.Input{URL: in.Shown(), State: string(sv.State)})
		}
	}
	if live, snap, ok := s.n.streams.Get(sv.Name); ok && sv.Owner == v.Self {
		st.Inputs = st.Inputs[:0]
		for _, in := range snap.Inputs {
			i := api.Input{URL: in.URL, Active: in.Active, Error: in.Err, State: string(control.StreamStarting)}
			switch {
			case in.Active:
				i.State = string(control.StreamRunning)
			case in.Err != "":
				i.State = string(control.StreamFailed)
			case in.Standby:
				i.State = string(control.StreamWaiting)
			}
			st.Inputs = append(st.Inputs, i)
		}
		st.Stats.Publisher = snap.Publisher
		st.Stats.Dropped = live.Hub.Dropped()
		for _, t := range live.Hub.Tracks() {
			st.Stats.MediaInfo = append(st.Stats.MediaInfo, api.Track{
				Codec: t.Codec.String(), Width: t.Width, Height: t.Height, SampleRate: t.SampleRate, Channels: t.Channels,
			})
		}
	}
	st.Stats.Alive = sv.State == control.StreamRunning || sv.State == control.StreamMoving
	return st
}

// Stream implements [api.Node].
func (s shown) Stream(ctx context.Context, name string) (api.Stream, error) {
	v := s.n.view.get()
	if v == nil {
		return api.Stream{}, api.ErrNotFound
	}
	sv := v.Stream(name)
	if sv == nil {
		return api.Stream{}, fmt.Errorf("%w: %s", api.ErrNotFound, name)
	}
	st := s.stream(v, sv)
	st.Clients = s.n.sessions.Viewers(name)
	if sv.Owner != "" && sv.Owner != v.Self && s.n.cluster != nil {
		q := &wire.Describe{Protocol: wire.Protocol, Stream: name}
		if a, err := identity.Ask(ctx, s.n.cluster, name, q); err == nil {
			if d, ok := a.(*wire.Description); ok {
				describe(&st, d)
			}
		}
	}
	return st, nil
}

// describe fills in what the owner said about its stream.
func describe(st *api.Stream, d *wire.Description) {
	st.Clients += int(d.Clients)
	st.Stats.Publisher = d.Publisher
	st.Stats.MediaInfo = nil
	for _, t := range d.Tracks {
		st.Stats.MediaInfo = append(st.Stats.MediaInfo, api.Track{
			Codec: t.Codec, Width: int(t.Width), Height: int(t.Height), SampleRate: int(t.SampleRate), Channels: int(t.Channels),
		})
	}
	st.Inputs = nil
	for _, in := range d.Inputs {
		i := api.Input{URL: in.Url, Active: in.Active, Error: in.Error, State: string(control.StreamStarting)}
		if in.Active {
			i.State = string(control.StreamRunning)
		}
		st.Inputs = append(st.Inputs, i)
	}
}

// Peers implements [api.Node].
func (s shown) Peers() []api.Peer {
	v := s.n.view.get()
	if v == nil {
		return nil
	}
	now := control.Instant(s.n.env.Now())
	entries := peersByEntry(s.n.file())
	self := api.Peer{
		Hostname: v.Self, Name: api.Maybe(v.Self), Self: true, Status: string(control.Alive), Since: seconds(now - v.Since),
		Stats: peerStats(v.Advert, v.Load, v.Instance, s.n.file().Hash(s.n.keys.own.ID())),
	}
	switch {
	case v.Draining:
		self.Status = string(control.Draining)
	case !v.Warm:
		self.Status = string(control.Booting)
	}
	self.Stats.StreamerStatus = streamerStatus(control.Status(self.Status))
	for _, st := range v.Streams {
		if st.Here {
			self.Stats.TotalStreams++
		}
	}
	if len(v.Entries) > 0 {
		c := entries[v.Entries[0]]
		self.Hostname = c.Name()
		settings(&self, c)
	}
	out := []api.Peer{self}
	for _, p := range v.Peers {
		if !p.Met && p.Name == v.Self {
			continue // an entry that means this node, by a name that leads nowhere from here
		}
		c := entries[p.Entry]
		a := api.Peer{
			Hostname: c.Name(), Status: string(p.Status), Since: seconds(now - p.Since),
			Error: fetchError(&p, c), Stats: peerStats(p.Advert, p.Load, p.Instance, p.Hash),
		}
		a.Stats.StreamerStatus = streamerStatus(p.Status)
		if p.Met {
			a.Name = api.Maybe(p.Name)
		}
		if a.Hostname == "" {
			a.Hostname = p.Name
		}
		a.Stats.RTT = float64(p.RTT) / float64(control.Millisecond)
		settings(&a, c)
		for _, st := range v.Streams {
			for _, on := range st.On {
				if on == p.Name {
					a.Stats.TotalStreams++
				}
			}
		}
		out = append(out, a)
	}
	return out
}

// fetchError says why the last fetch failed. Where a public URL is set the internal ones, which the detail holds, are
// not shown.
func fetchError(p *control.PeerView, c conf.Peer) string {
	if c.PublicGiven && p.Detail != "" {
		return string(p.Why)
	}
	return p.Detail
}

func seconds(d control.Instant) int64 { return int64(d / control.Second) }

// settings fills in what the file says of a peer. Where a public URL is set, the internal ones are not shown: pages
// and errors must not tell them.
func settings(p *api.Peer, c conf.Peer) {
	p.PublicPayloadURL = c.Public
	if !c.PublicGiven {
		p.APIURL = c.APIURL
	}
	p.FetchTimeout, p.StaleTimeout = c.FetchTimeout.Milliseconds(), c.StaleTimeout.Milliseconds()
	p.ChannelLimit, p.CPULimit, p.MaxBitrate = c.ChannelLimit, c.CPULimit, c.MaxBitrate
}

func peerStats(a control.Advert, l control.Load, instance, hash string) api.PeerStats {
	return api.PeerStats{
		ID: instance, ServerVersion: a.Build, ConfigVersion: hash, Uptime: l.Uptime,
		CPUUsage: float64(l.CPU) / 10, MemoryUsage: float64(l.Memory) / 10, BandwidthUsage: float64(l.Interface) / 10,
		OutputKbit: l.OutBits / 1000, OnlineStreams: l.Captures, TotalClients: l.Clients,
	}
}

// streamerStatus is what a node does, as far as its status tells; empty for one that does not answer.
func streamerStatus(s control.Status) string {
	switch s {
	case control.Alive, control.Drifted:
		return "running"
	case control.Booting, control.Draining:
		return string(s)
	}
	return ""
}

// Balancers implements [api.Node].
func (s shown) Balancers() []api.Balancer { return s.n.balancers.Report() }

// Actors implements [api.Node].
func (s shown) Actors() []api.Actor {
	now := s.n.env.Now()
	leaves := s.n.env.Tree().Leaves()
	out := make([]api.Actor, 0, len(leaves))
	for _, l := range leaves {
		out = append(out, api.Actor{
			ID: l.ID, Kind: l.Kind, Restarts: l.Restarts, Failure: l.Failure, Note: l.Note, RunningMS: (now - l.Started).Milliseconds(),
		})
	}
	return out
}

var errNotWarm = errors.New("this node is still asking its peers what they have")

// Live implements [api.Node]: the control plane answers.
func (s shown) Live(ctx context.Context) error { return s.n.controller().Ping(ctx) }

// Pulse implements [api.Node].
func (s shown) Pulse(minutes int) []api.Minute { return s.n.history.Minutes(minutes) }

// Ready implements [api.Node].
func (s shown) Ready() error {
	v := s.n.view.get()
	if v == nil || !v.Warm {
		return errNotWarm
	}
	if v.Draining {
		return errors.New("this node is draining")
	}
	return nil
}

// totals are the figures of /metrics that are read when somebody looks.
func (n *Node) totals() api.Totals {
	t := api.Totals{Clients: map[string]int{}, BytesOut: map[string]uint64{}, Restarts: n.env.Tree().Restarts(), Captures: n.captures()}
	for p, c := range n.sessions.Totals() {
		t.Clients[string(p)] = c.Open
		t.BytesOut[string(p)] = c.BytesOut
		t.Dropped += c.Dropped
	}
	if n.balancers != nil {
		t.Balancers = n.balancers.Report()
	}
	if v := n.view.get(); v != nil {
		for _, p := range v.Peers {
			t.Peers = append(t.Peers, api.PeerTotals{Name: p.Name, Alive: p.Alive, RTT: time.Duration(p.RTT)})
		}
	}
	return t
}
