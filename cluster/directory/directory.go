// Package directory answers where a stream is: here, at a peer and under which URL, about to start, or nowhere; and
// what therefore becomes of a client that asks for it.
//
// It decides from an immutable [View], which is made of the control plane's. It knows no connection and no actor, and asks
// no other node.
package directory

import (
	"context"
	"net/url"
	"sync/atomic"

	"weir/protocols"
)

// A View is what this node knows of the cluster at one instant. It is immutable.
type View struct {
	Self string

	// Warm says that since the start every peer has answered or has been given up. Until then a stream that no node claims
	// may well run somewhere.
	Warm bool

	Nodes   map[string]Node // peers by announced name; by a provisional one until they have answered
	Streams map[string]Stream
	Default Policy // for streams that are configured only elsewhere
}

// A Node is a peer as clients and relays reach it.
type Node struct {
	Name     string
	Alive    bool
	Draining bool

	// Public is the URL under which clients reach the node, without path; Private the one for media between nodes.
	Public, Private *url.URL

	// PublicGiven says that the configuration gives the public URL. Otherwise another one stands in for it.
	PublicGiven bool

	Ports protocols.Ports // as it advertises them

	Clients int
}

// A Stream is where one stream is and how its clients are answered.
type Stream struct {
	// Here says that this node captures it, Running that viewers can have media of it here.
	Here, Running bool

	// Owner is the live peer that captures it, or empty; OwnerRunning says that it has media. Owners lists, for a
	// stream that every node captures for itself, all live peers that run it.
	Owner        string
	OwnerRunning bool
	Owners       []string

	// Elsewhere lists live peers that configure the stream although none says that it runs there.
	Elsewhere []string

	// Configured says that this node's own file has the stream.
	Configured bool

	// Disabled streams are in the file and refused.
	Disabled bool

	// Waiting says that the stream exists but nobody publishes it now.
	Waiting bool

	// Failed is why no node has media of it although nodes have tried more than once; empty if that is not so. It names no place.
	Failed string

	// OnDemand says that it is captured while clients want it, and Own that this node captures it for its own clients, even
	// if other nodes do so too.
	OnDemand, Own bool

	Policy Policy
}

// HLSMode is how a node answers for HLS and DASH of a stream that is elsewhere.
type HLSMode string

// The modes of the directive hls. The zero value means Playlist.
const (
	// Playlist: this node answers the playlists, segments come from the owner's public URL.
	Playlist HLSMode = "playlist"
	// RelayAll: segments too come through this node.
	RelayAll HLSMode = "relay"
	// RedirectAll: the multivariant playlist is redirected whole.
	RedirectAll HLSMode = "redirect"
)

// A Policy is what the configuration says about clients of a stream that is elsewhere.
type Policy struct {
	HLS HLSMode

	// Redirect and Relay force one or the other for a protocol. Relay wins where both name it.
	Redirect, Relay map[protocols.Protocol]bool
}

// A Directory holds the newest view. Any goroutine may use it.
type Directory struct {
	now atomic.Pointer[published]
}

type published struct {
	view    *View
	changed chan struct{}
}

// New returns a directory that knows nothing but this node's name.
func New(self string) *Directory {
	d := &Directory{}
	d.now.Store(&published{&View{Self: self}, make(chan struct{})})
	return d
}

// Publish replaces the view. The caller changes it no more.
func (d *Directory) Publish(v *View) {
	old := d.now.Swap(&published{v, make(chan struct{})})
	close(old.changed)
}

// View returns the newest view, and a channel that is closed when there is a newer one.
func (d *Directory) View() (v *View, changed <-chan struct{}) {
	p := d.now.Load()
	return p.view, p.changed
}

// Owned is the node, this one included, that has a stream for sure and keeps it; ok is false if no node does, if two do, or
// if this node cannot say yet. It is for answers to servers that are no nodes of the group: a wrong one would send clients in
// circles.
func (v *View) Owned(stream string) (node string, ok bool) {
	s, listed := v.Streams[stream]
	if !listed || s.Disabled || !v.Warm {
		return "", false
	}
	if s.Here {
		return v.Self, s.Running && s.Owner == ""
	}
	if node = s.Owner; node == "" && len(s.Owners) > 0 {
		node = v.owner(s)
	} else if !s.OwnerRunning {
		return "", false
	}
	n := v.Nodes[node]
	return node, n.Alive && !n.Draining
}

// Upstream is where a relay of a stream takes its media from: the peer that captures it and that peer's private URL; both
// are empty when no node captures it now, or this node does.
func (v *View) Upstream(stream string) (peer, private string) {
	s, ok := v.Streams[stream]
	if !ok || s.Here && (s.Running || !s.OwnerRunning) {
		return "", ""
	}
	peer = v.owner(s)
	if n, ok := v.Nodes[peer]; ok && n.Private != nil {
		return peer, n.Private.String()
	}
	return "", ""
}

// Keeps says whether a relay of a stream from that peer at that URL goes on: the peer captures the stream, or nobody is known to
// capture it. A peer that has handed the stream over goes on serving its viewers from the new owner, of whom this node hears
// up to a fetch later. A stream without a publisher has no new owner to be waited for.
func (v *View) Keeps(stream, peer, private string) bool {
	p, u := v.Upstream(stream)
	if p != "" || peer == "" {
		return p == peer && u == private
	}
	s, listed := v.Streams[stream]
	n := v.Nodes[peer]
	return listed && !s.Here && !s.Disabled && !s.Waiting && n.Alive && n.Private != nil && n.Private.String() == private
}

// While returns a context that ends, besides with ctx, once a relay of the stream from that peer at that URL does not go on
// any more. The caller must cancel it.
func (d *Directory) While(ctx context.Context, stream, peer, private string) (context.Context, context.CancelFunc) {
	return While(ctx, func() (bool, <-chan struct{}) {
		view, changed := d.View()
		return view.Keeps(stream, peer, private), changed
	})
}

// While returns a context that ends, besides with ctx, once holds is false; holds gives a channel too that is closed when
// that may have changed. The caller must cancel the context.
func While(ctx context.Context, holds func() (bool, <-chan struct{})) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			ok, changed := holds()
			if !ok {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}()
	return ctx, cancel
}
