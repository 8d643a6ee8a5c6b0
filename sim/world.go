package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/node"
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
	bases     conduct
	active    []*fault
	faults    []Span
	checks    *checks
	result    *Result

	messages  uint64
	events    uint64
	bytes     uint64
	record    bool
	repeat    map[uint64]Decision
	decisions *Decisions
	random    *rand.Rand // of the world itself: boots
	sometimes map[string]int
	stop      bool // at the first violation
	captureUp Range
	down      Range
	silence   time.Duration
	segment   time.Duration
	snapshots []Snapshot
	actors    *stage // nil with Core
	refusals  map[string]time.Duration
	noted     []noted
}

// A noted note.
type noted struct {
	at   time.Duration
	node string
	kind control.NoteKind
}

// A machine is one node of the group: its clock, its faults, and the process on it.
type machine struct {
	w      *world
	index  int
	name   string
	disk   *conf.File // its configuration file
	file   *conf.File // as its process has read it
	clock  clock
	chance *rand.Rand // its own faults
	source *rand.Rand // its captures

	boots  int
	up     bool
	frozen int // paused or suspended, so many times
	held   []item
	lag    time.Duration
	busy   time.Duration // its processor is free then

	exhausted int
	wrongKey  int
	newer     int // speaks a newer protocol, so many times
	slow      Range
	broken    PPM
	breakage  Breakage
	draining  bool
	moved     int // times that its remote got another address
	inc       uint64
	wakes     int
	wakeAt    time.Duration // by its clock; -1: none
	load      int
	answers   int // given, for the sample that is encoded
	asleep    time.Duration
	stillAt   time.Duration

	announced string // by the running process
	captures  []capture
	pubs      map[string]*feed // publishers, by stream
	process   process
	known     []knowledge   // of each other machine
	booted    time.Duration // true time of the last boot
	bootClock time.Duration // its clock then
	settled   bool          // warm since then
	control   int           // control planes that have begun

	reading reading
	polled  map[string]time.Duration
}

// A process is what runs on a machine: the control plane alone, or the node's actors.
type process interface {
	tick()
	asked(ex *exchange)
	answered(ex *exchange)
	unanswered(ex *exchange)
	up(f *feed)
	down(f *feed, why string)
	stopped(f *feed)
	renumbered(f *feed)
	publish(f *feed, free string)
	unpublish(f *feed)
	drain()
	edit(file *conf.File)
	kill(id string)
	measure(load int)
	event(ev control.Event, line string)
	suspended(d time.Duration)
	end()
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
		w.compareTwin(r)
	}
	return r
}

func newWorld(s *Scenario, o Options) *world {
	w := &world{
		s: s, o: o, trace: newTracer(o.Keep), byName: map[string]*streamTruth{}, announced: map[string]*machine{}, entries: map[string]*machine{}, sometimes: map[string]int{}, refusals: map[string]time.Duration{},
		result: &Result{Verdicts: newVerdicts(), Measures: map[string]Measure{}}, record: o.Keep, decisions: &Decisions{},
	}
	w.random = w.rng("world")
	if d := o.Decisions; d != nil && len(d.Fates) > 0 {
		w.repeat = map[uint64]Decision{}
		for _, f := range d.Fates {
			w.repeat[f.Message] = f
		}
	}
	w.bases.delay = orRange(s.Net.Delay, Range{time.Millisecond, 50 * time.Millisecond})
	w.bases.loss = s.Net.Loss
	w.captureUp = orRange(s.Capture.Up, Range{500 * time.Millisecond, 500 * time.Millisecond})
	w.down = orRange(s.Capture.Down, Range{50 * time.Millisecond, 50 * time.Millisecond})
	w.silence = orDuration(s.Capture.Timeout, 10*time.Second)
	w.segment = orDuration(s.Capture.Segment, 4*time.Second)
	if s.setsClocks() {
		w.trace.twin = sha256.New()
	}
	w.result.Drawn = expand(s, o.Without)
	if o.Decisions != nil {
		w.result.Drawn = o.Decisions.Steps
	}
	w.decisions.Steps = w.result.Drawn
	w.addStreams()
	w.addMachines()
	w.checks = newChecks(w)
	if s.Fidelity == Actors {
		w.actors = newStage(w)
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
			dark: map[string]bool{}, mute: map[string]bool{}, slow: map[string]Range{},
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
			*l = link{from: a, to: b, conduct: w.bases, rng: w.rng("delay " + key), chance: w.rng("fate " + key)}
		}
	}
}

func (w *world) machine(name string) *machine {
	for _, m := range w.machines {
		if m.name == name {
			return m
		}
	}
	return nil
}

// behind gives the machine that a peer entry leads to.
func (w *world) behind(entry string) *machine {
	m, ok := w.entries[entry]
	if !ok {
		m = w.lookBehind(entry)
		w.entries[entry] = m
	}
	return m
}

func (w *world) lookBehind(entry string) *machine {
	host, _, err := net.SplitHostPort(entry)
	for _, m := range w.machines {
		if m.name == entry || err == nil && m.name == host {
			return m
		}
	}
	return nil
}

// pick gives the machines of a list; all for nil.
func (w *world) pick(names []string) []*machine {
	if names == nil {
		return w.machines
	}
	var out []*machine
	for _, n := range names {
		if m := w.machine(n); m != nil {
			out = append(out, m)
		}
	}
	return out
}

// run handles one item after the other until the end.
func (w *world) run() {
	until := w.s.Until
	for !w.stop {
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
	if !w.stop {
		w.now = until
		w.checks.due(until)
	}
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

// catchUp handles what a process without enough processor time has left lying.
func (m *machine) catchUp() {
	if m.frozen > 0 {
		return
	}
	held := m.held
	m.held = nil
	for _, it := range held {
		if it.boots == 0 || it.boots == m.boots && m.up {
			m.w.trace.cause = it.cause
			m.w.deliver(it)
		}
	}
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

// later arranges something for the process that runs on m now, after d of true time.
func (m *machine) later(d time.Duration, do func()) {
	m.w.queue.push(item{at: m.w.now + d, m: m, boots: m.boots, do: do, cause: m.w.trace.cause})
}

// timer arranges something for the process that runs on m now, after d by its own clock.
func (m *machine) timer(d time.Duration, do func()) {
	w := m.w
	local := m.clock.at(w.now) + max(0, d)
	var due func()
	arrange := func() {
		w.queue.push(item{at: m.clock.when(local, w.now), m: m, boots: m.boots, do: due, cause: w.trace.cause})
	}
	due = func() {
		if m.clock.at(w.now) < local { // it was slowed, or stood still
			arrange()
			return
		}
		do()
	}
	arrange()
}

// wake arranges the next wake-up, instead of the one before.
func (m *machine) wake(local time.Duration) {
	m.wakes++
	m.wakeAt = local
	w := m.w
	w.queue.push(item{at: m.clock.when(local, w.now), m: m, boots: m.boots, wake: m.wakes, cause: w.trace.cause})
}

func (m *machine) woken(number int) {
	if number != m.wakes {
		return
	}
	if m.clock.at(m.w.now) < m.wakeAt { // its clock was slowed, or stood still
		m.wake(m.wakeAt)
		return
	}
	m.process.tick()
}

func (m *machine) asked(ex *exchange)      { m.process.asked(ex) }
func (m *machine) answered(ex *exchange)   { m.process.answered(ex) }
func (m *machine) unanswered(ex *exchange) { m.process.unanswered(ex) }

// instance names a run of the process; the checks read the number back.
func (m *machine) instance() string { return m.name + "/" + strconv.Itoa(m.boots) }

// boot starts the process.
func (m *machine) boot() {
	w := m.w
	m.boots++
	m.up, m.draining, m.settled = true, false, false
	m.booted, m.bootClock, m.busy = w.now, m.clock.at(w.now), 0
	m.wakeAt = -1
	m.file = m.disk
	m.announced = m.name
	if m.file.Name != "" {
		m.announced = m.file.Name
	}
	w.trace.cause = w.trace.line(w.now, m.name, "boot").num("n", int64(m.boots)).end()
	w.checks.disturbed(disturbBoot, m)
	w.checks.booted(m)
	cfg := *m.controlConfig()
	cfg.Self = m.announced
	cfg.Instance, cfg.Inc = m.instance(), m.inc
	cfg.Seed = uint64(m.boots)
	if w.actors != nil {
		newActors(m)
		return
	}
	newCore(m, cfg)
}

// crash ends the process at once, with all that it captures.
func (m *machine) crash(why string) {
	w := m.w
	if !m.up {
		return
	}
	w.trace.cause = w.trace.line(w.now, m.name, "crash").text("why", why).end()
	w.checks.crashing(m)
	m.up, m.frozen, m.held = false, 0, nil
	if m.clock.still {
		m.clock.set(w.now, m.clock.ppm, false)
	}
	if m.process != nil {
		m.process.end()
	}
	for i := range m.captures {
		if f := m.captures[i].feed; f != nil {
			f.cut("crash")
		}
	}
	clear(m.pubs)
	w.checks.disturbed(disturbCrash, m)
}

// freeze stops the process without its knowing; still also its clock.
func (m *machine) freeze(still bool) {
	w := m.w
	m.frozen++
	if still && !m.clock.still {
		m.clock.set(w.now, m.clock.ppm, true)
		m.stillAt = w.now
	}
	if m.frozen == 1 {
		w.trace.cause = w.trace.line(w.now, m.name, "freeze").end()
		w.checks.disturbed(disturbFreeze, m)
		for i := range m.captures {
			if m.captures[i].feed != nil {
				w.recount(w.streams[i], "crash")
			}
		}
	}
}

func (m *machine) thaw() {
	w := m.w
	if m.frozen == 0 {
		return
	}
	m.frozen--
	if m.frozen > 0 {
		return
	}
	slept := time.Duration(0)
	if m.clock.still {
		m.clock.set(w.now, m.clock.ppm, false)
		slept = w.now - m.stillAt
		m.asleep += slept
	}
	w.trace.cause = w.trace.line(w.now, m.name, "thaw").end()
	w.checks.disturbed(disturbThaw, m)
	for i := range m.captures {
		if m.captures[i].feed != nil {
			w.recount(w.streams[i], "")
		}
	}
	if slept >= 100*time.Millisecond { // what the node's shell takes for a suspend
		m.process.suspended(slept)
	}
	m.catchUp()
}

// runs says whether the process takes part at this instant.
func (m *machine) runs() bool { return m.up && m.frozen == 0 }

// finish makes the result.
func (w *world) finish() *Result {
	r := w.result
	w.trace.cause = 0
	w.checks.open()
	r.Hash = w.trace.finish(w.now)
	r.Trace = w.trace.lines
	r.Sometimes = w.sometimes
	r.Decisions = w.decisions
	r.Events, r.Messages, r.Bytes = w.events, w.messages, w.bytes
	r.Simulated = w.now
	r.Snapshots = w.snapshots
	r.Faults = w.faults
	for _, s := range w.streams {
		if s.count == 0 && w.now > s.from {
			r.Gaps = append(r.Gaps, Silence{s.name, s.from, w.now, s.cause})
		}
	}
	return r
}

func (w *world) violate(v Violation) {
	v.At = w.now
	t := w.trace.line(w.now, "-", "violation").text("invariant", v.Invariant.String()).text("stream", v.Stream)
	for _, n := range v.Nodes {
		t.text("node", n)
	}
	v.Line = t.text("says", v.Text).end()
	if v.Fingerprint == "" {
		v.Fingerprint = v.Invariant.String()
	}
	w.result.Violations = append(w.result.Violations, v)
	if w.o.First {
		w.stop = true
	}
}

func (w *world) twinHash() string { return hex.EncodeToString(w.trace.twin.Sum(nil)) }

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
		n := NodeState{Name: m.name, Up: m.up, Frozen: m.frozen > 0, Clock: m.clock.at(w.now)}
		if m.up {
			n.View = m.view()
		}
		s.Nodes = append(s.Nodes, n)
	}
	w.snapshots = append(w.snapshots, s)
	w.queue.push(item{at: w.now + w.o.Snapshots, do: w.snapshot})
}

func nodeConfig(f *conf.File, name string) control.Config { return node.ControlConfig(f, name, "") }
