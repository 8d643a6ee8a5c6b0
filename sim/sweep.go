package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/cluster/conf"
	"weir/sim/oracle"
)

// SweepOptions say which runs a sweep makes.
type SweepOptions struct {
	From, Seeds uint64 // seeds From to From+Seeds-1

	// Workers is how many runs go on at once. Zero means one for each processor.
	Workers int

	// Run is how each is run.
	Run Options

	// Progress, if not nil, is told after each run what all of them have shown so far, by one goroutine at a time. To end the
	// sweep it returns false.
	Progress func(*SweepResult) bool
}

// GCPercent suits a process that does nothing but run scenarios: a run has little that lives long and much that does
// not, so that with the usual 100 it would collect garbage all the time.
const GCPercent = 800

// A SweepResult is what many runs showed together.
type SweepResult struct {
	Total     int // how many runs there are to be
	Runs      int
	Failed    int
	Unknown   int
	Failures  []Failure // of the first hundred failed seeds, by seed
	Verdicts  []Verdict // the worst of each
	Coverage  Coverage
	Measures  map[string]Measure
	Sometimes map[string]int
	Missing   []string           // states of [SometimesStates] that never occurred
	Idle      []oracle.Invariant // invariants that nothing exercised, of those that apply
	Events    uint64
	Messages  uint64
	TakeOvers int
	Simulated time.Duration
	Elapsed   time.Duration
}

// Rate is how many times faster than real time the sweep was, all workers together.
func (r *SweepResult) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Simulated) / float64(r.Elapsed)
}

// A Failure is a run that violated something.
type Failure struct {
	Seed      uint64
	Scenario  *Scenario
	Violation Violation // the first
}

// SometimesStates are the states that a standard sweep has to reach; one that it never does proves nothing.
var SometimesStates = []string{
	"two nodes crash at once", "crash in warm-up", "crash while starting", "return during take-over",
	"healing during take-over", "pin dies with another", "two claimants", "asymmetric view longer than S",
	"reply exactly at S", "reply late", "reply of an old instance after a restart", "drain during a partition",
	"all at limit", "configuration mismatch", "source dead on the owner", "a pause in (S, 2S)", "3-way partition", "ring",
}

// SwarmOptions say what the scenarios of a swarm are like.
type SwarmOptions struct {
	Profile    Profile       // of the faults
	Nodes      [2]int        // fewest and most; zero: 2 and 9
	Streams    [2]int        // fewest and most; zero: 4 and 40
	Disturbed  time.Duration // how long faults go on; zero: 120 s
	Base       *Scenario     // what is disturbed instead of groups that are drawn; nil: none
	Fidelity   Fidelity
	MinHealing time.Duration // quiet at the end, at least; zero: long enough for every bound
}

// Draw makes the scenario of a seed of a swarm.
func Draw(seed uint64, o SwarmOptions) *Scenario {
	if o.Disturbed == 0 {
		o.Disturbed = 120 * time.Second
	}
	rng := rand.New(rand.NewPCG(seed, stringHash("swarm")))
	var s Scenario
	if o.Base != nil {
		s = *o.Base
	} else {
		s = drawGroup(rng, o)
	}
	s.Seed, s.Fidelity = seed, o.Fidelity
	s.Name = fmt.Sprintf("%s, seed %d", o.Profile, seed)
	quiet := o.MinHealing
	if quiet == 0 {
		quiet = healing(&s)
	}
	from := max(s.Until, settling(&s))
	s.Steps = append(slices.Clone(s.Steps),
		Step{At: from, To: from + o.Disturbed, Action: Random{o.Profile}},
		Step{At: from + o.Disturbed + time.Second, Action: Quiet{}})
	s.Until = from + o.Disturbed + time.Second + quiet
	s.Steps = append(s.Steps, drawViewers(&s, from)...)
	s.Steps = append(s.Steps, drawPublishers(&s, from)...)
	return &s
}

// drawViewers draws viewers of all kinds, who come while the group settles and stay to the end, and one crowd. They have numbers
// of their own, so that they shift nothing that happens to the group.
func drawViewers(s *Scenario, settled time.Duration) []Step {
	rng := rand.New(rand.NewPCG(s.Seed, stringHash("viewers")))
	names, onDemand := []string{}, []string{}
	for _, x := range s.file(s.Nodes[0]).Streams {
		if names = append(names, x.Name); !x.Static {
			onDemand = append(onDemand, x.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	var steps []Step
	for _, p := range ViewerProtocols() {
		for range rng.IntN(3) {
			steps = append(steps, Step{
				At: time.Duration(rng.Int64N(int64(settled))), To: s.Until,
				Action: Viewer{p, names[rng.IntN(len(names))], s.Nodes[rng.IntN(len(s.Nodes))]},
			})
		}
	}
	if len(onDemand) > 0 {
		names = onDemand
	}
	return append(steps, Step{At: settled, To: s.Until, Action: Crowd{
		Count: 1 + rng.IntN(4), Protocol: ViewerProtocols()[rng.IntN(len(ViewerProtocols()))],
		Streams: []string{names[rng.IntN(len(names))]}, Stay: Range{time.Second, 40 * time.Second},
	}})
}

// drawPublishers draws publishers, who come while the group settles and come back, wherever they get in, until the end: one or two
// of each stream that is published.
func drawPublishers(s *Scenario, settled time.Duration) []Step {
	g := newGenerator(s, -1)
	g.rng = rand.New(rand.NewPCG(s.Seed, stringHash("publishers")))
	var steps []Step
	for _, name := range slices.Clone(g.pubs) {
		g.pubs = []string{name}
		for range 1 + g.rng.IntN(2) {
			steps = append(steps, Step{At: time.Duration(g.rng.Int64N(int64(settled))), To: s.Until, Action: g.encoder()})
		}
	}
	return steps
}

// settling is the time that a group has before it is disturbed.
func settling(s *Scenario) time.Duration {
	st, _ := timeouts(s)
	return 2*st + 10*time.Second
}

// healing is the time after which every bound is over.
func healing(s *Scenario) time.Duration {
	st, f := timeouts(s)
	var hold time.Duration
	for _, file := range s.Files {
		hold = max(hold, file.ReturnHolddown)
	}
	return 3*st + time.Duration(len(s.Nodes))*(st+2*f+startUp) + 2*(longest(hold)+2*time.Minute) + time.Minute
}

func timeouts(s *Scenario) (stale, fetch time.Duration) {
	for _, file := range s.Files {
		for _, p := range file.Peers {
			stale, fetch = max(stale, p.StaleTimeout), max(fetch, p.FetchTimeout)
		}
	}
	return stale, fetch
}

// drawGroup makes a group: its size, its file and its network.
func drawGroup(rng *rand.Rand, o SwarmOptions) Scenario {
	between := func(r [2]int, low, high int) int {
		if r == ([2]int{}) {
			r = [2]int{low, high}
		}
		return r[0] + rng.IntN(max(1, r[1]-r[0]+1))
	}
	n, m := between(o.Nodes, 2, 9), between(o.Streams, 4, 40)
	f := []int{500, 1000, 2000}[rng.IntN(3)]
	st := f * (3 + rng.IntN(3))
	var b strings.Builder
	fmt.Fprintf(&b, "cluster_key %032d;\nreturn_holddown %d;\n", 7, []int{500, 1000, 5000}[rng.IntN(3)])
	s := Scenario{Files: map[string]*conf.File{}}
	limited := rng.IntN(8) == 0
	viewed := stringHash(fmt.Sprint(n, m, f, st)) % 3 // streams on demand
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		s.Nodes = append(s.Nodes, name)
		limit := ""
		if limited && rng.IntN(2) == 0 {
			limit = fmt.Sprintf(" channel_limit %d;", max(1, m/n+rng.IntN(4)-1))
		}
		fmt.Fprintf(&b, "peer %s:8080 { fetch_timeout %d; stale_timeout %d;%s }\n", name, f, st, limit)
	}
	for i := range m {
		name := fmt.Sprintf("cam%02d", i+1)
		switch k := rng.IntN(20); {
		case k == 0:
			fmt.Fprintf(&b, "stream live%02d { input publish://; cluster_ingest; }\n", i+1)
		case k <= 2:
			fmt.Fprintf(&b, "stream %s { input fake://fake; cluster_ingest capture_at=n%d; }\n", name, 1+rng.IntN(n))
		case k == 3:
			fmt.Fprintf(&b, "stream %s { input fake://fake; cluster_ingest handover=break; }\n", name)
		default:
			fmt.Fprintf(&b, "stream %s { input fake://fake; cluster_ingest; }\n", name)
		}
	}
	if n > 2 {
		b.WriteString("stream show { input publish://; }\n")
	}
	for i := range viewed {
		fmt.Fprintf(&b, "ondemand movie%d { input fake://fake; clients_timeout %d; cluster_ingest; }\n", i+1, 2+20*i)
	}
	file, problems := conf.Parse("swarm", []byte(b.String()))
	if problems.Failed() {
		panic(fmt.Sprintf("sim: a drawn file is wrong: %v", problems)) // a bug of this function
	}
	s.Files[""] = file
	most := time.Duration(f) * time.Millisecond / 10
	s.Net.Delay = Range{time.Millisecond, time.Millisecond + time.Duration(rng.Int64N(int64(most)))}
	s.Capture.Up = Range{50 * time.Millisecond, 50*time.Millisecond + time.Duration(rng.Int64N(int64(time.Second)))}
	return s
}

// Sweep runs a scenario for each seed.
func Sweep(o SweepOptions, scenario func(seed uint64) *Scenario) *SweepResult {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var (
		mu    sync.Mutex
		next  = o.From
		end   = o.From + o.Seeds
		stop  bool
		total = &SweepResult{Total: int(o.Seeds), Verdicts: newVerdicts(), Measures: map[string]Measure{}, Sometimes: map[string]int{}}
		begin = time.Now()
		wait  sync.WaitGroup
	)
	for range workers {
		wait.Go(func() {
			for {
				mu.Lock()
				if stop || next >= end {
					mu.Unlock()
					return
				}
				seed := next
				next++
				mu.Unlock()
				s := scenario(seed)
				r := Run(s, o.Run)
				mu.Lock()
				total.add(s, r)
				total.Elapsed = time.Since(begin)
				if o.Progress != nil {
					stop = !o.Progress(total) || stop
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	total.finish()
	return total
}

// maxFailures bounds what is kept of failed runs.
const maxFailures = 100

// add takes in what a run showed.
func (r *SweepResult) add(s *Scenario, x *Result) {
	r.Runs++
	r.Coverage.Add(x)
	r.Simulated += x.Simulated
	r.Events += x.Events
	r.Messages += x.Messages
	r.TakeOvers += x.TakeOvers
	r.Unknown += b2i(x.Unknown)
	for k, n := range x.Sometimes {
		r.Sometimes[k] += n
	}
	if len(x.Violations) > 0 {
		r.Failed++
		r.Failures = append(r.Failures, Failure{Seed: s.Seed, Scenario: s, Violation: x.Violations[0]})
		slices.SortFunc(r.Failures, func(a, b Failure) int { return cmp.Compare(a.Seed, b.Seed) })
		r.Failures = r.Failures[:min(len(r.Failures), maxFailures)]
	}
	for name, m := range x.Measures {
		y, ok := r.Measures[name]
		count := y.Count + m.Count
		if !ok || m.Worst-m.Bound > y.Worst-y.Bound {
			y = m
		}
		y.Count = count
		r.Measures[name] = y
	}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		v.Checks += x.Verdicts[i].Checks
		v.Outcome = max(v.Outcome, x.Verdicts[i].Outcome)
	}
}

// finish says what no run has shown.
func (r *SweepResult) finish() {
	for _, name := range SometimesStates {
		if r.Sometimes[name] == 0 {
			r.Missing = append(r.Missing, name)
		}
	}
	for _, v := range r.Verdicts {
		if v.Outcome == NotExercised {
			r.Idle = append(r.Idle, v.Invariant)
		}
	}
}
