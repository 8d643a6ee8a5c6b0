package real

import (
	"cmp"
	"slices"
	"time"
)

// A span is a time from one instant of the run to another.
type span struct{ from, to time.Duration }

// forever is later than any instant of a run.
const forever = time.Duration(1 << 62)

// spans are times in their order, which neither touch nor overlap.
type spans []span

// joined makes spans of times in any order.
func joined(list []span) spans {
	list = slices.DeleteFunc(slices.Clone(list), func(s span) bool { return s.to <= s.from })
	slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out spans
	for _, s := range list {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// or is the time in which one of both is.
func (s spans) or(other spans) spans { return joined(slices.Concat(s, other)) }

// not is the time in which s is not, from the beginning of the run.
func (s spans) not() (out spans) {
	at := time.Duration(0)
	for _, x := range s {
		if x.from > at {
			out = append(out, span{at, x.from})
		}
		at = max(at, x.to)
	}
	return append(out, span{at, forever})
}

// and is the time in which both are.
func (s spans) and(other spans) spans { return s.not().or(other.not()).not() }

// longest is the longest part of a span that lies in one of s.
func (s spans) longest(in span) (d time.Duration) {
	for _, x := range s {
		d = max(d, min(x.to, in.to)-max(x.from, in.from))
	}
	return d
}

// sum is how long all of s are together.
func (s spans) sum() (d time.Duration) {
	for _, x := range s {
		d += x.to - x.from
	}
	return d
}

// has says whether an instant lies in s.
func (s spans) has(at time.Duration) bool {
	return slices.ContainsFunc(s, func(x span) bool { return x.from <= at && at < x.to })
}
