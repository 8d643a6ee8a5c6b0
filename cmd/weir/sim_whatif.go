package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/protocols"
	"weir/sim"
	"weir/sim/scenario"
)

// SimWhatifCmd is `weir sim whatif`.
type SimWhatifCmd struct {
	Config string `short:"c" required:"" placeholder:"FILE" help:"Your configuration."`
	OwnNames
	What []string      `arg:"" help:"What happens, in the words of a scenario: kill n2, drain n2, isolate n2, cut n1 -> n2."`
	Runs int           `default:"20" placeholder:"N" help:"Number of runs, each with another seed. Default ${default}."`
	Loss string        `default:"0%" placeholder:"P%" help:"Share of messages that are lost. Default ${default}."`
	For  time.Duration `placeholder:"TIME" help:"How long the fault lasts. Default: four times the longest stale_timeout, and 20 s more."`
	JSON bool          `name:"json" help:"Print JSON."`
}

// Help implements [kong.HelpProvider].
func (*SimWhatifCmd) Help() string {
	return `Examples:
  weir sim whatif --config weir.conf kill streamer
  weir sim whatif --config weir.conf drain streamer
  weir sim whatif --config weir.conf isolate n2,n3
  weir sim whatif --config weir.conf --loss 1% "cut n1 -> n2"
  weir sim whatif --config weir.conf restart all
  weir sim whatif --config weir.conf --for 4m crash-loop streamer up 40s down 20s

The group of the configuration starts and settles, and then the fault occurs. The answer says to which nodes streams move, how
long no node captures them, how long the picture of viewers stands still, and which streams move back when the fault is over, and
how long after that. The moves are those of the first run, the times those of all runs.

Viewers of every protocol open the streams that the fault concerns, at every node. One whose own node is down is left out: it has
to ask another one. A viewer of HLS has about three segments in its buffer, of 4 s each.

Exit codes: 0 done; 1 the fault would break a rule of the cluster; 2 the configuration cannot be read.`
}

// A whatif is a question about a configuration, as a scenario in which the fault begins at begin.
type whatif struct {
	scenario    *sim.Scenario
	what        string
	begin, over time.Duration // when the fault begins and ends; over is 0 if the fault does not end
	end         time.Duration
}

// Run answers the question.
func (c *SimWhatifCmd) Run(ctx context.Context, std stdio) error {
	own, err := c.read(c.Config, std)
	if err != nil {
		return err
	}
	a, err := c.answer(ctx, own, std)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := writeJSON(std.out, a.json()); err != nil {
			return err
		}
	} else if _, err := io.WriteString(std.out, a.text(painter{colour: isTerminal(std.out)})); err != nil {
		return fmt.Errorf("printing the answer: %w", err)
	}
	if len(a.violations) > 0 {
		return &exitError{code: exitViolation}
	}
	return nil
}

// answer asks the simulator.
func (c *SimWhatifCmd) answer(ctx context.Context, own scenario.Source, std stdio) (*answer, error) {
	q, err := c.question(own, std)
	if err != nil {
		return nil, err
	}
	q.watch()
	a := &answer{q: q, moves: map[move][]string{}, stills: map[shownTo][]time.Duration{}}
	progress := newBar(std, "runs", c.Runs)
	defer progress.end()
	for seed := 1; seed <= max(c.Runs, 1) && !interrupted(ctx); seed++ {
		s := *q.scenario
		s.Seed = uint64(seed)
		a.add(sim.Run(&s, sim.Options{}))
		progress.step(seed, "")
	}
	progress.end()
	return a, nil
}

// question makes the scenario. It leaves enough time for the group to settle, for take-overs, and for streams to move back.
func (c *SimWhatifCmd) question(own scenario.Source, std stdio) (*whatif, error) {
	group, problems := scenario.Configured(own)
	if group == nil {
		printProblems(std, problems)
		return nil, &exitError{code: exitUnknown}
	}
	printProblems(std, problems)
	stale, holddown := slowest(group)
	q := &whatif{what: strings.Join(c.What, " "), begin: 3*stale + 10*time.Second}
	if node, ok := strings.CutPrefix(q.what, "kill "); ok && !strings.Contains(node, " ") {
		q.what = "crash " + node // in a scenario, kill is a fault of actors
	}
	q.over = q.begin + cmp.Or(c.For, 4*stale+20*time.Second)
	q.end = q.over + time.Duration(control.LongestHolddown(control.Instant(holddown))) + 4*stale + 30*time.Second
	line := fmt.Sprintf("from %s to %s %s", q.begin, q.over, q.what)
	word, _, _ := strings.Cut(q.what, " ")
	if slices.ContainsFunc(sim.Kinds(), func(k *sim.Kind) bool { return k.Word == word && k.Instant }) {
		line = fmt.Sprintf("at %s %s", q.begin, q.what)
		q.over = 0
	}
	text := fmt.Sprintf("seed 1 net delay 1ms..50ms loss %s until %s\n%s\n", c.Loss, q.end, line)
	d, problems := scenario.ParseWith("the question", []byte(text), own)
	if d == nil {
		printProblems(std, slices.DeleteFunc(problems, func(p conf.Problem) bool { return p.Severity == conf.Warning }))
		return nil, &exitError{code: exitUnknown}
	}
	q.scenario = d.Scenario
	return q, nil
}

// mostWatched is how many streams viewers watch at most, and mostEntries at how many nodes.
const (
	mostWatched = 4
	mostEntries = 5
)

// watch lets viewers open the streams that the fault concerns, from before it begins until it ends. Others come when it is over,
// with whole buffers.
func (q *whatif) watch() {
	names := map[string]bool{}
	r := sim.Run(q.scenario, sim.Options{})
	for _, g := range r.Gaps {
		if g.From >= q.begin {
			names[g.Stream] = true
		}
	}
	for _, h := range r.Holds {
		if h.From >= q.begin { // the other part of the group may have gone on with it
			names[h.Stream] = true
		}
	}
	concerned := slices.Sorted(maps.Keys(names))
	for len(concerned) > mostWatched { // of a family of names those at both ends
		concerned = slices.Delete(concerned, mostWatched/2, mostWatched/2+1)
	}
	if len(concerned) == 0 {
		return
	}
	nodes := q.scenario.Nodes[:min(len(q.scenario.Nodes), mostEntries)]
	s := *q.scenario
	s.Steps = slices.Clone(s.Steps)
	for _, node := range nodes {
		for _, p := range sim.ViewerProtocols() {
			watch := sim.Step{At: q.begin - 20*time.Second, To: q.end, Action: sim.Viewers{
				Count: len(concerned), Protocol: p, Streams: concerned, Nodes: []string{node},
			}}
			if q.over > 0 {
				watch.To = q.over
				s.Steps = append(s.Steps, sim.Step{At: q.over, To: q.end, Action: watch.Action})
			}
			s.Steps = append(s.Steps, watch)
		}
	}
	q.scenario = &s
}

// slowest gives the longest stale_timeout and the longest hold-down in a group.
func slowest(s *sim.Scenario) (stale, holddown time.Duration) {
	stale = time.Second
	for _, f := range s.Files {
		holddown = max(holddown, f.ReturnHolddown)
		for _, p := range f.Peers {
			stale = max(stale, p.StaleTimeout)
		}
	}
	return stale, holddown
}

// A move is that of streams from one node to another. Back says that they move after the fault is over.
type move struct {
	back     bool
	from, to string // empty for no node
}

// A shownTo is what viewers have in common of whom an answer tells.
type shownTo struct {
	back     bool // when the fault is over
	protocol protocols.Protocol
}

// An answer collects the results of the runs.
type answer struct {
	q          *whatif
	runs       int
	streams    int
	moves      map[move][]string        // the streams that move, in the first run
	gaps       map[bool][]time.Duration // by whether they begin after the fault is over
	stills     map[shownTo][]time.Duration
	home       []time.Duration // how long after the end of the fault captures began
	lost       []string        // streams that no node captured at the end
	violations []sim.Violation
}

func (a *answer) add(r *sim.Result) {
	a.runs++
	if a.gaps == nil {
		a.gaps = map[bool][]time.Duration{}
	}
	a.violations = append(a.violations, r.Violations...)
	for _, g := range r.Gaps {
		to := g.To
		if to < 0 {
			to = a.q.end
		}
		if g.From < a.q.begin {
			continue // the group was still starting
		}
		a.gaps[a.q.over > 0 && g.From >= a.q.over] = append(a.gaps[a.q.over > 0 && g.From >= a.q.over], to-g.From)
	}
	for _, x := range r.Stills {
		if x.From >= a.q.begin && !x.Down {
			k := shownTo{a.q.over > 0 && x.From >= a.q.over, x.Protocol}
			a.stills[k] = append(a.stills[k], x.To-x.From)
		}
	}
	a.returns(r)
	if a.runs > 1 {
		return
	}
	before, during, after := ownersAt(r, a.q.begin), ownersAt(r, a.q.end), ownersAt(r, a.q.end)
	if a.q.over > 0 {
		during = ownersAt(r, a.q.over)
	}
	a.streams = len(before)
	for _, s := range slices.Sorted(maps.Keys(before)) {
		if during[s] != before[s] {
			m := move{false, before[s], during[s]}
			a.moves[m] = append(a.moves[m], s)
		}
		if a.q.over > 0 && after[s] != during[s] {
			m := move{true, during[s], after[s]}
			a.moves[m] = append(a.moves[m], s)
		}
		if after[s] == "" {
			a.lost = append(a.lost, s)
		}
	}
}

// returns notes how long after the end of the fault captures began, on nodes that take their streams back.
func (a *answer) returns(r *sim.Result) {
	if a.q.over == 0 {
		return
	}
	for _, h := range r.Holds {
		if h.From >= a.q.over && h.Up >= 0 {
			a.home = append(a.home, h.Up-a.q.over)
		}
	}
}

// ownersAt gives the node that delivered each stream just before an instant. Several nodes are joined by plus signs.
func ownersAt(r *sim.Result, at time.Duration) map[string]string {
	owners := map[string]string{}
	var names []string
	for _, h := range r.Holds {
		if _, known := owners[h.Stream]; !known {
			owners[h.Stream] = ""
			names = append(names, h.Stream)
		}
	}
	for _, s := range names {
		var at1 []string
		for _, h := range r.Holds {
			if h.Stream == s && h.Up >= 0 && h.Up < at && (h.To < 0 || h.To >= at) && !slices.Contains(at1, h.Node) {
				at1 = append(at1, h.Node)
			}
		}
		slices.Sort(at1)
		owners[s] = strings.Join(at1, "+")
	}
	return owners
}

// sorted gives the moves while the fault lasts, or those when it is over.
func (a *answer) sorted(back bool) []move {
	var list []move
	for m := range a.moves {
		if m.back == back {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(x, y move) int { return cmp.Or(strings.Compare(x.from, y.from), strings.Compare(x.to, y.to)) })
	return list
}

func (a *answer) text(p painter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", p.bold(a.q.what), "in a settled group of "+plural(len(a.q.scenario.Nodes), "node")+" and "+plural(a.streams, "stream"))
	a.phase(&b, false, "while it lasts")
	if a.q.over > 0 {
		a.phase(&b, true, "when it is over")
	}
	if len(a.lost) > 0 {
		fmt.Fprintf(&b, "\n%s at the end: %s\n", p.red("nobody captures"), strings.Join(a.lost, ", "))
	}
	if len(a.violations) > 0 {
		v := a.violations[0]
		fmt.Fprintf(&b, "\n%s %s: %s\n", p.red("violation"), v.Invariant, v.Text)
	}
	return b.String()
}

func (a *answer) phase(b *strings.Builder, back bool, when string) {
	fmt.Fprintf(b, "\n%s\n", when)
	moves := a.sorted(back)
	if len(moves) == 0 {
		b.WriteString("  no stream moves\n")
	}
	var rows [][]string
	for _, m := range moves {
		list := a.moves[m]
		rows = append(rows, []string{nobody(m.from), "→", nobody(m.to), plural(len(list), "stream"), some(list, 8)})
	}
	b.WriteString(table(rows))
	if back && len(a.home) > 0 {
		slices.Sort(a.home)
		fmt.Fprintf(b, "  the first stream is back after %s, the last after %s\n", millis(a.home[0]), millis(a.home[len(a.home)-1]))
	}
	gaps := a.gaps[back]
	if len(gaps) == 0 {
		b.WriteString("  no stream is without media for a moment\n")
	} else {
		slices.Sort(gaps)
		fmt.Fprintf(b, "  not captured: half of them up to %s, longest %s (%s in %s)\n", millis(quantile(gaps, 0.5)), millis(gaps[len(gaps)-1]),
			plural(len(gaps), "gap"), plural(a.runs, "run"))
	}
	rows = nil
	for _, p := range sim.ViewerProtocols() {
		if list := a.stills[shownTo{back, p}]; len(list) > 0 {
			slices.Sort(list)
			rows = append(rows, []string{
				protocols.Of(p).Title + " viewers", "without a picture:", "half of them up to " + millis(quantile(list, 0.5)) + ",",
				"longest " + millis(list[len(list)-1]),
			})
		}
	}
	b.WriteString(table(rows))
}

func nobody(name string) string {
	if name == "" {
		return "nobody"
	}
	return name
}

func millis(d time.Duration) string { return d.Round(time.Millisecond).String() }

func some(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:most], ", ") + fmt.Sprintf(" and %d more", len(list)-most)
}

// quantile is the value of a sorted list below which that part of the values lies.
func quantile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// json is the answer in the form in which it is printed as JSON.
func (a *answer) json() any {
	type moved struct {
		From    string   `json:"from"`
		To      string   `json:"to"`
		Streams []string `json:"streams"`
	}
	type seen struct {
		P50 float64 `json:"p50_seconds"`
		Max float64 `json:"max_seconds"`
	}
	type phase struct {
		Moves []moved `json:"moves"`
		Gaps  int     `json:"gaps"`
		P50   float64 `json:"gap_p50_seconds"`
		Max   float64 `json:"gap_max_seconds"`
		Back  float64 `json:"last_back_seconds,omitempty"`

		// Viewers is how long pictures stood still, by protocol.
		Viewers map[protocols.Protocol]seen `json:"viewers"`
	}
	one := func(back bool) phase {
		ph := phase{Moves: []moved{}, Gaps: len(a.gaps[back]), Viewers: map[protocols.Protocol]seen{}}
		for _, m := range a.sorted(back) {
			ph.Moves = append(ph.Moves, moved{m.from, m.to, a.moves[m]})
		}
		gaps := slices.Sorted(slices.Values(a.gaps[back]))
		ph.P50, ph.Max = quantile(gaps, 0.5).Seconds(), quantile(gaps, 1).Seconds()
		if back && len(a.home) > 0 {
			ph.Back = slices.Max(a.home).Seconds()
		}
		for k, list := range a.stills {
			if k.back == back {
				list = slices.Sorted(slices.Values(list))
				ph.Viewers[k.protocol] = seen{quantile(list, 0.5).Seconds(), quantile(list, 1).Seconds()}
			}
		}
		return ph
	}
	out := struct {
		What       string            `json:"what"`
		Nodes      []string          `json:"nodes"`
		Streams    int               `json:"streams"`
		Runs       int               `json:"runs"`
		During     phase             `json:"during"`
		After      *phase            `json:"after,omitempty"`
		Lost       []string          `json:"lost"`
		Violations []violationReport `json:"violations"`
	}{What: a.q.what, Nodes: a.q.scenario.Nodes, Streams: a.streams, Runs: a.runs, During: one(false), Lost: append([]string{}, a.lost...), Violations: []violationReport{}}
	if a.q.over > 0 {
		after := one(true)
		out.After = &after
	}
	for _, v := range a.violations {
		out.Violations = append(out.Violations, reportOf(v))
	}
	return out
}
