package oracle

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
			c.agree.told = true
			o.ok(I1)
			o.judgeBalance(s, x)
			switch said, ok := o.group.Owner(o.nodes[x].name, s.name); {
			case !ok:
			case said == o.nodes[owner].name:
				o.ok(I23)
			default:
				o.violated(I23, s.name, o.named(x, owner)(), "%s takes %q for the owner, which is %s since %v", o.nodes[x].name, said, o.nodes[owner].name, o.now-from)
			}
		}
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
