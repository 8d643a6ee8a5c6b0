package balancer

import (
	"slices"
	"time"

	"weir/cluster/balance"
	"weir/cluster/control"
	"weir/protocols/api"
)

// A candidate is what is known of a server when a client comes.
type candidate struct {
	choice Choice
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
		t := b.candidate(v, s, sv, &r)
		if at, failed := b.failed[s.Key]; failed && !t.choice.Here && t.is.State == balance.Ready && time.Duration(t.is.Measured) < at {
			t.is.State = balance.Failing
		}
		if r.Secure && r.Redirected && !t.choice.Here && t.is.State == balance.Ready && !secure(s.Public) {
			t.is.State = balance.Unfit
		}
		out = append(out, t)
	}
	b.markLacking(out, v, sv, &r)
	return out
}

func (b *Balancers) candidate(v *control.View, s Server, sv *control.StreamView, r *Request) candidate {
	t := candidate{choice: Choice{Server: s.Key, Public: s.Public, Private: s.Private}}
	if !s.Peer {
		return b.other(t, v, sv, r)
	}
	if slices.Contains(v.Entries, s.Key) {
		return b.self(t, v, sv)
	}
	for i := range v.Peers {
		p := &v.Peers[i]
		if p.Entry != s.Key && !slices.Contains(p.Aliases, s.Key) {
			continue
		}
		if p.Met {
			t.name = p.Name
		}
		t.is = figures(p.Load, balance.Instant(p.LoadAt))
		t.is.State, t.is.Full, t.is.Has = stateOf(p), p.Full, runs(sv, p.Name)
		break
	}
	return t
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
	case p.Status == control.Draining:
		return balance.Draining
	case p.Status == control.Booting:
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

// self makes t this node.
func (b *Balancers) self(t candidate, v *control.View, sv *control.StreamView) candidate {
	t.choice.Here, t.choice.Public, t.choice.Private, t.name = true, "", "", v.Self
	load, at := b.cfg.Load()
	t.is = figures(load, balance.Instant(at))
	t.is.Has, t.is.Full = runs(sv, v.Self), v.Full
	switch {
	case v.Draining:
		t.is.State = balance.Draining
	case !v.Warm:
		t.is.State = balance.Booting
	default:
		t.is.State = balance.Ready
	}
	return t
}

// other makes t a server that is no peer, which may turn out to be this node.
func (b *Balancers) other(t candidate, v *control.View, sv *control.StreamView, r *Request) candidate {
	s := b.servers[t.choice.Server]
	if s.Ever && s.Instance == v.Instance {
		return b.self(t, v, sv)
	}
	t.name, t.is = s.Name, figures(s.Load, balance.Instant(s.LoadAt))
	t.is.Has, t.is.Full = s.Runs(r.stream()), s.Busy
	switch {
	case s.Why == control.Unauthorised:
		t.is.State = balance.Unauthorised
	case !s.Alive(b.cfg.Now()):
		t.is.State = balance.Down
	case s.Draining:
		t.is.State = balance.Draining
	case !s.Warm:
		t.is.State = balance.Booting
	default:
		t.is.State = balance.Ready
	}
	return t
}

// markLacking marks the servers that cannot have the stream although others can: a publisher needs one whose file has it,
// and a server that is no peer gets no stream from the group. A stream that no server is known to have may come from a
// template, so that none is marked. It is called with b.mu held.
func (b *Balancers) markLacking(list []candidate, v *control.View, sv *control.StreamView, r *Request) {
	if r.stream() == "" {
		return
	}
	lacks, some := make([]bool, len(list)), false
	for i := range list {
		t := &list[i]
		s, other := b.servers[t.choice.Server]
		have := t.is.Has
		switch {
		case other && !t.choice.Here:
			have = have || !s.Lacks(r.stream())
		case r.Publish:
			have = sv != nil && slices.Contains(sv.On, t.name)
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
		c, t := is.Servers[i], list[i]
		out.Chosen += r.Chosen
		s := api.BalancedServer{
			Server: r.Name, Name: api.Maybe(t.name), Self: t.choice.Here, Peer: c.Peer,
			Clients: r.Clients, Bitrate: r.Bits, Streams: r.Streams, InFlight: r.InFlight, Share: float64(r.Share) / 10,
			MaxBitrate: c.MaxBitrate, Usage: float64(r.Usage) / 10, Countries: c.Countries, CountriesDefault: c.Default,
			Chosen: r.Chosen, Excluded: api.Maybe(r.Excluded),
		}
		if !c.Peer {
			s.Error = b.servers[c.Key].Detail
		}
		out.Servers = append(out.Servers, s)
	}
	return out
}
