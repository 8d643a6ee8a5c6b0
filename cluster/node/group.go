package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"google.golang.org/protobuf/proto"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/directory"
	"weir/cluster/follower"
	"weir/cluster/identity"
	"weir/cluster/trust"
	"weir/cluster/wire"
)

var errNoKey = errors.New("this node has no cluster key")

// A group is the group of nodes as this node sees it, and how the others are reached and known.
type group struct {
	hostname  string // of this node, until the control plane has announced another name
	keys      *trust.Keyring
	cluster   *cluster.Cluster   // nil without a cluster key
	provider  *identity.Provider // nil without a cluster key
	stop      func()             // ends what startRemote has started; nil for nothing
	directory *directory.Directory
	refused   func() // counts a node with a wrong key
	log       *slog.Logger

	view atomic.Pointer[control.View] // the control plane's newest; nil before its first step

	// What was last made of a view. It belongs to the control actor.
	file   *conf.File
	places *directory.View
}

func newGroup(cfg Config, refused func()) *group {
	g := &group{hostname: cfg.Hostname, directory: directory.New(cfg.Hostname), refused: refused, log: cfg.Log}
	if g.keys = trust.NewKeyring("", nil); cfg.Network == nil {
		g.keys = keyring(cfg.File)
	}
	return g
}

// name is the announced name of this node.
func (g *group) name() string {
	if v := g.view.Load(); v != nil {
		return v.Self
	}
	return g.hostname
}

// peer is what the control plane knows of the peer of a name; nil if there is none.
func (g *group) peer(name string) *control.PeerView {
	if v := g.view.Load(); v != nil {
		return v.Peer(name)
	}
	return nil
}

// publish gives the control plane's view to those who decide by it, together with the file in effect. It runs in the control
// actor, and says whether more is new than what the nodes carry, as seldom it is.
func (g *group) publish(v *control.View, f *conf.File, self identity.Member) (more bool) {
	was := g.view.Swap(v)
	if more = f != g.file || was == nil || !sameStreams(v, was) || !sameGroup(v, was); more {
		g.places = directory.ViewOf(v, facts(f))
	} else {
		g.places = g.places.With(v)
	}
	g.file = f
	g.directory.Publish(g.places)
	if more && g.provider != nil {
		g.provider.Publish(identity.ViewOf(v, self))
	}
	return more
}

// sameStreams says whether two views share their streams, which the control plane makes anew when any changes.
func sameStreams(a, b *control.View) bool {
	return len(a.Streams) == len(b.Streams) && (len(a.Streams) == 0 || &a.Streams[0] == &b.Streams[0])
}

// sameGroup says whether the nodes of two views, and the ways to reach them, are the same.
func sameGroup(a, b *control.View) bool {
	return a.Self == b.Self && a.Warm == b.Warm && slices.EqualFunc(a.Peers, b.Peers, func(a, b control.PeerView) bool {
		return a.Name == b.Name && a.Entry == b.Entry && a.Alive == b.Alive && a.Status == b.Status &&
			a.Generation == b.Generation && a.Advert == b.Advert
	})
}

// resolving bounds what a name of the file may take to be looked up at the start.
const resolving = 2 * time.Second

// startRemote listens for the actors of other nodes. A node without a cluster key has no peers.
func (g *group) startRemote(sys *actor.ActorSystem, f *conf.File) (err error) {
	if g.keys.Own().Zero() {
		return nil
	}
	advertise := ""
	if ip := net.ParseIP(f.Remote.Host); f.Remote.Host == "" || ip != nil && ip.IsUnspecified() {
		advertise = g.reachable(f)
	}
	g.cluster, g.provider, g.stop, err = identity.Start(sys, identity.Options{
		Listen: f.Remote.Addr(), Advertise: advertise, Keys: g.keys.Own(), KeysOf: g.keysOf, Others: g.keys.Accepted,
		Refused: func(remote string, err error) {
			g.log.Warn("message of another node refused", slog.String("client", remote), slog.Any("err", err))
		},
		Unproven: func(remote string, err error) {
			g.log.Debug("not a node of this cluster", slog.String("client", remote), slog.Any("err", err))
		},
	})
	if err != nil {
		return fmt.Errorf("listening for other nodes' actors: %w", err)
	}
	return nil
}

func (g *group) close() {
	if g.stop != nil {
		g.stop()
	}
}

// reachable is the address under which other nodes most likely reach this machine.
func (g *group) reachable(f *conf.File) string {
	ctx, cancel := context.WithTimeout(context.Background(), resolving)
	defer cancel()
	var peers []string
	for _, p := range f.Peers {
		peers = append(peers, entry(p))
	}
	ip, sure := identity.Reachable(ctx, peers)
	if !sure {
		g.log.Warn("other nodes may not reach this one's actors: no peer could be looked up, so it advertises " + identity.Loopback +
			"; set `remote HOST:PORT;`")
	}
	return ip
}

// transport proves the key of the link to the peer of that name.
func (g *group) transport(name string) http.RoundTripper {
	if p := g.peer(name); p != nil {
		return g.keys.Transport(p.Entry)
	}
	return g.keys.Transport("")
}

// keysOf are those of the peer whose actors are at an address.
func (g *group) keysOf(remote string) trust.Keys {
	if v := g.view.Load(); v != nil {
		for i := range v.Peers {
			if v.Peers[i].Advert.Remote == remote {
				return g.keys.Of(v.Peers[i].Entry)
			}
		}
	}
	return trust.Keys{}
}

// guard admits nodes only, which prove a cluster key; streaming is for answers without end.
func (g *group) guard(next http.Handler, streaming bool) http.Handler {
	if g.cluster == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, errNoKey.Error(), http.StatusForbidden)
		})
	}
	o := trust.Options{Others: g.keys.Accepted, WrongKey: func(netip.Addr) { g.refused() }, Log: g.log}
	if streaming {
		o.Streaming = func(*http.Request) bool { return true }
	}
	return g.keys.Own().Handler(next, o)
}

// entitled refuses questions that are proved with another key than that of the link to the node that asks: a peer's own
// key replaces the common one in both directions.
func (g *group) entitled(ask follower.Ask) follower.Ask {
	return func(ctx context.Context, from string, seen control.Seen, want []string) (*control.State, error) {
		proven, ok := trust.Proven(ctx)
		if p := g.peer(from); ok && p != nil && p.Entry != "" && proven != g.keys.Of(p.Entry) {
			g.refused()
			return nil, fmt.Errorf("%w: it is not that of %s", trust.ErrWrongKey, from)
		}
		return ask(ctx, from, seen, want)
	}
}

// ask puts a question to the owner of a stream.
func (g *group) ask(ctx context.Context, stream string, q proto.Message) (proto.Message, error) {
	if g.cluster == nil { // a node without peers
		return nil, identity.ErrNoOwner
	}
	return identity.Ask(ctx, g.cluster, stream, q)
}

// askAt puts a question to the actor of a stream at a node.
func (g *group) askAt(ctx context.Context, node, stream string, q *wire.Window) (proto.Message, error) {
	p := g.peer(node)
	switch {
	case g.cluster == nil:
		return nil, errNoKey
	case p == nil:
		return nil, fmt.Errorf("%s is not known", node)
	}
	return identity.AskAt(ctx, g.cluster, p.Advert.Remote, stream, q)
}

// private is the private URL of a node; empty if it is not known.
func (g *group) private(node string) string {
	d, _ := g.directory.View()
	if u := d.Nodes[node].Private; u != nil {
		return u.String()
	}
	return ""
}
