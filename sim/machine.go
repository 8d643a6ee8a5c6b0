package sim

import (
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/node"
)

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

// A reading is what the checks want to know of a machine's file.
type reading struct {
	file         *conf.File
	config       *control.Config
	stale, fetch time.Duration            // the longest of other nodes
	entries      map[string]time.Duration // the stale_timeout of each peer entry
	kept         []bool                   // streams that the group captures
	whole        bool                     // every entry leads to a machine
}

// read reads m's file, if that is another than before.
func (m *machine) read() *reading {
	if m.reading.file == m.file {
		return &m.reading
	}
	cfg := nodeConfig(m.file, m.name)
	r := reading{file: m.file, config: &cfg, entries: map[string]time.Duration{}, kept: make([]bool, len(m.w.streams)), whole: true}
	for _, p := range cfg.Peers {
		r.entries[p.Entry] = time.Duration(p.Stale)
		q := m.w.byEntry(p.Entry)
		r.whole = r.whole && q != nil
		if q != m {
			r.stale, r.fetch = max(r.stale, time.Duration(p.Stale)), max(r.fetch, time.Duration(p.Fetch))
		}
	}
	for _, s := range cfg.Streams {
		if x := m.w.byName[s.Name]; x != nil {
			r.kept[x.index] = s.Clustered && s.Kind == control.Kept && !s.OnDemand && !s.Disabled
		}
	}
	m.reading = r
	return &m.reading
}

// names says whether an entry of m's file leads to q.
func (m *machine) names(q *machine) bool {
	for entry := range m.read().entries {
		if m.w.byEntry(entry) == q {
			return true
		}
	}
	return false
}

// controlConfig is what m's control plane would be started with.
func (m *machine) controlConfig() *control.Config { return m.read().config }

func (m *machine) fileHash() string { return m.controlConfig().Hash }

// channelLimit is the limit of captures that m's file gives it; 0 for none.
func (m *machine) channelLimit() int {
	for _, p := range m.file.Peers {
		if m.w.byEntry(p.Name()) == m {
			return p.ChannelLimit
		}
	}
	return 0
}

// stale is the time after which m takes a peer for dead.
func (m *machine) stale() (s, f time.Duration) {
	x := m.read()
	return x.stale, x.fetch
}

// staleOf is the timeout of an entry; 0 if m's file does not have it.
func (m *machine) staleOf(entry string) time.Duration { return m.read().entries[entry] }

// keeps says whether m's file has the stream as one that the group captures.
func (m *machine) keeps(s *streamTruth) bool {
	return m.read().kept[s.index]
}

func nodeConfig(f *conf.File, name string) control.Config { return node.ControlConfig(f, name, "") }

func (w *world) machine(name string) *machine {
	for _, m := range w.machines {
		if m.name == name {
			return m
		}
	}
	return nil
}

// byEntry gives the machine that a peer entry leads to.
func (w *world) byEntry(entry string) *machine {
	m, ok := w.entries[entry]
	if !ok {
		m = w.findEntry(entry)
		w.entries[entry] = m
	}
	return m
}

func (w *world) findEntry(entry string) *machine {
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
