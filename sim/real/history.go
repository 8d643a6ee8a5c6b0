package real

import (
	"slices"
	"time"

	"weir/sim"
)

// A history is what was done to a group and what its sources saw, as times.
type history struct {
	done      []sim.Step // in the order of time
	end       time.Duration
	down      map[string]spans            // of each node: no process that listens
	still     map[string]spans            // its process was paused, or got no processor, or got no processor
	draining  map[string]spans            // it was told to end in order
	disturbed map[[2]string]spans         // of each link: it did not carry everything at once
	delivered map[string]map[string]spans // of each stream and node: its source was read there
	changes   []time.Duration             // when anything was done, in order
}

// history gives what happened until an instant. A node whose machine let it wait longer than a limit stood still for that time.
func (g *group) history(end time.Time, limit time.Duration) *history {
	g.mu.Lock()
	done := slices.Clone(g.done)
	g.mu.Unlock()
	slices.SortStableFunc(done, func(a, b sim.Step) int { return int(a.At - b.At) })
	h := &history{
		done: done, end: end.Sub(g.zero), down: map[string]spans{}, still: map[string]spans{}, draining: map[string]spans{}, disturbed: map[[2]string]spans{},
		delivered: map[string]map[string]spans{},
	}
	for _, n := range g.nodes {
		h.down[n.name] = h.between(done, n.name, true, ends, isType[sim.Restart])
		h.still[n.name] = h.between(done, n.name, false, isType[sim.Pause], func(a sim.Action) bool { return isType[sim.Resume](a) || ends(a) })
		if g.late != nil {
			h.still[n.name] = h.still[n.name].or(g.late.still(n.name, limit))
		}
		h.draining[n.name] = h.between(done, n.name, false, isType[sim.Drain], ends)
	}
	for _, l := range g.links {
		key := [2]string{l.from.name, l.to.name}
		var list []span
		for _, st := range done {
			alter := linkFault(g, st.Action)
			if alter == nil || l.from == l.to {
				continue
			}
			was := g.base
			now := was
			if alter(l, &now); now != was {
				list = append(list, span{st.At, h.until(st)})
			}
		}
		h.disturbed[key] = joined(list)
	}
	for _, st := range done {
		h.changes = append(h.changes, st.At)
		if st.To > 0 {
			h.changes = append(h.changes, st.To)
		}
	}
	slices.Sort(h.changes)
	for _, c := range g.sources.all() {
		if c.Up.IsZero() {
			continue
		}
		to := h.end
		if !c.To.IsZero() {
			to = min(to, c.To.Sub(g.zero))
		}
		if h.delivered[c.Stream] == nil {
			h.delivered[c.Stream] = map[string]spans{}
		}
		flows := joined([]span{{c.Up.Sub(g.zero), to}}).and(h.still[c.Node].not())
		h.delivered[c.Stream][c.Node] = h.delivered[c.Stream][c.Node].or(flows)
	}
	return h
}

// until is when what a step did was over.
func (h *history) until(st sim.Step) time.Duration {
	if st.To == 0 {
		return h.end
	}
	return st.To
}

// isSource says whether an action is done to sources, until it is undone.
func isSource(a sim.Action) bool {
	return isType[sim.SourceDown](a) || isType[sim.Stall](a) || isType[sim.SlowSource](a) || isType[sim.SingleLogin](a)
}

// ends says whether an action ends processes.
func ends(a sim.Action) bool { return isType[sim.Crash](a) || isType[sim.PowerOff](a) }

func isType[A any](a sim.Action) bool {
	_, ok := a.(A)
	return ok
}

// between is the time from each action of one kind to a node to the next one of another.
func (h *history) between(done []sim.Step, node string, begun bool, begins, ends func(sim.Action) bool) spans {
	var list []span
	from := time.Duration(0)
	for _, st := range done {
		if !slices.Contains(nodesOf(st.Action), node) {
			continue
		}
		switch {
		case !begun && begins(st.Action):
			begun, from = true, st.At
		case begun && ends(st.Action):
			begun = false
			list = append(list, span{from, st.At})
		}
	}
	if begun {
		list = append(list, span{from, h.end})
	}
	return joined(list)
}

// nodesOf are the nodes to whose processes an action was done.
func nodesOf(a sim.Action) []string {
	switch a := a.(type) {
	case sim.Crash:
		return a.Nodes
	case sim.PowerOff:
		return a.Nodes
	case sim.Restart:
		return a.Nodes
	case sim.Pause:
		return a.Nodes
	case sim.Resume:
		return a.Nodes
	case sim.Drain:
		return a.Nodes
	}
	return nil
}

// runs is the time in which a node's process did what it should.
func (h *history) runs(node string) spans {
	return h.down[node].or(h.still[node]).or(h.draining[node]).not()
}

// apart is the time in which two nodes did not hear each other well.
func (h *history) apart(a, b string) spans {
	if a == b {
		return nil
	}
	return h.disturbed[[2]string{a, b}].or(h.disturbed[[2]string{b, a}])
}

// served is the time in which a viewer that asks a node for a stream has to get it, once the node has noticed: the node runs, and
// captures the stream itself, or some node does and it hears well each that does.
func (h *history) served(stream, entry string) spans {
	var some, bad spans
	for node, delivers := range h.delivered[stream] {
		some = some.or(delivers)
		bad = bad.or(delivers.and(h.apart(entry, node)))
	}
	return h.delivered[stream][entry].or(some.and(bad.not())).and(h.runs(entry))
}
