package main

import (
	"slices"

	"weir/sim"
	"weir/sim/scenario"
)

// shrunk writes out what was drawn, so that a person can read what happened and take lines away.
func shrunk(s *sim.Scenario, v sim.Violation, r *sim.Result) *sim.Scenario {
	small := *s
	small.Steps = slices.Clone(r.Drawn)
	for _, st := range s.Steps {
		if _, random := st.Action.(sim.Random); !random {
			small.Steps = append(small.Steps, st)
		}
	}
	again := sim.Run(&small, sim.Options{})
	if !slices.ContainsFunc(again.Violations, func(w sim.Violation) bool { return w.Fingerprint == v.Fingerprint }) {
		return s
	}
	return &small
}

// smallest is what a violation is printed with.
func smallest(in *simInput, r *sim.Result) string {
	return "\n" + replayWith(scenario.Format(shrunk(in.Scenario, r.Violations[0], r)))
}
