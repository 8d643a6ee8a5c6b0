package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"weir/actors"
	"weir/cluster/conf"
	"weir/cluster/follower"
	"weir/cluster/router"
)

// fileHolder gives the configuration in effect to whoever asks: what was read, and that with the streams that come and
// go by themselves.
type fileHolder struct{ read, p atomic.Pointer[conf.File] }

func (n *Node) file() *conf.File { return n.current.p.Load() }

// Reload puts another configuration into effect, as far as that goes without a restart, and returns the directives that
// need one, with their places. Each directive takes effect as its row in package conf says; a stream that did not change
// goes on. An error means that nothing was changed.
func (n *Node) Reload(f *conf.File) (restart []conf.Change, err error) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	next, restart := f.After(n.current.read.Load())
	if _, err := n.prepare(next); err != nil {
		return nil, err
	}
	n.origins.Sources(sourceNames(next))
	if err := n.putInEffect(next); err != nil {
		return nil, err
	}
	if n.srs != nil {
		n.srs.Configure(vhosts(next))
	}
	if n.servers != nil {
		n.servers.hls.SetHold(n.hold() + router.StartUp)
		n.balancers.Configure(balancersOf(next))
		n.sys.Root.Send(n.pid(actors.Servers), actors.Set{Children: n.serverLinks(next)})
	}
	n.sys.Root.Send(n.pid(actors.Peers), actors.Set{Children: n.links(next)})
	n.log.Info("the configuration was reloaded", slog.Int("streams", len(next.Streams)))
	for _, what := range restart {
		n.log.Warn("a change of the configuration needs a restart", slog.String("err", what.String()))
	}
	return restart, nil
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
	restart, err := n.Reload(f)
	names := make([]string, len(restart))
	for i, c := range restart {
		names[i] = c.String()
	}
	return names, err
}
