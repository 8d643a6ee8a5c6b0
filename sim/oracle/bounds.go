package oracle

import "time"

// The quantities of the bounds, as the faults in force make them.

// damping is how long a return is held against a node (R7), and mostDamping bounds the hold-down: 2 to its power.
const (
	damping     = 10 * time.Minute
	mostDamping = 3

	// longDamping is damping by the slowest clock.
	longDamping = damping + damping/1000
)

// sourceStart is what G allows a source for its start.
const sourceStart = 2 * time.Second

// sourceRetry is the longest that nodes wait before they try a source again that has failed (R5): 1, 2, 4 … 32 seconds.
const sourceRetry = 63 * time.Second

// tick is what every bound allows for the rounding of times.
const tick = 3 * time.Millisecond

// spans are the longest times of the group, which most bounds are made of. They look at every link, and are the same for all streams.
type spans struct {
	stale time.Duration // a stale_timeout, by the slowest clock
	fetch time.Duration // a fetch_timeout, by the slowest clock
	late  time.Duration // by which a node acts late
	trip  time.Duration // from a question to its answer, of those that are answered surely
	gap   time.Duration // between two answers of a node to another, of those that are answered surely
}

// spans are the longest times as of what is in force. They are kept from one change of it to the next.
func (o *Oracle) spans() *spans {
	if o.unjudged || !o.timed {
		o.times = spans{
			stale: o.timeout(func(p *Peer) time.Duration { return p.Stale }), fetch: o.timeout(func(p *Peer) time.Duration { return p.Fetch }),
			late: o.latest(), trip: o.longestTrip(), gap: o.longest(func(r *relation) time.Duration { return r.gap }),
		}
		o.timed = !o.unjudged
	}
	return &o.times
}

func (o *Oracle) stale() time.Duration { return o.spans().stale }
func (o *Oracle) fetch() time.Duration { return o.spans().fetch }
func (o *Oracle) late() time.Duration  { return o.spans().late }
func (o *Oracle) trip() time.Duration  { return o.spans().trip }
func (o *Oracle) gap() time.Duration   { return o.spans().gap }

// longest finds the longest of a quantity over all relations in which questions are answered surely.
func (o *Oracle) longest(of func(r *relation) time.Duration) (d time.Duration) {
	for a := range o.nodes {
		if !o.nodes[a].runs() {
			continue
		}
		for b := range o.nodes {
			if b != a && o.nodes[b].runs() {
				if r := o.relation(a, b); r.ask == sure {
					d = max(d, of(r))
				}
			}
		}
	}
	return d
}

// timeout is the longest timeout of an entry for another node, each by the clock of the node whose file has it.
func (o *Oracle) timeout(of func(p *Peer) time.Duration) (d time.Duration) {
	for a := range o.nodes {
		peers := o.nodes[a].file.Peers
		for i := range peers {
			if peers[i].Node != o.nodes[a].name {
				d = max(d, slower(of(&peers[i]), o.nodes[a].Rate))
			}
		}
	}
	return d
}

// latest is the longest by which a node acts late.
func (o *Oracle) latest() (d time.Duration) {
	for k := range o.nodes {
		d = max(d, o.nodes[k].Late)
	}
	return d
}

// longestTrip is the longest time from a question to its answer. A node asks itself too, to find its name in the file.
func (o *Oracle) longestTrip() time.Duration {
	d := o.longest(func(r *relation) time.Duration { return r.trip })
	for k := range o.nodes {
		if x := &o.links[k*len(o.nodes)+k]; x.Delay != Never {
			d = max(d, 2*x.Delay+o.nodes[k].Slow)
		}
	}
	return d
}

// b2 is the longest gap of a take-over by a node of x's part. Where several nodes are lost, the nodes that are left miss them at
// different instants, and have to hear of each other's claims before they agree on the last streams.
//
// If the gap began with the end of processes whose machines say so, it is shorter.
func (o *Oracle) b2(s *stream, x int, from time.Duration) time.Duration {
	notice := o.stale()
	if o.said(x, from) {
		notice = min(notice, o.b2r())
	}
	trip := o.trip()
	if from < o.slowUntil { // what was on its way when it began is evidence too
		trip = max(trip, o.slowTrip)
	}
	lost, agree := 0, time.Duration(0)
	for k := range o.nodes {
		lost += b2i(o.parts[k] != o.parts[x])
	}
	if lost > 1 {
		agree = 2 * o.gap()
	}
	return agree + notice + trip + trip/2 + o.startUp(s) + o.stopIn(s) + 2*o.late() + tick
}

// b2r is the longest until a node knows that a process has ended whose machine says so (R13): the connection breaks, two more are
// refused, and the other nodes say that they have heard nothing. Their answers and the refusals may cross, which costs a round.
func (o *Oracle) b2r() time.Duration {
	const apart, again = 100 * time.Millisecond, 50 * time.Millisecond
	return apart + 2*again + 4*o.trip() + 4*o.late()
}

// said says whether the machines of all nodes that are not in x's part have told every node of it that their processes have
// ended, one of them at an instant: these nodes kept connections there, because their questions had been answered before, and no fault has
// been between any two of them since then.
func (o *Oracle) said(x int, from time.Duration) bool {
	if !o.clear || o.sound > from {
		return false
	}
	said := false
	for k := range o.nodes {
		c := &o.nodes[k]
		if o.parts[k] == o.parts[x] {
			continue
		}
		if c.Up || c.Silent || c.since == Never {
			return false
		}
		said = said || c.altered == from
		for j := range o.nodes {
			r := o.relation(j, k)
			need := max(o.gap(), r.askGap) + 2*o.trip() + tick
			if o.parts[j] == o.parts[x] && (r.askUntil != c.altered || min(r.askFor, c.altered-o.nodes[j].since, c.altered-o.nodes[j].edited) < need) {
				return false
			}
		}
	}
	return said
}

// faulty says whether a link does more than to delay, or an answer may not be read.
func (f *faults) faulty() bool {
	for i := range f.links {
		l := &f.links[i]
		if l.Cut || l.Refused || l.Mute || l.Loss > 0 || l.Reset > 0 || l.Delay == Never {
			return true
		}
	}
	for k := range f.nodes {
		if c := &f.nodes[k]; c.Broken > 0 || c.NoFiles || c.Key != 0 || c.Slow > 0 {
			return true
		}
	}
	return false
}

// stopIn is the longest from the order to stop a capture of a stream to its end.
func (o *Oracle) stopIn(s *stream) time.Duration {
	if o.group.Watched != nil && o.group.Watched(s.name) {
		return max(o.group.StopIn, o.group.Release)
	}
	return o.group.StopIn
}

// release is the longest from the order to stop a capture of any stream to the answer of its node that it has ended.
func (o *Oracle) release() time.Duration {
	if o.group.Watched == nil || o.group.Watched("") {
		return max(o.group.StopIn, o.group.Release)
	}
	return o.group.StopIn
}

// b4 is the longest time with two owners that hear each other surely: until the one hears of the other, and the time for
// which the streams of a link that flaps are left where they are.
func (o *Oracle) b4(s *stream, a, b int) time.Duration {
	x, y := o.relation(a, b), o.relation(b, a)
	differ := time.Duration(0)
	if o.edits > 0 || !o.uniform { // each waits until they have differed for S
		differ = o.stale() + o.fetch()
	}
	return max(x.gap, y.gap) + o.stopIn(s) + 2*o.late() + differ + tick + o.flapHold(a, b)
}

// b5 is the longest time in which a node gets so many streams back after a return.
func (o *Oracle) b5(node, streams int, s *stream) time.Duration {
	const atOnce = 4 // A7: so many streams are taken back at once
	rounds := time.Duration((streams + atOnce - 1) / atOnce)
	longest := time.Duration(0)
	for k := range o.nodes {
		if k != node && o.relation(node, k).ask == sure && o.relation(k, node).ask == sure {
			longest = max(longest, o.b4(s, node, k))
		}
	}
	ask := time.Duration(0)
	if s.broke {
		ask = o.stale()
	}
	return max(o.stale(), slower(o.holddown(node), o.nodes[node].Rate)) + o.gap() + o.trip() + ask + rounds*(o.slowestStart()+2*o.late()+tick) + longest
}

// slowestStart is the longest that any source needs to begin.
func (o *Oracle) slowestStart() time.Duration {
	d := o.group.StartUp
	for i := range o.sources {
		d = max(d, o.sources[i].StartUp)
	}
	return d
}

// holddown is the longest that a node may have to wait before it takes streams back.
func (o *Oracle) holddown(node int) time.Duration {
	x := &o.nodes[node]
	returns := 0
	for _, t := range x.returns {
		if o.now-t < longDamping {
			returns++
		}
	}
	stalled := 0
	for k := range o.nodes {
		if k == node {
			continue
		}
		n := 0
		for _, t := range o.relation(k, node).stalled {
			n += b2i(o.now-t < longDamping)
		}
		stalled = max(stalled, n)
	}
	return x.file.Holddown << min(max(returns+stalled-1, 0), mostDamping)
}

// flapHold is for how long one of two nodes keeps its streams, at most, because the other is gone and back again and again.
//
// R7: from the second time within ten minutes it is the hold-down, which doubles with each. Where evidence may have been missing
// without a fault that begins and ends, as on a link that loses much, the longest hold-down counts.
func (o *Oracle) flapHold(a, b int) time.Duration {
	hold := max(o.nodes[a].file.Holddown, o.nodes[b].file.Holddown)
	most := 0
	for _, r := range []*relation{o.relation(a, b), o.relation(b, a)} {
		if o.now-r.unsureUntil < longDamping {
			return hold << mostDamping
		}
		n := 0
		for _, t := range r.stalled {
			n += b2i(o.now-t < longDamping)
		}
		most = max(most, n)
	}
	if most < 2 {
		return 0
	}
	return hold << min(most-2, mostDamping)
}

// b6 is the longest time in which a group begins of which all nodes run.
func (o *Oracle) b6() time.Duration {
	return o.fetch()/2 + 3*o.trip() + o.slowestStart() + 2*o.late() + o.gap() - o.fetch() + tick
}

// b7 is the longest that a stream has no owner although a node can capture it.
func (o *Oracle) b7(s *stream) time.Duration {
	return 2*o.stale() + time.Duration(len(o.nodes))*(o.stale()+2*o.fetch()+sourceStart+2*time.Millisecond) + 3*o.trip() + o.startUp(s) + o.stopIn(s) + 4*o.late()
}

// agree is the time after which all nodes of a part have heard of a change. A node that has just given a stream up names nobody if the
// node for which it did is lost: it claims the stream again once its capture has ended.
func (o *Oracle) agree() time.Duration {
	return o.stale() + 2*o.gap() + 2*o.trip() + o.release() + 2*o.late() + tick
}

// b2i is 1 for true.
func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
