package oracle

import (
	"math"
	"slices"
	"time"
)

// calm follows the times in which nothing happens to a settled group: I28.
type calm struct {
	settled  time.Duration // since when every stream has one owner, at its place, as far as is owed; Never: that is not so
	counted  time.Duration // until when false take-overs were expected
	expected float64       // false take-overs by lost polls, so far
	found    int           // false take-overs so far; those of one node in one instant count once
	last     time.Duration // when the last was found
	by       int           // and the node

	events []time.Duration // what happened to processes, files and sources, the last of them
}

// mostEvents is how many events are remembered. More in ten minutes permit every number of starts.
const mostEvents = 64

// happened notes that something has happened to a process, a file or a source.
func (c *calm) happened(now time.Duration) {
	if len(c.events) == mostEvents {
		c.events = slices.Delete(c.events, 0, 1)
	}
	c.events = append(c.events, now)
}

// since is how many events there were since an instant.
func (c *calm) since(at time.Duration) (n int) {
	for _, t := range c.events {
		n += b2i(t >= at)
	}
	if n == mostEvents {
		return math.MaxInt32
	}
	return n
}

// settle keeps since when the group is settled.
func (o *Oracle) settle() {
	settled := !slices.ContainsFunc(o.streams, func(s *stream) bool {
		return len(s.overlaps) > 0 || slices.ContainsFunc(s.captures, func(c capture) bool {
			return c.orphan.on || c.home.on || o.now <= c.goesHome || c.on && c.up == Never
		})
	}) && (o.homes != nil || o.now > o.allHome())
	switch {
	case !settled:
		o.settled = Never
	case o.settled == Never:
		o.settled = o.now
	}
}

// calmSince is since when it has been calm; [Never] if it is not.
func (o *Oracle) calmSince() time.Duration {
	if o.settled == Never || len(o.names) < len(o.nodes) {
		return Never
	}
	at := max(o.settled, o.told) + o.stale() + o.agree()
	if o.gap() == Never || o.limited {
		return Never
	}
	return at
}

// endCalm is told that a calm ends now, if there was one.
func (o *Oracle) endCalm() {
	at := o.calmSince()
	if at == Never || o.now <= max(at, o.counted) {
		return
	}
	d := o.now - max(at, o.counted)
	o.counted = o.now
	o.expected += o.falseTakeOvers() * d.Seconds()
	if d > 5*o.fetch() {
		o.ok(I28)
	}
}

// falseTakeOvers is how many times in a second a node takes another for dead because polls are lost, at most: bound B3. For each
// two nodes it is the probability that in a whole stale_timeout no evidence arrives, neither by the node's own polls nor by what a
// third node passes on, for each poll that may be the one that was missing.
func (o *Oracle) falseTakeOvers() (rate float64) {
	for a := range o.nodes {
		for b := range o.nodes {
			r := o.relation(a, b)
			if a == b || r.hear != unsure || r.poll <= 0 {
				continue
			}
			p, ways := o.missing(a, b), 1.0
			for c := range o.nodes {
				if c != a && c != b && o.relation(a, c).ask != never && o.relation(c, b).ask != never {
					p *= o.missingBy(a, c, b)
					ways++
				}
			}
			rate += p * ways / r.poll.Seconds()
		}
	}
	return rate
}

// startsInCalm judges that a node begins a capture although nothing has happened.
func (o *Oracle) startsInCalm(s *stream, x int) {
	at := o.calmSince()
	if at == Never || o.now <= at || o.now == o.last && x == o.by {
		return
	}
	for k := range s.captures {
		if s.captures[k].failed > o.now-64*time.Second-o.b7(s) {
			return // nodes try a source again that has failed
		}
	}
	o.endCalm()
	o.found++
	o.last, o.by = o.now, x
	most := 0
	if o.expected > 1e-4 {
		most = int(math.Ceil(o.expected + 6*math.Sqrt(o.expected) + 3))
	}
	if o.found > most {
		o.violated(I28, s.name, o.named(x)(), "%s starts %s although nothing happened since %v; so far %d false take-overs, want at most %d (%.3g expected)",
			o.nodes[x].name, s.name, max(o.settled, o.told), o.found, most, o.expected)
		return
	}
	o.ok(I28)
}

// startsSeldom is I26: by links that fail and heal a stream starts at most twice at a node for each node that it may miss, and
// once more for each hold-down after that, which doubles. What happens to processes, files and the source comes on top.
func (o *Oracle) startsSeldom(s *stream, x int) {
	c := &s.captures[x]
	hold := o.nodes[x].file.Holddown
	for j, at := range c.starts {
		span, n := o.now-at, len(c.starts)-j
		if span >= damping || n < 3 {
			continue
		}
		holds, k, sum := 0, 0, time.Duration(0)
		for hold > 0 {
			sum += faster(hold<<min(k, mostDamping), 1000)
			if sum > span {
				break
			}
			holds++
			k++
		}
		if hold == 0 {
			return
		}
		most := (len(o.nodes)-1)*(2+holds) + o.since(at-o.stale())
		if n > most {
			o.violated(I26, s.name, o.named(x)(), "%s starts %s %d times in %v, want at most %d", o.nodes[x].name, s.name, n, span, most)
			return
		}
	}
	o.ok(I26)
}
