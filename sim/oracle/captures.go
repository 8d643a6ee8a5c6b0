package oracle

import (
	"slices"
	"time"
)

// A capture is what the source of a stream saw of one node.
type capture struct {
	on       bool          // a connection is open, or being opened
	up       time.Duration // its first access unit; Never: not yet
	ended    time.Duration // when the last connection that counted as a claim ended
	flows    bool          // media came through it when it was judged last
	dry      time.Duration // when media stopped coming through it last, although the connection may have stayed
	failed   time.Duration // when one failed last
	retry    bool          // the last one failed, so that the present one is another try of the same
	muted    time.Duration // the publisher sends nothing; as in Muted
	began    time.Duration
	startUp  time.Duration   // the longest that the source needed when it began
	starts   []time.Duration // the last ones
	able     time.Duration   // since when the node can capture it; Never: it cannot
	orphan   obligation      // somebody that the node hears of has to capture it
	home     obligation      // it is to go to this node, as its home or pin
	agree    obligation      // the node is to know who has it
	nameless obligation      // the node is to name somebody who has it

	goesHome time.Duration // until when the stream may still go to this node as its home, after an edit

	leftOut bool // its file does not have the stream as one that the group captures
	shared  bool // the capture counts for the group
}

// claims says whether other nodes that hear of the capture wait for it.
func (c *capture) claims() bool { return c.on && (c.up != Never || !c.retry) }

// An obligation is something that has to be so by an instant.
type obligation struct {
	on          bool
	from, bound time.Duration
	told        bool // that it was not kept
	rule        Invariant
}

// A stream is what the oracle knows of one stream.
type stream struct {
	index         int
	name          string
	captures      []capture // by node
	overlaps      []overlap
	unjudged      bool
	due           time.Duration
	started       bool          // it has been captured once
	sourceChanged time.Duration // when its source changed last, to whatever node
	broke         bool          // handover=break
	published     bool
}

// An overlap is a pair of nodes that capture a stream, of which one has to yield.
type overlap struct {
	a, b int
	obligation
}

func newStream(i int, name string, nodes int) *stream {
	s := &stream{index: i, name: name, captures: make([]capture, nodes), due: Never, sourceChanged: longAgo}
	for k := range s.captures {
		s.captures[k] = capture{up: Never, ended: longAgo, dry: longAgo, failed: longAgo, began: longAgo, able: Never, goesHome: longAgo}
	}
	return s
}

// kept takes in which streams the file of a node gives to the group.
func (o *Oracle) kept(node int) {
	for _, s := range o.streams {
		s.captures[node].leftOut = true // one that is removed counts until it has ended
	}
	for i := range o.nodes[node].file.Streams {
		x := &o.nodes[node].file.Streams[i]
		if k, ok := o.streamAt[x.Name]; ok {
			s := o.streams[k]
			c := &s.captures[node]
			c.leftOut = !x.kept()
			c.shared = x.Published || x.Clustered
			s.broke, s.published = x.Break, x.Published
		}
	}
}

// replace computes where the streams belong, if all files are the same.
func (o *Oracle) replace() {
	o.homes, o.pins = nil, nil
	if !o.uniform {
		return
	}
	var list []Stream
	var at []int
	for _, x := range o.nodes[0].file.Streams {
		if x.placed() {
			if i := o.indexOf(x.Pin); i >= 0 {
				x.Pin = o.nodes[i].file.Name
			}
			list, at = append(list, x), append(at, o.streamAt[x.Name])
		}
	}
	var names []string
	var node []int
	for _, p := range o.nodes[0].file.Peers {
		if i := o.indexOf(p.Node); i >= 0 {
			names, node = append(names, o.nodes[i].file.Name), append(node, i)
		}
	}
	o.homes, o.pins = slices.Repeat([]int{-1}, len(o.streams)), slices.Repeat([]int{-1}, len(o.streams))
	for i, h := range Place(list, names).Homes {
		if h >= 0 {
			o.homes[at[i]] = node[h]
		}
		if k := slices.Index(names, list[i].Pin); k >= 0 {
			o.pins[at[i]] = node[k]
		}
	}
}

// indexOf is the index of a node; -1 if there is none of the name.
func (o *Oracle) indexOf(name string) int {
	if i, ok := o.index[name]; ok {
		return i
	}
	return -1
}

// Began tells that a node opens a connection to the source of a stream, or has got a publisher.
func (o *Oracle) Began(now time.Duration, node, stream string) {
	s, c := o.told2(now, node, stream)
	if c == nil {
		return
	}
	c.on, c.up, c.began, c.muted = true, Never, now, 0
	c.startUp = o.sources[s.index*len(o.nodes)+o.index[node]].StartUp
	if !c.leftOut {
		o.starts(s, o.index[node])
	}
}

// Delivered tells that the first access unit of a capture has come.
func (o *Oracle) Delivered(now time.Duration, node, stream string) {
	s, c := o.told2(now, node, stream)
	if c == nil || !c.on {
		return
	}
	c.up = now
	s.started = true
}

// Muted tells that the publisher whom a node has sends nothing from now on; zero: that it sends again. Notice is how long its node may
// take it for one that sends.
func (o *Oracle) Muted(now time.Duration, node, stream string, notice time.Duration) {
	if _, c := o.told2(now, node, stream); c != nil {
		c.muted = notice
	}
}

// Ended tells that a capture is over: by the node, or because the source failed.
func (o *Oracle) Ended(now time.Duration, node, stream string, failed bool) {
	_, c := o.told2(now, node, stream)
	if c == nil || !c.on {
		return
	}
	if c.claims() {
		c.ended = now
	}
	c.on, c.retry = false, failed
	if failed {
		c.failed = now
		o.happened(now)
	}
}

// told2 lets the time pass to an event of a capture.
func (o *Oracle) told2(now time.Duration, node, stream string) (*stream, *capture) {
	i, iok := o.streamAt[stream]
	k, kok := o.index[node]
	if !iok || !kok {
		return nil, nil
	}
	o.at(now)
	s := o.streams[i]
	s.unjudged, o.unjudgedStreams = true, true
	return s, &s.captures[k]
}

// delivers says whether media of a stream comes through a node.
func (o *Oracle) delivers(s *stream, node int) bool {
	c := &s.captures[node]
	return c.on && c.up != Never && o.nodes[node].runs() && !o.sources[s.index*len(o.nodes)+node].Silent
}

// shares says whether the capture of a node counts for the group.
func (o *Oracle) shares(s *stream, node int) bool { return s.captures[node].shared }

// judgeStreams judges the streams to which something happened.
func (o *Oracle) judgeStreams() {
	o.due = Never
	for _, s := range o.streams {
		if s.unjudged {
			s.unjudged = false
			s.due = Never
			o.judgeAble(s)
			o.judgeOverlaps(s)
			o.judgeOrphan(s)
			o.judgePlace(s)
			o.judgeAnswers(s)
			o.judgeNamed(s)
		}
		o.due = min(o.due, s.due)
	}
	o.settle()
}

// judgeAble keeps since when each node can capture a stream.
func (o *Oracle) judgeAble(s *stream) {
	for k := range s.captures {
		c, x, src := &s.captures[k], &o.nodes[k], &o.sources[s.index*len(o.nodes)+k]
		flows := o.delivers(s, k)
		if c.flows && !flows {
			c.dry = o.now
		}
		c.flows = flows
		able := x.runs() && !x.Draining && !x.NoFiles && !c.leftOut && !src.Unreachable && !src.Silent && !src.Single
		if !able {
			c.able = Never
		} else if c.able == Never {
			c.able = o.now
		}
	}
}

// keep holds an obligation: it is on from an instant, for so long at most. It is measured once it is kept.
func (o *Oracle) keep(s *stream, b *obligation, rule Invariant, from, bound time.Duration, nodes func() []string, format string, args ...any) {
	if b.on && b.rule != rule {
		b.told = false
	}
	b.on, b.rule, b.bound = true, rule, bound
	if b.from != from {
		b.from, b.told = from, false
	}
	switch at := b.from + b.bound; {
	case b.told:
	case o.now > at:
		b.told = true
		if rule == I18 {
			o.violated(I1, s.name, nodes(), "two owners in one part of the group")
		}
		text := append(slices.Clone(args), o.now-b.from, b.bound)
		o.violated(rule, s.name, nodes(), format+" for %v, want at most %v", text...)
	default:
		s.due = min(s.due, at+1)
	}
}

// met says that what an obligation asks for is so.
func (o *Oracle) met(b *obligation) {
	if b.on && !b.told && o.now >= b.from {
		o.measured(b.rule, o.now-b.from, b.bound)
	}
	*b = obligation{}
}

// judgeOverlaps is I18: of two nodes that capture a stream and hear each other, one yields within B4.
func (o *Oracle) judgeOverlaps(s *stream) {
	for i := range s.overlaps {
		x := &s.overlaps[i]
		if !o.delivers(s, x.a) || !o.delivers(s, x.b) {
			o.met(&x.obligation)
		}
	}
	s.overlaps = slices.DeleteFunc(s.overlaps, func(x overlap) bool {
		return !x.on || o.relation(x.a, x.b).ask != sure || o.relation(x.b, x.a).ask != sure
	})
	for a := range s.captures {
		if !s.captures[a].on || !o.delivers(s, a) || !o.shares(s, a) {
			continue
		}
		for b := range a {
			if !o.delivers(s, b) || !o.shares(s, b) {
				continue
			}
			x, y := o.relation(a, b), o.relation(b, a)
			if x.ask != sure || y.ask != sure {
				continue
			}
			i := slices.IndexFunc(s.overlaps, func(x overlap) bool { return x.a == a && x.b == b })
			if i < 0 {
				i = len(s.overlaps)
				s.overlaps = append(s.overlaps, overlap{a: a, b: b})
			}
			from := max(s.captures[a].up, s.captures[b].up, x.askSince, y.askSince, o.nodes[a].since, o.nodes[b].since)
			bound := o.b4(s, a, b)
			if muted := max(s.captures[a].muted, s.captures[b].muted); muted > 0 { // R9c: its node waits for S, so that not both go
				bound += muted + o.stale()
			}
			o.keep(s, &s.overlaps[i].obligation, I18, from, bound, o.named(a, b), "two owners")
		}
	}
}

// named gives the names of nodes.
func (o *Oracle) named(nodes ...int) func() []string {
	return func() (out []string) {
		for _, k := range nodes {
			out = append(out, o.nodes[k].name)
		}
		return out
	}
}

// judgeOrphan is I17, I20 and I21: a stream that a node can capture is captured by somebody it hears of.
func (o *Oracle) judgeOrphan(s *stream) {
	for x := range s.captures {
		c := &s.captures[x]
		if c.able == Never || o.full(x) || o.clear && o.covered(s, x) {
			c.orphan = obligation{}
			continue
		}
		from, served := o.unserved(s, x)
		if served {
			o.met(&c.orphan)
			continue
		}
		rule, from, bound := o.orphanBound(s, x, from)
		o.keep(s, &c.orphan, rule, from, bound, o.named(x), "no owner that %s hears of", o.nodes[x].name)
	}
}

// covered says whether another node of x's part is judged for x.
func (o *Oracle) covered(s *stream, x int) bool {
	for k := range x {
		if o.parts[k] == o.parts[x] && s.captures[k].able != Never && !o.full(k) {
			return true
		}
	}
	return false
}

// unserved says since when nobody claims a stream that node x may hear of, or that somebody captures it.
func (o *Oracle) unserved(s *stream, x int) (from time.Duration, served bool) {
	from = s.captures[x].able
	for q := range s.captures {
		c := &s.captures[q]
		if !o.shares(s, q) {
			continue
		}
		r := o.relation(x, q)
		hears := q == x || r.hear != never
		switch {
		case hears && o.delivers(s, q):
			return 0, true
		case c.claims() && hears && o.clear: // it has to deliver in time
		case c.claims() && hears:
			from = max(from, o.now)
		case c.claims():
			from = max(from, r.heardUntil)
		}
		if q == x {
			from = max(from, c.ended, c.dry)
		} else {
			from = max(from, min(max(c.ended, c.dry), r.heardUntil)) // which never comes while x may hear of q
		}
	}
	return from, false
}

// orphanBound says by which rule a stream may have no owner, from when and for how long.
func (o *Oracle) orphanBound(s *stream, x int, from time.Duration) (Invariant, time.Duration, time.Duration) {
	failed, all := longAgo, o.uniform && !o.limited && o.clear
	for k := range s.captures {
		c := &s.captures[k]
		failed = max(failed, c.failed)
		if o.parts[k] == o.parts[x] {
			all = all && (c.able != Never || o.nodes[k].Draining)
		}
	}
	retry := time.Duration(0)
	if o.now-failed < 3*time.Minute {
		retry, all = sourceRetry, false
	}
	switch {
	case all && !s.started && o.everybody():
		return I21, max(0, o.changed[x]), o.b6()
	case all && !s.started:
		return I21, max(from, o.changed[x]), o.b2(s, x, Never)
	case all:
		from = max(from, o.changed[x])
		return I17, from, o.b2(s, x, from)
	case o.clear:
		return I20, max(from, o.changed[x]), o.b7(s) + retry
	}
	return I20, max(from, o.nodes[x].since, o.nodes[x].edited), o.b7(s) + retry
}

// everybody says whether all nodes run, in one part.
func (o *Oracle) everybody() bool {
	for k := range o.nodes {
		if o.parts[k] != 0 || o.nodes[k].Draining {
			return false
		}
	}
	return true
}

// full says whether a node leaves streams to others because of its limits.
func (o *Oracle) full(node int) bool {
	if !o.limited {
		return false
	}
	limit := o.limit(node)
	return limit > 0 && o.count(node) >= limit || o.busy(node)
}

// limit is how many captures a node may have; 0: any number.
func (o *Oracle) limit(node int) int {
	for _, p := range o.nodes[node].file.Peers {
		if p.Node == o.nodes[node].name {
			return p.Limit
		}
	}
	return 0
}

// busy says whether the load of a node keeps it from taking more.
func (o *Oracle) busy(node int) bool {
	for _, p := range o.nodes[node].file.Peers {
		if p.Node == o.nodes[node].name {
			return p.Load > 0 && o.nodes[node].Load >= p.Load*9/10
		}
	}
	return false
}

// count is how many captures a node has.
func (o *Oracle) count(node int) (n int) {
	for _, s := range o.streams {
		if s.captures[node].on {
			n++
		}
	}
	return n
}

// startUp is the longest that the source of a stream needs to begin, to any node. A source that was slow when a capture began
// may still be slow for that capture.
func (o *Oracle) startUp(s *stream) time.Duration {
	d := o.group.StartUp
	for k := range o.nodes {
		d = max(d, o.sources[s.index*len(o.nodes)+k].StartUp)
		if c := &s.captures[k]; c.on && c.up == Never {
			d = max(d, c.startUp)
		}
	}
	return d
}

// before says whether node a comes before node b in the order of a stream, by the placement of the rules.
func (o *Oracle) before(s *stream, a, b int) bool {
	name := func(k int) string {
		if k < 0 {
			return ""
		}
		return o.nodes[k].file.Name
	}
	return Before(s.name, name(o.pins[s.index]), name(o.homes[s.index]), name(a), name(b))
}
