package real

import (
	"cmp"
	"math"
	"slices"
	"time"

	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/sim"
	"weir/sim/oracle"
)

// stopIn is the longest that a node goes on with a capture that it has given up, while its viewers wait for the media of the next
// owner.
const stopIn = 1500 * time.Millisecond

// An observation is something that the oracle is told.
type observation struct {
	at   time.Duration
	tell func(o *oracle.Oracle, at time.Duration)
}

// consult tells the oracle what was done and what the sources saw, in the order of time.
func (j *judge) consult() {
	names := j.g.clustered()
	var now time.Duration
	o := oracle.New(oracle.Group{
		Nodes: j.g.s.Nodes, Streams: names, StartUp: j.up, StopIn: stopIn, Release: stream.LongestRelease + 250*time.Millisecond,
		Owner: func(node, stream string) (string, bool) { return j.answered(now, node, stream) }, Apart: j.apart(),
	}, func(v oracle.Judgment) {
		j.violated("%s: at %v %s %v: %s", v.Invariant, short(v.At), v.Stream, v.Nodes, v.Text)
	})
	list := slices.Concat(j.conditions(), j.linkStates(), j.sourceStates(names), j.holds())
	slices.SortStableFunc(list, func(a, b observation) int { return cmp.Compare(a.at, b.at) })
	file := outside(j.g.fileOf(j.g.nodes[0]))
	for _, n := range j.g.nodes {
		own := *file
		own.Name = n.name
		o.File(0, n.name, &own)
	}
	for _, x := range append(list, observation{j.h.end, func(*oracle.Oracle, time.Duration) {}}) {
		for due := o.Next(); due < x.at; due = o.Next() {
			now = max(due, now+1)
			o.Advance(now)
		}
		now = max(now, x.at)
		x.tell(o, now)
	}
	o.Advance(now)
	for _, i := range oracle.Invariants() {
		if t := o.Tallies()[i]; t.Judged > 0 {
			j.r.Judged[i.String()] += int(t.Judged)
		}
	}
}

// outside is a configuration as far as the rules depend on it.
func outside(f *conf.File) *oracle.File {
	x := &oracle.File{Hash: f.Hash(), Holddown: f.ReturnHolddown}
	for _, p := range f.Peers {
		x.Peers = append(x.Peers, oracle.Peer{Node: p.Host, Stale: p.StaleTimeout, Fetch: p.FetchTimeout, Limit: p.ChannelLimit})
	}
	for _, s := range f.Streams {
		y := oracle.Stream{
			Name: s.Name, Published: len(s.Inputs) > 0 && s.Inputs[0].Scheme == "publish", Clustered: s.Ingest != nil, OnDemand: !s.Static, Disabled: s.Disabled,
		}
		if s.Ingest != nil {
			y.Pin, y.Break = s.Ingest.CaptureAt, s.Ingest.Handover == conf.Break
		}
		x.Streams = append(x.Streams, y)
	}
	return x
}

// answered is whom a node named as the owner of a stream, if it said the same before and after an instant.
func (j *judge) answered(at time.Duration, node, stream string) (owner string, ok bool) {
	most := j.apart()
	var before, after *answer
	for i := range j.g.answers {
		a := &j.g.answers[i]
		switch {
		case a.node != node:
		case a.came <= at:
			before = a
		case after == nil && a.asked >= at:
			after = a
		}
	}
	if before == nil || after == nil || at-before.asked > most || after.came-at > most || before.owners[stream] != after.owners[stream] {
		return "", false
	}
	return after.owners[stream], true
}

// apart is the longest between two samples of what a node answers that count.
func (j *judge) apart() time.Duration { return 2*j.r.Fetch + time.Second }

// conditions tells how the nodes were.
func (j *judge) conditions() (list []observation) {
	for _, n := range j.g.nodes {
		down, still, draining := j.h.down[n.name], j.h.still[n.name], j.h.draining[n.name]
		points := edgesOf(down, still, draining)
		boots := 0
		was := false
		for _, at := range append([]time.Duration{0}, points...) {
			up := !down.has(at)
			if up && !was {
				boots++
			}
			was = up
			c := oracle.Condition{Up: up, Silent: !up && !j.g.direct, Boots: boots, Frozen: up && still.has(at), Draining: up && draining.has(at), Late: min(j.limit, j.r.Late[n.name])}
			list = append(list, observation{at, func(o *oracle.Oracle, at time.Duration) { o.Condition(at, n.name, c) }})
		}
	}
	return list
}

// edgesOf are the instants at which one of several spans begins or ends.
func edgesOf(all ...spans) (points []time.Duration) {
	for _, s := range all {
		for _, x := range s {
			points = append(points, x.from, x.to)
		}
	}
	slices.Sort(points)
	return slices.Compact(points)
}

// linkStates tells what the links did.
func (j *judge) linkStates() (list []observation) {
	points := []time.Duration{0}
	for _, st := range j.h.done {
		if linkFault(j.g, st.Action) != nil {
			points = append(points, st.At, j.h.until(st))
		}
	}
	slices.Sort(points)
	for _, at := range slices.Compact(points) {
		for _, l := range j.g.links {
			if l.from == l.to {
				continue
			}
			b := j.g.base
			for _, st := range j.h.done {
				if alter := linkFault(j.g, st.Action); alter != nil && st.At <= at && at < j.h.until(st) {
					alter(l, &b)
				}
			}
			x := j.seen(b)
			list = append(list, observation{at, func(o *oracle.Oracle, at time.Duration) { o.Link(at, l.from.name, l.to.name, x) }})
		}
	}
	return list
}

// seen is a link as the oracle knows it. A first question to a node takes two exchanges; an exchange has two chunks at least in
// each direction; what is lost comes later, by a time that has no limit.
func (j *judge) seen(b behaviour) oracle.Link {
	x := oracle.Link{Cut: b.cut+b.clog > 0, Refused: b.refuse > 0, Mute: b.halfOpen > 0, Delay: 2 * b.delay.Max}
	if b.spike > 0 {
		x.Delay += 2 * b.spikeBy.Max
	}
	if b.reset > 0 {
		x.Reset = 1 - math.Pow(1-float64(b.reset)/1e6, 4)
	}
	if b.loss > 0 || b.bandwidth > 0 {
		x.Delay = oracle.Never
	}
	return x
}

// sourceStates tells what the sources were to the nodes.
func (j *judge) sourceStates(streams []string) (list []observation) {
	points := []time.Duration{0}
	for _, st := range j.h.done {
		if isSource(st.Action) {
			points = append(points, st.At, j.h.until(st))
		}
	}
	slices.Sort(points)
	for _, at := range slices.Compact(points) {
		for _, stream := range streams {
			for _, n := range j.g.nodes {
				x := j.source(at, stream, n.name)
				list = append(list, observation{at, func(o *oracle.Oracle, at time.Duration) { o.Source(at, stream, n.name, x) }})
			}
		}
	}
	return list
}

// source is what the source of a stream was to a node at an instant.
func (j *judge) source(at time.Duration, stream, node string) (x oracle.Source) {
	on := func(streams, nodes []string) bool {
		return slices.Contains(streams, stream) && (nodes == nil || slices.Contains(nodes, node))
	}
	for _, st := range j.h.done {
		if st.At > at || at >= j.h.until(st) {
			continue
		}
		switch a := st.Action.(type) {
		case sim.SourceDown:
			x.Unreachable = x.Unreachable || on(a.Streams, a.Nodes)
		case sim.Stall:
			x.Silent = x.Silent || on(a.Streams, a.Nodes)
		case sim.SingleLogin:
			x.Single = x.Single || on(a.Streams, nil)
		case sim.SlowSource:
			if on(a.Streams, a.Nodes) {
				x.StartUp = a.Up.Max + joining
			}
		}
	}
	return x
}

// holds tells the captures.
func (j *judge) holds() (list []observation) {
	for _, h := range j.g.sources.all() {
		at := func(t time.Time) time.Duration { return t.Sub(j.g.zero) }
		list = append(list, observation{at(h.From), func(o *oracle.Oracle, at time.Duration) { o.Began(at, h.Node, h.Stream) }})
		if !h.Up.IsZero() {
			list = append(list, observation{at(h.Up), func(o *oracle.Oracle, at time.Duration) { o.Delivered(at, h.Node, h.Stream) }})
		}
		if h.To.IsZero() || at(h.To) > j.h.end {
			continue
		}
		src := j.source(at(h.To), h.Stream, h.Node)
		failed := src.Unreachable || src.Silent || h.Up.IsZero()
		list = append(list, observation{at(h.To), func(o *oracle.Oracle, at time.Duration) { o.Ended(at, h.Node, h.Stream, failed) }})
	}
	return list
}
