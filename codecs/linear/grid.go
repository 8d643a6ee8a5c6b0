package linear

import "math/bits"

// floorDiv and floorMod divide as time does: the remainder is never negative for a positive divisor.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 {
	r := a % b
	if r < 0 {
		r += b
	}
	return r
}

// mulDiv returns floor(a*b/c) for positive b and c with a product of 128 bits, so that a may be any instant. A
// quotient that does not fit is the nearest int64.
func mulDiv(a, b, c int64) int64 {
	if a < 0 {
		// floor(-x) = -ceil(x), and ceil(x/c) = floor((x+c-1)/c).
		hi, lo := bits.Mul64(uint64(-a), uint64(b))
		lo, carry := bits.Add64(lo, uint64(c-1), 0)
		return -div128(hi+carry, lo, uint64(c))
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return div128(hi, lo, uint64(c))
}

func div128(hi, lo, c uint64) int64 {
	const most = 1<<63 - 1
	if hi >= c {
		return most
	}
	q, _ := bits.Div64(hi, lo, c)
	return int64(min(q, most))
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// A Grid says where audio access units lie on the timeline of the Unix epoch: number g at g times the length of a
// unit, rounded down to ticks once, from the counter. So it never drifts, however long a unit's fraction of a tick,
// and every node that counts from the epoch has the same positions.
type Grid struct {
	num, den int64 // ticks of one unit, reduced
}

// NewGrid makes the grid of units of so many audio samples at so many samples per second. Both must be positive; AAC
// has 1024 samples, or 960, in an access unit.
func NewGrid(samples, rate int) Grid {
	num, den := int64(samples)*clockRate, int64(rate)
	d := gcd(num, den)
	return Grid{num: num / d, den: den / d}
}

// At returns the ticks of unit g.
func (g Grid) At(unit int64) int64 { return mulDiv(unit, g.num, g.den) }

// First returns the first unit at or after ticks.
func (g Grid) First(ticks int64) int64 {
	// At(u) >= ticks, for whole ticks, means u*num/den >= ticks: the smallest u is the ceiling.
	return -mulDiv(-ticks, g.den, g.num)
}

// Last returns the last unit at or before ticks.
func (g Grid) Last(ticks int64) int64 { return mulDiv(ticks, g.den, g.num) }
