package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
)

// A world is one run of a scenario. It belongs to one goroutine; runs beside each other share nothing.
type world struct {
	s        *Scenario
	o        Options
	now      time.Duration
	queue    queue
	trace    *tracer
	machines []*machine
	links    []link
	streams  []*streamTruth // by name
	byName   map[string]*streamTruth

	entries   map[string]*machine // by what leads to them; nil where nobody is
	announced map[string]*machine // by the name that its process had when it was last looked for
	base      behaviour
	active    []*fault
	faults    []Span
	checks    *checks
	result    *Result

	messages  uint64
	events    uint64
	random    *rand.Rand // of the world itself: boots
	sometimes map[string]int
	captureUp Range
	down      Range
	silence   time.Duration
	segment   time.Duration
	snapshots []Snapshot
	actors    *scheduler // nil with Core
	refusals  map[string]time.Duration
	noted     []noted
}

// A noted note.
type noted struct {
	at   time.Duration
	node string
	kind control.NoteKind
}

func stringHash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum64()
}

// rng makes the source of random numbers for one purpose of one thing, so that more draws for one shift no other.
func (w *world) rng(purpose string) *rand.Rand {
	return rand.New(rand.NewPCG(w.s.Seed, stringHash(purpose)))
}

// Run runs a scenario to its end. The scenario is not changed, and may be run by several goroutines at once.
func Run(s *Scenario, o Options) *Result {
	w := newWorld(s, o)
	w.run()
	r := w.finish()
	if w.jumps() {
		w.compareWithoutJumps(r)
	}
	return r
}

func newWorld(s *Scenario, o Options) *world {
	w := &world{
		s: s, o: o, trace: newTracer(o.Keep), byName: map[string]*streamTruth{}, announced: map[string]*machine{}, entries: map[string]*machine{}, sometimes: map[string]int{}, refusals: map[string]time.Duration{},
		result: &Result{Verdicts: newVerdicts(), Measures: map[string]Measure{}},
	}
	w.random = w.rng("world")
	w.base.delay = orRange(s.Net.Delay, Range{time.Millisecond, 50 * time.Millisecond})
	w.base.loss = s.Net.Loss
	w.captureUp = orRange(s.Capture.Up, Range{500 * time.Millisecond, 500 * time.Millisecond})
	w.down = orRange(s.Capture.Down, Range{50 * time.Millisecond, 50 * time.Millisecond})
	w.silence = orDuration(s.Capture.Timeout, 10*time.Second)
	w.segment = orDuration(s.Capture.Segment, 4*time.Second)
	if s.setsClocks() {
		w.trace.unnumbered = sha256.New()
	}
	w.result.Drawn = expand(s, o.Without)
	w.addStreams()
	w.addMachines()
	w.checks = newChecks(w)
	if s.Fidelity == Actors {
		w.actors = newScheduler(w)
	}
	w.arrange()
	return w
}

func orRange(r, other Range) Range {
	if r == (Range{}) {
		return other
	}
	r.Max = max(r.Min, r.Max)
	return r
}

func orDuration(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// file is the configuration of a machine.
func (s *Scenario) file(name string) *conf.File {
	if f := s.Files[name]; f != nil {
		return f
	}
	if f := s.Files[""]; f != nil {
		return f
	}
	return &conf.File{}
}

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
	for _, st := range slices.Concat(w.s.Steps, w.result.Drawn) {
		if e, ok := st.Action.(Edit); ok {
			add(e.File)
		}
	}
	slices.Sort(names)
	for i, name := range slices.Compact(names) {
		s := &streamTruth{
			index: i, name: name, cause: "start", lastSegment: -1,
			unreachable: map[string]bool{}, silent: map[string]bool{}, slow: map[string]Range{},
		}
		w.streams = append(w.streams, s)
		w.byName[name] = s
	}
}

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
	}
	w.links = make([]link, n*n)
	for _, a := range w.machines {
		for _, b := range w.machines {
			l := w.link(a, b)
			key := a.name + " " + b.name
			*l = link{from: a, to: b, behaviour: w.base, rng: w.rng("delay " + key), chance: w.rng("fate " + key)}
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
		if at >= w.checks.next {
			w.checks.due(at)
			continue
		}
		it := w.queue.pop()
		w.now = it.at
		w.handle(it)
	}
	w.now = until
	w.checks.due(until)
}

func (w *world) handle(it item) {
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
		m.held = append(m.held, it)
		return
	}
	if m.lag > 0 {
		if m.busy <= w.now && it.seq != 0 {
			m.busy = w.now + time.Duration(m.chance.Int64N(int64(m.lag)+1))
		}
		if m.busy > w.now && it.seq != 0 {
			it.at = m.busy
			m.held = append(m.held, it)
			if len(m.held) == 1 {
				w.queue.push(item{at: m.busy, do: m.catchUp})
			}
			return
		}
	}
	w.deliver(it)
}

func (w *world) deliver(it item) {
	switch {
	case it.ex != nil:
		w.arrive(it)
	case it.wake != 0:
		it.m.woken(it.wake)
	default:
		it.do()
	}
}

// finish makes the result.
func (w *world) finish() *Result {
	r := w.result
	w.trace.cause = 0
	w.checks.open()
	r.Hash = w.trace.finish(w.now)
	r.Trace = w.trace.lines
	r.Sometimes = w.sometimes
	r.Events, r.Messages = w.events, w.messages
	r.Simulated = w.now
	r.Snapshots = w.snapshots
	r.Faults = w.faults
	for _, s := range w.streams {
		if s.count == 0 && w.now > s.from {
			r.Gaps = append(r.Gaps, Gap{s.name, s.from, w.now, s.cause})
		}
	}
	return r
}

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

func (w *world) unnumberedHash() string { return hex.EncodeToString(w.trace.unnumbered.Sum(nil)) }

// line begins a line of the trace about the run.
func (w *world) line(what string) *tracer { return w.trace.line(w.now, "-", what) }

// arrange puts the steps of the scenario into the queue.
func (w *world) arrange() {
	for _, m := range w.machines {
		at := time.Duration(w.random.Int64N(int64(100 * time.Millisecond)))
		w.queue.push(item{at: at, do: m.bootFirst})
	}
	steps := append(slices.Clone(w.s.Steps), w.result.Drawn...)
	slices.SortStableFunc(steps, func(a, b Step) int { return int(a.At - b.At) })
	if w.s.Until == 0 {
		s := *w.s
		for _, st := range steps {
			s.Until = max(s.Until, st.At, st.To)
		}
		s.Until += time.Second
		w.s = &s
	}
	for _, st := range steps {
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

func (w *world) snapshot() {
	s := Snapshot{At: w.now}
	for _, m := range w.machines {
		n := NodeState{Name: m.name, Up: m.up, Frozen: m.frozen > 0}
		if m.up {
			n.View = m.view()
		}
		s.Nodes = append(s.Nodes, n)
	}
	w.snapshots = append(w.snapshots, s)
	w.queue.push(item{at: w.now + w.o.Snapshots, do: w.snapshot})
}
