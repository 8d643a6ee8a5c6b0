package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"weir/actors"
	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/load"
	"weir/cluster/router"
)

// A configuration holds the file by which the node runs.
type configuration struct {
	changing sync.Mutex                // one change at a time
	read     atomic.Pointer[conf.File] // the file as it was read
	effect   atomic.Pointer[conf.File] // the same with streams that the file does not name, see [media.with]
	refused  atomic.Pointer[refusal]   // of the file as it is now; nil if it is in effect
}

// A refusal is why a file that was to be put into effect was not, and since when.
type refusal struct {
	why   string
	since time.Duration
}

func (c *configuration) set(read, effect *conf.File) {
	c.read.Store(read)
	c.effect.Store(effect)
}

// file is the file in effect, with the streams that it does not name.
func (n *Node) file() *conf.File { return n.config.effect.Load() }

// Refuse notes that the configuration that was to be put into effect was not, because of err. That is an alarm until one is.
func (n *Node) Refuse(err error) {
	r := &refusal{err.Error(), n.tree.env.Now()}
	if was := n.config.refused.Load(); was != nil {
		r.since = was.since
	}
	n.config.refused.Store(r)
	n.log.Error("the configuration was not reloaded; the node goes on with the former one", slog.Any("err", err))
}

// fileRefused is why the configuration as it is now is not in effect, and for how long; empty if it is.
func (n *Node) fileRefused() (why string, since time.Duration) {
	if r := n.config.refused.Load(); r != nil {
		return r.why, n.tree.env.Now() - r.since
	}
	return "", 0
}

// Reload puts another configuration into effect. A directive whose row in package conf says that a change needs a restart keeps
// its old setting; Reload returns those that have changed. A stream that did not change goes on. If Reload returns an error,
// nothing has been changed.
func (n *Node) Reload(f *conf.File) (restart []conf.Change, err error) {
	n.config.changing.Lock()
	defer n.config.changing.Unlock()
	next, restart := f.After(n.config.read.Load())
	if _, err := n.prepare(next); err != nil {
		return nil, err
	}
	was := n.config.read.Load()
	n.useKeys(next)
	n.media.origins.Sources(sourceNames(next))
	if err := n.putInEffect(next); err != nil {
		n.useKeys(was)
		return nil, err
	}
	if n.servers != nil && n.group.cluster == nil && len(n.group.keys.Accepted()) > 0 { // the port for actors is opened at the start
		restart = append(restart, conf.Change{Directive: "cluster_key", Pos: next.Places["cluster_key"]})
	}
	if c := n.servers; c != nil {
		if err := n.certificates.configure(next); err != nil { // they were read a moment ago
			n.log.Error("the certificates of the configuration are not in use", slog.Any("err", err))
		}
		c.limiter.Set(limitsOf(next, load.Descriptors()))
		c.srs.Configure(vhosts(next))
		c.hls.SetHold(n.hold() + router.StartUp)
		c.balancers.Configure(balancersOf(next))
		n.tree.send(actors.Servers, actors.Set{Children: n.serverLinks(next)})
	}
	n.tree.send(actors.Peers, actors.Set{Children: n.peerLinks(next)})
	n.config.refused.Store(nil)
	n.log.Info("the configuration was reloaded", slog.Int("streams", len(next.Streams)))
	for _, what := range restart {
		n.log.Warn("a change of the configuration needs a restart", slog.String("err", what.String()))
	}
	return restart, nil
}

// useKeys makes the keys of a file those that this node proves and accepts. A simulated node has none.
func (n *Node) useKeys(f *conf.File) {
	if n.servers != nil {
		n.group.keys.Set(keysOf(f))
	}
}

// putInEffect makes read the file in effect, and tells the streams and the control plane. The caller holds config.changing.
func (n *Node) putInEffect(read *conf.File) error {
	f := n.media.with(read)
	specs, err := n.media.specs(n.media.whole(f))
	if err != nil {
		return err
	}
	n.config.set(read, f)
	n.tree.send(actors.Streams, stream.Configure{Specs: specs})
	n.tree.send(actors.Control, control.ConfigChanged{Config: n.controlConfig()})
	return nil
}

// opened tells the streams and the control plane that publishers have made streams of these names, or that those are gone.
func (n *Node) opened(names []string) {
	n.config.changing.Lock()
	defer n.config.changing.Unlock()
	f := n.file()
	var specs stream.Amend
	var changed control.StreamsChanged
	for _, name := range names {
		if f.Lists(name) { // the file was read again, or a source has one of that name
			continue
		}
		s, ok := f.Open(name, true)
		if !ok || !n.media.instances.Has(name) {
			specs.Gone, changed.Removed = append(specs.Gone, name), append(changed.Removed, name)
			continue
		}
		spec, err := n.media.spec(f, s)
		if err != nil {
			n.log.Error("the stream of a publisher cannot be made", slog.String("stream", name), slog.Any("err", err))
			continue
		}
		specs.Specs, changed.Added = append(specs.Specs, spec), append(changed.Added, controlStream(s))
	}
	n.tree.send(actors.Streams, specs)
	n.tree.send(actors.Control, changed)
}

// rederive puts the file into effect again after the streams of its sources have changed.
func (n *Node) rederive() {
	n.config.changing.Lock()
	defer n.config.changing.Unlock()
	if err := n.putInEffect(n.config.read.Load()); err != nil {
		n.log.Error("streams of sources and templates", slog.Any("err", err))
	}
}

var errNoReload = errors.New("this node was started without a file that could be read again")

// readAgain reads the file again and puts it into effect. It returns the directives that need a restart.
func (n *Node) readAgain(context.Context) ([]string, error) {
	if n.cfg.Reload == nil {
		return nil, errNoReload
	}
	f, err := n.cfg.Reload()
	if err != nil {
		n.Refuse(err)
		return nil, fmt.Errorf("the configuration was not reloaded: %w", err)
	}
	restart, err := n.Reload(f)
	if err != nil {
		n.Refuse(err)
	}
	names := make([]string, len(restart))
	for i, c := range restart {
		names[i] = c.String()
	}
	return names, err
}
