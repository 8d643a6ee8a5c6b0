package sim

import (
	"cmp"
	"crypto/sha256"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
)

// A world is one run of a scenario. It belongs to one goroutine; runs beside each other share nothing.
type world struct {
	s       *Scenario
	o       Options
	steps   []Step // of the scenario and those drawn, by time
	now     time.Duration
	queue   queue
	trace   *tracer
	random  *rand.Rand // for boots and swizzles
	checks  *checks
	viewers *viewers

	publishers     []*publisher // in the order in which they came
	publishersLook bool         // the next look at them is arranged
	result         *Result

	machines  []*machine
	byMachine map[string]*machine     // the same, by name
	coworkers map[string]*coworker    // SRS servers, by the host that the nodes' files say
	links     []link                  // see [world.link]
	streams   []*streamTruth          // by name
	byName    map[string]*streamTruth // the same
	actors    *scheduler              // nil with [Core]

	instances map[string]instance // by the name that its answers say

	// Machines by names, as they were found last; nil where there is none.
	entries   map[string]*machine // by what a peer entry says
	announced map[string]*machine // by a name, whose process announces it, or announced it last
	namesakes bool                // two processes have announced one name

	asks      uint64              // questions that were asked so far
	exchanges pool[exchange]      // that are over, of control planes alone
	states    pool[control.State] // answers that have been read

	base            behaviour // of links, without faults
	captureUp, down Range
	silence         time.Duration // after which a capture that brings nothing counts as failed
	segment         time.Duration
	active          []*fault
	refusals        map[string]time.Duration // of publishers, by machine and stream
	noted           []noted
}

// noted is a note of a control plane.
type noted struct {
	at   time.Duration
	node string
	kind control.NoteKind
}

// stringHash is FNV-1a.
func stringHash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum64()
}

// rng makes the source of random numbers for one purpose of one thing, so that more draws for one shift no other.
func (w *world) rng(purpose string) *rand.Rand { return rand.New(w.numbers(purpose)) }

// numbers are the numbers of rng, as they are.
func (w *world) numbers(purpose string) *rand.PCG { return rand.NewPCG(w.s.Seed, stringHash(purpose)) }

// Run runs a scenario to its end. The scenario is not changed, and may be run by several goroutines at once.
func Run(s *Scenario, o Options) *Result {
	w := newWorld(s, o)
	w.run()
	r := w.finish()
	if r.Sometimes["wall clock jump"] > 0 {
		w.compareWithoutJumps()
	}
	r.sumTallies()
	return r
}

func newWorld(s *Scenario, o Options) *world {
	w := &world{
		s: s, o: o, trace: newTracer(o.Keep), byName: map[string]*streamTruth{}, announced: map[string]*machine{},
		byMachine: map[string]*machine{}, entries: map[string]*machine{}, instances: map[string]instance{}, coworkers: map[string]*coworker{}, refusals: map[string]time.Duration{},
		result: &Result{Verdicts: newVerdicts(), Measures: map[string]Measure{}, Sometimes: map[string]int{}},
	}
	w.random = w.rng("world")
	w.base.delay = orRange(s.Net.Delay, Range{time.Millisecond, 50 * time.Millisecond})
	w.base.loss = s.Net.Loss
	w.captureUp = orRange(s.Capture.Up, Range{500 * time.Millisecond, 500 * time.Millisecond})
	w.down = orRange(s.Capture.Down, Range{50 * time.Millisecond, 50 * time.Millisecond})
	w.silence = cmp.Or(s.Capture.Timeout, 10*time.Second)
	w.segment = cmp.Or(s.Capture.Segment, 4*time.Second)
	if s.setsClocks() {
		w.trace.unnumbered = sha256.New()
	}
	w.steps = append(slices.Clone(s.Steps), expand(s, o.Without)...)
	slices.SortStableFunc(w.steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	w.addStreams()
	w.addMachines()
	w.checks = newChecks(w)
	w.viewers = newViewers(w)
	if s.Fidelity == Actors {
		w.actors = newScheduler(w)
	}
	w.arrange()
	return w
}

// orRange is a range, or another if that is zero.
func orRange(r, other Range) Range {
	if r == (Range{}) {
		return other
	}
	r.Max = max(r.Min, r.Max)
	return r
}

// file is the configuration of a node.
func (s *Scenario) file(name string) *conf.File {
	if f := s.Files[name]; f != nil {
		return f
	}
	if f := s.Files[""]; f != nil {
		return f
	}
	return &conf.File{}
}

// addStreams makes the streams of all files, those of edits too.
func (w *world) addStreams() {
	var names []string
	add := func(f *conf.File) {
		if f == nil {
			return
		}
		for _, s := range f.Streams {
			names = append(names, s.Name)
		}
	}
	for _, f := range w.s.Files {
		add(f) // sorted below
	}
	for _, st := range w.steps {
		if e, ok := st.Action.(Edit); ok {
			add(e.File)
		}
	}
	slices.Sort(names)
	for i, name := range slices.Compact(names) {
		s := &streamTruth{
			index: i, name: name, cause: GapStart, lastSegment: -1, published: -time.Hour,
			unreachable: map[string]bool{}, silent: map[string]bool{}, slow: map[string]Range{},
		}
		w.streams = append(w.streams, s)
		w.byName[name] = s
	}
}

// addMachines makes the machines, and the links between them.
func (w *world) addMachines() {
	n := len(w.s.Nodes)
	for i, name := range w.s.Nodes {
		m := &machine{
			w: w, index: i, name: name, disk: w.s.file(name), file: w.s.file(name), wakeAt: -1,
			chance: w.rng("machine " + name), source: w.rng("source " + name),
			captures: make([]capture, len(w.streams)), pubs: map[string]*feed{},
			known: make([]knowledge, n), announced: name,
		}
		m.clock.local0 = time.Duration(m.chance.Int64N(int64(1000 * time.Second)))
		w.machines = append(w.machines, m)
		w.byMachine[name] = m
	}
	w.links = make([]link, n*n)
	for _, a := range w.machines {
		for _, b := range w.machines {
			l := w.link(a, b)
			key := a.name + " " + b.name
			*l = link{from: a, to: b, behaviour: w.base, rng: *w.numbers("delay " + key), chance: w.rng("fate " + key)}
		}
	}
}

// run handles one item after the other until the end.
func (w *world) run() {
	until := w.s.Until
	for {
		at := w.queue.next()
		if at > until || at == never {
			break
		}
		if at >= w.checks.next || at >= w.checks.oracle.Next() {
			w.checks.due(at)
			continue
		}
		it := w.queue.pop()
		w.now = it.at
		w.handle(&it)
	}
	w.now = until
	w.checks.due(until)
}

// handle lets an item happen, unless its process has ended. It waits while the process is frozen or has no processor time.
func (w *world) handle(it *item) {
	w.trace.cause = it.cause
	m := it.m
	if m == nil {
		it.do()
		return
	}
	if it.boots != 0 && (it.boots != m.boots || !m.up) {
		return
	}
	if m.frozen > 0 && m.up {
		m.held = append(m.held, *it)
		return
	}
	if m.lag > 0 {
		if m.busy <= w.now && it.seq != 0 {
			m.busy = w.now + time.Duration(m.chance.Int64N(int64(m.lag)+1))
		}
		if m.busy > w.now && it.seq != 0 {
			it.at = m.busy
			m.held = append(m.held, *it)
			if len(m.held) == 1 {
				w.queue.push(item{at: m.busy, do: m.catchUp})
			}
			return
		}
	}
	w.deliver(it)
}

// deliver lets an item happen now.
func (w *world) deliver(it *item) {
	switch {
	case it.ex != nil:
		w.arrive(it)
	case it.do == nil:
		it.m.woken(it.number)
	default:
		it.do()
	}
}

// finish makes the result.
func (w *world) finish() *Result {
	r := w.result
	w.trace.cause = 0
	for _, m := range w.machines {
		if p, ok := m.process.(*actorProcess); ok {
			p.judgeInputs()
		}
	}
	w.checks.open()
	w.checks.takeTallies()
	r.Hash = w.trace.finish(w.now)
	r.Trace = w.trace.lines
	r.Simulated = w.now
	for _, s := range w.streams {
		if s.count == 0 && w.now > s.from {
			r.Gaps = append(r.Gaps, Gap{s.name, s.from, w.now, s.cause})
		}
	}
	return r
}

// violate adds a violation to the result and to the trace.
func (w *world) violate(v Violation) {
	v.At = w.now
	t := w.line("violation").text("invariant", v.Invariant.String()).text("stream", v.Stream)
	for _, n := range v.Nodes {
		t.text("node", n)
	}
	v.Line = t.text("says", v.Text).end()
	if v.Fingerprint == "" {
		v.Fingerprint = v.Invariant.String()
	}
	w.result.Violations = append(w.result.Violations, v)
}

// line begins a line of the trace about the run.
func (w *world) line(what string) *tracer { return w.trace.line(w.now, "-", what) }

// arrange puts the boots of the machines and the steps into the queue.
func (w *world) arrange() {
	for _, m := range w.machines {
		at := time.Duration(w.random.Int64N(int64(100 * time.Millisecond)))
		w.queue.push(item{at: at, do: m.bootFirst})
	}
	if w.s.Until == 0 {
		s := *w.s
		for _, st := range w.steps {
			s.Until = max(s.Until, st.At, st.To)
		}
		s.Until += time.Second
		w.s = &s
	}
	for _, st := range w.steps {
		if st.Action != nil {
			w.queue.push(item{at: st.At, do: func() { w.begin(st) }})
		}
		if st.Expect != nil {
			w.expect(st)
		}
	}
	if w.o.Snapshots > 0 {
		w.queue.push(item{at: 0, do: w.snapshot})
	}
}

// snapshot keeps what all nodes know, again and again.
func (w *world) snapshot() {
	s := Snapshot{At: w.now}
	for _, m := range w.machines {
		n := NodeState{Name: m.name, Up: m.up, Frozen: m.frozen > 0}
		if m.up {
			n.View = m.view()
		}
		s.Nodes = append(s.Nodes, n)
	}
	w.result.Snapshots = append(w.result.Snapshots, s)
	w.queue.push(item{at: w.now + w.o.Snapshots, do: w.snapshot})
}
