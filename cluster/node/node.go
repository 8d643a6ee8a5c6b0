// Package node assembles one node: it makes of the configuration file's model what each package wants, and joins the
// packages to each other.
//
// It decides nothing about streams, clients or other nodes; the packages below it do.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/drain"
	"weir/cluster/geo"
	"weir/cluster/history"
	"weir/cluster/journal"
	"weir/cluster/load"
)

// Config is what a node is started with.
type Config struct {
	File     *conf.File // in effect at the start; see [Node.Reload]
	Hostname string     // announced unless the file or a peer entry names the node
	Build    string     // version, for pages and peers
	Log      *slog.Logger
	Machine  Machine

	// Network, if not nil, takes the place of the machine's: it is the simulator's. Such a node has the actors below streams,
	// peers and control, and serves no clients; it opens no file and no socket, starts no goroutine, and derives no key.
	Network *Network

	// Reload reads the configuration again when the API asks for it; nil: it cannot be.
	Reload func() (*conf.File, error)
}

// A Node is a running node: its parts.
type Node struct {
	cfg     Config
	log     *slog.Logger
	network *Network

	config   configuration
	tree     *tree
	group    *group
	media    *media
	streams  *stream.Registry
	sessions *session.Registry
	servers  *servers // nil where another [Network] than the machine's is given

	geo      geo.Current
	load     *load.Meter
	reporter *reporter
	drain    *drain.Drain
	history  *history.History // nil without servers
	journal  *journal.Writer  // nil without one
	tasks    []*act.Task      // that end after the actors
}

// Start starts a node. An error means that nothing runs: most likely a port is in use, which it names.
func Start(cfg Config) (_ *Node, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Machine = cfg.Machine.complete()
	n := &Node{
		cfg: cfg, log: cfg.Log, network: cfg.Network, streams: stream.NewRegistry(), sessions: session.NewRegistry(),
		reporter: newReporter(cfg),
	}
	n.group = newGroup(cfg, n.reporter.metrics.Unauthorised)
	n.media = n.newMedia()
	simulated := n.network != nil
	if !simulated {
		n.network = n.newNetwork()
	}
	n.tree, n.media.open = newTree(n.network), n.network.Source
	n.group.cluster, n.group.provider = n.network.Cluster, n.network.Provider
	n.config.set(cfg.File, n.media.with(cfg.File))
	specs, err := n.prepare(n.file())
	if err != nil {
		return nil, err
	}
	n.load, n.drain = n.newLoad(), n.newDrain()
	if !simulated {
		defer func() {
			if err != nil {
				n.close()
			}
		}()
		if err := n.open(); err != nil {
			return nil, err
		}
	}
	if err := n.tree.spawn(n.children(specs)); err != nil {
		return nil, err
	}
	n.run()
	return n, nil
}

// open opens the files and sockets of a node of this machine, and makes what serves its clients.
func (n *Node) open() (err error) {
	f := n.file()
	if n.history, err = history.Open(history.Config{
		SessionLog: f.SessionLog, Pulse: f.Pulsedb, Wall: n.cfg.Machine.Wall, Wait: n.cfg.Machine.Clock.Wait,
		Node: n.group.name, Country: n.geo.Country, Load: n.load, Sessions: n.sessions, Streams: n.streams, Log: n.log,
	}); err != nil {
		return err
	}
	sockets, err := openSockets(f, n.trusted, n.log)
	if err != nil {
		return err
	}
	n.servers = &servers{sockets: sockets}
	if err := n.group.startRemote(n.tree.sys, f); err != nil {
		return err
	}
	n.serve()
	if n.journal, err = journal.Open(f.Journal, n.cfg.Build, n.log); err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}
	return nil
}

// run starts what runs beside the actors.
func (n *Node) run() {
	if n.servers == nil {
		return
	}
	tasks := n.history.Tasks()
	if n.journal != nil {
		tasks = append(tasks, n.journal.Run)
	}
	tasks = append(tasks, func(ctx context.Context) error { return n.geo.Watch(ctx, n.log) })
	for _, run := range tasks {
		n.tasks = append(n.tasks, n.tree.beside(run))
	}
}

// Failed gives the reason when the node cannot go on.
func (n *Node) Failed() <-chan error { return n.tree.failed }

// Stop ends the node: its listeners, sessions, inputs and links, in the order of the tree.
func (n *Node) Stop() {
	if err := n.tree.stop(); err != nil {
		n.log.Warn("the actor tree has not ended in time", slog.Any("err", err))
	}
	n.close()
	for _, t := range n.tasks {
		t.Stop()
		<-t.Done
	}
}

func (n *Node) close() {
	n.servers.close()
	n.group.close()
}

// Addresses are where this node listens, by kind of listener.
func (n *Node) Addresses() map[string][]string { return n.servers.addresses() }

// Drain makes the node hand its streams over and then wait for its viewers; see [drain.Drain.Begin].
func (n *Node) Drain(limit time.Duration) { n.drain.Begin(limit) }

// Drained is closed when the node has drained and may be stopped.
func (n *Node) Drained() <-chan struct{} { return n.drain.Over() }

// HandOver makes the node hand its streams over, without waiting for viewers.
func (n *Node) HandOver() { n.drain.HandOver() }

// View is what the control plane knows now; nil before its first step.
func (n *Node) View() *control.View { return n.group.view.Load() }

// Control puts questions to the control plane, and sends it [control.Event]s.
func (n *Node) Control() controller.Client { return n.tree.control() }

// Streams is the supervisor of all streams, which takes the messages of package stream.
func (n *Node) Streams() *actor.PID { return n.tree.streams() }
