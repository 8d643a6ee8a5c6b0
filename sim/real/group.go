package real

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"weir/cluster/conf"
	"weir/protocols"
	"weir/sim"
	"weir/sim/child"
)

// bootLimit is how long a process may take until it listens.
const bootLimit = 30 * time.Second

// A node is one machine of the scenario.
type node struct {
	name    string
	index   int
	host    string
	file    string // its configuration on the disk
	journal string
	log     string
	tree    string

	mu      sync.Mutex     // held while its process starts or ends
	process *child.Process // nil while none runs
	last    *child.Process // the one before, which may not have ended yet; nil before the first has gone
	frozen  bool
	pubs    []*publisher
}

// ports are those of every node, the same at each of the addresses.
type ports struct{ http, rtmp, rtsp, actors, source int }

// at gives the port of a protocol's listener.
func (p *ports) at(listener protocols.Protocol) *int {
	switch listener {
	case protocols.RTMP:
		return &p.rtmp
	case protocols.RTSP:
		return &p.rtsp
	}
	return &p.http
}

// A group is the processes of a run, with everything around them.
type group struct {
	s       *sim.Scenario
	program string
	dir     string
	ports   ports
	pattern *pattern
	sources *sources
	nodes   []*node
	links   []*link // by [group.link]
	fronts  []*front
	base    behaviour // of links without faults
	direct  bool      // nodes reach each other without proxies, as nothing happens to links
	zero    time.Time // what times count from
	ready   time.Time // when all nodes listened first
	queue   []due     // what the goroutine of the steps does next
	running sync.WaitGroup
	rng     *rand.Rand // for what is drawn while it runs; belongs to the goroutine that does the steps

	patience time.Duration // of viewers without media
	late     *late         // nil before it is measured

	faults []*fault // that are on; belong to the goroutine that does the steps

	mu         sync.Mutex
	done       []sim.Step // what was done, when it took effect
	frozen     []frozen
	told       []told
	errs       []error
	viewers    []*viewer
	publishers []*publisher
	answers    []answer
	boots      []time.Duration // how long each process took until it listened
}

// frozen is a time in which a process was paused.
type frozen struct {
	node     string
	from, to time.Time // to is zero while it is
}

// A front accepts the connections to the actors of a node, for all links that lead there.
type front struct {
	g        *group
	to       *node
	at       string
	mu       sync.Mutex
	listener net.Listener
}

// straightDelay is the longest that a message takes without a proxy.
const straightDelay = time.Millisecond

// newGroup prepares a run: files, links and sources, but no process. Where nothing is to happen to links, nodes reach each other
// without proxies: what a process that ends does to its connections counts for its peers only if they lead straight to it.
func newGroup(s *sim.Scenario, steps []sim.Step, program, dir string) (*group, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("real processes can be simulated on Linux only: all of 127.0.0.0/8 has to be loopback, and /proc has to say who has opened a connection")
	}
	if len(s.Nodes) > maxNodes {
		return nil, fmt.Errorf("the group has %d nodes, of which at most %d can be real", len(s.Nodes), maxNodes)
	}
	g := &group{s: s, program: program, dir: dir, rng: rand.New(rand.NewPCG(s.Seed, 2)), patience: silence}
	g.base = behaviour{delay: s.Net.Delay, loss: s.Net.Loss}
	if s.Net.Delay == (sim.Range{}) {
		g.base.delay = sim.Range{Min: time.Millisecond, Max: 50 * time.Millisecond}
	}
	g.direct = g.base.delay.Max <= 20*time.Millisecond && g.base.loss == 0 && !slices.ContainsFunc(steps, func(st sim.Step) bool {
		return isType[sim.FlapLink](st.Action) || isType[sim.PowerOff](st.Action) || linkFault(g, st.Action) != nil
	})
	if g.direct {
		g.base.delay = sim.Range{Min: time.Microsecond, Max: straightDelay}
	}
	hosts := []string{sourceHost}
	for i := range s.Nodes {
		hosts = append(hosts, nodeHost(i), actorsHost(i))
		for j := range s.Nodes {
			hosts = append(hosts, linkHost(i, j))
		}
	}
	free, err := freePorts(5, hosts)
	if err != nil {
		return nil, err
	}
	g.ports = ports{free[0], free[1], free[2], free[3], free[4]}
	if g.pattern, err = newPattern(); err != nil {
		return nil, err
	}
	for i, name := range s.Nodes {
		base := filepath.Join(dir, fmt.Sprintf("n%d", i+1))
		g.nodes = append(g.nodes, &node{name: name, index: i, host: nodeHost(i), file: base + ".conf", journal: base + ".journal", log: base + ".log", tree: base + ".tree"})
	}
	up := s.Capture.Up
	if up == (sim.Range{}) {
		up = sim.Range{Min: 500 * time.Millisecond, Max: 500 * time.Millisecond}
	}
	if g.sources, err = newSources(address(sourceHost, g.ports.source), up, s.Seed, g.pattern, g.who); err != nil {
		return nil, err
	}
	g.addLinks()
	for _, n := range g.nodes {
		if err := g.write(n, g.fileOf(n)); err != nil {
			g.sources.close()
			return nil, err
		}
	}
	return g, nil
}

func (g *group) addLinks() {
	n := len(g.nodes)
	g.links = make([]*link, n*n)
	for _, a := range g.nodes {
		for _, b := range g.nodes {
			g.links[a.index*n+b.index] = &link{
				from: a, to: b, at: address(linkHost(a.index, b.index), g.ports.http), upstream: address(b.host, g.ports.http),
				rng: rand.New(rand.NewPCG(g.s.Seed, uint64(a.index*n+b.index))), now: g.base, changed: make(chan struct{}), conns: map[*relayed]struct{}{},
			}
		}
	}
	for _, l := range g.links {
		l.back = g.link(l.to, l.from)
	}
	for _, n := range g.nodes {
		g.fronts = append(g.fronts, &front{g: g, to: n, at: address(actorsHost(n.index), g.ports.actors)})
	}
}

func (g *group) link(from, to *node) *link { return g.links[from.index*len(g.nodes)+to.index] }

// node gives the node of a name; nil if there is none.
func (g *group) node(name string) *node {
	i := slices.IndexFunc(g.nodes, func(n *node) bool { return n.name == name })
	if i < 0 {
		return nil
	}
	return g.nodes[i]
}

// pick gives the nodes of a list; all for nil.
func (g *group) pick(names []string) []*node {
	if names == nil {
		return g.nodes
	}
	var list []*node
	for _, name := range names {
		if n := g.node(name); n != nil {
			list = append(list, n)
		}
	}
	return list
}

// fileOf is the configuration of a node in the scenario.
func (g *group) fileOf(n *node) *conf.File {
	if f := g.s.Files[n.name]; f != nil {
		return f
	}
	return g.s.Files[""]
}

// streams are the names of the streams of a file.
func streams(f *conf.File, want func(published bool) bool) (names []string) {
	for _, s := range f.Streams {
		if len(s.Inputs) > 0 && !s.Disabled && want(s.Inputs[0].Scheme == "publish") {
			names = append(names, s.Name)
		}
	}
	return names
}

// write writes a configuration to the disk of a node, with the addresses of the run.
func (g *group) write(n *node, from *conf.File) error {
	f := *from
	f.Peers = slices.Clone(from.Peers)
	for i := range f.Peers {
		p := &f.Peers[i]
		to := g.node(g.s.Entries[p.Entry()])
		if to == nil {
			to = g.node(p.Entry())
		}
		if to == nil {
			to = g.node(p.Host)
		}
		switch {
		case to == nil:
			p.APIURL = "http://" + address(linkHost(n.index, maxNodes), g.ports.http) // where nobody listens
		case to == n, g.direct:
			p.APIURL = "http://" + address(to.host, g.ports.http)
		default:
			p.APIURL = "http://" + address(linkHost(n.index, to.index), g.ports.http)
		}
		p.Private, p.Public, p.PublicGiven = p.APIURL, p.APIURL, true
		if to != nil {
			p.Public = "http://" + address(to.host, g.ports.http)
		}
	}
	timeout := g.s.Capture.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	f.Streams = slices.Clone(from.Streams)
	for i := range f.Streams {
		s := &f.Streams[i]
		if len(s.Inputs) == 0 || s.Inputs[0].Scheme != "fake" {
			continue
		}
		s.Inputs = []conf.Input{{
			URL: g.sources.url(s.Name), Scheme: "tshttp", Address: "http" + g.sources.url(s.Name)[len("tshttp"):], Form: conf.TS, Priority: 1,
			SourceTimeout: timeout,
		}}
	}
	f.Journal = n.journal
	f.Remote = conf.Address{Host: n.host, Port: g.ports.actors}
	if !g.direct {
		f.RemoteAdvertise = conf.Address{Host: actorsHost(n.index), Port: g.ports.actors}
	}
	f.Listeners = map[protocols.Protocol][]conf.Listen{}
	for _, p := range []protocols.Protocol{protocols.HTTP, protocols.RTMP, protocols.RTSP} {
		f.Listeners[p] = []conf.Listen{{Address: conf.Address{Host: n.host, Port: *g.ports.at(p)}}}
	}
	if f.Name == "" {
		f.Name = n.name
	}
	next := n.file + ".new" // renamed, so that the node never reads half of it
	if err := os.WriteFile(next, []byte(f.Text()), 0o600); err != nil {
		return fmt.Errorf("writing the configuration of %s: %w", n.name, err)
	}
	if err := os.Rename(next, n.file); err != nil {
		return fmt.Errorf("writing the configuration of %s: %w", n.name, err)
	}
	return nil
}

// who is the node whose process has opened a connection; empty if none has.
func (g *group) who(from, to net.Addr) string {
	var pids []int
	names := map[int]string{}
	for _, n := range g.nodes {
		n.mu.Lock()
		if n.process != nil && n.process.Alive() {
			pids = append(pids, n.process.PID())
			names[n.process.PID()] = n.name
		}
		n.mu.Unlock()
	}
	pid, err := opener(from, to, pids)
	if err != nil {
		return ""
	}
	return names[pid]
}

// since is the time since the beginning of the run.
func (g *group) since() time.Duration { return time.Since(g.zero) }

// did notes that something was done now. Where the end of a process is seen through proxies it says no more to its peers than
// the silence of a machine without power.
func (g *group) did(a sim.Action) {
	if c, ok := a.(sim.Crash); ok && !g.direct {
		a = sim.PowerOff(c)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done = append(g.done, sim.Step{At: g.since(), Action: a})
}

func (g *group) failed(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errs = append(g.errs, err)
}

// boot starts the process of a node that runs none, and returns when it listens.
func (g *group) boot(ctx context.Context, n *node) {
	n.mu.Lock()
	if n.process != nil {
		n.mu.Unlock()
		return
	}
	if n.last != nil {
		<-n.last.Ended() // it has been killed, and its addresses are its own until then
	}
	began := time.Now()
	p, err := child.Start(g.program, []string{"node", "--config", n.file, "--log", "debug"}, n.log)
	if err != nil {
		n.mu.Unlock()
		g.failed(err)
		return
	}
	n.process, n.frozen = p, false
	n.mu.Unlock()
	g.running.Go(func() {
		<-p.Ended()
		g.ended(n, p)
	})
	for p.Alive() && ctx.Err() == nil {
		if c, err := net.DialTimeout("tcp", address(n.host, g.ports.http), time.Second); err == nil {
			_ = c.Close()
			g.power(n, true)
			g.reachable(n, true)
			g.mu.Lock()
			g.boots = append(g.boots, time.Since(began))
			g.mu.Unlock()
			g.did(sim.Restart{Nodes: []string{n.name}})
			return
		}
		if time.Since(began) > bootLimit {
			g.failed(fmt.Errorf("%s does not listen after %v", n.name, bootLimit))
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// ended is told that a process has ended, whoever ended it.
func (g *group) ended(n *node, p *child.Process) {
	n.mu.Lock()
	mine := n.process == p
	if mine {
		n.process = nil
	}
	n.mu.Unlock()
	if mine { // by itself, after a drain
		g.reachable(n, false)
		g.did(sim.Crash{Nodes: []string{n.name}})
	}
}

// release returns the process of a node, which the node then no longer has; nil if it has none.
func (n *node) release() *child.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.process
	if n.process = nil; p != nil {
		n.last = p
	}
	return p
}

// crash ends the process of a node at once.
func (g *group) crash(n *node) {
	p := n.release()
	if p == nil {
		return
	}
	g.did(sim.Crash{Nodes: []string{n.name}})
	g.thawed(n)
	g.reachable(n, false) // before its connections break: its kernel refuses others at once then
	p.Kill()
}

// powerOff ends the process of a node, and nothing tells the others.
func (g *group) powerOff(n *node) {
	p := n.release()
	if p == nil {
		return
	}
	g.did(sim.PowerOff{Nodes: []string{n.name}})
	g.thawed(n)
	g.power(n, false)
	p.Kill()
}

// power switches the machine of a node on or off.
func (g *group) power(n *node, on bool) {
	for _, m := range g.nodes {
		if m != n {
			g.link(m, n).power(on)
			g.link(n, m).power(on)
		}
	}
}

// reachable opens or closes what leads to a node.
func (g *group) reachable(n *node, up bool) {
	if g.direct {
		return
	}
	for _, m := range g.nodes {
		g.link(m, n).setUp(up)
	}
	g.fronts[n.index].set(up)
}

// freeze pauses the process of a node, or lets it go on.
func (g *group) freeze(n *node, still bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil || n.frozen == still {
		return
	}
	n.frozen = still
	if still {
		g.did(sim.Pause{Nodes: []string{n.name}})
		g.mu.Lock()
		g.frozen = append(g.frozen, frozen{node: n.name, from: time.Now()})
		g.mu.Unlock()
		_ = n.process.Pause() // an error means that it is gone
		return
	}
	_ = n.process.Resume()
	g.did(sim.Resume{Nodes: []string{n.name}})
	g.thawed(n)
}

// thawed notes that a process is paused no longer.
func (g *group) thawed(n *node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.frozen {
		if f := &g.frozen[i]; f.node == n.name && f.to.IsZero() {
			f.to = time.Now()
		}
	}
}

// drain asks a node to hand over its streams and to end.
func (g *group) drain(n *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil && !n.frozen {
		g.did(sim.Drain{Nodes: []string{n.name}})
		_ = n.process.Drain() // an error means that it is gone
	}
}

// frozenTimes are the times in which processes were paused.
func (g *group) frozenTimes() []frozen {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.frozen)
}

// end ends all processes and everything around them.
func (g *group) end() {
	var all sync.WaitGroup
	for _, n := range g.nodes {
		n.mu.Lock()
		p := n.process
		n.process = nil
		n.mu.Unlock()
		if p != nil {
			all.Go(p.Stop)
		}
	}
	all.Wait()
	for _, f := range g.fronts {
		f.set(false)
	}
	for _, l := range g.links {
		l.set(behaviour{})
		l.close()
	}
	g.sources.close()
	g.drop(nil, false) // those that linger
	g.running.Wait()
}

// set opens or closes the front.
func (f *front) set(up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case up && f.listener == nil:
		l, err := net.Listen("tcp", f.at)
		if err != nil {
			f.g.failed(fmt.Errorf("listening for the actors of %s: %w", f.to.name, err))
			return
		}
		f.listener = l
		go f.accept(l)
	case !up && f.listener != nil:
		_ = f.listener.Close()
		f.listener = nil
	}
}

func (f *front) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			asker := f.g.node(f.g.who(c.RemoteAddr(), c.LocalAddr()))
			if asker == nil {
				_ = c.Close() // its process has just ended
				return
			}
			f.g.link(asker, f.to).serve(c, address(f.to.host, f.g.ports.actors))
		}()
	}
}
