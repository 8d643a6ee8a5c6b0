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
	// Relay: relay the stream from its owner and serve it here.
	Relay
	// Redirect: send the client to Decision.Location.
	Redirect
	// Fetch: answer playlists here, from those of the node at Decision.Upstream.
	Fetch
	// Hold: wait for a newer view; the stream is configured and about to have an owner.
	Hold
	// NotFound: the file of no live node has the stream.
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
	Peer     string // the node that has it, for Relay, Redirect and Fetch
	Location string // Redirect: the complete URL

	// Upstream is the private URL of the node that has the stream and Public the one under which viewers fetch its
	// segments; empty if those must come through this node.
	Upstream, Public string

	// OnDemand says that the stream is captured only while the control plane is told that clients want it.
	OnDemand bool

	// Why says what the client waits for. Vain says that waiting is of no use: the stream has no publisher or, if
	// Failing is set, its inputs fail again and again.
	Why           string
	Vain, Failing bool
}

// Decide decides about a request to play.
func (v *View) Decide(r listen.Request) Decision {
	name, s, listed := v.find(r.Streams)
	d := Decision{Stream: name, OnDemand: s.OnDemand && !s.Disabled}
	switch {
	case !listed && !v.Warm:
		d.Kind, d.Why = Hold, "this node has just started and is still asking its peers"
	case !listed:
		d.Kind = NotFound
	case s.Disabled:
		d.Kind = Disabled
	case s.Here && (s.Running || s.Owner == "" || !s.OwnerRunning):
		d.Kind = Here
	case s.Own && s.Failed != "":
		d.fails(s)
	case s.Own:
		d.Kind, d.Why = Hold, "it is about to start"
	case r.Protocol == protocols.Relay && !r.Edge: // a peer takes its media from the owner, never from a third node
		d.Kind, d.Why = NotFound, "not captured here"
	default:
		v.elsewhere(&d, r, s)
	}
	return d
}

// find takes the first of the names that the view lists.
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

// elsewhere decides about a client of a stream that this node does not capture.
func (v *View) elsewhere(d *Decision, r listen.Request, s Stream) {
	d.Peer = v.owner(s)
	n := v.Nodes[d.Peer]
	switch {
	case d.Peer == "":
		d.Kind, d.Why = Hold, "no node runs it yet"
		switch {
		case s.Waiting:
			d.Why, d.Vain = "nobody publishes it now", v.Warm
		case s.Failed != "":
			d.fails(s)
		}
	case !r.Here && r.Hops >= listen.HopLimit:
		d.Kind = Loop
	case r.Protocol == protocols.Relay, r.Here && r.Protocol != protocols.HLS:
		d.Kind = Relay
	case n.Private == nil || !r.Here && n.Public == nil:
		d.Kind, d.Why = Hold, "its owner has no address yet"
	case r.Protocol == protocols.HLS:
		d.playlists(r, s.Policy, n)
	default:
		d.Kind = Relay
		if s.Policy.Redirects(r) && !stays(r, n) {
			d.redirect(r, n)
		}
	}
}

// fails says that nothing is to be waited for, because the inputs fail on every node that has tried.
func (d *Decision) fails(s Stream) {
	d.Kind, d.Why, d.Vain, d.Failing = Hold, "the stream has no media now: its input fails: "+s.Failed, true, true
}

// owner is the peer to which the clients of a stream are sent: the one that captures it, else the least busy one of those
// that run it by themselves, else the least busy one of those whose file has it.
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

// playlists decides about a viewer by playlist, for whom this node answers the playlists of n.
func (d *Decision) playlists(r listen.Request, p Policy, n Node) {
	d.Kind, d.Upstream = Fetch, n.Private.String()
	switch {
	case r.Here, p.Relay[protocols.HLS], p.HLS == RelayAll, stays(r, n):
	case p.Redirect[protocols.HLS], p.HLS == RedirectAll:
		d.redirect(r, n)
	default:
		d.Public = n.Public.String()
	}
}

// redirect sends the client to node n, if n speaks its protocol.
func (d *Decision) redirect(r listen.Request, n Node) {
	if to := location(r, n); to != "" {
		d.Kind, d.Location = Redirect, to
	}
}

// Redirects says whether the client of a request is redirected to the node that has its stream. Otherwise the stream is
// relayed to it.
func (p Policy) Redirects(r listen.Request) bool {
	return !p.Relay[r.Protocol] && (protocols.Of(r.Protocol).Follows || r.Redirects || p.Redirect[r.Protocol])
}

// stays says whether a client cannot be sent to node n.
func stays(r listen.Request, n Node) bool {
	secure := n.Public.Scheme == "https"
	if by := listenerOf(r); by.Spoken() != protocols.HTTP {
		secure = by.Plain != "" && *n.Ports.At(by.Protocol) != 0
	}
	return !r.MayLeave(secure, n.PublicGiven)
}

// listenerOf is the row of the listener that speaks the client's protocol as the client does, with TLS or without.
func listenerOf(r listen.Request) protocols.Descriptor {
	by := protocols.Of(protocols.Of(r.Protocol).Listener)
	if r.Secure {
		return protocols.OverTLS(by.Protocol)
	}
	return by
}

// location is the URL of the request at node n; empty if n does not speak the protocol.
func location(r listen.Request, n Node) string {
	u := url.URL{Scheme: n.Public.Scheme, Host: n.Public.Host}
	if by := listenerOf(r); by.Spoken() != protocols.HTTP {
		port := *n.Ports.At(by.Protocol)
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
