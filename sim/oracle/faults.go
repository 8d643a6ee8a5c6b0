package oracle

import (
	"math"
	"slices"
	"time"
)

// A Condition is how a node is. The zero Condition is a node that is down.
type Condition struct {
	Up       bool
	Silent   bool // its machine has no power; otherwise it says that the process is down
	Boots    int  // how often its process has been started
	Lives    int  // how often its control plane has begun, which restarts alone after a panic
	Frozen   bool // nothing of it runs
	Draining bool
	NoFiles  bool // it can neither ask nor answer, nor connect to a source
	Key      int  // nodes with different ones do not believe each other

	Rate   int64         // of its clock, in parts per million too fast
	Late   time.Duration // it does everything up to so much late
	Slow   time.Duration // its answers take up to so much longer
	Load   int           // of its processors, in permille
	Broken float64       // so many of its answers cannot be read
}

// runs says whether the process of a node does anything.
func (c *Condition) runs() bool { return c.Up && !c.Frozen }

// A Link is what a directed link does with messages. The zero Link delivers all at once.
type Link struct {
	Cut     bool // nothing passes, or not before the fault is over
	Refused bool // questions fail at once
	Mute    bool // questions arrive, and their answers are lost

	Loss  float64       // so many messages are lost
	Run   float64       // the same, right after one that was lost; it is more where losses come in bursts
	Reset float64       // so many questions fail at once
	Delay time.Duration // the longest; Never: without limit
}

// A quality says whether one node learns that another lives.
type quality uint8

const (
	never  quality = iota // no evidence arrives
	unsure                // evidence arrives, and may be missing for longer than stale_timeout
	sure                  // evidence arrives in every stale_timeout
)

// impossible is the probability that counts as none: at a poll of one link.
const impossible = 1e-10

// A relation is what one node knows of another by the faults in force.
type relation struct {
	ask, hear   quality       // by its own questions; by whatever evidence
	askSince    time.Duration // since when ask is sure
	askUntil    time.Duration // when ask was sure last, and for how long it was then
	askFor      time.Duration
	askGap      time.Duration // gap as it was then
	hearSince   time.Duration // since when hear is sure
	heardUntil  time.Duration // when hear was not never last; Never: it is not now
	refused     bool          // its questions have failed at once since then
	gap         time.Duration // the longest between two answers, if ask is sure
	stale, poll time.Duration // stale_timeout and the longest interval of polls, by a true clock
	trip        time.Duration // the longest from a question to its answer; Never: not known, or there is no answer
	onWay       time.Duration // for how long an answer may be on its way, known or not
	lost        float64       // the probability that a poll brings nothing, and that the next does not either
	run         float64
	stalled     []time.Duration // when it may have begun to take the other for alive again, the last ones
	changed     time.Duration   // when ask or hear changed last
	unsureUntil time.Duration   // when hear was unsure last; Never: it is now
}

// faults are what is in force.
type faults struct {
	nodes     []condition
	links     []Link     // by from and to
	relations []relation // by the node that asks and the one that is asked
	sources   []Source   // by stream and node
	index     map[string]int
	streamAt  map[string]int

	unjudged bool // relations are older than what is in force

	slowest    time.Duration // trip of all relations
	slowTrip   time.Duration // the slowest trip until an instant before slowUntil, from which on no answer of then is on its way
	slowUntil  time.Duration
	sound      time.Duration   // since when no link does more than to delay, and every answer can be read; Never: that is not so
	clear      bool            // every two nodes hear each other surely and directly, or not at all
	parts      []int           // of each node, while it is clear; -1: it does not run
	changed    []time.Duration // of each node: when something happened last to its part, or to what a node of its part hears
	clearSince time.Duration
	uniform    bool          // all files are the same
	told       time.Duration // the last change of anything that is in force
	whole      bool          // all nodes are in one part
	wasWhole   bool          // they were, before the last change
	stood      time.Duration // for how long that was so
	stands     time.Duration // when the parts changed last
}

// A condition is a node as the oracle knows it.
type condition struct {
	Condition
	name    string
	file    *File
	since   time.Duration   // it has been running, since its boot or since it stood still last
	booted  time.Duration   // its last boot
	edited  time.Duration   // its last edit
	altered time.Duration   // the last change of its condition
	returns []time.Duration // when it booted or came back, the last ones
}

// A Source is what a stream's source is to a node.
type Source struct {
	Unreachable bool          // no connection
	Silent      bool          // a connection that brings nothing
	Single      bool          // it takes one connection at a time
	StartUp     time.Duration // the longest to its first access unit, if it is more than that of the group
}

func newFaults(g Group) faults {
	n := len(g.Nodes)
	f := faults{
		nodes: make([]condition, n), links: make([]Link, n*n), relations: make([]relation, n*n),
		sources: make([]Source, len(g.Streams)*n), index: map[string]int{}, streamAt: map[string]int{},
		parts: slices.Repeat([]int{-1}, n), changed: slices.Repeat([]time.Duration{longAgo}, n), clearSince: Never, told: longAgo,
	}
	for i, name := range g.Nodes {
		f.index[name] = i
		f.nodes[i] = condition{name: name, file: &File{}, since: Never, booted: longAgo, edited: longAgo, altered: longAgo}
	}
	for i, name := range g.Streams {
		f.streamAt[name] = i
	}
	for i := range f.relations {
		f.relations[i] = relation{askSince: Never, hearSince: Never, heardUntil: longAgo, changed: longAgo, unsureUntil: longAgo}
	}
	return f
}

// relation is what node a knows of node b.
func (f *faults) relation(a, b int) *relation { return &f.relations[a*len(f.nodes)+b] }

// judgeLinks finds out what each node knows of each other by the faults in force now.
func (f *faults) judgeLinks(now time.Duration) {
	n := len(f.nodes)
	for a := range n {
		for b := range n {
			if a == b {
				continue
			}
			r := f.relation(a, b)
			was, gap := r.ask, r.gap
			f.judgeAsk(a, b)
			if r.ask != was {
				r.changed = now
			}
			if was == sure {
				r.askGap = gap
			}
		}
	}
	for a := range n {
		for b := range n {
			if a == b {
				continue
			}
			r := f.relation(a, b)
			ask, hear := r.ask, f.hears(a, b)
			if ask != sure {
				if r.askSince != Never {
					r.askUntil, r.askFor = now, now-r.askSince
				}
				r.askSince = Never
			} else if r.askSince == Never {
				r.askSince = now
			}
			if hear != sure {
				r.hearSince = Never
			} else if r.hearSince == Never {
				r.hearSince = now
			}
			if hear != never {
				if r.heardUntil != Never && (r.refused || now-r.heardUntil >= r.stale/2) {
					r.returned(now)
				}
				r.heardUntil, r.refused = Never, false
			} else {
				if r.heardUntil == Never {
					r.heardUntil = now
				}
				r.refused = r.refused || f.links[a*n+b].Refused
			}
			if hear == unsure {
				r.unsureUntil = Never
			} else if r.unsureUntil == Never {
				r.unsureUntil = now
			}
			if r.hear != hear {
				r.hear, r.changed = hear, now
			}
		}
	}
	f.rememberTrips(now)
	switch {
	case f.faulty():
		f.sound = Never
	case f.sound == Never:
		f.sound = now
	}
	f.divide(now)
}

// rememberTrips keeps how long answers took before the network became faster, for as long as such an answer may still be on its way.
func (f *faults) rememberTrips(now time.Duration) {
	trip := time.Duration(0)
	for i := range f.relations {
		trip = max(trip, f.relations[i].onWay)
	}
	if trip < f.slowest && (now >= f.slowUntil || f.slowest >= f.slowTrip) {
		f.slowTrip, f.slowUntil = f.slowest, now+f.slowest
	}
	f.slowest = trip
}

// remembered is how many returns are kept: more make no difference to the rules.
const remembered = 8

// returned notes that one node may take the other for alive again, after it took it for dead.
func (r *relation) returned(now time.Duration) {
	if len(r.stalled) == remembered {
		r.stalled = slices.Delete(r.stalled, 0, 1)
	}
	r.stalled = append(r.stalled, now)
}

// judgeAsk finds out how surely node a gets answers of node b: bound B3.
func (f *faults) judgeAsk(a, b int) {
	x, y := &f.nodes[a], &f.nodes[b]
	r := f.relation(a, b)
	out, back := &f.links[a*len(f.nodes)+b], &f.links[b*len(f.nodes)+a]
	r.ask, r.gap = never, Never
	i := slices.IndexFunc(x.file.Peers, func(p Peer) bool { return p.Node == y.name })
	if i < 0 {
		r.lost, r.run = 1, 1
		return
	}
	p := x.file.Peers[i]
	r.stale = p.Stale
	r.poll = slower(p.Fetch*11/10, x.Rate)
	r.lost, r.run, r.trip, r.onWay = 1, 1, Never, 0
	if !x.runs() || !y.runs() || x.NoFiles || y.NoFiles || x.Key != y.Key ||
		out.Cut || out.Refused || out.Mute || back.Cut {
		return
	}
	r.ask, r.onWay = unsure, r.stale // a question without an answer is given up then
	r.lost = 1 - (1-out.Loss)*(1-back.Loss)*(1-out.Reset)*(1-y.Broken)
	r.run = max(r.lost, 1-(1-max(out.Run, out.Loss))*(1-max(back.Run, back.Loss))*(1-out.Reset)*(1-y.Broken))
	if out.Delay == Never || back.Delay == Never {
		return
	}
	r.trip = out.Delay + back.Delay + y.Slow + 2*x.Late + y.Late
	r.onWay = r.trip
	if r.trip >= faster(p.Stale, x.Rate) {
		return
	}
	most := 0
	for q := r.lost; q > impossible && most < 1000; q *= r.run {
		most++
	}
	gap := time.Duration(most+1)*r.poll + r.trip
	if most < 1000 && gap < faster(p.Stale, x.Rate) {
		r.ask, r.gap = sure, gap
	}
}

// slower is how long a time by a clock takes at most, faster how long at least.
func slower(d time.Duration, ppm int64) time.Duration {
	return d + d*time.Duration(max(0, -ppm)+1)/1_000_000
}

func faster(d time.Duration, ppm int64) time.Duration {
	return d - d*time.Duration(max(0, ppm)+1)/1_000_000
}

// hears says how surely node a has evidence that node b lives, its own or relayed by a third node.
func (f *faults) hears(a, b int) quality {
	r := f.relation(a, b)
	if r.ask == sure {
		return sure
	}
	some := r.ask != never
	missing := f.missing(a, b)
	for c := range f.nodes {
		if c == a || c == b || f.relation(a, c).ask == never || f.relation(c, b).ask == never {
			continue
		}
		some = true
		missing *= f.missingBy(a, c, b)
	}
	switch {
	case !some:
		return never
	case missing <= impossible:
		return sure
	}
	return unsure
}

// missing is the probability that all answers of b to a are missing in a stale_timeout.
func (f *faults) missing(a, b int) float64 {
	r := f.relation(a, b)
	if r.ask == never || r.trip == Never {
		return 1
	}
	k := polls(faster(r.stale, f.nodes[a].Rate)-r.trip, r.poll)
	if k <= 0 {
		return 1
	}
	return r.lost * math.Pow(r.run, float64(k-1))
}

// missingBy is the probability that in a stale_timeout c does not pass evidence of b on to a: that no poll of c for b is
// answered before an answered one of a for c.
func (f *faults) missingBy(a, c, b int) float64 {
	x, y := f.relation(a, c), f.relation(c, b)
	if x.trip == Never || y.trip == Never {
		return 1
	}
	stale := faster(f.relation(a, b).stale, f.nodes[a].Rate)
	k := polls(stale-x.trip-y.trip, max(x.poll, y.poll)) - 1
	if k <= 0 {
		return 1
	}
	p := max(x.run, y.run)
	return min(1, float64(k)*(1-p)*math.Pow(p, float64(k-1))+math.Pow(p, float64(k)))
}

// polls is how many polls a time surely has room for.
func polls(d, every time.Duration) int {
	if d <= 0 || every <= 0 {
		return 0
	}
	return int((d - 1) / every)
}

// divide finds the parts of the group, and whether they are clear.
func (f *faults) divide(now time.Duration) {
	clear := true
	count := 0
	for i := range f.parts {
		f.parts[i] = -1
	}
	for a := range f.nodes {
		if !f.nodes[a].runs() {
			continue
		}
		if f.parts[a] < 0 {
			f.parts[a] = count
			count++
		}
		for b := range f.nodes {
			if b == a || !f.nodes[b].runs() {
				continue
			}
			x, y := f.relation(a, b), f.relation(b, a)
			switch {
			case x.ask == sure && y.ask == sure:
				if f.parts[b] < 0 {
					f.parts[b] = f.parts[a]
				}
				clear = clear && f.parts[b] == f.parts[a]
			case x.hear != never || y.hear != never:
				clear = false
			}
		}
	}
	f.sumChanges()
	f.wasWhole, f.stood, f.stands = f.whole, now-f.stands, now
	f.whole = clear && !slices.ContainsFunc(f.parts, func(p int) bool { return p != 0 })
	switch {
	case !clear:
		f.clearSince = Never
	case !f.clear:
		f.clearSince = now
	}
	f.clear = clear
}

// sumChanges finds out when something happened last to the part of each node.
func (f *faults) sumChanges() {
	own := make([]time.Duration, len(f.nodes))
	for a := range f.nodes {
		own[a] = f.nodes[a].altered
		for b := range f.nodes {
			if a != b {
				own[a] = max(own[a], f.relation(a, b).changed, f.relation(b, a).changed)
			}
		}
	}
	for a := range f.nodes {
		f.changed[a] = own[a]
		for b := range f.nodes {
			if f.parts[a] >= 0 && f.parts[a] == f.parts[b] {
				f.changed[a] = max(f.changed[a], own[b])
			}
		}
	}
}

// at lets the time pass until now. What was told of the instants before is complete.
func (o *Oracle) at(now time.Duration) {
	if now > o.now {
		o.judge()
		o.now = now
	}
}

// judge takes in what was told of this instant.
func (o *Oracle) judge() {
	if o.unjudged {
		o.unjudged, o.timed = false, false
		o.judgeLinks(o.now)
		for _, s := range o.streams {
			s.unjudged = true
		}
		o.unjudgedStreams = true
	}
	if o.unjudgedStreams {
		o.unjudgedStreams = false
		o.judgeStreams()
	}
}

// Condition tells how a node is from now on.
func (o *Oracle) Condition(now time.Duration, node string, c Condition) {
	i, ok := o.index[node]
	if !ok || o.nodes[i].Condition == c {
		return
	}
	o.at(now)
	o.endCalm()
	x := &o.nodes[i]
	was := x.Condition
	x.Condition = c
	x.altered, o.told = now, now
	o.happened(now)
	if c.Boots != was.Boots {
		x.booted = now
	}
	if c.runs() && (!was.runs() || c.Boots != was.Boots || c.Lives != was.Lives) {
		x.since = now
		if len(x.returns) == remembered {
			x.returns = slices.Delete(x.returns, 0, 1)
		}
		x.returns = append(x.returns, now)
	}
	o.unjudged = true
}

// Link tells how a directed link is from now on.
func (o *Oracle) Link(now time.Duration, from, to string, l Link) {
	a, aok := o.index[from]
	b, bok := o.index[to]
	if !aok || !bok || o.links[a*len(o.nodes)+b] == l {
		return
	}
	o.at(now)
	o.endCalm()
	o.links[a*len(o.nodes)+b] = l
	o.told = now
	o.unjudged = true
}

// Source tells how the source of a stream is to a node from now on.
func (o *Oracle) Source(now time.Duration, stream, node string, src Source) {
	i, iok := o.streamAt[stream]
	k, kok := o.index[node]
	if !iok || !kok || o.sources[i*len(o.nodes)+k] == src {
		return
	}
	o.at(now)
	o.endCalm()
	o.sources[i*len(o.nodes)+k] = src
	o.told = now
	o.happened(now)
	s := o.streams[i]
	s.sourceChanged = now
	s.unjudged, o.unjudgedStreams = true, true
}

// File tells which file a node obeys from now on.
func (o *Oracle) File(now time.Duration, node string, file *File) {
	i, ok := o.index[node]
	if !ok || o.nodes[i].file == file {
		return
	}
	o.at(now)
	o.endCalm()
	x := &o.nodes[i]
	o.happened(now)
	if len(x.file.Peers) > 0 {
		x.edited, x.altered = now, now
		o.edits++
	}
	x.file, o.told = file, now
	o.uniform, o.limited, o.names = true, false, map[string]bool{}
	for k := range o.nodes {
		f := o.nodes[k].file
		o.uniform = o.uniform && f.Hash == file.Hash && !o.names[f.Name]
		o.limited = o.limited || f.limited()
		o.names[f.Name] = true
	}
	o.kept(i)
	o.replace()
	o.unjudged = true
}
