package sim

import (
	"fmt"
	"slices"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
)

// A MutantResult says what became of a planted fault.
type MutantResult struct {
	Name      string
	What      string
	Killed    bool
	By        Invariant
	Scenario  string // that caught it first
	At        time.Duration
	Violation Violation
	Runs      int
}

// mutants are the planted faults, what they are, and the scenarios that are tried, the likeliest first.
var mutants = []struct {
	name      control.Mutant
	what      string
	scenarios []string
}{
	{control.StaleInclusive, "a peer counts as alive at S itself", []string{"crash"}},
	{control.NoWarmUp, "claims without waiting for answers", []string{"start"}},
	{control.ArrivalOrder, "evidence in the order of its arrival", []string{"reorder", "loop"}},
	{control.YieldToRelayed, "yields to a claim it only heard of", []string{"one link", "split"}},
	{control.YieldToStart, "yields to a claim that only starts", []string{"return", "split"}},
	{control.OrderReversed, "of two claimants the wrong one yields", []string{"split", "return"}},
	{control.NoInc, "does not tell instances apart", []string{"loop", "reorder"}},
	{control.WallClock, "goes by the wall clock", []string{"wall clock"}},
	{control.RelayChained, "passes on what was passed on to it", []string{"one link", "ring"}},
	{control.NoFallback, "no rule R4", []string{"blind node"}},
	{control.TimerLost, "no wake-up when a peer gets stale", []string{"pair", "crash"}},
	{control.NoHolddown, "takes streams back at once", []string{"return"}},
	{control.LimitOffByOne, "one stream more than the limit", []string{"limit"}},
}

// provingGrounds are the names of all scenarios in which mutants are tried.
func provingGrounds() []string {
	var names []string
	for _, m := range mutants {
		names = append(names, m.scenarios...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// provingGround makes the scenario of a name, small groups in which one thing goes wrong.
func provingGround(name string, seed uint64) *Scenario {
	s := &Scenario{Name: name, Seed: seed, Files: map[string]*conf.File{}}
	directives, limit := "", ""
	if name == "return" {
		directives = "return_holddown 8000;"
	} else {
		directives = "return_holddown 1000;"
	}
	src := fmt.Sprintf("cluster_key %032d; %s\n", 1, directives)
	nodes, stale := 4, 3000
	if name == "pair" {
		nodes, stale = 2, 3500 // so that nothing else wakes the survivor when the other gets stale
	}
	for i := range nodes {
		if limit = ""; name == "limit" && i == 0 {
			limit = " channel_limit 2;" // its share is three
		}
		s.Nodes = append(s.Nodes, fmt.Sprintf("n%d", i+1))
		src += fmt.Sprintf("peer n%d:8080 { fetch_timeout 1000; stale_timeout %d;%s }\n", i+1, stale, limit)
	}
	for i := range 12 {
		src += fmt.Sprintf("stream cam%02d { input fake://fake; cluster_ingest; }\n", i+1)
	}
	file, problems := conf.Parse(name, []byte(src))
	if problems.Failed() {
		panic(fmt.Sprintf("sim: the proving ground %q is wrong: %v", name, problems)) // a bug of this function
	}
	s.Files[""] = file
	const t = 120 * time.Second // the group is settled by then
	sec := time.Second
	add := func(at, to time.Duration, a Action) { s.Steps = append(s.Steps, Step{At: at, To: to, Action: a}) }
	n := func(names ...string) []string { return names }
	switch name {
	case "start":
		s.Until = 20 * sec
	case "crash":
		add(t-10*sec, 0, Demand{})
		add(t, 0, Crash{n("n2")})
		add(t, 0, Demand{}) // in the same instant: all that comes later is no longer that failure alone
	case "pair":
		add(t+time.Duration(seed)*sec/8, 0, Crash{n("n2")}) // at various times between two polls
	case "return":
		add(t, t+30*sec, Crash{n("n2")})
	case "split":
		add(t, t+20*sec, Partition{[][]string{n("n1", "n2"), n("n3", "n4")}})
	case "one link":
		add(t, t+60*sec, Cut{Links{From: n("n1"), To: n("n2")}})
		add(t+10*sec, t+40*sec, Crash{n("n1")})
		add(t+80*sec, t+110*sec, Isolate{Nodes: n("n3")})
		add(t+100*sec, t+140*sec, Cut{Links{From: n("n3"), To: n("n1")}})
	case "ring":
		add(t, t+40*sec, Ring{})
		add(t+20*sec, t+30*sec, Crash{n("n2")})
	case "reorder":
		add(t, t+60*sec, Reorder{Probability: Percent(50), By: 2900 * time.Millisecond})
		add(t, t+60*sec, Duplicate{Probability: Percent(30)})
	case "loop":
		add(t, t+60*sec, Delay{By: Range{0, 1400 * time.Millisecond}})
		add(t, t+60*sec, CrashLoop{n("n2"), 4 * sec, 300 * time.Millisecond})
	case "wall clock":
		add(t, 0, ClockJump{n("n1"), -time.Hour})
		add(t+10*sec, 0, ClockJump{n("n2"), 24 * time.Hour})
	case "blind node":
		for i := range 12 {
			add(t, 0, SourceDown{n(fmt.Sprintf("cam%02d", i+1)), n("n1", "n2")})
		}
		s.Until = t + 200*sec
	case "limit":
		add(t, 0, Crash{n("n2")})
	}
	if s.Until == 0 {
		s.Until = t + 200*sec
	}
	return s
}

// MutantCount is how many faults [Mutants] plants.
func MutantCount() int { return len(mutants) }

// Mutants plants each fault of the list in turn and says what noticed it. Nothing else may run simulations meanwhile:
// a planted fault is in every node of the process.
func Mutants(progress func(MutantResult)) []MutantResult {
	var out []MutantResult
	for _, m := range mutants {
		r := MutantResult{Name: string(m.name), What: m.what}
		control.Mutate(m.name)
		for _, name := range m.scenarios {
			for seed := uint64(1); seed <= 8 && !r.Killed; seed++ {
				s := provingGround(name, seed)
				r.Runs++
				if x := Run(s, Options{First: true, Mutant: string(m.name)}); len(x.Violations) > 0 {
					r.Killed, r.By, r.Scenario = true, x.Violations[0].Invariant, fmt.Sprintf("%s, seed %d", name, seed)
					r.At, r.Violation = x.Violations[0].At, x.Violations[0]
				}
			}
		}
		control.Mutate("")
		out = append(out, r)
		if progress != nil {
			progress(r)
		}
	}
	return out
}
