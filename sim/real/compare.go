package real

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/protocols"
	"weir/sim"
)

// The slack of a gap beyond what the simulator gives, besides how late the machine lets things happen.
const (
	slackBelow = 150 * time.Millisecond
	slackAbove = 250 * time.Millisecond
)

// A Report is what a run with real processes showed.
type Report struct {
	Scenario string
	End      time.Duration
	Gaps     []Gap // by their beginnings
	Twice    []Gap // times with two owners, likewise
	Owners   []Owners
	Viewers  []ViewerReport
	Journals int           // how many events of journals were replayed, all with the same effects
	Late     time.Duration // the longest by which the machine let anything happen too late
	Stood    time.Duration // for how long it let a node stand still, at most
	Wrong    []string      // what was not as predicted, a sentence each

	// Settled is when the group has begun. Before, much depends on how long each process took from its start until it listened,
	// which the simulator does not know.
	Settled time.Duration
}

// A Gap is a time without media of one stream, or with two nodes that captured it, as predicted and as it was. Zero is none.
type Gap struct {
	Stream     string
	At         time.Duration
	Cause      sim.GapCause
	Min, Max   time.Duration // over the runs of the simulator
	Real       time.Duration
	Unexpected bool
}

// Owners are the nodes that captured a stream, one after the other.
type Owners struct {
	Stream    string
	Real      []string
	Predicted [][]string // each different sequence of the simulator's runs
	Wrong     bool
}

// A ViewerReport is what one viewer saw.
type ViewerReport struct {
	Stream   string
	Protocol protocols.Protocol
	Entry    string
	Longest  time.Duration // without media, after the first picture
	At       time.Duration // when that began
	Pictures int
	Missing  int64
	Back     int
	BackText string
	Ends     int
}

// A truth is what the sources saw.
type truth struct {
	holds []sim.Hold
	gaps  []sim.Gap
}

// truth is what happened until an instant.
func (g *group) truth(end time.Time) truth {
	var t truth
	holds := g.sources.all()
	frozen := g.frozenTimes()
	for _, h := range holds {
		x := sim.Hold{Stream: h.Stream, Node: h.Node, From: h.From.Sub(g.zero), Up: -1, To: -1}
		if !h.Up.IsZero() {
			x.Up = h.Up.Sub(g.zero)
		}
		if !h.To.IsZero() && h.To.Before(end) {
			x.To = h.To.Sub(g.zero)
		}
		t.holds = append(t.holds, x)
	}
	slices.SortStableFunc(t.holds, func(a, b sim.Hold) int { return cmp.Compare(a.Up, b.Up) })
	for _, s := range g.clustered() {
		t.gaps = append(t.gaps, g.gapsOf(s, holds, frozen, end)...)
	}
	return t
}

// clustered are the names of all streams of which the sources know who captures them.
func (g *group) clustered() []string {
	names := map[string]bool{}
	for _, f := range g.s.Files {
		for _, s := range f.Streams {
			if s.Ingest != nil || len(s.Inputs) > 0 && s.Inputs[0].Scheme == "publish" {
				names[s.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// An edge is a change of how many captures deliver.
type edge struct {
	at time.Time
	by int
}

// gapsOf are the times in which no capture of a stream delivered: none was connected, or the process stood still.
func (g *group) gapsOf(stream string, holds []hold, frozen []frozen, end time.Time) (gaps []sim.Gap) {
	var edges []edge
	for _, h := range holds {
		if h.Stream != stream || h.Up.IsZero() {
			continue
		}
		to := h.To
		if to.IsZero() || to.After(end) {
			to = end
		}
		from := h.Up
		for _, f := range frozen { // in order of time
			until := f.to
			if until.IsZero() {
				until = end
			}
			if f.node != h.Node || !f.from.Before(to) || !until.After(from) {
				continue
			}
			if f.from.After(from) {
				edges = append(edges, edge{from, 1}, edge{f.from, -1})
			}
			from = until
		}
		if from.Before(to) {
			edges = append(edges, edge{from, 1}, edge{to, -1})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(b.by, a.by)) })
	count, since := 0, g.zero
	for _, e := range edges {
		was := count
		count += e.by
		switch {
		case was == 0 && count > 0 && e.at.After(since):
			gaps = append(gaps, sim.Gap{Stream: stream, From: since.Sub(g.zero), To: e.at.Sub(g.zero)})
		case count == 0:
			since = e.at
		}
	}
	if count == 0 && since.Before(end) {
		gaps = append(gaps, sim.Gap{Stream: stream, From: since.Sub(g.zero), To: end.Sub(g.zero)})
	}
	return gaps
}

// predicted is the scenario with what was done at the instants at which it was.
func (g *group) predicted(end time.Duration) *sim.Scenario {
	s := *g.s
	s.Until = end
	s.Steps = []sim.Step{{At: 0, Action: sim.Crash{}}} // every process boots when the real one listened
	g.mu.Lock()
	s.Steps = append(s.Steps, g.done...)
	g.mu.Unlock()
	s.Net.Delay = g.base.delay
	up := s.Capture.Up
	if up == (sim.Range{}) {
		up = sim.Range{Min: 500 * time.Millisecond, Max: 500 * time.Millisecond}
	}
	s.Capture.Up = sim.Range{Min: up.Min, Max: max(up.Min, up.Max) + joining}
	return &s
}

// compare runs the simulator and compares.
func (r *Report) compare(g *group, real truth, seeds uint64) {
	base := g.predicted(r.End)
	var mu sync.Mutex
	var runs []*sim.Result
	var work sync.WaitGroup
	next := make(chan uint64)
	for range 2 {
		work.Go(func() {
			for seed := range next {
				s := *base
				s.Seed = seed
				res := sim.Run(&s, sim.Options{})
				mu.Lock()
				runs = append(runs, res)
				mu.Unlock()
			}
		})
	}
	for seed := range seeds {
		next <- seed + 1
	}
	close(next)
	work.Wait()
	for _, stream := range g.clustered() {
		r.compareOwners(stream, real, runs)
		r.Gaps = append(r.Gaps, r.compareTimes(stream, "nobody captured it", real.gaps, each(runs, func(run *sim.Result) []sim.Gap { return run.Gaps }), g.lateBefore)...)
		r.Twice = append(r.Twice, r.compareTimes(stream, "two nodes captured it", overlaps(stream, real.holds, r.End),
			each(runs, func(run *sim.Result) []sim.Gap { return overlaps(stream, run.Holds, r.End) }), g.lateBefore)...)
	}
	for _, list := range [][]Gap{r.Gaps, r.Twice} {
		slices.SortStableFunc(list, func(a, b Gap) int { return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.Stream, b.Stream)) })
	}
}

// lateBefore is by how much any node was late at most in a time, or in the stale_timeout before it, in which losses are noticed:
// the longest wait, and all that it stood still.
func (g *group) lateBefore(in span) (d time.Duration) {
	in.from -= g.stale()
	for _, n := range g.nodes {
		d = max(d, g.late.in(n.name, in)+g.late.still(n.name, g.stale()).and(spans{in}).sum())
	}
	return d
}

// stale is the longest stale_timeout.
func (g *group) stale() (d time.Duration) {
	for _, p := range g.fileOf(g.nodes[0]).Peers {
		d = max(d, p.StaleTimeout)
	}
	return d
}

// sequence are the nodes that delivered a stream after an instant, in the order in which they began.
func sequence(stream string, holds []sim.Hold, after time.Duration) (nodes []string) {
	of := slices.DeleteFunc(slices.Clone(holds), func(h sim.Hold) bool {
		return h.Stream != stream || h.Up < 0 || h.To >= 0 && h.To < after
	})
	slices.SortStableFunc(of, func(a, b sim.Hold) int { return cmp.Compare(a.Up, b.Up) })
	for _, h := range of {
		if len(nodes) == 0 || nodes[len(nodes)-1] != h.Node {
			nodes = append(nodes, h.Node)
		}
	}
	return nodes
}

func (r *Report) compareOwners(stream string, real truth, runs []*sim.Result) {
	o := Owners{Stream: stream, Real: sequence(stream, real.holds, r.Settled)}
	for _, run := range runs {
		seq := sequence(stream, run.Holds, r.Settled)
		if !slices.ContainsFunc(o.Predicted, func(p []string) bool { return slices.Equal(p, seq) }) {
			o.Predicted = append(o.Predicted, seq)
		}
	}
	slices.SortFunc(o.Predicted, slices.Compare)
	if o.Wrong = !slices.ContainsFunc(o.Predicted, func(p []string) bool { return slices.Equal(p, o.Real) }); o.Wrong {
		r.Wrong = append(r.Wrong, fmt.Sprintf("%s was captured by %v, predicted was %v", stream, o.Real, o.Predicted))
	}
	r.Owners = append(r.Owners, o)
}

// near is how far the beginnings of gaps may lie apart that count as the same.
const near = 1500 * time.Millisecond

// each is what of makes of every run.
func each(runs []*sim.Result, of func(*sim.Result) []sim.Gap) (list [][]sim.Gap) {
	for _, r := range runs {
		list = append(list, of(r))
	}
	return list
}

// overlaps are the times in which two nodes or more had a stream, one that stood still included.
func overlaps(stream string, holds []sim.Hold, end time.Duration) (list []sim.Gap) {
	var some, many spans
	for _, h := range holds {
		if h.Stream != stream || h.Up < 0 {
			continue
		}
		to := h.To
		if to < 0 {
			to = end
		}
		one := joined([]span{{h.Up, to}})
		many = many.or(some.and(one))
		some = some.or(one)
	}
	for _, s := range many {
		list = append(list, sim.Gap{Stream: stream, From: s.from, To: s.to})
	}
	return list
}

// compareTimes finds, for each time of a kind in the runs of the simulator and in the real one, the others that mean the same.
// Late says by how much nodes were late at most in a time.
func (r *Report) compareTimes(stream, what string, real []sim.Gap, runs [][]sim.Gap, late func(span) time.Duration) (out []Gap) {
	type found struct {
		sim.Gap
		run int // -1: the real one
	}
	var all []found
	add := func(run int, gaps []sim.Gap) {
		for _, g := range gaps {
			if g.Stream == stream && g.To > g.From {
				all = append(all, found{g, run})
			}
		}
	}
	add(-1, real)
	for i, gaps := range runs {
		add(i, gaps)
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.From, b.From) })
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].From-all[n-1].From < near {
			n++
		}
		g := Gap{Stream: stream, At: all[0].From}
		sums := make([]time.Duration, len(runs))
		for _, f := range all[:n] {
			if f.run < 0 {
				g.Real += f.To - f.From
				continue
			}
			sums[f.run] += f.To - f.From
			g.Cause = f.Cause
		}
		all = all[n:]
		g.Min, g.Max = slices.Min(sums), slices.Max(sums)
		slack := late(span{g.At, g.At + max(g.Real, g.Max)})
		if least, most := g.Min-slackBelow-slack, g.Max+slackAbove+slack; g.At >= r.Settled && (g.Real < least || g.Real > most) {
			g.Unexpected = true
			r.Wrong = append(r.Wrong, fmt.Sprintf("%s at %v: %s for %v, predicted was %v to %v", stream, g.At.Round(time.Millisecond), what,
				g.Real.Round(time.Millisecond), g.Min.Round(time.Millisecond), g.Max.Round(time.Millisecond)))
		}
		out = append(out, g)
	}
	return out
}

// viewerReports are what the viewers saw until an instant.
func (g *group) viewerReports(end time.Time) (list []ViewerReport) {
	for _, v := range g.viewers {
		v.mu.Lock()
		x := ViewerReport{
			Stream: v.Stream, Protocol: v.Protocol, Entry: v.entry.name, Pictures: v.Pictures, Missing: v.Missing, Back: len(v.Back),
			BackText: v.backText(), Ends: len(v.Ends),
		}
		gaps := v.Gaps
		if !v.at.IsZero() {
			gaps = append(slices.Clone(gaps), silent{v.at, end})
		}
		for _, s := range gaps {
			if d := s.To.Sub(s.From); d > x.Longest {
				x.Longest, x.At = d, s.From.Sub(g.zero)
			}
		}
		v.mu.Unlock()
		list = append(list, x)
	}
	return list
}
