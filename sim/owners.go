package sim

import "weir/cluster/control"

// eligible says whether a machine can capture a stream now.
func (c *checks) eligible(m *machine, s *streamTruth) bool {
	return m.runs() && !m.draining && m.exhausted == 0 && !s.unreachable[m.name] && !s.unreachable[""] && !s.silent[m.name] && !s.silent[""] && !s.single &&
		m.keeps(s)
}

// counted is told that the captures of a stream that deliver have changed.
func (c *checks) counted(s *streamTruth) {
	c.schedule()
	if s.count > 1 {
		c.w.result.Sometimes["two owners"]++
	}
}

// owner is the machine from which media of a stream comes in a part, if it is one, and how many there are.
func (c *checks) owner(s *streamTruth, part int) (one *machine, n int) {
	for f := range c.w.feeds(s) {
		if c.parts.parts[f.m.index] == part && f.delivers() {
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
