package oracle

import (
	"slices"
	"time"
)

// judgePlace is I6 and I19: a stream is at its pin or home once that node has been back for long enough.
func (o *Oracle) judgePlace(s *stream) {
	home, pin := -1, -1
	if o.homes != nil && o.clear && !o.limits(o.homes[s.index]) {
		home, pin = o.homes[s.index], o.pins[s.index]
	}
	for k := range s.captures {
		if k != home {
			s.captures[k].home, s.captures[k].goesHome = obligation{}, longAgo
		}
	}
	if home < 0 || s.captures[home].leftOut {
		return
	}
	c := &s.captures[home]
	c.goesHome = longAgo
	owners, other := 0, -1
	for k := range s.captures {
		if o.parts[k] == o.parts[home] && o.parts[k] >= 0 && o.delivers(s, k) {
			owners++
			if k != home {
				other = k
			}
		}
	}
	switch {
	case c.able == Never || owners == 0:
		c.home = obligation{}
	case other < 0:
		o.met(&c.home)
	default:
		rule := I19
		if pin >= 0 {
			rule = I6
		}
		from := max(o.nodes[home].since, o.changed[home], c.able, s.captures[other].up)
		for k := range o.nodes {
			from = max(from, o.nodes[k].edited)
		}
		bound := o.b5(home, o.homeOf(home), s)
		if c.failed > from-2*damping { // it waits before it tries a source again that has failed
			bound += 64*time.Second + o.nodes[home].file.Holddown<<mostDamping
		}
		if pin < 0 && o.nodes[home].since <= o.lastEdit() {
			// An edit that makes a node the home moves no stream that runs. A node that has been the home for longer takes the
			// stream back, within the same time as without an edit; which of the two it is cannot be seen from outside.
			c.home, c.goesHome = obligation{}, from+bound
			if o.now <= c.goesHome {
				s.due = min(s.due, c.goesHome+1)
			}
			return
		}
		o.keep(s, &c.home, rule, from, bound, o.named(other, home), "%s has it, which belongs at %s,", o.nodes[other].name, o.nodes[home].name)
	}
}

// limits says whether a node may not take every stream.
func (o *Oracle) limits(node int) bool {
	return node >= 0 && slices.ContainsFunc(o.nodes[node].file.Peers, func(p Peer) bool {
		return p.Node == o.nodes[node].name && (p.Limit > 0 || p.Load > 0)
	})
}

// allHome is until when a node may take streams back to where they belong by its own file: B5 after the last return or edit. It is for
// groups whose files differ, of which nobody can say from outside where a stream belongs.
func (o *Oracle) allHome() time.Duration {
	at := longAgo
	for k := range o.nodes {
		if x := &o.nodes[k]; x.runs() {
			from := max(x.since, o.changed[k], o.lastEdit())
			for _, s := range o.streams {
				at = max(at, from+o.b5(k, len(o.streams), s))
			}
		}
	}
	return at
}

// lastEdit is when the file of a node changed last while the node ran; [longAgo] if none ever did.
func (o *Oracle) lastEdit() time.Duration {
	at := longAgo
	if o.edits > 0 {
		for k := range o.nodes {
			at = max(at, o.nodes[k].edited)
		}
	}
	return at
}

// homeOf is how many streams belong at a node.
func (o *Oracle) homeOf(node int) (n int) {
	for _, h := range o.homes {
		n += b2i(h == node)
	}
	return n
}

// starts judges that a node begins a capture: I24.
func (o *Oracle) starts(s *stream, x int) {
	c := &s.captures[x]
	if len(c.starts) == 16 {
		copy(c.starts, c.starts[1:])
		c.starts = c.starts[:15]
	}
	c.starts = append(c.starts, o.now)
	o.startsInCalm(s, x)
	o.startsSeldom(s, x)
	if !o.clear || o.parts[x] < 0 {
		return
	}
	if o.lostOne(x) {
		if at := o.successor(s, x); at >= 0 && at != x {
			o.violated(I24, s.name, o.named(x, at)(), "%s starts %s after a failure, which belongs at %s then", o.nodes[x].name, s.name, o.nodes[at].name)
			return
		}
	}
	for q := range s.captures {
		y := &s.captures[q]
		if q == x || o.parts[q] != o.parts[x] || !o.delivers(s, q) || !o.shares(s, q) || o.nodes[q].Draining {
			continue
		}
		settled := o.now - max(y.up, o.changed[x], o.nodes[x].edited, o.nodes[q].edited)
		if settled < o.agree() {
			continue // x need not know of it
		}
		if o.homes == nil || o.edits > 0 || o.limited {
			continue
		}
		if x != o.homes[s.index] && x != o.pins[s.index] {
			o.violated(I24, s.name, o.named(x, q)(), "%s starts %s, which %s has, and which does not belong there", o.nodes[x].name, s.name, o.nodes[q].name)
			return
		}
	}
	o.ok(I24)
}

// lostOne says whether all that has happened to the group for long is that it lost one node, of which x misses the evidence now.
func (o *Oracle) lostOne(x int) bool {
	lost := 0
	for k := range o.nodes {
		lost += b2i(o.parts[k] != o.parts[x])
	}
	return lost == 1 && o.wasWhole && o.homes != nil && o.edits == 0 && !o.limited &&
		o.stood > 2*o.stale()+2*o.agree() && o.now-o.stands < o.stale()+o.trip()+2*o.late()+tick
}

// successor is the node that gets a stream when x's part has lost a node; -1 if that cannot be said.
func (o *Oracle) successor(s *stream, x int) int {
	var list []Stream
	var streams []int
	for i, h := range o.homes {
		if h >= 0 {
			list, streams = append(list, Stream{Name: o.streams[i].name}), append(streams, i)
			if p := o.pins[i]; p >= 0 {
				list[len(list)-1].Pin = o.nodes[p].file.Name
			}
		}
	}
	var names []string
	var live []bool
	for k := range o.nodes {
		names, live = append(names, o.nodes[k].file.Name), append(live, o.parts[k] == o.parts[x] && !o.nodes[k].Draining)
	}
	has := slices.Repeat([]int{-1}, len(list))
	for j, i := range streams {
		for k := range o.nodes {
			if live[k] && o.streams[i].captures[k].claims() && o.streams[i] != s {
				has[j] = k
			}
		}
	}
	if slices.ContainsFunc(o.nodes[x].file.Streams, func(t Stream) bool { return t.OnDemand }) {
		return -1 // those that nobody wants count nowhere
	}
	if slices.ContainsFunc(streams, func(i int) bool { return o.now-o.streams[i].sourceChanged < damping }) {
		return -1
	}
	for j, at := range Place(list, names).within(live, has) {
		if o.streams[streams[j]] == s {
			return at
		}
	}
	return -1
}

// judgeBalance is I25: no node has more than its share, while nodes are lost and none comes back, or while all are at home. It looks
// once a stream of a part has been quiet.
func (o *Oracle) judgeBalance(s *stream, x int) {
	if o.balanced == o.now {
		return
	}
	o.balanced = o.now
	lost := 0
	for k := range o.nodes {
		lost += b2i(!o.takes(k, x))
	}
	if o.homes == nil || o.edits > 0 || o.limited || s.captures[x].leftOut || lost > 1 || lost == 1 && !o.wasWhole {
		return
	}
	load, pins, free := make([]int, len(o.nodes)), []int{}, 0
	pinned := make([]int, len(o.nodes))
	for i, t := range o.streams {
		if o.homes[i] < 0 {
			continue
		}
		owner, n := o.owner(t, x)
		p := o.pins[i]
		live := p >= 0 && o.takes(p, x)
		switch {
		case live:
			pinned[p]++
		default:
			free++
		}
		if o.now-t.sourceChanged < damping || n > 1 || n == 1 && owner != o.homes[i] && o.takes(o.homes[i], x) {
			return // a stream is not at its place yet, or was taken away by its source
		}
		if n == 1 {
			load[owner]++
		}
	}
	for k := range o.nodes {
		if o.takes(k, x) {
			pins = append(pins, pinned[k])
		}
	}
	low, more := share(pins, free)
	for k := range o.nodes {
		if limit := max(low+min(more, 1), pinned[k]); load[k] > limit {
			o.violated(I25, "", o.named(k)(), "%s captures %d streams, want at most %d", o.nodes[k].name, load[k], limit)
			return
		}
	}
	o.ok(I25)
}

// takes says whether a node of x's part takes streams: one that drains has handed its own over.
func (o *Oracle) takes(node, x int) bool {
	return o.parts[node] == o.parts[x] && !o.nodes[node].Draining
}
