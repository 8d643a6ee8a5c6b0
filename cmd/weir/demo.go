package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Run starts the demonstration and returns when it has ended.
func (c *DemoCmd) Run(ctx context.Context, std stdio) error {
	if len(hangups) > 0 {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, hangups...)
		defer stop()
	}
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return fmt.Errorf("making a directory for the demonstration: %w", err)
	}
	d := &demo{
		level: c.Log, json: c.JSON, dir: dir, config: filepath.Join(dir, "weir.conf"),
		screen: screen{out: std.out, painter: painter{colour: isTerminal(std.out)}},
		log:    newLogger(std.err, "warn"),
	}
	return errors.Join(d.run(ctx), os.RemoveAll(dir))
}

// demoNodes is how many nodes there are: with three, two can still tell a dead node from a broken link.
const demoNodes = 3

// How the demonstration waits for its cluster and looks at it.
const (
	startLimit    = 60 * time.Second
	startInterval = 100 * time.Millisecond
	watchInterval = 500 * time.Millisecond
	startAttempts = 3 // another program may take a port between the choice and the node's start
)

// A demo is one run of the demonstration.
type demo struct {
	level   string // of the nodes' logs
	json    bool
	dir     string
	config  string // file that all nodes share
	program string // as which the nodes are started
	screen  screen
	log     *slog.Logger

	streams  []demoStream
	nodes    []demoNode
	children []*demoProcess // in the order of nodes
}

// errFailedEarly says that a node failed before the cluster was complete. Its configuration was understood, so most
// likely another program has taken a port of its meanwhile, and other ports may do.
var errFailedEarly = errors.New("failed at its start")

// run starts everything, shows it, and ends everything when the context ends. An interrupt is no error.
func (d *demo) run(ctx context.Context) error {
	if err := d.prepare(); err != nil {
		return err
	}
	if !d.json {
		if err := d.screen.say("Starting three nodes …"); err != nil {
			return err
		}
	}
	defer func() { d.stop() }()
	first, err := d.startAll(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	if d.json {
		if err := d.printJSON(); err != nil {
			return err
		}
	} else if err := d.printTable(first); err != nil {
		return err
	}
	err = d.follow(ctx, first)
	if !d.json {
		_ = d.screen.say("\nEnding " + strings.Join(d.names(), ", ") + " …") // ends anyway
		defer d.tellSurvivors()
	}
	return err
}

// prepare writes what does not depend on ports.
func (d *demo) prepare() error {
	if err := writeClips(d.dir); err != nil {
		return err
	}
	var err error
	if d.program, err = os.Executable(); err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	// A short name makes commands that can be read.
	if link := filepath.Join(d.dir, "weir"); os.Symlink(d.program, link) == nil {
		d.program = link
	}
	return nil
}

// startAll starts the nodes and waits until all streams run.
func (d *demo) startAll(ctx context.Context) (sight, error) {
	free := portIsFree
	for attempt := 1; ; attempt++ {
		if err := d.start(free); err != nil {
			return sight{}, err
		}
		first, err := d.settle(ctx)
		if !errors.Is(err, errFailedEarly) || attempt == startAttempts {
			return first, err
		}
		d.stop()
		free = func(int) bool { return false } // others want the usual ports, too
	}
}

// start chooses ports, writes the configuration and starts the processes.
func (d *demo) start(free func(int) bool) error {
	ports, err := pickPorts(demoNodes, free, anyFreePort)
	if err != nil {
		return err
	}
	d.nodes = nil
	for i, p := range ports {
		name := fmt.Sprintf("n%d", i+1)
		d.nodes = append(d.nodes, demoNode{name: name, ports: p, log: filepath.Join(d.dir, name+".log")})
	}
	d.streams = demoStreams(d.nodes[0].name)
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	text := demoConfig(hex.EncodeToString(key), d.dir, d.nodes, d.streams)
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	for _, n := range d.nodes {
		c, err := startDemoProcess(d.program, d.config, d.level, n)
		if err != nil {
			return err
		}
		d.children = append(d.children, c)
	}
	return nil
}

// settle waits until all streams run and gives what the first node sees then.
func (d *demo) settle(ctx context.Context) (sight, error) {
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	var (
		sights  []sight
		missing string
		failed  error
	)
	err := poll(limited, startInterval, func() bool {
		for _, c := range d.children {
			if !c.Alive() {
				failed = d.diedEarly(c)
				return true
			}
		}
		sights = sights[:0]
		for _, n := range d.nodes {
			s, err := look(limited, n)
			if err != nil {
				if limited.Err() == nil {
					missing = n.name + " does not answer yet: " + err.Error()
				}
				return false
			}
			sights = append(sights, s)
		}
		missing = incomplete(sights, d.streams)
		return missing == ""
	})
	switch {
	case ctx.Err() != nil:
		return sight{}, ctx.Err()
	case failed != nil:
		return sight{}, failed
	case err != nil:
		return sight{}, fmt.Errorf("the cluster is not complete after %v: %s\n%s", startLimit, missing, d.logs(d.children))
	}
	return sights[0], nil
}

// diedEarly says why a node has ended before the cluster was complete.
func (d *demo) diedEarly(c *demoProcess) error {
	if c.ExitCode() == exitFailure {
		return fmt.Errorf("%s %w: %s\n%s", c.node.name, errFailedEarly, c.How(), d.logs([]*demoProcess{c}))
	}
	return fmt.Errorf("%s has ended: %s\n%s", c.node.name, c.How(), d.logs([]*demoProcess{c}))
}

// logs gives the ends of the nodes' logs, which are gone with the directory.
func (d *demo) logs(children []*demoProcess) string {
	const most = 5 // lines of each
	var b strings.Builder
	for _, c := range children {
		text, err := os.ReadFile(c.node.log)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", c.node.name, err)
			continue
		}
		lines := slices.Collect(strings.Lines(string(text)))
		for _, line := range lines[max(0, len(lines)-most):] {
			fmt.Fprintf(&b, "%s: %s\n", c.node.name, strings.TrimSpace(line))
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// follow tells what changes until the context ends.
func (d *demo) follow(ctx context.Context, s sight) error {
	f := newFollower(s, time.Now(), d.screen.node)
	told := make([]bool, len(d.children))
	var failed error
	_ = poll(ctx, watchInterval, func() bool {
		for i, c := range d.children {
			if !told[i] && !c.Alive() {
				told[i] = true
				failed = errors.Join(failed, d.tellEnd(c))
			}
		}
		if d.json {
			return failed != nil
		}
		var lines []string
		if next, ok := lookAny(ctx, d.nodes, s.from); ok {
			s = next
			lines = f.see(s, time.Now())
		} else if ctx.Err() == nil {
			lines = f.blind()
		}
		failed = errors.Join(failed, d.screen.lines(time.Now(), lines))
		return failed != nil
	}) // ends when it is asked to
	return failed
}

// tellEnd tells that a node has ended, and how to bring it back.
func (d *demo) tellEnd(c *demoProcess) error {
	if d.json {
		d.log.Warn("node ended", slog.String("node", c.node.name), slog.String("err", c.How()))
		return nil
	}
	what := fmt.Sprintf("%s ended (pid %d, %s); in another terminal, this brings it back:", d.screen.node(c.node.name), c.PID(), c.How())
	return errors.Join(d.screen.lines(time.Now(), []string{what}), d.screen.say(d.command(c.node)))
}

// command is what a person types to start a node again.
func (d *demo) command(n demoNode) string {
	words := append([]string{d.program}, n.args(d.config)...)
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}

// stop ends all children and returns when they are gone.
func (d *demo) stop() {
	var wg sync.WaitGroup
	for _, c := range d.children {
		wg.Go(c.Stop)
	}
	wg.Wait()
	d.children = nil
}

// tellSurvivors names the nodes that still run although all children have ended: somebody else has started them again.
func (d *demo) tellSurvivors() {
	d.stop()
	for _, n := range d.nodes {
		if _, err := look(context.Background(), n); err == nil {
			_ = d.screen.say(d.screen.node(n.name) + " was started by somebody else and goes on: end it with Ctrl-C in its terminal.")
		}
	}
}

func (d *demo) names() []string {
	var names []string
	for _, c := range d.children {
		if c.Alive() {
			names = append(names, c.node.name)
		}
	}
	return names
}

// printJSON prints the line that programs read.
func (d *demo) printJSON() error {
	var line struct {
		Nodes   []map[string]any `json:"nodes"`
		Config  string           `json:"config"`
		Streams []string         `json:"streams"`
	}
	for _, c := range d.children {
		node := map[string]any{"name": c.node.name, "pid": c.PID()}
		for _, l := range demoListeners() {
			node[string(l.Protocol)] = c.node.addr(l.Protocol)
		}
		line.Nodes = append(line.Nodes, node)
	}
	line.Config = d.config
	for _, s := range d.streams {
		line.Streams = append(line.Streams, s.name)
	}
	if err := json.NewEncoder(d.screen.out).Encode(line); err != nil {
		return fmt.Errorf("printing the nodes: %w", err)
	}
	return nil
}

// shellWord quotes a word for a POSIX shell if it needs that.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || slices.Contains([]rune("-_./:=+,@%"), r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
