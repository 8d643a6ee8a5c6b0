// Package node assembles one node: it converts the model of the configuration file into the configuration of each package, and
// connects the packages with each other.
//
// It makes no decision about streams, clients or other nodes; the packages that it connects do.
package node

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/certificate"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/directory"
	"weir/cluster/drain"
	"weir/cluster/geo"
	"weir/cluster/history"
	"weir/cluster/journal"
	"weir/cluster/load"
	"weir/cluster/settings"
	"weir/protocols/listen"
)

// Config is what a node is started with.
type Config struct {
	File     *conf.File // the configuration at the start; see [Node.Reload]
	Hostname string     // the name of the node if neither the file nor a peer entry gives one
	Build    string     // the version, which pages and peers show
	Log      *slog.Logger
	Machine  Machine

	// Network is set by the simulator only; nil means the network of this machine. A simulated node has only the actors below
	// streams, peers and control. It serves no clients, opens no file and no socket, starts no goroutine, and derives no key.
	Network *Network

	// Reload reads the configuration again when a client of the API demands it. If it is nil, such a demand fails.
	Reload func() (*conf.File, error)

	// Source is the file from which Reload reads. If it is nil, nothing can be edited through the API.
	Source Source
}

// A Source is a configuration file that can be edited.
type Source interface {
	// Path is the name of the file, and Text what is in it now.
	Path() string
	Text() ([]byte, error)

	// Check reads a text as Reload would read it from the file. Parse does so without a look at the machine, which takes longer than
	// the rest.
	Check(text []byte) (*conf.File, conf.Problems)
	Parse(text []byte) (*conf.File, conf.Problems)
}

// A Node is a running node. Its fields are the parts that it consists of.
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
	servers  *servers // nil in a simulated node

	certificates *certificates // nil in a simulated node

	geo      geo.Database
	load     *load.Meter
	reporter *reporter
	drain    *drain.Drain
	history  *history.History   // nil in a simulated node
	settings *settings.Settings // nil if there is no file that can be edited
	journal  *journal.Writer    // nil if no journal is written
	tasks    []*act.Task        // run beside the actors; stopped after them, in this order
}

// Start starts a node. If it returns an error, nothing is running. The most likely error is that a port is in use; the error
// names the port.
func Start(cfg Config) (_ *Node, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Network == nil { // nobody reads the log of a simulated node
		cfg.Log = slog.New(maskedLog{cfg.Log.Handler()})
	}
	cfg.Machine = cfg.Machine.complete()
	n := &Node{
		cfg: cfg, log: cfg.Log, network: cfg.Network, streams: stream.NewRegistry(), sessions: session.NewRegistry(),
	}
	n.reporter = newReporter(cfg, func() string { return n.group.name() })
	var roots *x509.CertPool
	if cfg.Network == nil {
		if roots, err = certificate.Authorities(cfg.File.TrustedCA...); err != nil {
			return nil, err
		}
	}
	n.group = newGroup(cfg, roots, n.reporter.metrics.Unauthorised, n.linkBroken)
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
		if err := n.open(roots); err != nil {
			return nil, err
		}
	}
	if err := n.tree.spawn(n.children(specs)); err != nil {
		return nil, err
	}
	n.run()
	return n, nil
}

// open opens the files and sockets of the node, and makes its servers. A simulated node does not call it.
func (n *Node) open(roots *x509.CertPool) (err error) {
	f := n.file()
	if n.certificates, err = newCertificates(f, roots, n.log); err != nil {
		return err
	}
	if n.history, err = history.Open(history.Config{
		SessionLog: f.SessionLog, Pulse: f.Pulsedb, Wall: n.cfg.Machine.Wall, Wait: n.cfg.Machine.Clock.Wait,
		Node: n.group.name, Country: n.geo.Country, Load: n.load, Sessions: n.sessions, Streams: n.streams, Log: n.log,
	}); err != nil {
		return err
	}
	descriptors := load.Descriptors()
	sockets, err := openSockets(f, n.certificates, n.trusted, awaiting(descriptors), n.log)
	if err != nil {
		return err
	}
	n.servers = &servers{sockets: sockets, limiter: listen.NewLimiter(limitsOf(f, descriptors), n.trusted, n.log)}
	n.media.instances.Limiter = n.servers.limiter
	if err := n.group.startRemote(n.tree.sys, f, n.servers.limiter); err != nil {
		return err
	}
	n.serve()
	if n.journal, err = journal.Open(f.Journal, n.cfg.Build, n.log); err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}
	return nil
}

// run starts the tasks beside the actors.
func (n *Node) run() {
	if n.servers == nil {
		return
	}
	tasks := n.history.Tasks()
	if n.journal != nil {
		tasks = append(tasks, n.journal.Run)
	}
	tasks = append(tasks, func(ctx context.Context) error { return n.geo.Watch(ctx, n.log) }, n.certificates.Watch, n.certificates.acme.Run)
	for _, run := range tasks {
		n.tasks = append(n.tasks, n.tree.beside(run))
	}
}

// Failed gives a channel, which gets an error when the node cannot go on.
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

// Addresses are the addresses at which this node listens, by the directive of the listener.
func (n *Node) Addresses() map[string][]string { return n.servers.addresses() }

// Drain makes the node hand over its streams and then wait for its viewers to leave; see [drain.Drain.Begin].
func (n *Node) Drain(limit time.Duration) { n.drain.Begin(limit) }

// Drained is closed when the node has drained and may be stopped.
func (n *Node) Drained() <-chan struct{} { return n.drain.Over() }

// HandOver makes the node hand over its streams, without waiting for viewers.
func (n *Node) HandOver() { n.drain.HandOver() }

// View is the newest view of the control plane; nil before its first step.
func (n *Node) View() *control.View { return n.group.view.Load() }

// Directory is what this node knows now of where streams are.
func (n *Node) Directory() *directory.View {
	v, _ := n.group.directory.View()
	return v
}

// Control gives a client of the control plane, which asks it questions and sends it [control.Event]s.
func (n *Node) Control() controller.Client { return n.tree.control() }

// Streams is the actor that supervises all streams. It takes the messages of package stream.
func (n *Node) Streams() *actor.PID { return n.tree.streams() }

// Registry lists the streams that have an actor at this node.
func (n *Node) Registry() *stream.Registry { return n.streams }
