package sim

import (
	"bytes"

	"weir/sim/oracle"
)

// compareWithoutJumps is I13: the same run without the jumps has to do the same.
func (w *world) compareWithoutJumps() {
	s, r := *w.s, w.result
	s.Steps = nil
	for _, st := range w.steps {
		switch a := st.Action.(type) {
		case Random: // what it drew is among the steps
			continue
		case ClockJump:
			a.By = 0
			st.Action = a
		}
		s.Steps = append(s.Steps, st)
	}
	o := w.o
	o.Keep, o.Snapshots = false, 0
	other := newWorld(&s, o)
	other.run()
	other.finish()
	if bytes.Equal(other.trace.unnumbered.Sum(nil), w.trace.unnumbered.Sum(nil)) {
		r.check(oracle.I13, Held)
		return
	}
	r.check(oracle.I13, Violated)
	r.Violations = append(r.Violations, Violation{
		Invariant: oracle.I13, At: w.now, Text: "without the jumps of wall clocks the group does something else", Fingerprint: oracle.I13.String(),
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
