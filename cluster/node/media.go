package node

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/follower"
	"weir/cluster/origin"
	"weir/cluster/router"
	"weir/cluster/source"
)

// The media of a node are the sources of its streams, and the streams that the file does not name.
type media struct {
	open      func(source.Input) (input.Source, error)
	wall      func() int64      // the wall clock, in ticks
	origins   *origin.Directory // the streams of origins, from directives `source`
	instances *router.Instances // the streams that publishers have made
}

func (n *Node) newMedia() *media {
	m := &media{wall: n.wall, origins: &origin.Directory{}}
	m.origins.Sources(sourceNames(n.cfg.File))
	m.instances = &router.Instances{
		Belongs: func(name string) bool {
			_, ok := n.file().Open(name, false)
			return ok
		},
		Reserved: n.reserved, Now: func() time.Duration { return n.tree.env.Now() }, Changed: n.opened,
		Limits: func() (all, perAddress int) {
			l := n.file().Limits
			return l.Names, l.NamesPerAddress
		},
	}
	return m
}

// wall reads the wall clock, in ticks since the Unix epoch.
func (n *Node) wall() int64 { return n.cfg.Machine.Wall().UnixMicro() / 100 * 9 }

// reserved returns an error if a stream cannot have this name.
func (n *Node) reserved(name string) error { return conf.CheckName(name, n.file().BalancerNames()) }

// specs converts the streams of a file for the actor that supervises streams.
func (m *media) specs(f *conf.File) ([]stream.Spec, error) {
	specs := []stream.Spec{{Hub: hubOf(f.Delivery), Takeover: stream.Takeover(f.Delivery.Takeover)}} // of streams that only other nodes' files name
	for _, s := range f.Streams {
		if s.Disabled {
			continue
		}
		spec, err := m.spec(f, s)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// spec converts one stream of a file.
func (m *media) spec(f *conf.File, s conf.Stream) (stream.Spec, error) {
	spec := stream.Spec{Name: s.Name, Hub: hubOf(s.Delivery), Takeover: stream.Takeover(s.Delivery.Takeover)}
	for _, in := range s.Inputs {
		if in.Scheme == "publish" { // a session brings the media
			spec.Published = true
			continue
		}
		streamInput, err := m.input(f, s.Name, in)
		if err != nil {
			return spec, fmt.Errorf("%s: input %s: %w", in.Pos, in.URL, err)
		}
		spec.Inputs = append(spec.Inputs, streamInput)
	}
	return spec, nil
}

// hubOf converts what the file says about a stream's hub. What is left zero is the hub's default, or the simulator's.
func hubOf(d conf.Delivery) (c hub.Config) {
	if d.Latency != conf.DefaultLatency {
		c.Tick = d.Latency
	}
	return c
}

// input converts an input of a stream, and makes its source.
func (m *media) input(f *conf.File, name string, in conf.Input) (is stream.Input, err error) {
	is.Config = input.Config{URL: in.Shown(), Silence: in.SourceTimeout, Rank: in.Priority}
	is.Key = in.URL
	from := source.Input{Stream: name, Kind: in.Scheme, Shown: in.Shown(), Address: in.Address, File: in.File, Program: in.Program, Silence: in.SourceTimeout, Agent: in.UserAgent, Header: headerOf(in.Headers), TrustedCA: f.TrustedCA}
	if in.UserAgent != "" || len(in.Headers) > 0 {
		is.Key += fmt.Sprintf(" asked for with %q %q", in.UserAgent, in.Headers)
	}
	if in.TrustedCA != "" {
		from.TrustedCA = append(slices.Clone(f.TrustedCA), in.TrustedCA)
		is.Key += " trusting " + in.TrustedCA
	}
	if in.Program != 0 {
		is.Key += " program " + strconv.Itoa(in.Program)
	}
	carrier, _, pulled := strings.Cut(in.Address, "://")
	switch {
	case in.Form != "":
		from.Kind = string(in.Form)
	case pulled:
		from.Kind = carrier
	case in.Location != "":
		vod := f.Vod(in.Location)
		if vod == nil {
			return is, fmt.Errorf("there is no `vod %s`", in.Location)
		}
		from.Root = vod.Root
		is.Key += " in " + vod.Root
	default:
		_, from.Query, _ = strings.Cut(in.URL, "?")
	}
	if pulled {
		is.Config.Wall = m.wall
	}
	is.Config.Source, err = m.open(from)
	return is, err
}

// sourceScheme is the scheme of the inputs of restreamed streams. Package conf refuses it in a file.
const sourceScheme = "source"

// sourceNames are the names of the sources that are nodes. Their lists of streams are fetched from them.
func sourceNames(f *conf.File) (names []string) {
	for _, s := range f.Sources {
		if !s.Plain {
			names = append(names, s.Name)
		}
	}
	return names
}

// with is a file with the streams of its sources, which the file does not name. Its method Stream finds those that publishers have
// made too.
func (m *media) with(f *conf.File) *conf.File {
	var more []conf.Stream
	for _, s := range f.Sources {
		more = append(more, s.Streams()...)
		if s.Plain {
			continue
		}
		for _, st := range m.origins.Streams(s.Name) {
			if err := conf.CheckName(st.Name, f.BalancerNames()); err != nil {
				continue // the name has another meaning in this node's URLs
			}
			in := conf.Input{URL: sourceScheme + "://" + st.Name, Scheme: sourceScheme, Pos: s.Pos}
			more = append(more, s.Restream(st.Origin, in, !st.OnDemand))
		}
	}
	if len(more) > 0 {
		f = f.With(more)
	}
	return f.WithOpened(m.instances.Has)
}

// whole is a file of [media.with], with the streams that publishers have made among the others, unless the file has no template or
// virtual host for them any more.
func (m *media) whole(f *conf.File) *conf.File {
	var more []conf.Stream
	for _, name := range m.instances.Names() {
		if s, ok := f.Open(name, true); ok {
			more = append(more, s)
		}
	}
	if len(more) == 0 {
		return f
	}
	return f.With(more)
}

// sourceURL is the URL of a source; empty if there is none of that name.
func (n *Node) sourceURL(name string) string {
	for _, s := range n.file().Sources {
		if s.Name == name {
			return s.URL
		}
	}
	return ""
}

// sourceLinks are the followers of sources.
func (n *Node) sourceLinks(f *conf.File) (out []actors.Child) {
	fetcher := &follower.HTTP{
		Self: n.group.name, URL: n.sourceURL,
		Client: func(name string) *http.Client { return n.group.keys.Client(sourceLink(name)) },
		Send:   func(to *actor.PID, m any) { n.tree.sys.Root.Send(to, m) },
	}
	for _, s := range f.Sources {
		if s.Plain {
			continue
		}
		rule := origin.Rule{Only: s.Only, Except: s.Except, OnlyGiven: s.OnlyGiven, Prefix: s.Prefix}
		out = append(out, actors.Child{
			// The rule is a part of the name, so that a new rule makes a new follower.
			Name: strings.TrimSpace(fmt.Sprintf("source %s %t %q %q %s", s.Name, s.OnlyGiven, s.Only, s.Except, s.Prefix)),
			Props: follower.External(n.tree.env, follower.ExternalConfig{
				Config: follower.Config{Entry: s.Name, Fetcher: fetcher}, Kind: "source",
				Every: conf.DefaultFetchTimeout, Stale: conf.DefaultStaleTimeout,
				Changed: func(st follower.State) {
					if n.media.origins.Set(s.Name, rule.Restream(st.Listed, st.Claims)) {
						n.rederive()
					}
				},
			}),
		})
	}
	return out
}

// newOpener makes the Opener of the sources of inputs.
func (n *Node) newOpener() *source.Opener {
	return &source.Opener{
		Clock: n.cfg.Machine.Clock, Agent: "weir/" + n.cfg.Build, Log: n.log,
		Origins: source.Origins{
			Directory: n.media.origins,
			Transport: func(name string) http.RoundTripper { return n.group.keys.Transport(sourceLink(name)) },
			URL:       n.sourceURL,
			Answer:    func() time.Duration { return n.hold() + router.StartUp },
		},
	}
}

// headerOf makes the header of requests of lines.
func headerOf(lines []string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, text, _ := strings.Cut(line, ": ")
		h.Add(name, text)
	}
	return h
}
