package sim

import (
	"fmt"
	"time"

	"weir/sim/oracle"
)

// An Outcome says how an invariant fared in a run, or in several. Of two outcomes the greater is that of both together.
type Outcome uint8

// Outcomes.
const (
	NotExercised  Outcome = iota // nothing happened that it speaks of
	Held                         // every check held
	NotApplicable                // what it speaks of is not built yet
	Violated
)

// String gives the words that pages and JSON use.
func (o Outcome) String() string {
	return [...]string{"not exercised", "pass", "not applicable", "violated"}[o]
}

// MarshalText implements [encoding.TextMarshaler].
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// A Verdict says how an invariant fared.
type Verdict struct {
	Invariant oracle.Invariant
	Outcome   Outcome
	Checks    uint64
}

// newVerdicts gives a verdict for each invariant, in the order of their numbers.
func newVerdicts() []Verdict {
	var list []Verdict
	for _, i := range oracle.Invariants() {
		v := Verdict{Invariant: i}
		if i.Pending() {
			v.Outcome = NotApplicable
		}
		list = append(list, v)
	}
	return list
}

// check counts a check of an invariant.
func (r *Result) check(i oracle.Invariant, outcome Outcome) {
	v := &r.Verdicts[i-oracle.I1]
	v.Checks++
	v.Outcome = max(v.Outcome, outcome)
}

// hold counts a check and reports a violation if it failed. The stream is nil if the check is about none.
func (c *checks) hold(i oracle.Invariant, ok bool, s *streamTruth, nodes []string, format string, args ...any) {
	if ok {
		c.ok(i)
		return
	}
	c.w.result.check(i, Violated)
	v := Violation{Invariant: i, Nodes: nodes, Text: fmt.Sprintf(format, args...)}
	if s != nil {
		v.Stream = s.name
	}
	c.w.violate(v)
}

// ok counts a check that held.
func (c *checks) ok(i oracle.Invariant) { c.w.result.check(i, Held) }

// measure compares a time with the bound of an invariant, and keeps the pair that came nearest.
func (c *checks) measure(i oracle.Invariant, limit, got time.Duration) {
	c.oracle.Measure(i, got, limit)
}
