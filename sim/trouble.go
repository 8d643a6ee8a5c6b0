package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
)

// A trouble is a stream that has no owner or several, in some part of the group.
type trouble struct {
	s     *streamTruth
	many  bool
	from  time.Duration
	told  bool
	first bool // its end was due by B2
}

// assess finds out whether a stream is in trouble in some part.
func (c *checks) assess(s *streamTruth) {
	w := c.w
	bad, many := false, false
	var able, have [16]int
	var big []int
	if c.count > len(able) {
		big = make([]int, 2*c.count)
	}
	get := func(a *[16]int, off, i int) *int {
		if big != nil {
			return &big[off*c.count+i]
		}
		return &a[i]
	}
	if c.period != disrupted {
		for _, m := range w.machines {
			p := c.parts[m.index]
			if p < 0 {
				continue
			}
			if c.eligible(m, s) {
				*get(&able, 0, p)++
			}
			if f := m.captures[s.index].feed; f != nil && f.delivers() && !f.solo() {
				*get(&have, 1, p)++
			}
		}
		for p := range c.count {
			bad = bad || *get(&able, 0, p) > 0 && *get(&have, 1, p) == 0
			many = many || *get(&have, 1, p) > 1
		}
	}
	i := slices.IndexFunc(c.trouble, func(t trouble) bool { return t.s == s })
	switch {
	case !bad && !many:
		if i >= 0 {
			c.over(&c.trouble[i])
			c.trouble = slices.Delete(c.trouble, i, i+1)
		}
	case i >= 0 && c.trouble[i].many == many && w.now > c.since:
	case i >= 0:
		c.trouble[i] = trouble{s: s, many: many, from: w.now, first: c.period == afterFailure && w.now == c.since}
	default:
		c.trouble = append(c.trouble, trouble{s: s, many: many, from: w.now, first: c.period == afterFailure && w.now == c.since})
	}
}

// over measures a trouble that has ended.
func (c *checks) over(t *trouble) {
	if t.told || c.period == disrupted {
		return
	}
	b := c.bounds()
	got := c.w.now - max(t.from, c.since)
	switch {
	case t.many:
		c.measure(I18, b.b4(), got)
	case c.cold:
		c.measure(I21, b.b6(c.everybody()), got)
	case t.first && c.period == afterFailure:
		c.measure(I17, b.b2(), got)
	default:
		c.measure(I20, b.b7(), got)
	}
}

// limit is how long a trouble may last, and the invariant that says so.
func (c *checks) limit(t *trouble, b *bounds) (time.Duration, Invariant) {
	from := max(t.from, c.since)
	late := time.Duration(0)
	if t.s.failed > 0 && c.w.now-t.s.failed < 3*time.Minute {
		late = 63 * time.Second // its node waits before it tries again
	}
	switch {
	case t.many:
		return from + b.b4(), I18
	case c.cold:
		return from + b.b6(c.everybody()) + late, I21
	case t.first && c.period == afterFailure && c.uniform && late == 0 && !c.limited():
		return from + b.b2(), I17
	}
	return from + b.b7() + late, I20
}

// limited says whether a node has limits: who is full leaves streams to others, which learn of that only then.
func (c *checks) limited() bool {
	for _, m := range c.w.machines {
		if m.channelLimit() > 0 {
			return true
		}
	}
	return false
}

// everybody says whether all machines that any file names take part.
func (c *checks) everybody() bool {
	for _, m := range c.w.machines {
		if !m.runs() {
			return false
		}
		if !m.read().whole {
			return false
		}
	}
	return c.count == 1
}

// eligible says whether a machine can capture a stream now.
func (c *checks) eligible(m *machine, s *streamTruth) bool {
	return m.runs() && !m.draining && m.exhausted == 0 && !s.unreachable[m.name] && !s.unreachable[""] && !s.silent[m.name] && !s.silent[""] && !s.single &&
		m.keeps(s)
}

// counted is told that the captures of a stream that deliver have changed.
func (c *checks) counted(s *streamTruth, was int) {
	c.changed = c.w.now
	c.doneAgree = false
	c.assess(s)
	c.schedule()
	if s.count > 1 {
		c.w.sometimes["two owners"]++
	}
}

// gapCloses is told that a stream has media again.
func (c *checks) gapCloses() {
	if c.cold && c.captured() {
		c.cold = false
	}
}

// captured says whether every stream of the group that can be is captured.
func (c *checks) captured() bool { return len(c.trouble) <= 1 }

// owners are the machines that capture a stream.
func (c *checks) owners(s *streamTruth) (out []string) {
	for _, m := range c.w.machines {
		if f := m.captures[s.index].feed; f != nil {
			out = append(out, m.name)
		}
	}
	return out
}

// owner is the machine that captures a stream in a part; nil unless it is exactly one.
func (c *checks) owner(s *streamTruth, part int) (one *machine, n int) {
	for _, m := range c.w.machines {
		if f := m.captures[s.index].feed; f != nil && c.parts[m.index] == part && f.delivers() {
			one = m
			n++
		}
	}
	return one, n
}

// delivering are the machines from which media of a stream comes.
func (c *checks) delivering(s *streamTruth) (out []string) {
	for _, m := range c.w.machines {
		if f := m.captures[s.index].feed; f != nil && f.delivers() {
			out = append(out, m.name)
		}
	}
	return out
}

func word(many bool) string {
	if many {
		return "several owners"
	}
	return "no owner"
}

func (f *feed) solo() bool { return f.why == string(control.NotClustered) }
