package sim

// jumps says whether the run has set wall clocks.
func (w *world) jumps() bool { return w.sometimes["wall clock jump"] > 0 }

// compareWithoutJumps is I13: the same run without the jumps has to do the same.
func (w *world) compareWithoutJumps(r *Result) {
	s := *w.s
	s.Steps = nil
	add := func(list []Step) {
		for _, st := range list {
			if _, ok := st.Action.(Random); ok {
				continue
			}
			if j, ok := st.Action.(ClockJump); ok {
				j.By = 0
				st.Action = j
			}
			s.Steps = append(s.Steps, st)
		}
	}
	add(w.s.Steps)
	add(r.Drawn)
	o := w.o
	o.Keep, o.Snapshots = false, 0
	t := newWorld(&s, o)
	t.run()
	t.finish()
	if t.unnumberedHash() == w.unnumberedHash() {
		r.check(I13, Held)
		return
	}
	r.check(I13, Violated)
	r.Violations = append(r.Violations, Violation{
		Invariant: I13, At: w.now, Text: "without the jumps of wall clocks the group does something else", Fingerprint: I13.String(),
	})
}

// setsClocks says whether a scenario may set wall clocks.
func (s *Scenario) setsClocks() bool {
	for _, st := range s.Steps {
		switch st.Action.(type) {
		case ClockJump, Random:
			return true
		}
	}
	return false
}
