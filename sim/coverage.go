package sim

import "weir/sim/oracle"

// A Coverage says of each invariant in how many runs it was judged, how often, and how near to its bound. The zero Coverage is
// that of no run.
type Coverage struct {
	Runs int
	Rows []CoverageRow // by the number of the invariant
}

// A CoverageRow is the part of a [Coverage] about one invariant.
type CoverageRow struct {
	Invariant oracle.Invariant
	Runs      int // in which it was judged
	oracle.Tally
}

// Add takes in a run.
func (c *Coverage) Add(r *Result) {
	if c.Rows == nil {
		for _, i := range oracle.Invariants() {
			c.Rows = append(c.Rows, CoverageRow{Invariant: i})
		}
	}
	c.Runs++
	for k := range c.Rows {
		row := &c.Rows[k]
		if t := r.Tallies[row.Invariant]; t.Judged > 0 {
			row.Runs++
			row.Tally.Add(t)
		}
	}
}

// Seldom are the invariants that were judged in fewer runs than so many, of those that apply.
func (c *Coverage) Seldom(least int) (list []oracle.Invariant) {
	for _, row := range c.Rows {
		if row.Runs < least && !row.Invariant.Pending() {
			list = append(list, row.Invariant)
		}
	}
	return list
}
