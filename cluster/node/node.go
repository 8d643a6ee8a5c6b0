// Package node assembles one node: the actor tree, the control plane's shell, the links to peers, protoactor's cluster,
// and the listeners. It is the only place that knows all of them, and turns the configuration file's model into what
// each package wants.
//
// It decides nothing about streams or clients; see cluster/control and cluster/directory for that.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors"
	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/actors/packager"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/balancer"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/drain"
	"weir/cluster/follower"
	"weir/cluster/geo"
	"weir/cluster/handover"
	"weir/cluster/history"
	"weir/cluster/identity"
	"weir/cluster/journal"
	"weir/cluster/load"
	"weir/cluster/origin"
	"weir/cluster/router"
	"weir/cluster/source"
	"weir/cluster/srs"
	"weir/cluster/status"
	"weir/protocols/api"
	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

// Config is what a node is started with.
type Config struct {
	File     *conf.File // in effect at the start; see [Node.Reload]
	Hostname string     // announced unless the file or a peer entry names the node
	Build    string     // version, for pages and peers
	Log      *slog.Logger
	Outside  Outside

	// Reload reads the configuration again, for whoever asks by the API; nil: it cannot be.
	Reload func() (*conf.File, error)
}

// A Node is a running node.
type Node struct {
	cfg       Config
	log       *slog.Logger
	sys       *actor.ActorSystem
	env       act.Env
	root      *actor.PID
	group     *group
	streams   *stream.Registry
	sessions  *session.Registry
	metrics   *api.Metrics
	outages   load.Outages
	load      *load.Meter
	history   *history.History
	origins   origin.Directory
	instances *router.Instances
	servers   *servers
	srs       *srs.Cluster // nil in a [World], as the next two
	hooks     *srs.Hooks
	srsAPI    *srs.API
	failed    chan error

	balancers *balancer.Balancers // nil in a [World]
	geo       geo.Current

	current   fileHolder
	reloading sync.Mutex
	drain     *drain.Drain
	// What joins the node to others and to its sources; see [World].
	fetcher follower.Fetcher
	relay   func(stream string) input.Source
	sources *source.Opener
	release func(self *actor.PID, e control.AskRelease)
	stepped func(now control.Instant, ev control.Event, out []control.Effect) // nil: nobody looks on
	hub     hub.Config

	journal *journal.Writer // nil without one
	status  *status.Status
	tasks   []*act.Task // that end after the actors
}

// holdMargin is what a request is held beyond the time in which a dead owner is noticed: the start of the take-over.
const holdMargin = 2 * time.Second

// Start starts a node. An error means that nothing runs: most likely a port is in use, which it names.
func Start(cfg Config) (_ *Node, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Outside = cfg.Outside.complete()
	if cfg.Outside.World != nil {
		return startIn(cfg)
	}
	n := &Node{
		cfg: cfg, log: cfg.Log, failed: make(chan error, 1),
		streams: stream.NewRegistry(), sessions: session.NewRegistry(),
		group: newGroup(cfg, keyring(cfg.File)),
	}
	n.fetcher = &follower.HTTP{Self: n.group.name, URL: n.apiURL, Client: n.group.keys.Client, Send: func(to *actor.PID, m any) { n.sys.Root.Send(to, m) }}
	n.relay = func(name string) input.Source { return n.newRelays().Follow(name) }
	n.sources = n.newOpener()
	n.release = func(self *actor.PID, e control.AskRelease) { n.askRelease(self, e) }
	n.origins.Sources(sourceNames(cfg.File))
	n.instances = n.newInstances()
	n.current.read.Store(cfg.File)
	n.current.p.Store(cfg.File.With(n.derived(cfg.File)))
	n.metrics = api.NewMetrics(cfg.Build, func() api.Totals { return n.status.Totals() })
	n.group.refused = n.metrics.Unauthorised
	specs, err := n.prepare(n.file())
	if err != nil {
		return nil, err
	}
	n.load = n.newLoad()
	if n.history, err = history.Open(history.Config{
		SessionLog: cfg.File.SessionLog, Pulse: cfg.File.Pulsedb, Wall: cfg.Outside.Wall, Wait: cfg.Outside.Clock.Wait,
		Node: n.group.name, Country: n.geo.Country, Load: n.load, Sessions: n.sessions, Streams: n.streams, Log: n.log,
	}); err != nil {
		return nil, err
	}
	sockets, err := openSockets(cfg.File, func(l net.Listener) net.Listener { return listen.BehindProxies(l, n.trusted, n.log) })
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			sockets.close()
			n.group.close()
		}
	}()
	n.sys = act.NewSystem(n.log)
	n.env = cfg.Outside.Env(act.NewReal(n.sys, n.event))
	n.balancers = n.newBalancers()
	if err := n.group.startRemote(n.sys, n.file()); err != nil {
		return nil, err
	}
	n.startSRS()
	r := n.newRouter()
	n.drain = n.newDrain(r)
	n.status = n.newStatus()
	n.servers = newServers(n, sockets, r)
	if n.journal, err = journal.Open(cfg.File.Journal, cfg.Build, n.log); err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	if n.root, err = n.spawn(specs, sockets); err != nil {
		return nil, err
	}
	tasks := n.history.Tasks()
	if n.journal != nil {
		tasks = append(tasks, n.journal.Run)
	}
	tasks = append(tasks, func(ctx context.Context) error { return n.geo.Watch(ctx, n.log) })
	for _, run := range tasks { // the control actor is told of their end and does nothing about it
		n.tasks = append(n.tasks, n.env.Go(n.pid(actors.Control), run))
	}
	return n, nil
}

// Failed gives the reason when the node cannot go on.
func (n *Node) Failed() <-chan error { return n.failed }

// Stop ends the node: its listeners, sessions, inputs and links, in the order of the tree.
func (n *Node) Stop() {
	if err := n.sys.Root.StopFuture(n.root).Wait(); err != nil {
		n.log.Warn("the actor tree has not ended in time", slog.Any("err", err))
	}
	n.servers.close()
	n.group.close()
	for _, t := range n.tasks {
		t.Stop()
		<-t.Done
	}
}

func (n *Node) pid(group string) *actor.PID {
	return actor.NewPID(n.sys.Address(), actors.RootName+"/"+group)
}

// hold is how long a request may wait for a stream that is being taken over.
func (n *Node) hold() time.Duration {
	stale := time.Duration(0)
	for _, p := range n.file().Peers {
		stale = max(stale, p.StaleTimeout)
	}
	return stale + holdMargin
}

// specs are the streams of a file as the streams' supervisor wants them.
func (n *Node) specs(f *conf.File) ([]stream.Spec, error) {
	var specs []stream.Spec
	for _, s := range f.Streams {
		if s.Disabled {
			continue
		}
		spec := stream.Spec{Name: s.Name}
		for _, in := range s.Inputs {
			src, err := n.open(f, s.Name, in)
			switch {
			case err != nil:
				return nil, err
			case src == nil:
				spec.Published = true
			default:
				c := input.Config{URL: in.Shown(), Source: src, Silence: in.SourceTimeout, Rank: in.Priority}
				if in.Address != "" {
					c.Wall = n.wall
				}
				key := in.URL
				if v := f.Vod(in.Location); v != nil {
					key += " in " + v.Root
				}
				spec.Inputs = append(spec.Inputs, stream.Input{Config: c, Key: key})
			}
		}
		if s.Latency != conf.DefaultLatency {
			spec.Hub.Tick = s.Latency
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// wall reads the wall clock, in ticks since the Unix epoch.
func (n *Node) wall() int64 { return n.cfg.Outside.Wall().UnixMicro() / 100 * 9 }

// spawn starts the actor tree.
func (n *Node) spawn(specs []stream.Spec, sockets *sockets) (*actor.PID, error) {
	streams, ctl := n.pid(actors.Streams), n.pid(actors.Control)
	children := []actors.Child{
		{Name: actors.Streams, Props: stream.Supervisor(n.env, stream.Config{
			Specs:    specs,
			Hub:      n.hub,
			Pack:     packager.Config{Wall: n.cfg.Outside.Wall, Log: n.log},
			Relay:    n.relay,
			Wall:     n.wall,
			Report:   controller.Report(ctl),
			Numbered: controller.Numbered(ctl),
			Inherit:  handover.Inherit(n.env, n.handover()),
			Answer:   n.answerer().Answer,
			Registry: n.streams,
		})},
		{Name: actors.Peers, Props: actors.Group(n.env, "peers", n.links(n.file()))},
		{Name: actors.Control, Props: controller.Props(n.env, controller.Config{
			Control: n.config(sockets), Name: n.group.name, Streams: streams, Registry: n.streams, Peers: n.pid(actors.Peers),
			Publish: n.publish, Note: n.note, Load: n.measure, Wanted: n.wanted, Packs: n.servers != nil, Release: n.release,
			Stepped: n.stepped, Suspended: n.cfg.Outside.Suspended, Journal: n.journal,
			Drained: n.drain.Handed, Draining: n.drain.Draining,
		})},
	}
	if n.servers != nil {
		children = append(children,
			actors.Child{Name: actors.Servers, Props: actors.Group(n.env, "servers", n.serverLinks(n.file()))},
			actors.Child{Name: actors.Sessions, Props: session.Supervisor(n.env, session.Config{Router: n.servers.router, Registry: n.sessions, Left: n.left, Ended: n.history.Ended})},
			actors.Child{Name: actors.Listeners, Props: actors.Group(n.env, "listeners", n.servers.listeners(n.env))})
	}
	return actors.Spawn(n.sys, n.env, children, func(reason any) {
		select {
		case n.failed <- fmt.Errorf("the root of the actor tree failed: %v", reason):
		default:
		}
	})
}

// config makes the configuration of each control plane of this process.
func (n *Node) config(s *sockets) func() control.Config {
	first := n.controlConfig(s)
	return func() control.Config {
		c := n.controlConfig(s)
		c.Instance, c.Seed = first.Instance, first.Seed
		return c
	}
}

func (n *Node) controlConfig(s *sockets) control.Config {
	c := ControlConfig(n.file(), n.cfg.Hostname, n.group.keys.Own().ID())
	c.Hash = n.current.read.Load().Hash(n.group.keys.Own().ID()) // what comes and goes by itself is no difference of files
	c.Instance, c.Seed, c.Advert = n.cfg.Outside.Instance(), n.env.Rand(), n.advert(s)
	return c
}

func (n *Node) advert(s *sockets) control.Advert {
	a := control.Advert{Build: n.cfg.Build, SysID: n.sys.ID, Ports: s.ports()}
	if n.group.cluster != nil {
		a.Remote = n.sys.Address()
	}
	return a
}

// apiURL is where the state of the peer behind an entry is fetched.
func (n *Node) apiURL(e string) string {
	f := n.file()
	if p, ok := peersByEntry(f)[e]; ok {
		return p.APIURL
	}
	_, urls := otherServers(f)
	return urls[e]
}

// publish gives the control plane's view to those who decide by it.
func (n *Node) publish(v *control.View) {
	if n.group.publish(v, n.file(), identity.Member{Addr: n.sys.Address(), SysID: n.sys.ID}) {
		n.outages.Changed(v, n.env.Now(), n.metrics.Gap)
	}
}

// captures is how many streams this node captures now.
func (n *Node) captures() int { return len(controller.Captures(n.streams)) }

// newLoad makes what measures the load of this node.
func (n *Node) newLoad() *load.Meter {
	return load.New(load.Config{
		Sessions: n.sessions, Streams: n.streams, Burden: n.cfg.Outside.Burden,
		Captures: n.captures, Playlists: n.playlists, Chosen: n.chosen,
	})
}

// controller puts questions to the control actor.
func (n *Node) controller() controller.Client {
	return controller.Client{Send: func(m any) { n.sys.Root.Send(n.Control(), m) }}
}

// askRelease asks the owner of a stream, beside the actors, to let go of it.
func (n *Node) askRelease(self *actor.PID, e control.AskRelease) {
	n.env.Go(self, func(ctx context.Context) error {
		if err := n.asker().Release(ctx, e.Stream); err != nil {
			return err // control starts without an answer, later
		}
		n.sys.Root.Send(self, control.Released(e))
		return nil
	})
}

// handover says how the window of a stream is fetched from another node.
func (n *Node) handover() handover.Config {
	return handover.Config{
		Self: n.group.name, Log: n.log,
		Ask: n.group.askAt, Private: n.group.private,
		Segment: func(ctx context.Context, private, stream string, f cmaf.Form, number int64) ([]byte, error) {
			return n.servers.hls.Fetch(ctx, private, stream, f, number)
		},
	}
}

// fetched counts what became of a fetch.
func (n *Node) fetched(entry string, _ time.Duration, err error) {
	if err == nil {
		return
	}
	n.metrics.FetchFailed(entry, string(follower.Reason(err)))
}

// event logs what happens to actors.
func (n *Node) event(e act.Event) {
	n.log.LogAttrs(context.Background(), e.Level, e.Text, e.Attrs...)
}

// note logs what the control plane has to say.
func (n *Node) note(o control.Note) {
	n.outages.Noted(o)
	if o.Kind == control.NoteClaimed || o.Kind == control.NoteYielded {
		n.metrics.Moved(o.Detail)
	}
	var attrs []slog.Attr
	switch {
	case o.Node == "":
	case o.Kind == control.NoteNamed:
		attrs = append(attrs, slog.String("node", o.Node))
	default:
		attrs = append(attrs, slog.String("peer", o.Node))
	}
	if o.Stream != "" {
		attrs = append(attrs, slog.String("stream", o.Stream))
	}
	if o.Detail != "" {
		attrs = append(attrs, slog.String("reason", o.Detail))
	}
	if o.Age != 0 {
		attrs = append(attrs, slog.Duration("age", time.Duration(o.Age).Round(time.Millisecond)))
	}
	n.log.LogAttrs(context.Background(), slog.Level(o.Kind.Level()), o.Kind.Text(), attrs...)
}

// Addresses are where this node listens, by kind of listener.
func (n *Node) Addresses() map[string][]string { return n.servers.addresses() }

var errNoKey = errors.New("this node has no cluster key")

func portOf(l net.Listener) int {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0
	}
	p, _ := strconv.Atoi(port)
	return p
}
