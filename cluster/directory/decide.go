package directory

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"weir/protocols"
	"weir/protocols/listen"
)

// What is to be done about a client.
const (
	// Here: the stream is captured on this node; serve it once it has media.
	Here Kind = iota + 1
	// Follow: relay the stream from its owner and serve it here.
	Follow
	// Redirect: send the client to Decision.Location.
	Redirect
	// Proxy: answer playlists here, from those of the node at Decision.Upstream.
	Proxy
	// Hold: wait for a newer view; the stream is configured and about to have an owner.
	Hold
	// NotFound: no live node's file has the stream.
	NotFound
	// Loop: the client has been sent from node to node too often.
	Loop
	// Disabled: the stream is configured and switched off.
	Disabled
)

// Kind is the kind of a [Decision].
type Kind uint8

// A Decision is what becomes of a client, for now: a newer view may bring another.
type Decision struct {
	Kind     Kind
	Stream   string // the one of the request's names that is meant
	Peer     string // the node that has it, for Follow, Redirect and Proxy
	Location string // Redirect: the complete URL

	// Upstream is the private URL of the node that has the stream and Public the one under which viewers fetch its
	// segments; empty if those must come through this node.
	Upstream, Public string

	// OnDemand says that the client's wish has to be told, for the stream to be captured.
	OnDemand bool

	// Why says what is being waited for. Vain says that waiting will not bring it: somebody has to publish.
	Why  string
	Vain bool
}

// Decide decides about a request to play.
func (v *View) Decide(r listen.Request) Decision {
	name, s, known := v.find(r.Streams)
	d := Decision{Stream: name, OnDemand: s.OnDemand && !s.Disabled}
	switch {
	case !known && !v.Warm:
		d.Kind, d.Why = Hold, "this node has just started and is still asking its peers"
		return d
	case !known:
		d.Kind = NotFound
		return d
	case s.Disabled:
		d.Kind = Disabled
		return d
	case s.Here && (s.Running || s.Owner == "" || !s.OwnerRunning):
		d.Kind = Here
		return d
	}
	if s.Own {
		d.Kind, d.Why = Hold, "it is about to start"
		return d
	}
	if r.Protocol == protocols.Relay && !r.Edge { // a peer takes its media from the owner, never from a third
		d.Kind, d.Why = NotFound, "not captured here"
		return d
	}
	peer := v.owner(s)
	if peer == "" {
		d.Kind, d.Why = Hold, "no node runs it yet"
		if s.Waiting {
			d.Why, d.Vain = "nobody publishes it now", v.Warm
		}
		return d
	}
	d.Peer = peer
	if r.Here {
		v.relay(&d, r, v.Nodes[peer])
		return d
	}
	if r.Hops >= listen.HopLimit {
		d.Kind = Loop
		return d
	}
	v.lead(&d, r, s, v.Nodes[peer])
	return d
}

// find takes the first of the names that is known.
func (v *View) find(names []string) (string, Stream, bool) {
	for _, n := range names {
		if s, ok := v.Streams[n]; ok {
			return n, s, true
		}
	}
	if len(names) == 0 {
		return "", Stream{}, false
	}
	return names[0], Stream{}, false
}

// owner is the peer that a client is led to: the one that captures the stream, else one of those that run it by
// themselves, the least busy one, else one whose file has it.
func (v *View) owner(s Stream) string {
	if s.Owner != "" && (s.OwnerRunning || len(s.Owners) == 0) {
		return s.Owner
	}
	for _, from := range [][]string{s.Owners, s.Elsewhere} {
		best := ""
		for _, n := range from {
			if best == "" || v.Nodes[n].Clients < v.Nodes[best].Clients {
				best = n
			}
		}
		if best != "" {
			return best
		}
	}
	return ""
}

// relay serves the client here, with the media of peer n. Playlists and segments are its own, so that all nodes number
// alike.
func (v *View) relay(d *Decision, r listen.Request, n Node) {
	d.Kind = Follow
	switch {
	case r.Protocol != protocols.HLS:
	case n.Private == nil:
		d.Kind, d.Why = Hold, "its owner has no address yet"
	default:
		d.Kind, d.Upstream = Proxy, n.Private.String()
	}
}

// lead fills in how the client gets to the stream at peer n.
func (v *View) lead(d *Decision, r listen.Request, s Stream, n Node) {
	if r.Protocol == protocols.Relay {
		d.Kind = Follow
		return
	}
	if n.Public == nil || n.Private == nil {
		d.Kind, d.Why = Hold, "its owner has no address yet"
		return
	}
	by := protocols.Of(r.Protocol)
	downgrade := r.Secure && (by.Listener != protocols.HTTP || n.Public.Scheme != "https")
	if r.Protocol == protocols.HLS {
		d.Kind = Proxy
		d.Upstream = n.Private.String()
		switch {
		case s.Policy.Relay[protocols.HLS], s.Policy.HLS == RelayAll, downgrade:
		case s.Policy.Redirect[protocols.HLS], s.Policy.HLS == RedirectAll:
			d.Kind, d.Location = Redirect, location(r, n)
		default:
			d.Public = n.Public.String()
		}
		return
	}
	d.Kind = Follow
	if s.Policy.Relay[r.Protocol] || downgrade {
		return
	}
	if by.Follows || r.Redirects || s.Policy.Redirect[r.Protocol] {
		if to := location(r, n); to != "" {
			d.Kind, d.Location = Redirect, to
		}
	}
}

// location is the URL of the request at node n; empty if n does not speak the protocol.
func location(r listen.Request, n Node) string {
	u := url.URL{Scheme: n.Public.Scheme, Host: n.Public.Host}
	if by := protocols.Of(r.Protocol); by.Listener != protocols.HTTP {
		port := *n.Ports.At(by.Listener)
		if port == 0 {
			return ""
		}
		u.Scheme, u.Host = by.Scheme(), n.Public.Hostname()
		if port != by.Port {
			u.Host = net.JoinHostPort(u.Host, strconv.Itoa(port))
		} else if strings.Contains(u.Host, ":") {
			u.Host = "[" + u.Host + "]"
		}
	}
	to := u.String() + r.Path
	return to + "?" + listen.WithHops(r.Query, r.Hops+1)
}
