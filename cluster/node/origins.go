package node

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors"
	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/follower"
	"weir/cluster/origin"
)

// sourceScheme is that of the inputs of streams that another node outside the group has; no file can say it.
const sourceScheme = "source"

// sourceNames are the sources whose streams are learnt from them.
func sourceNames(f *conf.File) (names []string) {
	for _, s := range f.Sources {
		if !s.Plain {
			names = append(names, s.Name)
		}
	}
	return names
}

// sourceOf is the source of that name, or nil.
func sourceOf(f *conf.File, name string) *conf.Source {
	if i := slices.IndexFunc(f.Sources, func(s conf.Source) bool { return s.Name == name }); i >= 0 {
		return &f.Sources[i]
	}
	return nil
}

// derived are the streams that the file has without naming them: those of its sources, and those that publishers have
// made of its templates.
func (n *Node) derived(f *conf.File) (out []conf.Stream) {
	for _, s := range f.Sources {
		out = append(out, s.Streams()...)
		if s.Plain {
			continue
		}
		for _, st := range n.origins.Streams(s.Name) {
			if err := conf.CheckName(st.Name, f.BalancerNames()); err != nil {
				continue // it means something else in a URL here
			}
			in := conf.Input{URL: sourceScheme + "://" + st.Name, Scheme: sourceScheme, Pos: s.Pos}
			out = append(out, s.Restream(st.Origin, in, !st.OnDemand))
		}
	}
	return append(out, n.made(f)...)
}

// putInEffect makes a file that was read the one in effect, with the streams derived from it. The caller holds
// reloading.
func (n *Node) putInEffect(read *conf.File) error {
	f := read
	if more := n.derived(read); len(more) > 0 {
		f = read.With(more)
	}
	specs, err := n.specs(f)
	if err != nil {
		return err
	}
	n.current.read.Store(read)
	n.current.p.Store(f)
	n.sys.Root.Send(n.pid(actors.Streams), stream.Configure{Specs: specs})
	n.sys.Root.Send(n.pid(actors.Control), control.ConfigChanged{Config: n.controlConfig(n.sockets())})
	return nil
}

// rederive puts the file in effect anew after the derived streams have changed.
func (n *Node) rederive() {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	if err := n.putInEffect(n.current.read.Load()); err != nil {
		n.log.Error("streams of sources and templates", slog.Any("err", err))
	}
}

// originLinks are the actors that ask the sources for their streams.
func (n *Node) originLinks(f *conf.File) (out []actors.Child) {
	if n.cfg.Outside.World != nil {
		return nil
	}
	fetcher := &follower.HTTP{
		Self:   n.group.name,
		URL:    func(name string) string { return n.sourceURL(name) },
		Client: func(name string) *http.Client { return n.group.keys.Client(sourceLink(name)) },
		Send:   func(to *actor.PID, m any) { n.sys.Root.Send(to, m) },
	}
	for _, s := range f.Sources {
		if s.Plain {
			continue
		}
		rule := origin.Rule{Only: s.Only, Except: s.Except, OnlyGiven: s.OnlyGiven, Prefix: s.Prefix}
		out = append(out, actors.Child{
			// A link with another rule is another link.
			Name: strings.TrimSpace(fmt.Sprintf("source %s %t %q %q %s", s.Name, s.OnlyGiven, s.Only, s.Except, s.Prefix)),
			Props: follower.Outsider(n.env, follower.OutsiderConfig{
				Config: follower.Config{Entry: s.Name, Fetcher: fetcher}, Kind: "source",
				Every: conf.DefaultFetchTimeout, Stale: conf.DefaultStaleTimeout,
				Changed: func(is follower.State) {
					if n.origins.Set(s.Name, rule.Restream(is.Listed, is.Claims)) {
						n.rederive()
					}
				},
			}),
		})
	}
	return out
}

func (n *Node) sourceURL(name string) string {
	if s := sourceOf(n.file(), name); s != nil {
		return s.URL
	}
	return ""
}
