package balancer

import (
	"slices"
	"time"

	"weir/cluster/balance"
	"weir/cluster/control"
	"weir/protocols/api"
	"weir/protocols/hls"
)

// A candidate is a server with its figures when a client comes.
type candidate struct {
	target hls.Target
	name   string // as the server announces itself; empty until it has answered
	is     balance.Server
}

func servers(list []candidate) []balance.Server {
	out := make([]balance.Server, len(list))
	for i := range list {
		out[i] = list[i].is
	}
	return out
}

// candidates are the servers of a balancer, in its order. It is called with b.mu held.
func (b *Balancers) candidates(is *balancer, r Request) []candidate {
	v := b.cfg.View()
	if v == nil {
		v = &control.View{}
	}
	var sv *control.StreamView
	if name := r.stream(); name != "" {
		sv = v.Stream(name)
	}
	out := make([]candidate, 0, len(is.Servers))
	for _, s := range is.Servers {
		c := b.candidate(v, s, sv, &r)
		if at, failed := b.failed[s.Key]; failed && !c.target.Here && c.is.State == balance.Ready && time.Duration(c.is.Measured) < at {
			c.is.State = balance.Failing
		}
		if r.Redirected && !c.target.Here && c.is.State == balance.Ready && !c.target.Takes(&r.Request) {
			c.is.State = balance.Unfit
		}
		out = append(out, c)
	}
	b.markLacking(out, v, sv, &r)
	return out
}

func (b *Balancers) candidate(v *control.View, s Server, sv *control.StreamView, r *Request) candidate {
	c := candidate{target: hls.Target{Server: s.Key, Public: s.Public, PublicGiven: s.PublicGiven, Upstream: s.Private}}
	if !s.Peer {
		return b.other(c, v, sv, r)
	}
	if slices.Contains(v.Entries, s.Key) {
		return b.self(c, v, sv)
	}
	for i := range v.Peers {
		p := &v.Peers[i]
		if p.Entry != s.Key && !slices.Contains(p.Aliases, s.Key) {
			continue
		}
		if p.Met {
			c.name = p.Name
		}
		c.is = figures(p.Load, balance.Instant(p.LoadAt))
		c.is.State, c.is.Full, c.is.Has = stateOf(p), p.Full, runs(sv, p.Name)
		break
	}
	return c
}

func figures(l control.Load, at balance.Instant) balance.Server {
	return balance.Server{Clients: l.Clients, Bits: l.OutBits, Streams: l.Captures, Measured: at}
}

func stateOf(p *control.PeerView) balance.State {
	switch {
	case p.Status == control.Refused:
		return balance.Unauthorised
	case !p.Alive:
		return balance.Down
	}
	return answering(p.Status == control.Draining, p.Status != control.Booting)
}

// answering is the state of a server that answers.
func answering(draining, warm bool) balance.State {
	switch {
	case draining:
		return balance.Draining
	case !warm:
		return balance.Booting
	}
	return balance.Ready
}

// runs says whether a node captures a stream and has media of it.
func runs(sv *control.StreamView, node string) bool {
	return sv != nil && slices.ContainsFunc(sv.Claimants, func(c control.ClaimView) bool {
		return c.Node == node && c.State == control.ClaimRunning
	})
}

// self makes c this node.
func (b *Balancers) self(c candidate, v *control.View, sv *control.StreamView) candidate {
	c.target.Here, c.target.Public, c.target.Upstream, c.name = true, "", "", v.Self
	load, at := b.cfg.Load()
	c.is = figures(load, balance.Instant(at))
	c.is.Has, c.is.Full = runs(sv, v.Self), v.Full
	c.is.State = answering(v.Draining, v.Warm)
	return c
}

// other makes c a server that is no peer, which may turn out to be this node.
func (b *Balancers) other(c candidate, v *control.View, sv *control.StreamView, r *Request) candidate {
	s := b.servers[c.target.Server]
	if s.Met && s.Instance == v.Instance {
		return b.self(c, v, sv)
	}
	c.name, c.is = s.Name, figures(s.Load, balance.Instant(s.LoadAt))
	c.is.Has, c.is.Full = s.Runs(r.stream()), s.Busy
	switch {
	case s.Why == control.Unauthorised:
		c.is.State = balance.Unauthorised
	case !s.Alive(b.cfg.Now()):
		c.is.State = balance.Down
	default:
		c.is.State = answering(s.Draining, s.Warm)
	}
	return c
}

// markLacking marks the servers that cannot have the stream although others can: a publisher needs one whose file has it,
// and a server that is no peer gets no stream from the group. A stream that no server says it has may come from a
// template, so that none is marked. It is called with b.mu held.
func (b *Balancers) markLacking(list []candidate, v *control.View, sv *control.StreamView, r *Request) {
	if r.stream() == "" {
		return
	}
	lacks, some := make([]bool, len(list)), false
	for i := range list {
		c := &list[i]
		s, other := b.servers[c.target.Server]
		have := c.is.Has
		switch {
		case other && !c.target.Here:
			have = have || !s.Lacks(r.stream())
		case r.Publish:
			have = sv != nil && slices.Contains(sv.On, c.name)
		default:
			have = sv != nil
		}
		lacks[i] = !have
		some = some || have
	}
	for i := range list {
		if s := &list[i].is; some && lacks[i] && (s.State == balance.Ready || s.State == balance.Booting) {
			s.State = balance.Lacking
		}
	}
}

// Report describes all balancers, in the order of the file.
func (b *Balancers) Report() []api.Balancer {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]api.Balancer, 0, len(b.list))
	for _, is := range b.list {
		out = append(out, b.describe(is))
	}
	return out
}

func (b *Balancers) describe(is *balancer) api.Balancer {
	list := b.candidates(is, Request{})
	rows, refused := is.core.Report(balance.Instant(b.cfg.Now()), servers(list))
	out := api.Balancer{Name: is.Name, Mode: string(is.Mode), Refused: refused, Servers: []api.BalancedServer{}}
	for i, r := range rows {
		server, c := is.Servers[i], list[i]
		out.Chosen += r.Chosen
		s := api.BalancedServer{
			Server: r.Name, Name: api.Maybe(c.name), Self: c.target.Here, Peer: server.Peer,
			Clients: r.Clients, Bitrate: r.Bits, Streams: r.Streams, InFlight: r.InFlight, Share: float64(r.Share) / 10,
			MaxBitrate: server.MaxBitrate, Usage: float64(r.Usage) / 10, Countries: server.Countries, CountriesDefault: server.Default,
			Chosen: r.Chosen, Excluded: api.Maybe(r.Excluded),
		}
		if !server.Peer {
			s.Error = b.servers[server.Key].Detail
		}
		out.Servers = append(out.Servers, s)
	}
	return out
}
