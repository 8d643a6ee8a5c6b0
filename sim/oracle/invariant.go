package oracle

import "strconv"

// An Invariant is a rule of the cluster that every run is checked against, by its number.
type Invariant uint8

// The invariants, and what else a run can violate.
const (
	// Expected stands for an expectation of the scenario.
	Expected Invariant = iota
	I1
	I2
	I3
	I4
	I5
	I6
	I7
	I8
	I9
	I10
	I11
	I12
	I13
	I14
	I15
	I16
	I17
	I18
	I19
	I20
	I21
	I22
	I23
	I24
	I25
	I26
	I27
	I28
	I29
	I30
	I31
	I32
	I33
	I34
	I35
	I36
	// ExpectedTrace stands for the trace that the scenario's file says the run has to give.
	ExpectedTrace
)

// invariants has a row for each: the rule as a sentence; whether what it speaks of is not built yet, so that it applies
// to no run; and of a rule that bounds a time the name of the bound and its formula.
var invariants = [...]struct {
	rule           string
	pending        bool
	bound, formula string
}{
	I1:  {rule: "one owner in each stable part of the group"},
	I2:  {rule: "no take-over before the evidence is stale"},
	I3:  {rule: "no claim while warming up"},
	I4:  {rule: "the first claimant of the order never yields"},
	I5:  {rule: "yield only to a claim that is direct and running"},
	I6:  {rule: "a pin that is there has its stream", bound: "B5, pin", formula: "max(W, 8R) + F + 2d + ⌈k/4⌉·t_up + B4"},
	I7:  {rule: "at most one capture (partition=exclusive)", pending: true},
	I8:  {rule: "self-fence without a majority (partition=exclusive)", pending: true},
	I9:  {rule: "evidence never goes back, and is relayed once"},
	I10: {rule: "limits are kept unless all are full"},
	I11: {rule: "effects fit what is"},
	I12: {rule: "a wrong key changes nothing"},
	I13: {rule: "the wall clock changes nothing"},
	I14: {rule: "a redirect leads to who has the stream, in two hops at most"},
	I15: {rule: "segment numbers go forward from owner to owner"},
	I16: {rule: "epochs go forward downstream", pending: true},
	I17: {rule: "a take-over takes no longer than B2", bound: "B2", formula: "S/(1-ρ) + 3d + σ + t_up"},
	I18: {rule: "an overlap lasts no longer than B4", bound: "B4", formula: "F(1+j)/(1-ρ) + 2d + σ + t_dn"},
	I19: {rule: "home by B5 after a return", bound: "B5", formula: "max(W, 8R) + F + 2d + ⌈k/4⌉·t_up + B4"},
	I20: {rule: "no orphan longer than B7", bound: "B7", formula: "S + n·G"},
	I21: {rule: "captured by B6 after a cold start", bound: "B6", formula: "F/2 + 6d + t_up if all answer, else S + t_up"},
	I22: {rule: "a look-up is answered in time", bound: "look-up", formula: "S/(1-ρ) + d + t_up + F(1+j) + 2d"},
	I23: {rule: "in quiet all agree on who owns what"},
	I24: {rule: "a failure or return moves only what it must (B8)"},
	I25: {rule: "balanced (B9)"},
	I26: {rule: "flapping moves little (B10)"},
	I27: {rule: "few and short messages"},
	I28: {rule: "calm is silent"},
	I29: {rule: "a publisher that is told Start is heard, or told otherwise", bound: "publisher", formula: "S/(1-ρ) + F(1+j) + 4d + 2σ + t_up"},
	I30: {rule: "a viewer that is kept gets media that anybody has", bound: "kept viewer", formula: "S/(1-ρ) + F(1+j) + 6d + σ + relay"},
	I31: {rule: "no viewer's media goes back or repeats"},
	I32: {rule: "no stream is ownerless while a node has it"},
	I33: {rule: "every viewer gets media or an end"},
	I34: {rule: "a node is down only if its machine says so twice, and nobody hears it"},
	I35: {rule: "a node relays what is watched there, for no longer and no shorter"},
	I36: {rule: "what a node shows of its inputs is so"},
}

// Rule is the invariant as a sentence.
func (i Invariant) Rule() string { return invariants[i].rule }

// String gives the invariant's name: I and its number, or the word of a scenario for what the scenario expects.
func (i Invariant) String() string {
	switch i {
	case Expected:
		return "expect"
	case ExpectedTrace:
		return "expect.trace"
	}
	return "I" + strconv.Itoa(int(i))
}

// Bound is the name of the bound of an invariant that limits a time, and its formula; both are empty for other invariants.
func (i Invariant) Bound() (name, formula string) { return invariants[i].bound, invariants[i].formula }

// Pending says whether what the invariant speaks of is not built yet, so that it applies to no run.
func (i Invariant) Pending() bool { return invariants[i].pending }

// Invariants are all rules, in the order of their numbers.
func Invariants() []Invariant {
	var list []Invariant
	for i := I1; int(i) < len(invariants); i++ {
		list = append(list, i)
	}
	return list
}

// MarshalText implements [encoding.TextMarshaler].
func (i Invariant) MarshalText() ([]byte, error) { return []byte(i.String()), nil }
