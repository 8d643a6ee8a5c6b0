package node

import (
	"context"
	"crypto/x509"
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
	"weir/cluster/dialer"
	"weir/cluster/directory"
	"weir/cluster/follower"
	"weir/cluster/identity"
	"weir/cluster/trust"
	"weir/protocols/listen"
)

var errNoKey = errors.New("this node has no cluster key")

// A group holds this node's connections to the other nodes: the view of the control plane, the keys of the links, and the remote
// actors.
type group struct {
	hostname  string // the name of this node until the control plane publishes its first view
	keys      *trust.Keyring
	cluster   *cluster.Cluster   // nil without a cluster key
	provider  *identity.Provider // nil without a cluster key
	stop      func()             // stops what startRemote has started; nil if nothing was started
	directory *directory.Directory
	refused   func() // counts requests with a wrong key
	log       *slog.Logger

	view atomic.Pointer[control.View] // the newest view of the control plane; nil before its first step

	// The last view of the directory, and the file from which it was made. They belong to the control actor.
	places *directory.View
	file   *conf.File
}

func newGroup(cfg Config, roots *x509.CertPool, refused func(), broken func(addr string)) *group {
	g := &group{hostname: cfg.Hostname, directory: directory.New(cfg.Hostname), refused: refused, log: cfg.Log}
	if g.keys = trust.NewKeyring(nil, nil, nil, nil); cfg.Network == nil {
		common, links := keysOf(cfg.File)
		g.keys = trust.NewKeyring(common, links, (&dialer.Dialer{Broken: broken}).DialContext, roots)
	}
	return g
}

// name is the name of this node, by which the others know it.
func (g *group) name() string {
	if v := g.view.Load(); v != nil {
		return v.Self
	}
	return g.hostname
}

// peer is the control plane's view of the peer of this name; nil if there is none.
func (g *group) peer(name string) *control.PeerView {
	if v := g.view.Load(); v != nil {
		return v.Peer(name)
	}
	return nil
}

// publish passes a view of the control plane, with the file in effect, to the directory and the identity provider. It runs in the
// control actor. Most views differ from the one before only in the load of nodes; more says that this one differs in more.
func (g *group) publish(v *control.View, f *conf.File, self identity.Member) (more bool) {
	was := g.view.Swap(v)
	if more = f != g.file || was == nil || !sameStreams(v, was) || !sameGroup(v, was); more {
		g.places = directory.ViewOf(v, Facts(f))
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

// sameStreams says whether two views share one list of streams. The control plane makes a new list when a stream changes.
func sameStreams(a, b *control.View) bool {
	return len(a.Streams) == len(b.Streams) && (len(a.Streams) == 0 || &a.Streams[0] == &b.Streams[0])
}

// sameGroup says whether two views have the same nodes, with the same addresses.
func sameGroup(a, b *control.View) bool {
	return a.Self == b.Self && a.Warm == b.Warm && slices.EqualFunc(a.Peers, b.Peers, func(a, b control.PeerView) bool {
		return a.Name == b.Name && a.Entry == b.Entry && a.Alive == b.Alive && a.Status == b.Status &&
			a.Generation == b.Generation && a.Advert == b.Advert
	})
}

// resolving is how long the look-up of the peers' host names may take at the start.
const resolving = 2 * time.Second

// startRemote listens for the actors of other nodes. Without a cluster key it does nothing, since there are no peers then.
func (g *group) startRemote(sys *actor.ActorSystem, f *conf.File, limiter *listen.Limiter) (err error) {
	if g.keys.Own().Zero() {
		return nil
	}
	advertise := f.RemoteAdvertise.Name()
	if ip := net.ParseIP(f.Remote.Host); f.RemoteAdvertise == (conf.Address{}) {
		if advertise = ""; f.Remote.Host == "" || ip != nil && ip.IsUnspecified() {
			advertise = g.reachable(f)
		}
	}
	g.cluster, g.provider, g.stop, err = identity.Start(sys, identity.Options{
		Listen: f.Remote.Addr(), Advertise: advertise, Keys: g.keys.Accepted, KeysOf: g.keysOf, Limiter: limiter,
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

// reachable is the address at which other nodes most likely reach this machine.
func (g *group) reachable(f *conf.File) string {
	ctx, cancel := context.WithTimeout(context.Background(), resolving)
	defer cancel()
	var peers []string
	for _, p := range f.Peers {
		peers = append(peers, p.Entry())
	}
	ip, sure := identity.Reachable(ctx, peers)
	if !sure {
		g.log.Warn("other nodes may not reach the actors of this node: no peer could be looked up, so this node advertises " + identity.Loopback +
			"; set `remote HOST:PORT;`")
	}
	return ip
}

// transport makes requests to the peer of this name, and proves the key of the link to it.
func (g *group) transport(name string) http.RoundTripper {
	if p := g.peer(name); p != nil {
		return g.keys.Transport(p.Entry)
	}
	return g.keys.Transport("")
}

// keysOf are the keys to prove to the peer whose actors listen at this address.
func (g *group) keysOf(remote string) trust.Keys {
	if v := g.view.Load(); v != nil {
		for i := range v.Peers {
			if v.Peers[i].Advert.Remote == remote {
				return g.keys.Prove(v.Peers[i].Entry)[0]
			}
		}
	}
	return trust.Keys{}
}

// guard passes only requests that prove a cluster key. Streaming must be set for handlers whose answers do not end.
func (g *group) guard(next http.Handler, streaming bool) http.Handler {
	if g.cluster == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, errNoKey.Error(), http.StatusForbidden)
		})
	}
	o := trust.Options{WrongKey: func(netip.Addr) { g.refused() }, Log: g.log}
	if streaming {
		o.Streaming = func(*http.Request) bool { return true }
	}
	return g.keys.Handler(next, o)
}

// entitled refuses a question if it was proved with another key than that of the link to the node that asks. If the entry of a
// peer gives its own key, that key is used in both directions, and the common one is refused.
func (g *group) entitled(ask follower.Ask) follower.Ask {
	return func(ctx context.Context, from string, q control.Question) (*control.State, error) {
		proven, ok := trust.Proven(ctx)
		if p := g.peer(from); ok && p != nil && p.Entry != "" && !slices.Contains(g.keys.Of(p.Entry), proven) {
			g.refused()
			return nil, fmt.Errorf("%w: it is not that of %s", trust.ErrWrongKey, from)
		}
		return ask(ctx, from, q)
	}
}

// ask sends a question to the owner of a stream and waits for the answer.
func (g *group) ask(ctx context.Context, stream string, q proto.Message) (proto.Message, error) {
	if g.cluster == nil { // this node has no peers
		return nil, identity.ErrNoOwner
	}
	return identity.Ask(ctx, g.cluster, stream, q)
}

// askAt sends a question to the actor of a stream at a certain node and waits for the answer.
func (g *group) askAt(ctx context.Context, node, stream string, q proto.Message) (proto.Message, error) {
	p := g.peer(node)
	switch {
	case g.cluster == nil:
		return nil, errNoKey
	case p == nil:
		return nil, fmt.Errorf("%w: %s is in no peer entry any more", identity.ErrNoOwner, node)
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
