package real

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"weir/protocols"
	"weir/sim"
)

// A fault is an action that was begun.
type fault struct {
	step  sim.Step
	alter func(l *link, b *behaviour)
	undo  func()
	ended bool
}

// ErrImpossible is the error of an action that cannot be done to real processes.
var ErrImpossible = errors.New("this cannot be done to real processes")

// begin does what a step says. It must not block for long.
func (g *group) begin(ctx context.Context, st sim.Step) (*fault, error) {
	f := &fault{step: st}
	if alter := linkFault(g, st.Action); alter != nil {
		f.alter = alter
		g.did(st.Action)
		g.faults = append(g.faults, f)
		g.alterLinks()
		return f, nil
	}
	lasts := st.To > st.At
	switch a := st.Action.(type) {
	case sim.Crash:
		for _, n := range g.pick(a.Nodes) {
			g.running.Go(func() { g.crash(n) })
		}
		if lasts {
			f.undo = func() { g.bootAll(ctx, a.Nodes) }
		}
	case sim.PowerOff:
		for _, n := range g.pick(a.Nodes) {
			g.running.Go(func() { g.powerOff(n) })
		}
		if lasts {
			f.undo = func() { g.bootAll(ctx, a.Nodes) }
		}
	case sim.Restart:
		for _, n := range g.pick(a.Nodes) {
			g.running.Go(func() {
				g.crash(n)
				g.boot(ctx, n)
			})
		}
	case sim.CrashLoop:
		for _, n := range g.pick(a.Nodes) {
			g.running.Go(func() { g.crashLoop(ctx, f, n, a) })
		}
		f.undo = func() { g.bootAll(ctx, a.Nodes) }
	case sim.Pause:
		for _, n := range g.pick(a.Nodes) {
			g.freeze(n, true)
		}
		f.undo = func() { g.thaw(a.Nodes) }
	case sim.Resume:
		g.thaw(a.Nodes)
	case sim.Drain:
		for _, n := range g.pick(a.Nodes) {
			g.drain(n)
		}
	case sim.Heal:
		g.endFaults(func(f *fault) bool { return f.alter != nil })
	case sim.Quiet:
		g.quiet(ctx)
	case sim.FlapLink:
		f.undo = func() {}
		g.flap(ctx, f, a)
	case sim.Edit:
		for _, n := range g.pick(a.Nodes) {
			if err := g.write(n, a.File); err != nil {
				return nil, err
			}
			g.did(sim.Edit{Nodes: []string{n.name}, File: a.File})
			n.mu.Lock()
			if n.process != nil {
				_ = n.process.Reload() // an error means that it is gone
			}
			n.mu.Unlock()
		}
		if lasts {
			return nil, fmt.Errorf("an edit with an end: %w", ErrImpossible)
		}
	default:
		if err := g.beginSource(ctx, f, st.Action); err != nil {
			return nil, err
		}
	}
	if f.undo != nil {
		g.faults = append(g.faults, f)
	}
	return f, nil
}

// beginSource does an action to sources, publishers and viewers.
func (g *group) beginSource(ctx context.Context, f *fault, a sim.Action) error {
	switch a := a.(type) {
	case sim.SourceDown:
		g.did(a)
		g.sources.alter(a.Streams, a.Nodes, func(s *sourceState) { s.down = true })
		f.undo = func() {
			g.did(sim.SourceUp(a))
			g.sources.alter(a.Streams, a.Nodes, func(s *sourceState) { s.down = false })
		}
	case sim.SourceUp:
		g.did(a)
		nodes := a.Nodes
		if nodes == nil {
			nodes = append(slices.Clone(g.s.Nodes), "")
		}
		g.sources.alter(a.Streams, nodes, func(s *sourceState) { *s = sourceState{slow: s.slow} })
	case sim.Stall:
		g.did(a)
		g.sources.alter(a.Streams, a.Nodes, func(s *sourceState) { s.silent = true })
		f.undo = func() {
			g.did(sim.SourceUp(a))
			g.sources.alter(a.Streams, a.Nodes, func(s *sourceState) { s.silent = false })
		}
	case sim.SlowSource:
		g.did(a)
		g.sources.alter(a.Streams, a.Nodes, func(s *sourceState) { s.slow = a.Up })
		f.undo = func() { g.sources.alter(a.Streams, a.Nodes, func(s *sourceState) { s.slow = sim.Range{} }) }
	case sim.SingleLogin:
		g.did(a)
		set := func(on bool) {
			g.sources.note(func() {
				for _, s := range a.Streams {
					g.sources.single[s] = on
				}
			})
		}
		set(true)
		f.undo = func() { set(false) }
	case sim.Publish:
		n := g.node(a.Node)
		if n == nil {
			return fmt.Errorf("publishing at %s: no such node", a.Node)
		}
		g.did(a)
		p := g.publish(ctx, n, a.Stream)
		n.pubs = append(n.pubs, p)
		f.undo = func() { g.unpublish(n, a.Stream) }
	case sim.Encoder:
		g.did(a)
		life, cancel := context.WithCancel(ctx)
		rng := rand.New(rand.NewPCG(g.s.Seed, uint64(len(g.done))))
		g.running.Go(func() { g.encode(life, g.pick(a.Nodes), a.Stream, a.Back, rng) })
		f.undo = cancel
	case sim.Drop:
		g.did(a)
		g.drop(a.Streams, a.Silent)
	case sim.Unpublish:
		if n := g.node(a.Node); n != nil {
			g.unpublish(n, a.Stream)
		}
	case sim.Demand:
		g.did(a)
		for _, n := range g.pick(a.Nodes) {
			for _, s := range a.Streams {
				g.running.Go(func() { g.demand(ctx, n, s) })
			}
		}
	default:
		return g.beginViewers(ctx, f, a)
	}
	return nil
}

// beginViewers lets viewers come that stay until the fault ends.
func (g *group) beginViewers(ctx context.Context, f *fault, a sim.Action) error {
	ctx, cancel := context.WithCancel(ctx)
	f.undo = cancel
	come := func(p protocols.Protocol, names, nodes []string, count int) {
		if names == nil {
			names = streams(g.fileOf(g.nodes[0]), func(bool) bool { return true })
		}
		at := g.pick(nodes)
		for i := range count {
			g.watch(ctx, p, names[i%len(names)], at[i/len(names)%len(at)])
		}
	}
	switch a := a.(type) {
	case sim.Viewer:
		come(a.Protocol, []string{a.Stream}, []string{a.Node}, 1)
	case sim.Viewers:
		come(a.Protocol, a.Streams, a.Nodes, a.Count)
	default:
		cancel()
		f.undo = nil
		return fmt.Errorf("%s: %w", sim.KindOf(a).Word, ErrImpossible)
	}
	g.did(a)
	return nil
}

// Possible says whether an action can be done to real processes.
func Possible(a sim.Action) bool {
	if linkFault(nil, a) != nil {
		return true
	}
	switch a.(type) {
	case sim.Crash, sim.PowerOff, sim.Restart, sim.CrashLoop, sim.Pause, sim.Resume, sim.Drain, sim.Heal, sim.Quiet, sim.FlapLink, sim.Edit,
		sim.SourceDown, sim.SourceUp, sim.Stall, sim.SlowSource, sim.SingleLogin, sim.Publish, sim.Unpublish, sim.Demand, sim.Encoder, sim.Drop,
		sim.Viewer, sim.Viewers:
		return true
	}
	return false
}

// linkFault is what an action does to links; nil if it does nothing to them.
func linkFault(g *group, a sim.Action) func(l *link, b *behaviour) {
	on := func(links sim.Links, do func(b *behaviour)) func(l *link, b *behaviour) {
		return func(l *link, b *behaviour) {
			if leads(links, l) {
				do(b)
			}
		}
	}
	switch a := a.(type) {
	case sim.Cut:
		return on(a.Links, func(b *behaviour) { b.cut++ })
	case sim.Partition:
		return func(l *link, b *behaviour) {
			i, j := groupOf(a.Groups, l.from.name), groupOf(a.Groups, l.to.name)
			if i >= 0 && j >= 0 && i != j {
				b.cut++
			}
		}
	case sim.Ring:
		return func(l *link, b *behaviour) {
			names := a.Nodes
			if names == nil {
				names = g.s.Nodes
			}
			i, j := slices.Index(names, l.from.name), slices.Index(names, l.to.name)
			if d := (i - j + len(names)) % len(names); i >= 0 && j >= 0 && d != 1 && d != len(names)-1 {
				b.cut++
			}
		}
	case sim.Isolate:
		both := a.In == a.Out
		return func(l *link, b *behaviour) {
			out, in := slices.Contains(a.Nodes, l.from.name), slices.Contains(a.Nodes, l.to.name)
			if out && (a.Out || both) || in && (a.In || both) {
				b.cut++
			}
		}
	case sim.Refuse:
		return on(a.Links, func(b *behaviour) { b.refuse++ })
	case sim.Reject:
		return on(a.Links, func(b *behaviour) {
			b.refuse++
			b.reject++
		})
	case sim.Reset:
		return on(a.Links, func(b *behaviour) { b.reset = max(b.reset, a.Probability) })
	case sim.HalfOpen:
		return on(a.Links, func(b *behaviour) { b.halfOpen++ })
	case sim.Clog:
		return on(a.Links, func(b *behaviour) { b.clog++ })
	case sim.Delay:
		return on(a.Links, func(b *behaviour) { b.delay = a.By })
	case sim.Spike:
		return on(a.Links, func(b *behaviour) { b.spike, b.spikeBy = a.Probability, a.By })
	case sim.Loss:
		return on(a.Links, func(b *behaviour) { b.loss = a.Probability })
	case sim.Bandwidth:
		return on(a.Links, func(b *behaviour) { b.bandwidth = a.Bytes })
	case sim.SlowReplies:
		if a.After > 0 {
			return nil
		}
		return func(l *link, b *behaviour) {
			if a.Nodes == nil || slices.Contains(a.Nodes, l.from.name) {
				b.delay.Min, b.delay.Max = b.delay.Min+a.By.Min, b.delay.Max+a.By.Max
			}
		}
	}
	return nil
}

// leads says whether a link is one of some.
func leads(on sim.Links, l *link) bool {
	in := func(names []string, n *node) bool { return names == nil || slices.Contains(names, n.name) }
	return in(on.From, l.from) && in(on.To, l.to) || !on.OneWay && in(on.To, l.from) && in(on.From, l.to)
}

func groupOf(groups [][]string, name string) int {
	return slices.IndexFunc(groups, func(g []string) bool { return slices.Contains(g, name) })
}

// alterLinks gives every link the behaviour that the faults make.
func (g *group) alterLinks() {
	for _, l := range g.links {
		b := g.base
		for _, f := range g.faults {
			if f.alter != nil && l.from != l.to {
				f.alter(l, &b)
			}
		}
		l.set(b)
	}
}

// endFault undoes a fault.
func (g *group) endFault(f *fault) {
	if f.ended {
		return
	}
	f.ended = true
	g.faults = slices.DeleteFunc(g.faults, func(o *fault) bool { return o == f })
	if f.undo != nil {
		f.undo()
	}
	if f.alter != nil {
		g.alterLinks()
	}
	if f.alter != nil || isSource(f.step.Action) {
		g.mu.Lock()
		for i := range g.done { // the step gets its end
			if s := &g.done[i]; s.To == 0 && sameAction(s.Action, f.step.Action) {
				s.To = g.since()
				break
			}
		}
		g.mu.Unlock()
	}
}

// sameAction says whether two actions on links are written alike.
func sameAction(a, b sim.Action) bool {
	return sim.KindOf(a) == sim.KindOf(b) && fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b)
}

func (g *group) endFaults(which func(*fault) bool) {
	for _, f := range slices.Clone(g.faults) {
		if which(f) {
			g.endFault(f)
		}
	}
}

// quiet ends everything that disturbs.
func (g *group) quiet(ctx context.Context) {
	g.endFaults(func(*fault) bool { return true })
	g.thaw(nil)
	g.bootAll(ctx, nil)
}

func (g *group) thaw(names []string) {
	for _, n := range g.pick(names) {
		g.freeze(n, false)
	}
}

func (g *group) bootAll(ctx context.Context, names []string) {
	for _, n := range g.pick(names) {
		g.running.Go(func() { g.boot(ctx, n) })
	}
}

// crashLoop ends and starts the process of a node until the fault ends.
func (g *group) crashLoop(ctx context.Context, f *fault, n *node, a sim.CrashLoop) {
	until := g.zeroStep(f.step.To)
	for {
		g.crash(n)
		if !wait(ctx, a.Down) || time.Now().After(until) {
			return // the end of the fault boots it
		}
		g.boot(ctx, n)
		if !wait(ctx, a.Up) || time.Now().After(until) {
			return
		}
	}
}

// zeroStep is when an instant of the scenario comes.
func (g *group) zeroStep(at time.Duration) time.Time { return g.zero.Add(g.offset() + at) }

// flap cuts and heals links until the fault ends.
func (g *group) flap(ctx context.Context, f *fault, a sim.FlapLink) {
	var toggle func(cut *fault)
	toggle = func(cut *fault) {
		if f.ended || ctx.Err() != nil {
			if cut != nil {
				g.endFault(cut)
			}
			return
		}
		d := a.Down
		if cut != nil {
			g.endFault(cut)
			cut, d = nil, a.Up
		} else {
			st := sim.Step{Action: sim.Cut{Links: a.Links}}
			cut, _ = g.begin(ctx, st) // a cut never fails
		}
		g.later(d, func() { toggle(cut) })
	}
	toggle(nil)
}

func (g *group) unpublish(n *node, stream string) {
	g.did(sim.Unpublish{Node: n.name, Stream: stream})
	n.pubs = slices.DeleteFunc(n.pubs, func(p *publisher) bool {
		if p.stream == stream {
			p.cancel()
		}
		return p.stream == stream
	})
}

// demand is a viewer that comes once and leaves when it has got something.
func (g *group) demand(ctx context.Context, n *node, stream string) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	url := protocols.Of(protocols.TS).URL(address(n.host, g.ports.http), stream)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the oracle judges the viewers that stay
	}
	_, _ = res.Body.Read(make([]byte, 188))
	_ = res.Body.Close()
}

// wait returns after a time; false if the context has ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
