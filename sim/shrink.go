package sim

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"weir/cluster/conf"
)

// ShrinkOptions bound the work of [Shrink].
type ShrinkOptions struct {
	Run  Options
	Runs int // at most; zero: 500

	// Progress, if not nil, is told after each run; to end it returns false.
	Progress func(runs, steps int) bool
}

// Shrink makes a scenario smaller as long as it still violates the same invariant in the same way: faults are left out,
// then time, nodes and streams, and values are made simple. What [Random] drew becomes steps of its own. If the
// scenario does not show the violation it is returned as it is, and ok is false.
func Shrink(s *Scenario, v Violation, o ShrinkOptions) (small *Scenario, ok bool) {
	k := &shrinking{o: o, v: v, left: o.Runs}
	if k.left == 0 {
		k.left = 500
	}
	c := *s
	c.Steps = explicit(s, o.Run)
	if c.Until == 0 {
		c.Until = v.At + time.Second
	}
	prune(&c)
	if !k.shows(&c) {
		return s, false
	}
	k.best = &c
	k.time()
	k.steps()
	k.time()
	for size := -1; size != k.size(); { // what one step leaves out lets another leave out more
		size = k.size()
		k.plain()
		k.streams()
		k.nodes()
		k.values()
		k.steps()
		k.time()
	}
	return k.best, true
}

// size is how long the scenario is to a reader.
func (k *shrinking) size() int {
	n := len(k.best.Nodes) + len(k.best.Steps)
	for _, f := range k.best.Files {
		n += len(f.Streams)
	}
	return n
}

// plain takes away what makes streams differ, and limits.
func (k *shrinking) plain() {
	each := func(change func(st *conf.Stream)) {
		k.try(func(s *Scenario) {
			files(s, func(f *conf.File) {
				f.Streams = slices.Clone(f.Streams)
				for i := range f.Streams {
					if in := f.Streams[i].Ingest; in != nil {
						c := *in
						f.Streams[i].Ingest = &c
						change(&f.Streams[i])
					}
				}
			})
		})
	}
	each(func(st *conf.Stream) { st.Ingest.Handover = conf.Make })
	each(func(st *conf.Stream) { st.Ingest.CaptureAt, st.Ingest.Peer = "", "" })
	k.try(func(s *Scenario) {
		files(s, func(f *conf.File) {
			f.ChannelLimit, f.CPULimit = 0, 0
			f.Peers = slices.Clone(f.Peers)
			for i := range f.Peers {
				f.Peers[i].ChannelLimit, f.Peers[i].CPULimit = 0, 0
			}
		})
	})
}

// explicit are the steps of a scenario, with what [Random] draws in its place.
func explicit(s *Scenario, o Options) []Step {
	drawn := expand(s, o.Without)
	steps := slices.DeleteFunc(slices.Clone(s.Steps), func(st Step) bool {
		_, ok := st.Action.(Random)
		return ok
	})
	steps = append(steps, drawn...)
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	return steps
}

// shrinking is the state of one Shrink.
type shrinking struct {
	o    ShrinkOptions
	v    Violation
	best *Scenario     // the smallest so far that shows v
	left int           // runs that may still be made
	runs int           // runs that were made
	over bool          // the caller wants no more
	at   time.Duration // of the violation in best
}

// shows says whether a scenario still shows the violation.
func (k *shrinking) shows(s *Scenario) bool {
	if k.left <= 0 || k.over {
		return false
	}
	k.left--
	k.runs++
	o := k.o.Run
	o.Keep, o.Snapshots = false, 0
	r := Run(s, o)
	if k.o.Progress != nil {
		k.over = !k.o.Progress(k.runs, len(s.Steps))
	}
	for _, v := range r.Violations {
		if v.Invariant == k.v.Invariant && v.Fingerprint == k.v.Fingerprint {
			k.at = v.At
			return true
		}
	}
	return false
}

// try keeps a changed copy of the best if it still shows the violation.
func (k *shrinking) try(change func(s *Scenario)) bool {
	c := *k.best
	c.Steps = slices.Clone(c.Steps)
	change(&c)
	prune(&c)
	if !k.shows(&c) {
		return false
	}
	k.best = &c
	return true
}

// prune takes the names of nodes and streams that are not there any more out of the steps, so that what is left can be
// written down and read; steps about nothing else go.
func prune(s *Scenario) {
	known := map[string]bool{"": true}
	for _, n := range s.Nodes {
		known[n] = true
	}
	add := func(f *conf.File) {
		for _, st := range f.Streams {
			known[st.Name] = true
		}
	}
	for _, f := range s.Files {
		add(f)
	}
	for _, st := range s.Steps {
		if e, ok := st.Action.(Edit); ok {
			add(e.File)
		}
	}
	steps := make([]Step, 0, len(s.Steps))
	for _, st := range s.Steps {
		ok := true
		if st.Action != nil {
			a, left := pruned(st.Action, known)
			st.Action, ok = a, left
		}
		if st.Expect != nil {
			e, left := pruned(st.Expect, known)
			st.Expect, ok = e.(Expectation), left
		}
		if ok {
			steps = append(steps, st)
		}
	}
	s.Steps = steps
}

// pruned is an action or an expectation with known names alone; false if nothing that it is about is left.
func pruned(x any, known map[string]bool) (any, bool) {
	v := reflect.New(reflect.TypeOf(x)).Elem()
	v.Set(reflect.ValueOf(x))
	ok := pruneFields(v, known)
	return v.Interface(), ok
}

func pruneFields(v reflect.Value, known map[string]bool) bool {
	for i := range v.NumField() {
		switch f := v.Field(i).Addr().Interface().(type) {
		case *Links:
			if !pruneFields(v.Field(i), known) {
				return false
			}
		case *[]string:
			if *f == nil {
				continue // all
			}
			if *f = withKnown(*f, known); len(*f) == 0 {
				return false
			}
		case *[][]string:
			var groups [][]string
			for _, g := range *f {
				if g = withKnown(g, known); len(g) > 0 {
					groups = append(groups, g)
				}
			}
			if *f = groups; len(groups) < 2 {
				return false
			}
		case *string:
			if name := v.Type().Field(i).Name; (name == "Node" || name == "Stream" || name == "OwnedBefore") && !known[*f] {
				return false
			}
		}
	}
	return true
}

func withKnown(names []string, known map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !known[n] })
}

// time cuts off what comes after the violation.
func (k *shrinking) time() {
	at := k.at
	k.try(func(s *Scenario) {
		s.Until = at + time.Millisecond
		s.Steps = slices.DeleteFunc(s.Steps, func(st Step) bool { return st.At > at })
	})
}

// steps is ddmin: ever smaller groups of faults, each with its end, are left out.
func (k *shrinking) steps() {
	for size := max(1, len(k.best.Steps)/2); size >= 1; {
		removed := false
		for from := 0; from < len(k.best.Steps); {
			to := min(len(k.best.Steps), from+size)
			if k.try(func(s *Scenario) { s.Steps = slices.Delete(s.Steps, from, to) }) {
				removed = true
				continue
			}
			from += size
		}
		if k.left <= 0 {
			return
		}
		if size == 1 && !removed {
			return
		}
		if size > 1 {
			size /= 2
		}
	}
}

// files changes a copy of each configuration of a scenario, those of edits too.
func files(s *Scenario, change func(f *conf.File)) {
	done := map[*conf.File]*conf.File{}
	edit := func(f *conf.File) *conf.File {
		if f == nil {
			return nil
		}
		if c := done[f]; c != nil {
			return c
		}
		c := *f
		change(&c)
		done[f] = &c
		return &c
	}
	all := map[string]*conf.File{}
	for name, f := range s.Files {
		all[name] = edit(f)
	}
	s.Files = all
	for i := range s.Steps {
		if e, ok := s.Steps[i].Action.(Edit); ok {
			e.File = edit(e.File)
			s.Steps[i].Action = e
		}
	}
}

// streams leaves out streams, by halves and then one by one.
func (k *shrinking) streams() {
	var names []string
	seen := map[string]bool{}
	for _, name := range sortedFiles(k.best) {
		for _, st := range k.best.Files[name].Streams {
			if !seen[st.Name] {
				seen[st.Name] = true
				names = append(names, st.Name)
			}
		}
	}
	for size := len(names) / 2; size >= 1; size /= 2 {
		for from := 0; from+size <= len(names); {
			gone := names[from : from+size]
			if k.try(func(s *Scenario) {
				files(s, func(f *conf.File) {
					f.Streams = slices.DeleteFunc(slices.Clone(f.Streams), func(x conf.Stream) bool { return slices.Contains(gone, x.Name) })
				})
			}) {
				names = slices.Delete(slices.Clone(names), from, from+size)
				continue
			}
			from += size
		}
	}
}

func sortedFiles(s *Scenario) []string {
	var names []string
	for name := range s.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// nodes leaves out machines, with their entries in every file.
func (k *shrinking) nodes() {
	for i := len(k.best.Nodes) - 1; i >= 0 && len(k.best.Nodes) > 1; i-- {
		gone := k.best.Nodes[i]
		k.try(func(s *Scenario) {
			s.Nodes = slices.Delete(slices.Clone(s.Nodes), i, i+1)
			files(s, func(f *conf.File) {
				f.Peers = slices.DeleteFunc(slices.Clone(f.Peers), func(p conf.Peer) bool { return s.leadsTo(p, gone) })
			})
		})
	}
}

// values makes the network plain and instants round.
func (k *shrinking) values() {
	k.try(func(s *Scenario) { s.Net.Loss = 0 })
	k.try(func(s *Scenario) { s.Net.Delay = Range{10 * time.Millisecond, 10 * time.Millisecond} })
	k.try(func(s *Scenario) { s.Capture.Up = Range{500 * time.Millisecond, 500 * time.Millisecond} })
	for _, unit := range []time.Duration{time.Second, 100 * time.Millisecond, time.Millisecond} {
		for i := range k.best.Steps {
			if i >= len(k.best.Steps) {
				break
			}
			k.try(func(s *Scenario) {
				s.Steps[i].At = s.Steps[i].At.Round(unit)
				if s.Steps[i].To != 0 {
					s.Steps[i].To = max(s.Steps[i].To.Round(unit), s.Steps[i].At+unit)
				}
			})
		}
	}
}
