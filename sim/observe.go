package sim

import (
	"time"

	"weir/actors/stream"
	"weir/cluster/control"
	"weir/sim/oracle"
)

// newOracle makes the oracle of a run. What it finds is a violation of the run.
func newOracle(w *world) *oracle.Oracle {
	g := oracle.Group{StartUp: w.captureUp.Max, StopIn: w.down.Max, Owner: w.ownerSaid}
	if w.s.Fidelity == Actors {
		g.Release, g.Watched = stream.LongestRelease+lookEvery, w.watched
	}
	for _, m := range w.machines {
		g.Nodes = append(g.Nodes, m.name)
	}
	for _, s := range w.streams {
		g.Streams = append(g.Streams, s.name)
	}
	return oracle.New(g, func(j oracle.Judgment) {
		w.violate(Violation{Invariant: j.Invariant, Stream: j.Stream, Nodes: j.Nodes, Text: j.Text})
	})
}

// ownerSaid is whom a node names as the owner of a stream.
func (w *world) ownerSaid(node, stream string) (owner string, ok bool) {
	m := w.machine(node)
	if m == nil || m.process == nil || m.view() == nil || !m.view().Warm || m.view().Aside {
		return "", false
	}
	x := m.viewOf(w.byName[stream])
	if x == nil || !x.Clustered && x.Kind == control.Kept {
		return "", false
	}
	if q := w.announcing(x.Owner); q != nil {
		return q.name, true
	}
	return x.Owner, true
}

// observe tells the oracle what is in force now.
func (c *checks) observe() {
	w := c.w
	for _, m := range w.machines {
		c.oracle.Condition(w.now, m.name, oracle.Condition{
			Up: m.up, Silent: m.dark, Boots: m.boots, Lives: m.control + m.kills, Frozen: m.frozen > 0, Draining: m.draining, NoFiles: m.exhausted > 0,
			Key: m.wrongKey * (m.index + 1), Rate: m.clock.ppm, Late: m.lag, Slow: m.slow.Max, Load: m.load, Broken: float64(m.broken) / million,
		})
		if m.outside == nil || m.outsideOf != m.file || c.renamed {
			m.outside, m.outsideOf = m.fileFromOutside(), m.file
		}
		c.oracle.File(w.now, m.name, m.outside)
	}
	c.renamed = false
	for i := range w.links {
		l := &w.links[i]
		c.oracle.Link(w.now, l.from.name, l.to.name, l.fromOutside())
	}
}

// observeSources tells the oracle what the sources are to the nodes.
func (c *checks) observeSources() {
	w := c.w
	for _, s := range w.streams {
		for _, m := range w.machines {
			src := oracle.Source{
				Unreachable: s.unreachable[m.name] || s.unreachable[""], Silent: s.silent[m.name] || s.silent[""], Single: s.single,
			}
			if r, ok := s.slow[m.name]; ok {
				src.StartUp = r.Max
			} else if r, ok := s.slow[""]; ok {
				src.StartUp = r.Max
			}
			c.oracle.Source(w.now, s.name, m.name, src)
		}
	}
}

// fromOutside is what a link does, as the oracle knows it.
func (l *link) fromOutside() oracle.Link {
	share := func(p PPM) float64 { return float64(p) / million }
	x := oracle.Link{Cut: l.cut > 0 || l.clog > 0, Refused: l.refuse > 0, Mute: l.halfOpen > 0, Loss: share(l.loss), Reset: share(l.reset), Delay: l.delay.Max}
	x.Run = x.Loss
	if l.begin > 0 { // a burst is on for the share begin/(begin+end) of the time
		on := share(l.begin) / (share(l.begin) + share(l.end))
		x.Loss, x.Run = 1-(1-x.Loss)*(1-on), max(x.Run, 1-share(l.end), on)
	}
	if l.spike > 0 {
		x.Delay += l.spikeBy.Max
	}
	if l.re > 0 {
		x.Delay += l.overtake
	}
	if l.punctual > 0 || l.bandwidth > 0 {
		x.Delay = oracle.Never
	}
	return x
}

// fileFromOutside is the file of a machine, as the oracle knows it.
func (m *machine) fileFromOutside() *oracle.File {
	w, r := m.w, m.read()
	f := &oracle.File{Name: m.announced, Hash: r.config.Hash, Holddown: m.file.ReturnHolddown}
	for _, p := range r.config.Peers {
		q := oracle.Peer{Stale: time.Duration(p.Stale), Fetch: time.Duration(p.Fetch), Limit: p.Limits.Channels, Load: p.Limits.CPU}
		if to := w.byEntry(p.Entry); to != nil {
			q.Node = to.name
		}
		f.Peers = append(f.Peers, q)
	}
	for _, s := range r.config.Streams {
		x := oracle.Stream{
			Name: s.Name, Published: s.Kind == control.Published, Clustered: s.Clustered, OnDemand: s.OnDemand, Break: s.Break, Disabled: s.Disabled,
		}
		if to := w.announcing(s.Pin); to != nil {
			x.Pin = to.name
		} else if to := w.byEntry(s.Pin); to != nil && s.Pin != "" {
			x.Pin = to.name
		}
		f.Streams = append(f.Streams, x)
	}
	return f
}

// takeTallies takes what the oracle judged into the result of the run.
func (c *checks) takeTallies() {
	r := c.w.result
	c.oracle.Advance(c.w.now)
	r.Tallies = c.oracle.Tallies()
	for i := range r.Tallies {
		t := &r.Tallies[i]
		if t.Judged == 0 {
			continue
		}
		v := &r.Verdicts[i-1]
		v.Checks += t.Judged
		v.Outcome = max(v.Outcome, Held)
		if t.Violated > 0 {
			v.Outcome = Violated
		}
		if name, formula := oracle.Invariant(i).Bound(); t.Measured > 0 {
			r.Measures[name] = Measure{Name: name, Formula: formula, Bound: t.Bound, Worst: t.Got, Count: t.Measured}
		}
	}
}

// sumTallies takes what was judged elsewhere into the tallies.
func (r *Result) sumTallies() {
	for _, v := range r.Verdicts {
		r.Tallies[v.Invariant].Judged = v.Checks
	}
}
