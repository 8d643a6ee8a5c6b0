// Package mutants plants small faults into weir's source, to prove that tests and simulator notice each of them. A fault is an
// edit of a few words in a function, as a reviewer finds it: a counter that is not reset, a timer that is not armed again. All
// of them are built into one program, and into the test programs of their packages, by `go build -overlay`, which leaves the
// source as it is; an environment variable of these programs says which fault is on. So nothing that is shipped holds a switch. What has noticed
// each of them is in testdata/results.txt, made by `weir sim mutants --record`.
//
// It does not know the rules that it breaks, nor which test or invariant has to notice a fault. Without Go and weir's source it
// can do nothing.
package mutants

import (
	"cmp"
	"slices"
)

// An Area is a part of weir.
type Area string

// Areas. The simulator runs the code of the first four, so it alone has to notice most faults there.
const (
	Control   Area = "control"
	Place     Area = "place"
	Peer      Area = "peer" // the follower of a peer, and how the control plane takes its answers
	Streams   Area = "streams"
	Identity  Area = "identity"
	Trust     Area = "trust"
	Balance   Area = "balance"
	Directory Area = "directory" // and the router, which asks it
	Numbering Area = "numbering" // of segments
	Hub       Area = "hub"
	RTMP      Area = "rtmp"
	HLS       Area = "hls" // with the segmenter and the edge
)

// Areas are all of them, in the order of tables.
var Areas = []Area{Control, Place, Peer, Streams, Numbering, Identity, Trust, Balance, Directory, Hub, RTMP, HLS}

// Simulated says whether the simulator alone has to notice most faults of the area.
func (a Area) Simulated() bool { return a == Control || a == Place || a == Peer || a == Streams }

// A Mutant is a fault that can be planted.
type Mutant struct {
	Name string
	Area Area
	What string // the mistake, in one sentence without a full stop
	Edit
	More []Edit // further edits that the mistake needs

	// Equivalent says why nothing can notice the fault. It is empty for all that has to be noticed.
	Equivalent string
}

// An Edit replaces a text that stands once in the body of a function.
type Edit struct {
	File     string // from the root of the source
	Func     string // or Type.Func for a method
	Old, New string
}

func (m Mutant) edits() []Edit { return append([]Edit{m.Edit}, m.More...) }

// fault is a row of a table.
func fault(a Area, name, what, file, function, old, replacement string) Mutant {
	return Mutant{Name: name, Area: a, What: what, Edit: Edit{file, function, old, replacement}}
}

// and adds an edit to a row.
func (m Mutant) and(file, function, old, replacement string) Mutant {
	m.More = append(slices.Clone(m.More), Edit{file, function, old, replacement})
	return m
}

// equivalent says of a row why nothing can notice it.
func (m Mutant) equivalent(why string) Mutant {
	m.Equivalent = why
	return m
}

// All are the faults that are planted, by area.
var All = slices.Concat(controlFaults, placeFaults, peerFaults, streamFaults, nodeFaults, mediaFaults)

// Sample draws n of the mutants, those that are equivalent left out, by a seed: always the same for one seed. Zero, and more than
// there are, means all.
func Sample(list []Mutant, n int, seed uint64) []Mutant {
	if n <= 0 || n >= len(list) {
		return list
	}
	list = slices.DeleteFunc(slices.Clone(list), func(m Mutant) bool { return m.Equivalent != "" })
	slices.SortFunc(list, func(a, b Mutant) int { return cmp.Compare(rank(a.Name, seed), rank(b.Name, seed)) })
	return list[:min(n, len(list))]
}

// rank is a number that looks drawn at random, of a name and a seed.
func rank(name string, seed uint64) uint64 {
	h := uint64(14695981039346656037) ^ seed*0x9e3779b97f4a7c15
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h ^= h >> 32
	return h * 0x9e3779b97f4a7c15
}
