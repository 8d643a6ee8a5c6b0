package directory

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"weir/cluster/control"
)

// Facts are what the configuration file says beside the control plane's view.
type Facts struct {
	Default Policy
	Policy  func(stream string) (Policy, bool) // false for a stream that is not in the file

	// URLs are those of a peer; nil where there is none.
	URLs func(entry string) (public, private *url.URL, given bool)
}

// ViewOf is what look-ups need of the control plane's view.
func ViewOf(from *control.View, f Facts) *View {
	v := &View{
		Self: from.Self, Warm: from.Warm, Default: f.Default,
		Nodes: make(map[string]Node, len(from.Peers)), Streams: make(map[string]Stream, len(from.Streams)),
	}
	for _, p := range from.Peers {
		n := Node{
			Name: p.Name, Alive: p.Alive, Draining: p.Status == control.Draining, Ports: p.Advert.Ports, Clients: p.Load.Clients,
		}
		n.Public, n.Private, n.PublicGiven = f.URLs(p.Entry)
		v.Nodes[p.Name] = n
	}
	for i := range from.Streams {
		s := &from.Streams[i]
		out := v.stream(s)
		if p, ok := f.Policy(s.Name); ok {
			out.Policy = p
		}
		v.Streams[s.Name] = out
	}
	return v
}

func (v *View) stream(s *control.StreamView) Stream {
	out := Stream{
		Here:       s.Mine == control.Starting || s.Mine == control.Running,
		Running:    s.Mine == control.Running,
		Configured: s.Here, Disabled: s.State == control.StreamDisabled,
		Waiting:  s.Kind == control.Published && s.Owner == "",
		OnDemand: s.OnDemand, Own: s.OnDemand && s.Here && !s.Clustered,
		Policy: v.Default,
	}
	if s.State == control.StreamFailed && s.Lasting {
		out.Failed = cause(s.Detail)
	}
	solo := slices.ContainsFunc(s.Claimants, func(c control.ClaimView) bool { return c.Node == s.Owner && c.Solo })
	if !solo && s.Owner != v.Self && v.Nodes[s.Owner].Alive {
		out.Owner = s.Owner
		out.OwnerRunning = s.OwnerState == control.ClaimRunning || s.OwnerState == control.ClaimDraining
	}
	serves := func(name string) bool { return name != v.Self && v.Nodes[name].Alive && !v.Nodes[name].Draining }
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

// With is the view with the numbers of clients of a newer view of the control plane, which differs in nothing else that is
// looked up.
func (v *View) With(newer *control.View) *View {
	if !slices.ContainsFunc(newer.Peers, func(p control.PeerView) bool { return v.Nodes[p.Name].Clients != p.Load.Clients }) {
		return v
	}
	c := *v
	c.Nodes = maps.Clone(v.Nodes)
	for _, p := range newer.Peers {
		n := c.Nodes[p.Name]
		n.Clients = p.Load.Clients
		c.Nodes[p.Name] = n
	}
	return &c
}

// cause is what went wrong with an input: the innermost part of an error, which names no place as the parts around it do.
func cause(detail string) string {
	if at := strings.LastIndex(detail, ": "); at >= 0 {
		detail = detail[at+2:]
	}
	if detail = strings.TrimSpace(detail); detail == "" || strings.Contains(detail, "://") {
		return "the source is not to be had"
	}
	return detail
}
