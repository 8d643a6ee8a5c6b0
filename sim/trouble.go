package sim

import (
	"slices"
	"time"

	"weir/cluster/control"
	"weir/sim/oracle"
)

// A trouble is a stream that has no owner or several, in some part of the group.
type trouble struct {
	s     *streamTruth
	many  bool          // it has several
	from  time.Duration // since when
	told  bool          // that it lasts too long has been reported
	first bool          // it began with the failure itself, so that B2 says how long it may last
}

// String gives the words for violations.
func (t *trouble) String() string {
	if t.many {
		return "several owners"
	}
	return "no owner"
}

// assess finds out whether a stream is in trouble in some part.
func (c *checks) assess(s *streamTruth) {
	none, many := false, false
	if c.period != disrupted {
		none, many = c.ownership(s)
	}
	now := trouble{s: s, many: many, from: c.w.now, first: c.period == afterFailure && c.w.now == c.since}
	i := slices.IndexFunc(c.trouble, func(t trouble) bool { return t.s == s })
	switch {
	case !none && !many:
		if i >= 0 {
			c.over(&c.trouble[i])
			c.trouble = slices.Delete(c.trouble, i, i+1)
		}
	case i < 0:
		c.trouble = append(c.trouble, now)
	case c.trouble[i].many != many || c.w.now == c.since:
		c.trouble[i] = now
	}
}

// ownership says whether a stream has no owner in some part that could have one, or several in some part.
func (c *checks) ownership(s *streamTruth) (none, many bool) {
	c.able, c.have = slices.Grow(c.able[:0], c.count)[:c.count], slices.Grow(c.have[:0], c.count)[:c.count]
	clear(c.able)
	clear(c.have)
	for _, m := range c.w.machines {
		p := c.parts[m.index]
		if p < 0 {
			continue
		}
		c.able[p] += b2i(c.eligible(m, s))
		if f := m.captures[s.index].feed; f != nil && f.delivers() && !f.solo() {
			c.have[p]++
		}
	}
	for p, n := range c.have {
		none = none || c.able[p] > 0 && n == 0
		many = many || n > 1
	}
	return none, many
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
		c.measure(oracle.I18, b.b4(), got)
	case c.cold:
		c.measure(oracle.I21, b.b6(c.allRun()), got)
	case t.first && c.period == afterFailure:
		c.measure(oracle.I17, b.b2(), got)
	default:
		c.measure(oracle.I20, b.b7(), got)
	}
}

// limit is how long a trouble may last, and the invariant that says so.
func (c *checks) limit(t *trouble, b *bounds) (time.Duration, oracle.Invariant) {
	from := max(t.from, c.since)
	backoff := time.Duration(0) // for which a node waits before it tries a source again that has failed
	if t.s.failed > 0 && c.w.now-t.s.failed < 3*time.Minute {
		backoff = 63 * time.Second
	}
	switch {
	case t.many:
		return from + b.b4(), oracle.I18
	case c.cold:
		return from + b.b6(c.allRun()) + backoff, oracle.I21
	case t.first && c.period == afterFailure && c.uniform && backoff == 0 && !c.limited():
		return from + b.b2(), oracle.I17
	}
	return from + b.b7() + backoff, oracle.I20
}

// limited says whether a node has limits: a full node leaves streams to others, which learn of that only then.
func (c *checks) limited() bool {
	for _, m := range c.w.machines {
		if m.channelLimit() > 0 {
			return true
		}
	}
	return false
}

// allRun says whether all machines that any file names take part, in one part.
func (c *checks) allRun() bool {
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
		c.w.result.Sometimes["two owners"]++
	}
}

// gapCloses is told that a stream has media again. The cold start is over with the last trouble, which that ends.
func (c *checks) gapCloses() {
	c.cold = c.cold && len(c.trouble) > 1
}

// owners are the machines that capture a stream.
func (c *checks) owners(s *streamTruth) (out []string) {
	for f := range c.w.feeds(s) {
		out = append(out, f.m.name)
	}
	return out
}

// owner is the machine from which media of a stream comes in a part, if it is one, and how many there are.
func (c *checks) owner(s *streamTruth, part int) (one *machine, n int) {
	for f := range c.w.feeds(s) {
		if c.parts[f.m.index] == part && f.delivers() {
			one = f.m
			n++
		}
	}
	return one, n
}

// delivering are the machines from which media of a stream comes.
func (c *checks) delivering(s *streamTruth) (out []string) {
	for f := range c.w.feeds(s) {
		if f.delivers() {
			out = append(out, f.m.name)
		}
	}
	return out
}

// solo says whether a machine captures a stream for itself, since its file does not share it.
func (f *feed) solo() bool { return f.why == control.NotClustered }
