package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"weir/actors"
	"weir/cluster/conf"
	"weir/cluster/follower"
	"weir/cluster/router"
	"weir/protocols"
)

// fileHolder gives the configuration in effect to whoever asks: what was read, and that with the streams that come and
// go by themselves.
type fileHolder struct{ read, p atomic.Pointer[conf.File] }

func (n *Node) file() *conf.File { return n.current.p.Load() }

// Reload puts another configuration into effect, as far as that goes without a restart, and returns the names of the
// directives that need one. Only what differs is touched: a stream whose block did not change goes on. An error means
// that nothing was changed.
func (n *Node) Reload(f *conf.File) (restart []string, err error) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	old := n.current.read.Load()
	restart = needRestart(old, f)
	next := *f
	keep(&next, old)
	if _, err := n.specs(&next); err != nil {
		return nil, err
	}
	if n.servers != nil {
		if err := n.useCountries(&next); err != nil {
			return nil, err
		}
	}
	n.origins.Sources(sourceNames(&next))
	if err := n.putInEffect(&next); err != nil {
		return nil, err
	}
	if n.srs != nil {
		n.srs.Configure(vhosts(&next))
	}
	if n.servers != nil {
		n.servers.hls.SetHold(n.hold() + router.StartUp)
		n.balancers.Configure(balancersOf(&next))
		n.sys.Root.Send(n.pid(actors.Servers), actors.Set{Children: n.serverLinks(&next)})
	}
	n.sys.Root.Send(n.pid(actors.Peers), actors.Set{Children: n.links(&next)})
	n.log.Info("the configuration was reloaded", slog.Int("streams", len(next.Streams)))
	for _, what := range restart {
		n.log.Warn("a change of the configuration needs a restart", slog.String("err", what))
	}
	return restart, nil
}

// needRestart names what differs and cannot be changed while a node runs: names, addresses and secrets.
func needRestart(old, f *conf.File) (what []string) {
	addrs := func(list []conf.Listen) (out []string) {
		for _, l := range list {
			out = append(out, l.Addr())
		}
		return out
	}
	for _, d := range []struct {
		name    string
		differs bool
	}{
		{"name", old.Name != f.Name},
		{"cluster_key", old.ClusterKey != f.ClusterKey},
		{"remote", old.Remote.Addr() != f.Remote.Addr()},
		{"loglevel", old.LogLevel != f.LogLevel},
		{"journal", old.Journal != f.Journal},
		{"edit_auth", !sameCredentials(old.EditAuth, f.EditAuth)},
		{"view_auth", !sameCredentials(old.ViewAuth, f.ViewAuth)},
		{"session_log", old.SessionLog != f.SessionLog},
		{"pulsedb", old.Pulsedb != f.Pulsedb},
	} {
		if d.differs {
			what = append(what, d.name)
		}
	}
	for _, d := range protocols.Listeners() {
		if !slices.Equal(addrs(old.Listeners[d.Protocol]), addrs(f.Listeners[d.Protocol])) {
			what = append(what, d.Directive())
		}
	}
	for _, s := range f.Sources {
		for _, was := range old.Sources {
			if was.Name == s.Name && was.ClusterKey != s.ClusterKey {
				what = append(what, "cluster_key of source "+s.Name)
			}
		}
	}
	before := peersByEntry(old)
	for _, p := range f.Peers {
		was, known := before[entry(p)]
		if known && was.ClusterKey != p.ClusterKey && was.ClusterKey != old.ClusterKey || !known && p.ClusterKey != f.ClusterKey ||
			known && was.ClusterKey == old.ClusterKey && p.ClusterKey != f.ClusterKey {
			what = append(what, "cluster_key of peer "+p.Name())
		}
	}
	return what
}

func sameCredentials(a, b *conf.Credentials) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// keep leaves what needs a restart as it is.
func keep(f, old *conf.File) {
	f.Name, f.ClusterKey, f.Remote, f.LogLevel, f.Journal, f.EditAuth = old.Name, old.ClusterKey, old.Remote, old.LogLevel, old.Journal, old.EditAuth
	f.ViewAuth, f.SessionLog, f.Pulsedb = old.ViewAuth, old.SessionLog, old.Pulsedb
	f.Listeners = old.Listeners
}

// links are the actors of the peers.
func (n *Node) links(f *conf.File) []actors.Child {
	out := make([]actors.Child, 0, len(f.Peers))
	for _, p := range f.Peers {
		out = append(out, actors.Child{Name: entry(p), Props: follower.Peer(n.env, follower.Config{
			Entry: entry(p), Fetcher: n.fetcher, Measured: n.fetched,
		}, n.pid(actors.Control))})
	}
	return append(out, n.originLinks(f)...)
}

var errNoReload = errors.New("this node was started without a file that could be read again")

// readAgain reads the file again and puts it into effect.
func (n *Node) readAgain(context.Context) ([]string, error) {
	if n.cfg.Reload == nil {
		return nil, errNoReload
	}
	f, err := n.cfg.Reload()
	if err != nil {
		return nil, fmt.Errorf("the configuration was not reloaded: %w", err)
	}
	return n.Reload(f)
}
