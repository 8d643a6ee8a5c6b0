package control

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weir/cluster/place"
)

// A world is a few nodes, the network between them and their cameras, in virtual time. One goroutine and one seed, so
// that a run repeats itself exactly.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   Instant
	seq   uint64
	queue agenda
	nodes []*machine

	fetch, stale Instant
	delay        Instant // one way, at most
	up, down     Instant // of a capture
	loss         int     // permille of messages in each direction
	cut          map[[2]string]bool
	dead         map[[2]string]bool // node, stream: the camera does not answer there
	single       bool               // every camera refuses a second connection
	refused      int                // connections
	twins        bool               // nodes are compared with restored ones
	thorough     bool               // those leave out no loop of any step
	refuses      bool               // the machine of a process that has ended ends its connections and refuses others
	mute         bool               // nobody asks for or answers releases

	running map[string]int     // stream: captures that deliver
	gapFrom map[string]Instant // streams that nobody delivers
	dupFrom map[string]Instant // streams that several deliver
	maxGap  Instant
	maxDup  Instant
	starts  int
	trace   hash.Hash64
	lines   []string // of the trace, when verbose
	verbose bool
	onStop  func(m *machine, e StopCapture)
}

// A machine is one node of the world.
type machine struct {
	w        *world
	name     string
	entry    string
	key      string
	cfg      Config
	offset   Instant // its clock against that of the world
	n        *Node
	twin     *Node
	boots    int
	up       bool
	paused   bool
	held     []func() // what happens to a paused machine
	wakes    int
	captures map[string]*capture
	tokens   map[uint64]func(*State)
	token    uint64
	asked    map[uint64]string // token of a publisher: its stream
	waiting  map[uint64]func(released bool)
	answers  []PublishAnswer
	notes    []Note
	drained  []Drained
}

type capture struct {
	state Activity
	epoch uint64
}

type entry struct {
	at  Instant
	seq uint64
	do  func()
}

type agenda []entry

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(entry)) }
func (a *agenda) Pop() any {
	x := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return x
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)),
		fetch: Second, stale: 3 * Second, delay: 50 * Millisecond, up: 500 * Millisecond, down: 50 * Millisecond,
		cut: map[[2]string]bool{}, dead: map[[2]string]bool{},
		running: map[string]int{}, gapFrom: map[string]Instant{}, dupFrom: map[string]Instant{},
		trace: fnv.New64a(),
	}
}

// add makes machines n1, n2 … that all have the same streams and list each other and themselves.
func (w *world) add(count int, streams []Stream) {
	var peers []Peer
	for i := range count {
		host := fmt.Sprintf("n%d", i+1)
		peers = append(peers, Peer{Entry: host + ":8080", Host: host, Name: host, Fetch: w.fetch, Stale: w.stale})
	}
	for i := range count {
		m := &machine{
			w: w, name: peers[i].Host, entry: peers[i].Entry, key: "abcd",
			offset: Instant(w.rng.Int64N(int64(1000 * Second))),
		}
		m.cfg = Config{
			Self: m.name, Named: true, Peers: peers, Streams: streams,
			ReturnHolddown: Second, Hash: "file",
			Advert: Advert{Remote: m.name + ":9090"},
		}
		w.nodes = append(w.nodes, m)
	}
}

// kept makes clustered streams cam001, cam002 …
func kept(count int) []Stream {
	out := make([]Stream, count)
	for i := range out {
		out[i] = Stream{Name: fmt.Sprintf("cam%03d", i+1), Clustered: true}
	}
	return out
}

func (w *world) machine(name string) *machine {
	for _, m := range w.nodes {
		if m.name == name {
			return m
		}
	}
	w.t.Fatalf("no machine %q", name)
	return nil
}

func (w *world) after(d Instant, do func()) {
	w.seq++
	heap.Push(&w.queue, entry{w.now + d, w.seq, do})
}

// run lets the world go on for d.
func (w *world) run(d Instant) {
	until := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= until {
		e := heap.Pop(&w.queue).(entry)
		w.now = e.at
		e.do()
	}
	w.now = until
}

func (w *world) log(format string, args ...any) {
	line := fmt.Sprintf("%012d ", w.now) + fmt.Sprintf(format, args...)
	fmt.Fprintln(w.trace, line)
	if w.verbose {
		w.lines = append(w.lines, line)
	}
}

// hop is the time that a message takes, or false if it is lost.
func (w *world) hop(from, to string) (Instant, bool) {
	d, lost := Instant(w.rng.Int64N(int64(w.delay)))+1, w.rng.IntN(1000) < w.loss
	return d, !lost && !w.cut[[2]string{from, to}]
}

// bootAll starts every machine within a moment.
func (w *world) bootAll() {
	for _, m := range w.nodes {
		w.after(Instant(w.rng.Int64N(int64(100*Millisecond))), m.boot)
	}
}

func (m *machine) boot() {
	m.boots++
	m.up, m.paused, m.held = true, false, nil
	m.captures, m.tokens, m.asked = map[string]*capture{}, map[uint64]func(*State){}, map[uint64]string{}
	m.waiting = map[uint64]func(bool){}
	cfg := m.cfg
	cfg.Instance = fmt.Sprintf("%s/%d", m.name, m.boots)
	cfg.Seed = uint64(m.boots)
	cfg.Advert.SysID = cfg.Instance
	m.n, m.twin = New(cfg, m.clock()), nil
	m.w.log("%s boots", m.name)
	m.step(Tick{})
}

func (m *machine) clock() Instant { return m.w.now + m.offset }

// crash ends the machine at once, its cameras with it.
func (m *machine) crash() {
	m.w.log("%s crashes", m.name)
	m.up = false
	for _, s := range sortedKeys(m.captures) {
		m.set(s, Idle)
	}
	for _, x := range m.w.nodes {
		if !m.w.refuses || !x.up {
			continue
		}
		if d, ok := m.w.hop(m.name, x.name); ok {
			x.later(d, func() { x.step(LinkBroken{Peer: m.entry}) })
		}
	}
}

func (m *machine) pause(d Instant) {
	m.w.log("%s pauses", m.name)
	m.paused = true
	for _, s := range sortedKeys(m.captures) {
		m.w.recount(s)
	}
	boots := m.boots
	m.w.after(d, func() {
		if m.boots != boots || !m.up {
			return
		}
		m.w.log("%s resumes", m.name)
		m.paused = false
		for _, s := range sortedKeys(m.captures) {
			m.w.recount(s)
		}
		held := m.held
		m.held = nil
		for _, do := range held {
			do()
		}
	})
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// later runs something on the machine after d, if it has not restarted by then; when it sleeps, once it wakes.
func (m *machine) later(d Instant, do func()) {
	boots := m.boots
	m.w.after(d, func() {
		m.now(func() {
			if m.boots == boots {
				do()
			}
		})
	})
}

// now runs something on the machine, or when it wakes. Nothing runs on one that is down.
func (m *machine) now(do func()) {
	switch {
	case !m.up:
	case m.paused:
		m.held = append(m.held, do)
	default:
		do()
	}
}

func (m *machine) step(ev Event) {
	step := func() []Effect { return m.n.Step(m.clock(), ev) }
	var effects []Effect
	if m.w.twins {
		effects = m.double(ev, step)
	} else {
		effects = slices.Clone(step())
	}
	for _, e := range effects {
		m.apply(e)
	}
	m.n.View()
}

func (m *machine) apply(e Effect) {
	switch e := e.(type) {
	case Fetch:
		m.fetch(e)
	case Reply:
		if answer := m.tokens[e.Token]; answer != nil {
			delete(m.tokens, e.Token)
			answer(e.State)
		}
	case StartCapture:
		m.start(e)
	case StopCapture:
		m.stop(e)
	case WakeAt:
		if e.At <= m.clock() {
			m.w.t.Fatalf("%s: WakeAt %d, now is %d", m.name, e.At, m.clock())
		}
		m.wakes++
		wake := m.wakes
		m.later(e.At-m.clock(), func() {
			if m.wakes == wake {
				m.step(Tick{})
			}
		})
	case PublishAnswer:
		m.w.log("%s publish %v %s", m.name, e.Verdict, e.Node)
		m.answers = append(m.answers, e)
		if e.Verdict == Granted {
			m.publishing(m.asked[e.Token])
		}
	case AskRelease:
		m.askRelease(e)
	case ReleaseAnswer:
		if answer := m.waiting[e.Token]; answer != nil {
			delete(m.waiting, e.Token)
			answer(e.Released)
		}
	case Drained:
		m.w.log("%s drained, %d left", m.name, e.Left)
		m.drained = append(m.drained, e)
	case Note:
		m.w.log("%s note %s node=%s stream=%s %s", m.name, e.Kind, e.Node, e.Stream, e.Detail)
		m.notes = append(m.notes, e)
	default:
		m.w.t.Fatalf("unknown effect %T", e)
	}
}

// fetch carries a request and its answer over the network, as bytes.
func (m *machine) fetch(e Fetch) {
	w := m.w
	var to *machine
	for _, x := range w.nodes {
		if x.entry == e.Peer {
			to = x
		}
	}
	fail := func(d Instant, why FailReason) {
		m.later(d, func() { m.step(FetchFailed{Peer: e.Peer, ID: e.ID, Why: why}) })
	}
	from := m.n.View().Self
	out, ok := w.hop(m.name, e.Peer)
	if to != nil {
		out, ok = w.hop(m.name, to.name)
	}
	if to == nil || !ok {
		fail(e.Timeout, Unreachable)
		return
	}
	w.after(out, func() {
		if !to.up {
			if back, ok := w.hop(to.name, m.name); ok && w.refuses {
				fail(back, ConnectionRefused)
			} else if ok {
				fail(back, Unreachable) // refused at once
			} else {
				fail(e.Timeout, Unreachable)
			}
			return
		}
		to.now(func() {
			if to.key != m.key {
				fail(Millisecond, Unauthorised)
				return
			}
			to.token++
			to.tokens[to.token] = func(st *State) {
				back, ok := w.hop(to.name, m.name)
				if !ok {
					fail(e.Timeout, Unreachable)
					return
				}
				wire, err := json.Marshal(st)
				if err != nil {
					w.t.Fatal(err)
				}
				m.later(back, func() {
					st := new(State)
					if err := json.Unmarshal(wire, st); err != nil {
						w.t.Fatal(err)
					}
					m.step(Fetched{Peer: e.Peer, ID: e.ID, State: st})
				})
			}
			to.step(StateAsked{From: from, Token: to.token, Question: e.Question})
		})
	})
}

// askRelease carries the question and its answer; either may be lost.
func (m *machine) askRelease(e AskRelease) {
	w := m.w
	to := w.machine(e.Node)
	out, ok := w.hop(m.name, to.name)
	if !ok || w.mute {
		return
	}
	w.after(out, func() {
		to.now(func() {
			to.token++
			to.waiting[to.token] = func(released bool) {
				if back, ok := w.hop(to.name, m.name); ok && released {
					m.later(back, func() { m.step(Released(e)) })
				}
			}
			to.step(ReleaseAsked{Stream: e.Stream, From: m.n.View().Self, Token: to.token})
		})
	})
}

// publish lets a publisher come, for whom some nodes have been asked; the verdict is added to answers.
func (m *machine) publish(stream string, asked ...string) {
	m.token++
	m.asked[m.token] = stream
	m.step(PublishWanted{Stream: stream, Token: m.token, Asked: asked})
}

// publishing is what an accepted publisher does.
func (m *machine) publishing(stream string) {
	c := &capture{state: Starting}
	m.captures[stream] = c
	m.later(m.w.up, func() {
		if m.captures[stream] == c && c.state == Starting {
			m.set(stream, Running)
			m.step(CaptureUp{Stream: stream})
		}
	})
}

// leave ends the publisher.
func (m *machine) leave(stream string) {
	m.set(stream, Idle)
	m.step(PublishEnded{Stream: stream})
}

// verdict returns the last answer to a publisher.
func (m *machine) verdict() PublishAnswer {
	if len(m.answers) == 0 {
		return PublishAnswer{Verdict: 255}
	}
	return m.answers[len(m.answers)-1]
}

func (m *machine) start(e StartCapture) {
	w := m.w
	w.log("%s starts %s epoch %d, %s %s", m.name, e.Stream, e.Epoch, e.Why, e.Of)
	if c := m.captures[e.Stream]; c != nil && c.state != Idle {
		w.t.Errorf("%s: StartCapture of %s while %v", m.name, e.Stream, c.state)
	}
	w.starts++
	c := &capture{state: Starting, epoch: e.Epoch}
	m.captures[e.Stream] = c
	m.later(w.up, func() {
		switch {
		case m.captures[e.Stream] != c || c.state != Starting:
		case w.single && w.running[e.Stream] > 0:
			w.refused++
			m.set(e.Stream, Idle)
			m.step(CaptureDown{Stream: e.Stream, Why: "one connection only"})
		case w.dead[[2]string{m.name, e.Stream}]:
			m.set(e.Stream, Idle)
			m.step(CaptureDown{Stream: e.Stream, Why: "no route to camera"})
		default:
			m.set(e.Stream, Running)
			m.step(CaptureUp{Stream: e.Stream})
		}
	})
}

func (m *machine) stop(e StopCapture) {
	w := m.w
	w.log("%s stops %s for %s: %s", m.name, e.Stream, e.To, e.Why)
	c := m.captures[e.Stream]
	if c == nil || c.state != Starting && c.state != Running {
		w.t.Errorf("%s: StopCapture of %s, which it does not capture", m.name, e.Stream)
		return
	}
	if w.onStop != nil {
		w.onStop(m, e)
	}
	c.state = Stopping
	m.later(w.down, func() {
		if m.captures[e.Stream] == c {
			m.set(e.Stream, Idle)
			m.step(CaptureStopped{Stream: e.Stream})
		}
	})
}

// set keeps what a capture really does.
func (m *machine) set(stream string, a Activity) {
	if c := m.captures[stream]; c != nil {
		c.state = a
	}
	m.w.recount(stream)
}

// recount keeps the gaps and overlaps of a stream: a paused machine delivers nothing.
func (w *world) recount(stream string) {
	count := 0
	for _, m := range w.nodes {
		if c := m.captures[stream]; m.up && !m.paused && c != nil && (c.state == Running || c.state == Stopping) {
			count++
		}
	}
	w.running[stream] = count
	if from, open := w.gapFrom[stream]; count > 0 && open {
		w.maxGap = max(w.maxGap, w.now-from)
		delete(w.gapFrom, stream)
	} else if count == 0 && !open {
		w.gapFrom[stream] = w.now
	}
	if from, open := w.dupFrom[stream]; count < 2 && open {
		w.maxDup = max(w.maxDup, w.now-from)
		delete(w.dupFrom, stream)
	} else if count > 1 && !open {
		w.dupFrom[stream] = w.now
	}
}

// owners returns which machine really captures each stream: "-" if none, names joined if several.
func (w *world) owners() map[string]string {
	out := map[string]string{}
	for _, s := range w.nodes[0].cfg.Streams {
		var who []string
		for _, m := range w.nodes {
			if c := m.captures[s.Name]; m.up && c != nil && (c.state == Running || c.state == Stopping) {
				who = append(who, m.name)
			}
		}
		if out[s.Name] = strings.Join(who, ","); len(who) == 0 {
			out[s.Name] = "-"
		}
	}
	return out
}

// home computes the homes afresh, from the names alone.
func (w *world) home() map[string]string {
	var nodes []string
	for _, m := range w.nodes {
		nodes = append(nodes, m.name)
	}
	var list []place.Stream
	for _, s := range w.nodes[0].cfg.Streams {
		list = append(list, place.Stream{Name: s.Name, Pin: s.Pin})
	}
	p := place.NewPlan(list, nodes)
	out := map[string]string{}
	for i, s := range list {
		out[s.Name] = nodes[p.Home(i)]
	}
	return out
}

// reset forgets the gaps and overlaps so far.
func (w *world) reset() {
	w.maxGap, w.maxDup, w.starts = 0, 0, 0
	clear(w.gapFrom)
	clear(w.dupFrom)
	for _, s := range w.nodes[0].cfg.Streams {
		w.recount(s.Name)
	}
}

// wantOwners fails unless every stream is captured by exactly the machine that want names.
func (w *world) wantOwners(want map[string]string) {
	w.t.Helper()
	got := w.owners()
	for _, s := range sortedKeys(want) {
		if got[s] != want[s] {
			w.t.Errorf("at %d ms: %s is captured by %s, want %s", w.now/Millisecond, s, got[s], want[s])
		}
	}
}

// wantAgreement fails unless all live machines name as owner the one that really captures a stream.
func (w *world) wantAgreement() {
	w.t.Helper()
	owners := w.owners()
	for _, m := range w.nodes {
		if !m.up {
			continue
		}
		for _, s := range m.n.View().Streams {
			if s.Clustered && s.Owner != owners[s.Name] {
				w.t.Errorf("at %d ms: %s takes %q for the owner of %s, which is %s", w.now/Millisecond, m.name, s.Owner, s.Name, owners[s.Name])
			}
		}
	}
}

func (m *machine) noted(kind NoteKind) (n int) {
	for _, x := range m.notes {
		if x.Kind == kind {
			n++
		}
	}
	return n
}
