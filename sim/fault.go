package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/cluster/conf"
	"weir/cluster/owner"
)

// A fault is an action that is on.
type fault struct {
	span  int // in world.faults
	bend  func(l *link)
	undo  func()
	ended bool
	link  bool
	files map[*machine]edited // that it has put into effect for a time
}

// An edited file is one that is in effect for a time, and what is to come after it.
type edited struct{ file, before *conf.File }

// begin does what a step says, and arranges its end.
func (w *world) begin(st Step) {
	kind, text := Describe(st.Action)
	w.trace.cause = 0
	w.trace.cause = w.trace.line(w.now, "-", "fault").text("kind", kind).text("what", text).num("until", int64(st.To)).end()
	f := &fault{span: len(w.faults)}
	span := Span{From: w.now, To: w.now, Kind: kind, Text: text, Nodes: involved(st.Action)}
	if w.onLink(f, st) || w.onNode(f, st) || w.onMedia(f, st) {
		if f.bend != nil || f.undo != nil {
			span.To = w.s.Until
			w.active = append(w.active, f)
			if st.To > st.At {
				w.queue.push(item{at: st.To, do: func() { w.finishFault(f, kind) }, cause: w.trace.cause})
			}
		}
	}
	w.faults = append(w.faults, span)
	if f.bend != nil {
		w.bendLinks()
	}
	w.checks.disturbed(disturbFault, nil)
	w.coincide(st)
}

// finishFault undoes a fault.
func (w *world) finishFault(f *fault, kind string) {
	if f.ended {
		return
	}
	f.ended = true
	w.trace.cause = w.trace.line(w.now, "-", "fault-ends").text("kind", kind).end()
	w.faults[f.span].To = w.now
	w.active = slices.DeleteFunc(w.active, func(g *fault) bool { return g == f })
	if f.undo != nil {
		f.undo()
	}
	if f.bend != nil {
		w.bendLinks()
	}
	w.checks.disturbed(disturbFault, nil)
}

// bendLinks gives every link the conduct that the active faults make.
func (w *world) bendLinks() {
	for i := range w.links {
		l := &w.links[i]
		clogged := l.clog > 0
		l.conduct = w.bases
		if l.from == l.to {
			continue // a node always reaches itself
		}
		for _, f := range w.active {
			if f.bend != nil {
				f.bend(l)
			}
		}
		l.lossy = l.lossy && l.begin > 0
		if clogged && l.clog == 0 {
			w.unclog(l)
		}
	}
}

// between says whether a link leads from one of from to one of to, or, unless oneWay, back.
func between(l *link, from, to []string, oneWay bool) bool {
	in := func(names []string, m *machine) bool { return names == nil || slices.Contains(names, m.name) }
	return in(from, l.from) && in(to, l.to) || !oneWay && in(to, l.from) && in(from, l.to)
}

// onLink makes a fault of links of an action.
func (w *world) onLink(f *fault, st Step) bool {
	on := func(from, to []string, oneWay bool, do func(l *link)) {
		f.bend = func(l *link) {
			if between(l, from, to, oneWay) {
				do(l)
			}
		}
	}
	switch a := st.Action.(type) {
	case Cut:
		on(a.From, a.To, a.OneWay, func(l *link) { l.cut++ })
	case Partition:
		f.bend = func(l *link) {
			i, j := groupOf(a.Groups, l.from.name), groupOf(a.Groups, l.to.name)
			if i >= 0 && j >= 0 && i != j {
				l.cut++
			}
		}
		if len(a.Groups) > 2 {
			w.sometimes["3-way partition"]++
		}
	case Ring:
		w.ring(f, a)
	case Isolate:
		f.bend = func(l *link) {
			out, in := slices.Contains(a.Nodes, l.from.name), slices.Contains(a.Nodes, l.to.name)
			both := !a.In && !a.Out
			if out && (a.Out || both) || in && (a.In || both) {
				l.cut++
			}
		}
	case Refuse:
		on(a.From, a.To, a.OneWay, func(l *link) { l.refuse++ })
	case Reset:
		on(a.From, a.To, a.OneWay, func(l *link) { l.reset = max(l.reset, a.Probability) })
	case HalfOpen:
		on(a.From, a.To, a.OneWay, func(l *link) { l.halfOpen++ })
	case Clog:
		on(a.From, a.To, a.OneWay, func(l *link) { l.clog++ })
	case Swizzle:
		w.swizzle(a, st)
	case Delay:
		on(a.From, a.To, a.OneWay, func(l *link) { l.delay = a.By })
	case Spike:
		on(a.From, a.To, a.OneWay, func(l *link) { l.spike, l.spikeBy = a.Probability, a.By })
	case Loss:
		on(a.From, a.To, a.OneWay, func(l *link) { l.loss = a.Probability })
	case Burst:
		on(a.From, a.To, a.OneWay, func(l *link) { l.begin, l.end = a.Begin, a.End })
	case Duplicate:
		on(a.From, a.To, a.OneWay, func(l *link) { l.dup = a.Probability })
	case Reorder:
		on(a.From, a.To, a.OneWay, func(l *link) { l.re, l.overtake = a.Probability, a.By })
	case Bandwidth:
		on(a.From, a.To, a.OneWay, func(l *link) { l.bandwidth = a.Bytes })
	case FlapLink:
		w.flap(f, a)
	case Heal:
		for _, g := range slices.Clone(w.active) {
			if g.bend != nil {
				w.finishFault(g, w.faults[g.span].Kind)
			}
		}
		w.bendLinks()
	default:
		return false
	}
	f.link = true
	return true
}

func groupOf(groups [][]string, name string) int {
	for i, g := range groups {
		if slices.Contains(g, name) {
			return i
		}
	}
	return -1
}

func (w *world) ring(f *fault, a Ring) {
	names := a.Nodes
	if names == nil {
		names = w.s.Nodes
	}
	w.sometimes["ring"] += b2i(len(names) > 3)
	f.bend = func(l *link) {
		i, j := slices.Index(names, l.from.name), slices.Index(names, l.to.name)
		if i < 0 || j < 0 {
			return
		}
		if d := (i - j + len(names)) % len(names); d != 1 && d != len(names)-1 {
			l.cut++
		}
	}
}

// flap cuts and heals a link in turns until the fault ends.
func (w *world) flap(f *fault, a FlapLink) {
	down := true
	f.bend = func(l *link) {
		if down && between(l, a.From, a.To, a.OneWay) {
			l.cut++
		}
	}
	var turn func()
	turn = func() {
		if f.ended {
			return
		}
		down = !down
		w.bendLinks()
		w.checks.disturbed(disturbFlap, nil)
		d := a.Up
		if down {
			d = a.Down
		}
		w.queue.push(item{at: w.now + max(d, time.Millisecond), do: turn})
	}
	w.queue.push(item{at: w.now + max(a.Down, time.Millisecond), do: turn})
}

// swizzle arranges a clog of each link for a random part of the time.
func (w *world) swizzle(a Swizzle, st Step) {
	span := max(st.To-st.At, time.Second)
	for _, m := range w.pick(a.Nodes) {
		for _, o := range w.pick(a.Nodes) {
			if m == o {
				continue
			}
			x, y := time.Duration(w.random.Int64N(int64(span))), time.Duration(w.random.Int64N(int64(span)))
			c := Step{
				At: w.now + min(x, y), To: w.now + max(x, y) + time.Millisecond,
				Action: Clog{From: []string{m.name}, To: []string{o.name}, OneWay: true},
			}
			w.queue.push(item{at: c.At, do: func() { w.begin(c) }})
		}
	}
}

// each does something to machines and arranges that it is undone with the fault.
func (w *world) each(f *fault, names []string, do, undo func(m *machine)) bool {
	list := w.pick(names)
	for _, m := range list {
		do(m)
	}
	if undo != nil {
		f.undo = func() {
			for _, m := range list {
				undo(m)
			}
		}
	}
	return true
}

// onNode does an action on nodes.
func (w *world) onNode(f *fault, st Step) bool {
	switch a := st.Action.(type) {
	case Crash:
		var boot func(m *machine)
		if st.To > st.At {
			boot = func(m *machine) {
				if !m.up {
					m.boot()
				}
			}
		}
		return w.each(f, a.Nodes, func(m *machine) {
			if m.boots == 0 { // it stays off from the beginning
				m.boots++
			}
			m.crash("crash")
		}, boot)
	case Restart:
		return w.each(f, a.Nodes, func(m *machine) { m.restart(a) }, nil)
	case CrashLoop:
		return w.each(f, a.Nodes, func(m *machine) { w.crashLoop(f, m, a) }, func(m *machine) {
			if !m.up {
				m.boot()
			}
		})
	case Pause:
		return w.freeze(f, a.Nodes, false)
	case Suspend:
		return w.freeze(f, a.Nodes, true)
	case Resume:
		return w.each(f, a.Nodes, func(m *machine) {
			for m.frozen > 0 {
				m.thaw()
			}
		}, nil)
	case Throttle:
		return w.each(f, a.Nodes, func(m *machine) { m.lag += a.By }, func(m *machine) { m.lag -= a.By })
	case Exhaust:
		return w.each(f, a.Nodes, func(m *machine) { m.exhausted++ }, func(m *machine) { m.exhausted-- })
	case WrongKey:
		return w.each(f, a.Nodes, func(m *machine) { m.wrongKey++; w.checks.keyChanged(m) },
			func(m *machine) { m.wrongKey--; w.checks.keyChanged(m) })
	case Foreign:
		return w.each(f, a.Nodes, func(m *machine) { m.foreign++ }, func(m *machine) { m.foreign-- })
	case Drain:
		return w.each(f, a.Nodes, (*machine).startDrain, nil)
	case Edit:
		if st.To > st.At {
			return w.editFor(f, a)
		}
		return w.each(f, a.Nodes, func(m *machine) { m.edit(a.File) }, nil)
	case KillActor:
		return w.each(f, []string{a.Node}, func(m *machine) {
			if m.runs() {
				if p, ok := m.process.(*actorProcess); ok && p.boxes["node/"+a.ID] == nil {
					w.trace.line(w.now, m.name, "no-such-actor").text("actor", a.ID).end()
					if r := w.result; st.Line > 0 && !r.Unknown { // a slip of the pen proves nothing
						r.Unknown, r.Why = true, fmt.Sprintf("line %d kills %s on %s, where there is no such actor then", st.Line, a.ID, m.name)
					}
				}
				m.process.kill(a.ID)
			}
		}, nil)
	case ClockRate:
		return w.each(f, a.Nodes, func(m *machine) { m.clock.set(w.now, m.clock.ppm+int64(a.PPM), m.clock.still) },
			func(m *machine) { m.clock.set(w.now, m.clock.ppm-int64(a.PPM), m.clock.still) })
	case ClockJump:
		w.sometimes["wall clock jump"]++
		return w.each(f, a.Nodes, func(m *machine) { m.clock.wall += a.By }, nil)
	case SlowReplies:
		if a.After > 0 {
			f.bend = func(l *link) {
				if a.Nodes == nil || slices.Contains(a.Nodes, l.from.name) {
					l.punctual = a.After
				}
			}
			return true
		}
		return w.each(f, a.Nodes, func(m *machine) { m.slow = a.By }, func(m *machine) { m.slow = Range{} })
	case BrokenReplies:
		return w.each(f, a.Nodes, func(m *machine) { m.broken, m.breakage = a.Probability, a.How },
			func(m *machine) { m.broken = 0 })
	case Load:
		return w.each(f, a.Nodes, func(m *machine) { m.carries(a.CPU) }, func(m *machine) { m.carries(0) })
	case Quiet:
		w.quiet()
		return true
	case Random:
		return true // its steps have been drawn
	}
	return false
}

// freeze stops processes that run until the fault ends, or they do.
func (w *world) freeze(f *fault, names []string, still bool) bool {
	boots := map[*machine]int{}
	return w.each(f, names, func(m *machine) {
		if m.up {
			boots[m] = m.boots
			m.freeze(still)
		}
	}, func(m *machine) {
		if boots[m] == m.boots && m.up {
			m.thaw()
		}
	})
}

// bootFirst is the boot with which the run begins, unless the machine has been kept off.
func (m *machine) bootFirst() {
	if m.boots == 0 {
		m.boot()
	}
}

func (m *machine) carries(cpu int) {
	m.load = cpu
	if m.runs() {
		m.process.measure(cpu)
	}
}

func (m *machine) restart(a Restart) {
	m.crash("restart")
	if a.Remembered {
		m.inc++
	} else {
		m.inc = 0
	}
	if a.Moved {
		m.moved++
	}
	m.boot()
}

func (w *world) crashLoop(f *fault, m *machine, a CrashLoop) {
	var turn func()
	turn = func() {
		if f.ended {
			return
		}
		d := a.Down
		if m.up {
			m.crash("loop")
		} else {
			m.boot()
			d = a.Up
		}
		w.queue.push(item{at: w.now + max(d, time.Millisecond), do: turn})
	}
	turn()
}

func (m *machine) startDrain() {
	if !m.runs() || m.draining {
		return
	}
	m.draining = true
	m.w.sometimes["drain during a partition"] += b2i(m.w.parted())
	m.later(drainLimit, func() { m.crash("drained late") })
	m.process.drain()
}

// drainLimit is how long a drain takes at most, as in the node.
const drainLimit = 30 * time.Second

// edit changes the file on the machine's disk; its process takes that in at once, or when it runs again.
func (m *machine) edit(f *conf.File) {
	m.disk = f
	if m.frozen > 0 && m.up {
		m.later(0, m.reload)
		return
	}
	m.reload()
}

// reload takes in the file on the disk.
func (m *machine) reload() {
	m.file = m.disk
	m.w.checks.edited(m)
	if m.up {
		m.process.edit(m.file)
	}
}

// editFor puts a file into effect until the fault ends; then the one before it is back, unless another came meanwhile.
func (w *world) editFor(f *fault, a Edit) bool {
	f.files = map[*machine]edited{}
	return w.each(f, a.Nodes, func(m *machine) {
		f.files[m] = edited{a.File, m.disk}
		m.edit(a.File)
	}, func(m *machine) {
		e := f.files[m]
		if m.disk == e.file {
			m.edit(e.before)
			return
		}
		for _, g := range w.active { // a later one comes back to this one
			if h, ok := g.files[m]; ok && h.before == e.file {
				g.files[m] = edited{h.file, e.before}
			}
		}
	})
}

// parted says whether a link is cut.
func (w *world) parted() bool {
	for i := range w.links {
		if w.links[i].cut > 0 {
			return true
		}
	}
	return false
}

// quiet ends everything that disturbs.
func (w *world) quiet() {
	for _, g := range slices.Clone(w.active) {
		w.finishFault(g, w.faults[g.span].Kind)
	}
	w.bendLinks()
	for _, s := range w.streams {
		clear(s.dark)
		clear(s.slow)
		s.single = false
		if len(s.mute) > 0 {
			clear(s.mute)
			w.mutes(s)
		}
	}
	for _, m := range w.machines {
		for m.frozen > 0 {
			m.thaw()
		}
		if m.draining && m.up {
			m.crash("drained")
		}
		if !m.up {
			m.boot()
		}
	}
}

// onMedia does an action on sources, publishers and viewers.
func (w *world) onMedia(f *fault, st Step) bool {
	switch a := st.Action.(type) {
	case SourceDown:
		return w.sources(f, a.Streams, a.Nodes, func(s *streamTruth, node string) { s.dark[node] = true; w.darken(s) },
			func(s *streamTruth, node string) { delete(s.dark, node) })
	case SourceUp:
		return w.sources(nil, a.Streams, a.Nodes, func(s *streamTruth, node string) {
			delete(s.dark, node)
			delete(s.mute, node)
			if a.Nodes == nil {
				clear(s.dark)
				clear(s.mute)
			}
			w.mutes(s)
		}, nil)
	case Stall:
		return w.sources(f, a.Streams, a.Nodes, func(s *streamTruth, node string) { s.mute[node] = true; w.mutes(s) },
			func(s *streamTruth, node string) { delete(s.mute, node); w.mutes(s) })
	case SlowSource:
		return w.sources(f, a.Streams, a.Nodes, func(s *streamTruth, node string) { s.slow[node] = a.Up },
			func(s *streamTruth, node string) { delete(s.slow, node) })
	case SingleLogin:
		return w.sources(f, a.Streams, nil, func(s *streamTruth, _ string) { s.single = true },
			func(s *streamTruth, _ string) { s.single = false })
	case Publish:
		m, s := w.machine(a.Node), w.byName[a.Stream]
		if m == nil || s == nil {
			return true
		}
		m.publisher(s)
		f.undo = func() { m.publisherLeaves(s) }
		return true
	case Unpublish:
		if m, s := w.machine(a.Node), w.byName[a.Stream]; m != nil && s != nil {
			m.publisherLeaves(s)
		}
		return true
	case Demand:
		return w.wants(f, a, st)
	}
	return false
}

// sources does something to the sources of streams as seen from nodes; the empty name means from all.
func (w *world) sources(f *fault, streams, nodes []string, do, undo func(s *streamTruth, node string)) bool {
	if nodes == nil {
		nodes = []string{""}
	}
	all := func(do func(s *streamTruth, node string)) {
		for _, s := range w.streams {
			if streams == nil || slices.Contains(streams, s.name) {
				for _, n := range nodes {
					do(s, n)
				}
			}
		}
	}
	all(do)
	if undo != nil {
		f.undo = func() { all(undo) }
	}
	return true
}

// darken ends the captures that have lost their source.
func (w *world) darken(s *streamTruth) {
	for _, m := range w.machines {
		if f := m.captures[s.index].feed; f != nil && f.dark() && f.upAt >= 0 && !f.pub {
			m.later(time.Millisecond, func() {
				if m.captures[s.index].feed == f && f.dark() && f.state != 0 && f.state < 4 {
					f.fail("the source has gone")
				}
			})
		}
	}
}

// publisher lets a publisher come to a node.
func (m *machine) publisher(s *streamTruth) {
	if !m.runs() {
		return
	}
	m.process.publish(&feed{m: m, s: s, boots: m.boots, pub: true, claim: owner.Claim{Stream: s.name}}, "")
}

func (m *machine) publisherLeaves(s *streamTruth) {
	if f := m.pubs[s.name]; f != nil && m.runs() {
		m.process.unpublish(f)
	}
}

// coincide counts the states that should occur sometimes and that a step makes.
func (w *world) coincide(st Step) {
	a, ok := st.Action.(Crash)
	if !ok {
		return
	}
	if len(w.pick(a.Nodes)) > 1 {
		w.sometimes["two nodes crash at once"]++
	}
}

// Describe gives the kind of an action and its details in words of the scenario language.
func Describe(a Action) (kind, text string) {
	kind = strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", a), "sim."))
	if e, ok := a.(Edit); ok {
		return kind, fmt.Sprint(e.Nodes)
	}
	text = fmt.Sprintf("%+v", a)
	return kind, strings.Trim(text, "{}")
}

// involved are the nodes that an action is about; nil for all.
func involved(a Action) []string {
	switch a := a.(type) {
	case Crash:
		return a.Nodes
	case Restart:
		return a.Nodes
	case CrashLoop:
		return a.Nodes
	case Pause:
		return a.Nodes
	case Suspend:
		return a.Nodes
	case Throttle:
		return a.Nodes
	case Exhaust:
		return a.Nodes
	case WrongKey:
		return a.Nodes
	case Drain:
		return a.Nodes
	case Edit:
		return a.Nodes
	case Isolate:
		return a.Nodes
	case ClockRate:
		return a.Nodes
	case ClockJump:
		return a.Nodes
	case SlowReplies:
		return a.Nodes
	case BrokenReplies:
		return a.Nodes
	case Load:
		return a.Nodes
	case Foreign:
		return a.Nodes
	case Demand:
		return a.Nodes
	case KillActor:
		return []string{a.Node}
	case Publish:
		return []string{a.Node}
	case Cut:
		return append(slices.Clone(a.From), a.To...)
	}
	return nil
}
