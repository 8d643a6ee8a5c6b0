package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/drain"
	"weir/cluster/identity"
	"weir/cluster/wire"
)

// A core is a process of which only the control plane runs. What the node's actors would do takes no time.
type core struct {
	m     *machine
	w     *world
	cfg   control.Config
	node  *control.Node
	ended bool

	// What waits for an effect, by its token.
	token    uint64                         // the last one given
	pubs     map[uint64]*feed               // publishers
	releases map[uint64]func(released bool) // questions for the release of a stream

	question *exchange // that is being answered
	answer   *exchange // whose answer is being handled
}

// newCore starts the process of a machine. Resumed, if not nil, tells the control plane what the one before it has left.
func newCore(m *machine, cfg control.Config, resumed *control.Resumed) {
	c := &core{m: m, w: m.w, cfg: cfg, pubs: map[uint64]*feed{}, releases: map[uint64]func(bool){}}
	m.process = c
	c.node = control.New(cfg, c.now())
	if resumed != nil {
		c.step(*resumed, "")
	}
	c.step(control.Measured{Load: control.Load{CPU: m.load}}, "")
	c.step(control.Tick{}, "tick")
}

func (c *core) now() control.Instant { return control.Instant(c.m.reads()) }

// reads is what the process takes for the time.
func (m *machine) reads() time.Duration {
	return m.clock.at(m.w.now)
}

// step hands an event to the control plane and does what it says. The event has a line in the trace that begins with line,
// unless that is empty.
func (c *core) step(ev control.Event, line string) {
	w, m := c.w, c.m
	if c.ended {
		return
	}
	w.result.Events++
	if line != "" {
		m.line(line).causes()
	}
	now := c.now()
	out := c.node.Step(now, ev)
	w.checks.stepped(m, now, ev, out, c.answer)
	for _, e := range out {
		c.do(e)
	}
	w.viewers.published(m)
}

// do does what an effect says.
func (c *core) do(e control.Effect) {
	w, m := c.w, c.m
	switch e := e.(type) {
	case control.Fetch:
		ex := w.exchanges.take()
		*ex = exchange{
			from: m, to: m.leads(e), entry: e.Peer, place: e.Place, id: e.ID, question: e.Question,
			name: m.announced, timeout: e.Timeout, control: m.control,
		}
		w.ask(ex)
	case control.WakeAt:
		m.wake(time.Duration(e.At))
	case control.Reply:
		w.replyState(m, c.question, e.State)
	case control.StartCapture:
		c.start(e)
	case control.StopCapture:
		w.traceStop(m, e)
		if f := m.captures[w.byName[e.Stream].index].feed; f != nil {
			f.stop(w.announcing(e.To))
		}
	case control.PublishAnswer:
		c.publishAnswered(e)
	case control.Note:
		w.note(m, e)
	case control.Drained:
		w.drained(m, e)
	case control.AskRelease:
		c.askRelease(e)
	case control.ReleaseAnswer:
		if told := c.releases[e.Token]; told != nil {
			delete(c.releases, e.Token)
			told(e.Released)
		}
	default:
		m.line("effect").text("type", fmt.Sprintf("%T", e)).end()
	}
}

// note writes a note of a control plane into the trace.
func (w *world) note(m *machine, e control.Note) {
	t := m.line("note").text("kind", e.Kind.String()).text("peer", e.Node).text("stream", e.Stream)
	if e.Age != 0 {
		t.num("age", int64(e.Age))
	}
	t.text("says", e.Detail).end()
	w.noted = append(w.noted, noted{w.now, m.name, e.Kind})
	if e.Kind == control.NoteNamed {
		w.calls(m, e.Node)
	}
}

func (w *world) traceStart(m *machine, e control.StartCapture) {
	m.line("start").text("stream", e.Stream).num("epoch", int64(e.Epoch)).
		text("why", string(e.Why)).text("of", e.Of).end()
}

func (w *world) traceStop(m *machine, e control.StopCapture) {
	m.line("stop").text("stream", e.Stream).text("to", e.To).text("why", string(e.Why)).end()
}

// drained ends a process that has handed its streams over.
func (w *world) drained(m *machine, e control.Drained) {
	m.line("drained").num("left", int64(e.Left)).end()
	m.depart(drain.Limit)
}

// depart ends a process that has drained as soon as no viewer needs it any more, after limit at the latest.
func (m *machine) depart(limit time.Duration) {
	m.later(time.Second, func() {
		if limit > 0 && m.w.viewers.need(m) {
			m.depart(limit - time.Second)
			return
		}
		m.crash("drained")
	})
}

func (c *core) start(e control.StartCapture) {
	w, m := c.w, c.m
	w.traceStart(m, e)
	f := m.open(w.byName[e.Stream], e.Why)
	f.epoch, f.media = e.Epoch, e.Media
}

// askRelease asks the owner of a stream to let go of it, as the node does through the stream's actor.
func (c *core) askRelease(e control.AskRelease) {
	w, m := c.w, c.m
	m.line("ask-release").text("stream", e.Stream).text("of", e.Node).end()
	to := w.announcing(e.Node)
	if to == nil {
		return
	}
	from := m.announced
	m.send(to, func() {
		o, ok := to.process.(*core)
		if !ok || !to.up {
			return
		}
		o.token++
		o.releases[o.token] = func(released bool) {
			if !released {
				return
			}
			to.send(m, func() {
				if c, ok := m.process.(*core); ok && m.up {
					m.line("released").text("stream", e.Stream).text("by", e.Node).causes()
					c.step(control.Released(e), "")
				}
			})
		}
		to.line("release-asked").text("stream", e.Stream).text("from", from).causes()
		o.step(control.ReleaseAsked{Stream: e.Stream, From: from, Token: o.token}, "")
	})
}

// publishAnswered tells a publisher the verdict of the control plane.
func (c *core) publishAnswered(e control.PublishAnswer) {
	w, m := c.w, c.m
	f := c.pubs[e.Token]
	delete(c.pubs, e.Token)
	if f == nil {
		return
	}
	m.line("publisher").text("stream", f.s.name).text("verdict", e.Verdict.String()).text("at", e.Node).end()
	f.media = e.Media
	switch ask, err := f.claim.Verdict(e); {
	case err != nil:
		w.refused(m, f, e.Verdict)
	case ask != "":
		c.askClaimant(f, ask)
	case !f.awaited():
		f.s.published = w.now
		m.later(0, func() { c.step(control.PublishEnded{Stream: f.s.name}, "publisher-left") }) // after this step's effects
	default:
		g := m.open(f.s, control.PublishedHere)
		g.epoch = e.Epoch
		g.admitted(f)
	}
}

// askedFor is how long a node asks another about a stream, again and again, before it does without an answer.
const askedFor = identity.AskTries*identity.AskLimit + (identity.AskTries-1)*identity.AskPause

// askClaimant asks the node that is said to have a publisher, as the node does through the stream's actor.
func (c *core) askClaimant(f *feed, name string) {
	w, m := c.w, c.m
	again := func() { c.publish(f) }
	to := w.announcing(name)
	limit := m.clock.when(m.clock.at(w.now)+askedFor, w.now) - w.now
	done := false
	m.later(limit, func() { // without an answer; if there are two publishers after all, the static order settles it
		if !done {
			done = true
			again()
		}
	})
	if to == nil {
		return
	}
	m.send(to, func() {
		if !to.up {
			return
		}
		has := to.pubs[f.s.name]
		gone := has != nil && has.givesWay()
		if gone {
			has.takenOver()
		}
		to.send(m, func() {
			if done || !m.up {
				return
			}
			done = true
			if f.claim.Answered(&wire.Claimed{Granted: has == nil || gone}) != nil {
				w.refused(m, f, control.Busy)
			} else {
				again()
			}
		})
	})
}

// calls notes that the process of a machine announces a name.
func (w *world) calls(m *machine, name string) {
	w.checks.renamed = w.checks.renamed || m.announced != name
	m.announced = name
	for _, q := range w.machines {
		w.namesakes = w.namesakes || q != m && q.announced == name
	}
	w.announced[name] = m
}

// announcing gives the machine whose process announces a name; nil if there is none. Of several it is the one to which the entry of the
// name leads, or the first, whose instance is the lowest.
func (w *world) announcing(name string) *machine {
	if m := w.announced[name]; m != nil && m.announced == name && !w.namesakes {
		return m
	}
	if m := w.byEntry(name); m != nil && m.announced == name {
		return m
	}
	for _, m := range w.machines {
		if m.announced == name {
			w.announced[name] = m
			return m
		}
	}
	return nil
}

func (c *core) tick() { c.step(control.Tick{}, "tick") }

func (c *core) asked(ex *exchange) {
	c.question = ex
	c.m.line("asked").text("from", ex.from.name).num("id", int64(ex.id)).causes()
	c.step(control.StateAsked{From: ex.name, Question: ex.question, Into: c.w.states.take()}, "")
}

func (c *core) answered(ex *exchange) {
	m := c.m
	st, err := ex.read()
	if ex.garbled { // it may still be readable, but its proof does not hold
		m.line("garbled").text("from", ex.to.name).num("id", int64(ex.id)).causes()
		c.step(control.FetchFailed{Peer: ex.entry, ID: ex.id, Why: control.Unauthorised}, "")
		return
	}
	if err != nil {
		m.line("unreadable").text("from", ex.to.name).num("id", int64(ex.id)).causes()
		c.step(control.FetchFailed{Peer: ex.entry, ID: ex.id, Why: control.Malformed, Detail: err.Error()}, "")
		return
	}
	m.line("answer").text("from", ex.to.name).num("id", int64(ex.id)).num("seq", int64(st.Seq)).causes()
	c.answer = ex
	c.step(control.Fetched{Peer: ex.entry, Place: ex.place, ID: ex.id, State: st}, "")
	c.answer = nil
	if st.Same { // of which the control plane keeps nothing
		c.w.states.give(st)
	}
}

func (c *core) unanswered(ex *exchange) {
	c.m.line("no-answer").text("from", ex.entry).num("id", int64(ex.id)).text("why", string(ex.why)).causes()
	c.step(control.FetchFailed{Peer: ex.entry, ID: ex.id, Why: ex.why}, "")
}

func (c *core) severed(entry string) { c.step(control.LinkBroken{Peer: entry}, "") }

func (c *core) up(f *feed) {
	c.m.line("up").text("stream", f.s.name).causes()
	c.step(control.CaptureUp{Stream: f.s.name}, "")
	if c.m.captures[f.s.index].feed == f && f.state == control.Running {
		f.keepNumbered()
	}
}

func (c *core) silent(f *feed, yes bool) {
	if yes {
		c.step(control.PublisherSilent{Stream: f.s.name}, "publisher-silent")
		return
	}
	c.step(control.CaptureUp{Stream: f.s.name}, "publisher-sends")
}

// renumbered tells the control plane how segments are numbered now.
func (c *core) renumbered(f *feed) {
	c.step(control.MediaChanged{Stream: f.s.name, Media: f.mediaNow()}, "")
}

func (c *core) down(f *feed, why string) {
	c.m.line("down").text("stream", f.s.name).text("why", why).causes()
	if f.pub {
		delete(c.m.pubs, f.s.name)
		c.step(control.PublishEnded{Stream: f.s.name}, "")
		return
	}
	c.step(control.CaptureDown{Stream: f.s.name, Why: why}, "")
}

func (c *core) stopped(f *feed) {
	if f.pub {
		delete(c.m.pubs, f.s.name)
	}
	c.m.line("stopped").text("stream", f.s.name).causes()
	c.step(control.CaptureStopped{Stream: f.s.name}, "")
}

func (c *core) publish(f *feed) {
	c.token++
	c.pubs[c.token] = f
	c.m.line("publish").text("stream", f.s.name).text("asked", strings.Join(f.claim.Asked, " ")).causes()
	c.step(control.PublishWanted{Stream: f.s.name, Token: c.token, Asked: slices.Clone(f.claim.Asked)}, "")
}

func (c *core) unpublish(f *feed) {
	delete(c.m.pubs, f.s.name)
	f.by = nil
	f.close(GapPublisher)
	c.step(control.PublishEnded{Stream: f.s.name}, "publisher-left")
}

func (c *core) event(ev control.Event, line string) { c.step(ev, line) }

func (c *core) drain() { c.step(control.Drain{}, "drain") }

func (c *core) edit(f *conf.File) {
	cfg := *c.m.read().config
	c.step(control.ConfigChanged{Config: cfg}, "edit")
}

// kill replaces the control plane, as the supervisor of its actor does. There are no other actors.
func (c *core) kill(id string) {
	w, m := c.w, c.m
	m.line("panic").text("actor", id).causes()
	if id != "control" {
		return
	}
	c.ended = true
	m.later(250*time.Millisecond, func() {
		m.line("restarted").text("actor", id).causes()
		cfg := *m.read().config
		cfg.Self, cfg.Named = m.announced, true
		cfg.Instance, cfg.Inc, cfg.Seed = c.cfg.Instance, c.cfg.Inc+1, c.cfg.Seed
		resumed := control.Resumed{Up: control.Instant(m.clock.at(w.now) - m.bootClock)}
		for i := range m.captures {
			if f := m.captures[i].feed; f != nil && (f.state == control.Starting || f.state == control.Running) {
				x := control.Capture{Stream: w.streams[i].name, Epoch: f.epoch, Up: f.upAt >= 0, Silent: f.muted && w.now-f.mutedAt >= f.silenceLimit()}
				if v := m.viewOf(w.streams[i]); v != nil {
					x.Supersedes = v.Supersedes
				}
				resumed.Captures = append(resumed.Captures, x)
			}
		}
		w.checks.restarted(m)
		newCore(m, cfg, &resumed)
	})
}

func (c *core) measure(load int) {
	c.step(control.Measured{Load: control.Load{CPU: load, Captures: c.m.count()}}, "load")
}

func (c *core) suspended(d time.Duration) {
	c.step(control.Suspended{For: control.Instant(d)}, "suspended")
}

func (c *core) end() { c.ended = true }

func (c *core) view() *control.View { return c.node.View() }

// count is how many captures run on m.
func (m *machine) count() (n int) {
	for i := range m.captures {
		if m.captures[i].feed != nil {
			n++
		}
	}
	return n
}

// refused notes that a publisher was not admitted.
func (w *world) refused(m *machine, f *feed, why control.Verdict) {
	m.line("refused").text("stream", f.s.name).text("why", why.String()).end()
	w.refusals[m.name+"\x00"+f.s.name] = w.now
	if f.by != nil && f.awaited() {
		f.by.refused(m, why == control.Busy)
	}
}

// admitted makes a capture that of a publisher that has been granted the name.
func (f *feed) admitted(wanted *feed) {
	f.pub, f.source = true, uint64(f.m.w.result.Starts)
	f.m.pubs[f.s.name] = f
	f.media = wanted.media
	if was := f.m.captures[f.s.index]; was.boots == f.m.boots {
		f.least = was.next // the stream goes on with its own segments
	}
	if p := wanted.by; p != nil {
		f.by = p
		p.begins(f)
	}
}
