package oracle

import (
	"fmt"
	"slices"
	"time"
)

// Surely is since when node a surely hears that node b lives, by the faults in force; [Never] if it may miss it.
func (o *Oracle) Surely(a, b string) time.Duration {
	o.judge()
	i, iok := o.index[a]
	k, kok := o.index[b]
	if !iok || !kok {
		return Never
	}
	if i == k {
		return o.nodes[i].since
	}
	return o.relation(i, k).hearSince
}

// Settled is since when nothing has happened to the part of the group that a node is in; [Never] while it may miss nodes of it.
func (o *Oracle) Settled(node string) time.Duration {
	o.judge()
	i, ok := o.index[node]
	if !ok || !o.clear || o.parts[i] < 0 {
		return Never
	}
	return max(o.changed[i], o.nodes[i].edited)
}

// Lookup is the longest that a node needs to say who has a stream, in a settled group. It is longer where the files differ, where a node has
// limits, and after a failure of the source.
func (o *Oracle) Lookup(stream, node string) (bound time.Duration, ok bool) {
	o.judge()
	i, iok := o.index[node]
	k, kok := o.streamAt[stream]
	if !iok || !kok || !o.clear || o.parts[i] < 0 {
		return 0, false
	}
	s := o.streams[k]
	longest, able := o.b2(s, i, Never), false
	if o.limited || !o.uniform {
		longest = o.b7(s)
	}
	for x := range s.captures {
		if s.captures[x].failed > o.now-3*time.Minute {
			longest = o.b7(s) + sourceRetry
		}
	}
	for x := range s.captures {
		if c := &s.captures[x]; o.parts[x] == o.parts[i] {
			able = able || c.able != Never && o.now-c.able > longest
		}
	}
	return longest + o.agree(), able
}

// Home is the node at which a stream belongs while it lives; empty if there is none, or the files differ.
func (o *Oracle) Home(stream string) string {
	o.judge()
	if k, ok := o.streamAt[stream]; ok && o.homes != nil && o.homes[k] >= 0 {
		return o.nodes[o.homes[k]].name
	}
	return ""
}

// Wrong says of a stream that nobody has, though a node could, or that several have; empty if there is none.
func (o *Oracle) Wrong() string {
	o.judge()
	for _, s := range o.streams {
		for k := range s.captures {
			if s.captures[k].orphan.on {
				return s.name + ": no owner"
			}
		}
		if len(s.overlaps) > 0 {
			return s.name + ": several owners"
		}
	}
	return ""
}

// Orphaned says whether a stream that was captured once has no owner in a part of the group of which a node could capture it.
func (o *Oracle) Orphaned() bool {
	o.judge()
	return slices.ContainsFunc(o.streams, func(s *stream) bool {
		return s.started && slices.ContainsFunc(s.captures, func(c capture) bool { return c.orphan.on })
	})
}

// Open says what may last longer than the run: a stream without an owner, or with several. It is empty if nothing does.
func (o *Oracle) Open() string {
	o.judge()
	for _, s := range o.streams {
		for k := range s.captures {
			if b := &s.captures[k].orphan; b.on && !b.told {
				return fmt.Sprintf("%s has no owner, which may last until %v", s.name, (b.from + b.bound).Round(time.Millisecond))
			}
		}
		for i := range s.overlaps {
			if b := &s.overlaps[i].obligation; b.on && !b.told {
				return fmt.Sprintf("%s has several owners, which may last until %v", s.name, (b.from + b.bound).Round(time.Millisecond))
			}
		}
	}
	return ""
}

// Yielded tells that a node let go of a stream for another, by the name under which that one claimed it: I4. Pin and home are the names
// that the node itself gives in its answers, which count while the files differ or have been edited.
func (o *Oracle) Yielded(now time.Duration, node, to, as, stream, pin, home string) {
	s, c := o.told2(now, node, stream)
	b := o.indexOf(to)
	if c == nil || b < 0 {
		return
	}
	a := o.index[node]
	ok := false
	if o.homes != nil {
		ok = o.before(s, b, a)
	}
	if x, y := as, o.nodes[a].file.Name; !ok && (o.homes == nil || o.edits > 0) {
		ok = Before(s.name, pin, home, x, y) || first(s.name, x, y) // they may disagree about pin and home, and go by score
	}
	if ok {
		o.ok(I4)
		return
	}
	o.violated(I4, stream, []string{node, to}, "%s yields %s to %s, which comes after it", node, stream, to)
}
