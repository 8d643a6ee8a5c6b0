package oracle

import "time"

// judgeAnswers is I23: once all is quiet, every node knows who has a stream.
func (o *Oracle) judgeAnswers(s *stream) {
	if o.group.Owner == nil {
		return
	}
	agree := o.agree() // looks at every link, and is the same for all nodes
	for x := range s.captures {
		c := &s.captures[x]
		owner, n := o.owner(s, x)
		if !o.clear || !o.nodes[x].runs() || c.leftOut || n != 1 {
			c.agree = obligation{}
			continue
		}
		from := max(s.captures[owner].up, o.changed[x], s.sourceChanged)
		for q := range s.captures {
			y := &s.captures[q]
			if o.parts[q] == o.parts[x] && q != owner {
				from = max(from, y.ended)
				if y.claims() {
					from = o.now // its start may be seen, or its end
				}
			}
			from = max(from, o.nodes[q].edited)
		}
		if c.agree.from != from {
			c.agree = obligation{on: true, from: from}
		}
		switch at := from + agree; {
		case c.agree.told:
		case o.now <= at:
			s.due = min(s.due, at+1)
		default:
			o.judgeAgreement(s, x, owner, from, at+o.stopIn(s)+tick)
		}
	}
}

// judgeAgreement judges whom node x takes for the owner of a stream. A node that ends its capture names nobody although media still flows,
// so that a wrong answer counts only if it is the same after the last instant.
func (o *Oracle) judgeAgreement(s *stream, x, owner int, from, last time.Duration) {
	said, ok := o.group.Owner(o.nodes[x].name, s.name)
	if ok && said != o.nodes[owner].name && o.now <= last {
		s.due = min(s.due, last+1)
		return
	}
	s.captures[x].agree.told = true
	o.ok(I1)
	o.judgeBalance(s, x)
	switch {
	case !ok:
	case said == o.nodes[owner].name:
		o.ok(I23)
	default:
		o.violated(I23, s.name, o.named(x, owner)(), "%s takes %q for the owner, which is %s since %v", o.nodes[x].name, said, o.nodes[owner].name, o.now-from)
	}
}

// owner is the node from which media of a stream comes in the part of a node, if it is one, and how many there are.
func (o *Oracle) owner(s *stream, x int) (owner, n int) {
	owner = -1
	for q := range s.captures {
		if o.parts[q] >= 0 && o.parts[q] == o.parts[x] && o.delivers(s, q) && o.shares(s, q) {
			owner = q
			n++
		}
	}
	return owner, n
}

// judgeNamed is I32: a node that surely gets the answers of one that has a stream names somebody who has it, whatever the other links are
// like. It may name nobody for as long as it needs to hear of a new owner after the last one has stopped.
func (o *Oracle) judgeNamed(s *stream) {
	if o.group.Owner == nil {
		return
	}
	for x := range s.captures {
		c := &s.captures[x]
		from, known := o.nameable(s, x)
		if from == Never || from > o.now {
			c.nameless = obligation{}
			if from != Never {
				s.due = min(s.due, from+1)
			}
			continue
		}
		switch said, ok := o.group.Owner(o.nodes[x].name, s.name); {
		case !ok:
			c.nameless = obligation{}
		case said != "":
			c.nameless = obligation{} // since when it names somebody is not known
			o.ok(I32)
		default:
			since := o.now
			if c.nameless.on {
				since = max(from, c.nameless.from)
			}
			o.keep(s, &c.nameless, I32, since, known+o.stopIn(s)+o.group.Apart+2*o.late()+tick, o.named(x), "%s names nobody who has %s", o.nodes[x].name, s.name)
		}
	}
}

// nameable says from when a node has to name somebody who has a stream, and how long it needs to hear of a change of who that is; [Never]
// if it need not.
func (o *Oracle) nameable(s *stream, x int) (from, known time.Duration) {
	from = Never
	if s.captures[x].leftOut || !o.nodes[x].runs() {
		return from, 0
	}
	for q := range s.captures {
		if !o.delivers(s, q) || !o.shares(s, q) {
			continue
		}
		y := &o.nodes[q]
		at, need := max(s.captures[q].up, s.captures[q].dry, s.sourceChanged, o.nodes[x].since, o.nodes[x].edited, y.since, y.edited), time.Duration(0)
		if q != x {
			r := o.relation(x, q)
			if r.ask != sure {
				continue
			}
			at, need = max(at, r.askSince), r.gap+r.trip
		}
		if at+need < from {
			from, known = at+need, need
		}
	}
	return from, known
}
