package sim

import (
	"cmp"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/node"
	"weir/sim/oracle"
)

// A machine is one node of the group: its clock, its faults, and the process on it.
type machine struct {
	w      *world
	index  int
	name   string
	disk   *conf.File // the configuration file on its disk
	file   *conf.File // the one that its process has read
	clock  clock
	chance *rand.Rand // for its own faults
	source *rand.Rand // for its captures

	process   process
	boots     int
	instance  string // the name of the present run of the process; see [world.instances]
	up        bool
	inc       uint64        // the boot counter
	announced string        // the name that the process announces
	booted    time.Duration // true time of the last boot
	bootClock time.Duration // its clock then
	warm      bool          // since then
	control   int           // how many control planes have begun
	draining  bool
	wakes     uint64        // how many wake-ups were arranged; only the last counts
	wakeAt    time.Duration // when that is due, by its clock; -1: none is

	// Faults that are on. Those that add up are counted.
	frozen    int           // paused or suspended
	thaws     int           // how often it has run on
	held      []item        // what waits until the process runs on
	asleep    time.Duration // for how long the machine has been suspended so far
	stillAt   time.Duration // when it was suspended last
	frozenAt  time.Duration // when it was stopped last, in either way
	lag       time.Duration // by which it acts late at most
	busy      time.Duration // until when its processor has no time
	exhausted int
	wrongKey  int
	dark      bool // the machine has no power: it does not even refuse
	newer     int  // it speaks a newer protocol
	slow      Range
	broken    PPM
	breakage  Breakage
	moved     int // how often its remote has got another address
	load      int

	captures []capture
	pubs     map[string]*feed // publishers, by stream
	answers  int              // given so far, of which a sample is encoded

	kills     int          // how many actors of it have been made to panic
	outside   *oracle.File // its file as the oracle knows it
	outsideOf *conf.File

	known   []knowledge // of each other machine
	reading reading
}

// A process is what runs on a machine: the control plane alone, or the node's actors.
type process interface {
	view() *control.View // what it knows; nil if it has not started

	tick() // the wake-up that was arranged is due

	asked(ex *exchange)      // another node asks for the state
	answered(ex *exchange)   // the answer to a question has arrived
	unanswered(ex *exchange) // no answer has come
	severed(entry string)    // a connection to a peer has broken

	up(f *feed)               // a capture delivers
	down(f *feed, why string) // a capture has failed
	stopped(f *feed)          // a capture that was stopped has ended
	silent(f *feed, yes bool) // the publisher of a capture has sent nothing for a while, or sends again
	renumbered(f *feed)       // the segments of a capture go on with another number

	publish(f *feed)   // a publisher comes, or has been told of the answer of a node that was asked
	unpublish(f *feed) // a publisher leaves

	drain()
	edit(file *conf.File)
	kill(id string) // an actor panics
	measure(load int)
	suspended(d time.Duration)           // the machine was suspended for so long
	event(ev control.Event, line string) // the control plane is told an event; line is for the trace
	end()                                // the process is killed
}

// An instance is a run of the process of a machine.
type instance struct {
	m     *machine
	boots int
}

// instanceOf is the instance of a name, which is most likely the present one of m.
func (w *world) instanceOf(m *machine, name string) instance {
	if m.instance == name {
		return instance{m, m.boots}
	}
	return w.instances[name]
}

// boot starts the process.
func (m *machine) boot() {
	w := m.w
	m.boots++
	m.instance = m.name + "/" + strconv.Itoa(m.boots)
	w.instances[m.instance] = instance{m, m.boots}
	m.up, m.draining, m.warm, m.dark = true, false, false, false
	m.booted, m.bootClock, m.busy = w.now, m.clock.at(w.now), 0
	m.wakeAt = -1
	m.file = m.disk
	w.calls(m, cmp.Or(m.file.Name, m.name))
	m.line("boot").num("n", int64(m.boots)).causes()
	w.checks.booted(m)
	w.checks.disturbed(disturbBoot)
	cfg := *m.read().config
	cfg.Self = m.announced
	cfg.Instance, cfg.Inc = m.instance, m.inc
	cfg.Seed = uint64(m.boots)
	if w.actors != nil {
		newActors(m)
		return
	}
	newCore(m, cfg, nil)
}

// crash ends the process at once, with all that it captures.
func (m *machine) crash(why string) {
	w := m.w
	if !m.up {
		return
	}
	m.line("crash").text("why", why).causes()
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
			f.close(GapCrash)
		}
	}
	clear(m.pubs)
	w.publishersCrash(m)
	if !m.dark {
		w.ended(m)
	}
	w.checks.disturbed(disturbCrash)
}

// freeze stops the process, which does not know of it, and its clock too if still is set.
func (m *machine) freeze(still bool) {
	w := m.w
	m.frozen++
	if still && !m.clock.still {
		m.clock.set(w.now, m.clock.ppm, true)
		m.stillAt = w.now
	}
	if m.frozen == 1 {
		m.frozenAt = w.now
		m.line("freeze").causes()
		w.publishersFreeze(m)
		w.checks.disturbed(disturbFreeze)
		for i := range m.captures {
			if m.captures[i].feed != nil {
				w.recount(w.streams[i], GapCrash)
			}
		}
	}
}

// thaw undoes one freeze.
func (m *machine) thaw() {
	w := m.w
	if m.frozen == 0 {
		return
	}
	if m.frozen--; m.frozen > 0 {
		return
	}
	m.thaws++
	slept := time.Duration(0)
	if m.clock.still {
		m.clock.set(w.now, m.clock.ppm, false)
		slept = w.now - m.stillAt
		m.asleep += slept
	} else {
		w.checks.stoodStill(m, w.now-m.frozenAt)
	}
	m.line("thaw").causes()
	w.checks.disturbed(disturbThaw)
	for i := range m.captures {
		if m.captures[i].feed != nil {
			w.recount(w.streams[i], GapUnknown)
		}
	}
	if slept >= controller.LeastSuspend {
		m.process.suspended(slept)
	}
	m.catchUp()
}

// view is what the process on m knows; nil if there is none.
func (m *machine) view() *control.View {
	if m.process == nil {
		return nil
	}
	return m.process.view()
}

// viewOf is what the process on m knows of a stream; nil if it knows of none.
func (m *machine) viewOf(s *streamTruth) *control.StreamView {
	v := m.view()
	if v == nil {
		return nil
	}
	return v.Stream(s.name)
}

// runs says whether the process takes part at this instant.
func (m *machine) runs() bool { return m.up && m.frozen == 0 }

// later lets the process that runs on m now do something after d of true time.
func (m *machine) later(d time.Duration, do func()) {
	m.w.queue.push(item{at: m.w.now + d, m: m, boots: m.boots, do: do, cause: m.w.trace.cause})
}

// timer lets the process that runs on m now do something after d by its own clock.
func (m *machine) timer(d time.Duration, do func()) *timer {
	t := &timer{m, m.clock.at(m.w.now) + max(0, d), do}
	t.arrange()
	return t
}

// A timer does something once the clock of a machine shows an instant.
type timer struct {
	m     *machine
	local time.Duration
	do    func() // nil: it was cancelled
}

func (t *timer) cancel() { t.do = nil }

func (t *timer) arrange() {
	w := t.m.w
	w.queue.push(item{at: t.m.clock.when(t.local, w.now), m: t.m, boots: t.m.boots, do: t.due, cause: w.trace.cause})
}

func (t *timer) due() {
	if t.m.clock.at(t.m.w.now) < t.local { // the clock was slowed, or stood still
		t.arrange()
		return
	}
	if t.do != nil {
		t.do()
	}
}

// wake arranges the next wake-up, instead of the one before.
func (m *machine) wake(local time.Duration) {
	m.wakes++
	m.wakeAt = local
	w := m.w
	w.queue.push(item{at: m.clock.when(local, w.now), m: m, boots: m.boots, number: m.wakes, cause: w.trace.cause})
}

// woken ticks the process, if the wake-up is the last that was arranged.
func (m *machine) woken(number uint64) {
	if number != m.wakes {
		return
	}
	if m.clock.at(m.w.now) < m.wakeAt { // the clock was slowed, or stood still
		m.wake(m.wakeAt)
		return
	}
	m.process.tick()
}

// catchUp handles what has waited while the process did not run.
func (m *machine) catchUp() {
	if m.frozen > 0 {
		return
	}
	held := m.held
	m.held = nil
	for i := range held {
		it := &held[i]
		if it.boots == 0 || it.boots == m.boots && m.up {
			m.w.trace.cause = it.cause
			m.w.deliver(it)
		}
	}
}

// A reading is what the checks need of a machine's file.
type reading struct {
	file         *conf.File
	config       *control.Config // of the control plane that has the file
	stale, fetch time.Duration   // the longest timeouts of other nodes
	entries      []peerEntry
	kept         []bool // streams that the group captures
	whole        bool   // every entry leads to a machine
}

// A peerEntry is an entry of a file for another node, or for its own.
type peerEntry struct {
	name  string
	stale time.Duration
	to    *machine // to which it leads; nil: to none
}

// entry is the entry of a name, which is most likely at that place; nil if there is none.
func (r *reading) entry(name string, place int) *peerEntry {
	if place >= len(r.entries) || r.entries[place].name != name {
		place = slices.IndexFunc(r.entries, func(e peerEntry) bool { return e.name == name })
	}
	if place < 0 {
		return nil
	}
	return &r.entries[place]
}

// leads gives the machine to which a question of m goes; nil if there is none.
func (m *machine) leads(f control.Fetch) *machine {
	if e := m.read().entry(f.Peer, f.Place); e != nil {
		return e.to
	}
	return m.w.byEntry(f.Peer)
}

// read is the reading of the file that m's process has.
func (m *machine) read() *reading {
	if m.reading.file == m.file {
		return &m.reading
	}
	cfg := node.ControlConfig(m.file, m.name)
	r := reading{file: m.file, config: &cfg, kept: make([]bool, len(m.w.streams)), whole: true}
	for _, p := range cfg.Peers {
		q := m.w.byEntry(p.Entry)
		r.entries = append(r.entries, peerEntry{p.Entry, time.Duration(p.Stale), q})
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
	return slices.ContainsFunc(m.read().entries, func(e peerEntry) bool { return e.to == q })
}

// channelLimit is the limit of captures that m's file gives it; 0 for none.
func (m *machine) channelLimit() int {
	for _, p := range m.file.Peers {
		if m.w.byEntry(p.Entry()) == m {
			return p.ChannelLimit
		}
	}
	return 0
}

// keeps says whether m's file has the stream as one that the group captures.
func (m *machine) keeps(s *streamTruth) bool { return m.read().kept[s.index] }

// machine gives the machine of a name, or nil.
func (w *world) machine(name string) *machine { return w.byMachine[name] }

// byEntry gives the machine that a peer entry leads to; nil if there is none.
func (w *world) byEntry(entry string) *machine {
	m, ok := w.entries[entry]
	if !ok {
		host, _, err := net.SplitHostPort(entry)
		if m = w.machine(w.s.Entries[entry]); m == nil {
			m = w.machine(entry)
		}
		if m == nil && err == nil {
			m = w.machine(host)
		}
		w.entries[entry] = m
	}
	return m
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

// line begins a line of the trace about the machine.
func (m *machine) line(what string) *tracer { return m.w.trace.line(m.w.now, m.name, what) }

// shares says whether a file gives a stream to the group, so that nodes tell each other of it.
func (m *machine) shares(s *streamTruth) bool {
	return slices.ContainsFunc(m.read().config.Streams, func(x control.Stream) bool {
		return x.Name == s.name && (x.Clustered || x.Kind == control.Published)
	})
}
