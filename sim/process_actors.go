package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/protobuf/proto"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/actors/stream"
	"weir/cluster/conf"
	"weir/cluster/control"
	"weir/cluster/follower"
	"weir/cluster/identity"
	"weir/cluster/load"
	"weir/cluster/node"
	"weir/cluster/owner"
	"weir/cluster/source"
	"weir/cluster/wire"
	"weir/protocols/listen"
	"weir/sim/oracle"
)

// An actorProcess is a process of which the node's own actors run: everything below streams, peers and control.
type actorProcess struct {
	m     *machine
	w     *world
	ended bool
	sys   *actor.ActorSystem
	env   *actorEnv
	node  *node.Node // nil until it has started, or for ever
	clus  *cluster.Cluster
	boxes map[string]*mailbox // by the id of their actor

	answers map[uint64]*exchange // those that are on their way through the actor of a link, by the number of the fetch

	// Questions to the actors of streams.
	asker   *actor.PID                            // the actor that takes the answers
	asks    map[uint64]func(answer proto.Message) // by number
	lastAsk uint64

	fails   map[string]string // the message with which an actor fails that comes next, by the actor's id
	blocked map[string]bool   // actors that deal with no message, by id

	read   map[int]time.Duration // when the hub of a stream was read last, by its index
	relays map[int]*relay        // that the inputs of its streams run, by the index of the stream
}

// quietLog drops what nodes log; the trace tells more.
var quietLog = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))

// noGossip is how protoactor is told that its gossip, which is not started, has nothing to say.
const noGossip = 365 * 24 * time.Hour

// newActors boots a node.
func newActors(m *machine) {
	w := m.w
	p := &actorProcess{
		m: m, w: w, boxes: map[string]*mailbox{}, answers: map[uint64]*exchange{}, asks: map[uint64]func(proto.Message){}, relays: map[int]*relay{}, read: map[int]time.Duration{},
		fails: map[string]string{}, blocked: map[string]bool{},
	}
	m.process = p
	p.sys = w.actors.system(m)
	p.env = newActorEnv(p)
	prov := identity.NewProvider()
	rc := remote.Configure("127.0.0.1", 0)
	cfg := cluster.Configure("weir", prov, identity.Lookup{P: prov}, rc, cluster.WithHeartbeatExpiration(noGossip))
	cfg.GossipInterval = noGossip
	p.clus = cluster.New(p.sys, cfg)
	p.clus.Remote = remote.NewRemote(p.sys, rc) // never started: the member list needs its block list
	p.clus.IdentityLookup = identity.Lookup{P: prov}
	prov.Bind(p.clus)
	p.asker = p.sys.Root.Spawn(act.Props(p.env, "asker", func() actor.Actor { return actor.ReceiveFunc(p.takeAnswer) }))
	n, err := node.Start(node.Config{
		File: m.file, Hostname: m.announced, Build: "sim", Log: quietLog,
		Machine: node.Machine{
			Wall:      func() time.Time { return time.Unix(1_700_000_000, 0).Add(m.clock.at(w.now) + m.clock.wall) },
			Instance:  func() string { return m.instance },
			Burden:    func() load.Burden { return load.Burden{CPU: m.load} },
			Suspended: func() time.Duration { return m.asleep },
		},
		Network: &node.Network{
			System: p.sys, Env: p.env, Cluster: p.clus, Provider: prov, Fetcher: p,
			Source:  func(in source.Input) (input.Source, error) { return actorSource{p, in.Stream}, nil },
			Relay:   func(name string) input.Source { return relaySource{p, name} },
			Release: p.askRelease,
			Stepped: p.stepped,
			Hub:     hub.Config{Units: 8, Tick: -1},
		},
	})
	if err != nil {
		w.checks.hold(oracle.I11, false, nil, []string{m.name}, "the node does not start: %v", err)
		return
	}
	p.node = n
	w.actors.run()
}

// askStream puts a question to the actor of a stream, as [identity.Ask] does, without waiting: done is told the answer, nil
// if none came. Whom says where the actor is, each time that it is asked; nil for nowhere.
func (p *actorProcess) askStream(whom func() *actor.PID, question func() proto.Message, done func(answer proto.Message)) {
	try := 0
	var again func()
	ask := func() {
		if p.ended {
			return
		}
		try++
		pid := whom()
		if pid == nil {
			p.m.timer(identity.AskPause, again)
			return
		}
		p.lastAsk++
		id := p.lastAsk
		q := question()
		stamp(q, id)
		p.asks[id] = func(answer proto.Message) {
			delete(p.asks, id)
			if r, ok := answer.(*wire.Refused); answer == nil || ok && r.GetWhy() == wire.Refused_WHY_ELSEWHERE {
				p.m.timer(identity.AskPause, again)
				return
			}
			done(answer)
		}
		p.m.timer(identity.AskLimit, func() {
			if late := p.asks[id]; late != nil {
				late(nil)
			}
		})
		p.sys.Root.RequestWithCustomSender(pid, q, p.asker)
		p.w.actors.run()
	}
	again = func() {
		if try == identity.AskTries {
			done(nil)
			return
		}
		ask()
	}
	ask()
}

// stamp numbers a question.
func stamp(q proto.Message, id uint64) {
	switch q := q.(type) {
	case *wire.Claim:
		q.Ask = id
	case *wire.Release:
		q.Ask = id
	}
}

// takeAnswer is the actor that takes the answers.
func (p *actorProcess) takeAnswer(ctx actor.Context) {
	if a, ok := ctx.Message().(wire.Answer); ok {
		if take := p.asks[a.GetAsk()]; take != nil {
			take(a)
		}
	}
}

func (p *actorProcess) askRelease(self *actor.PID, e control.AskRelease) {
	p.askStream(func() *actor.PID { return p.clus.Get(e.Stream, identity.Kind) }, func() proto.Message {
		return &wire.Release{Protocol: wire.Protocol, Stream: e.Stream, Node: p.m.announced}
	}, func(answer proto.Message) {
		if _, ok := answer.(*wire.Released); ok {
			p.sys.Root.Send(self, control.Released(e))
			p.w.actors.run()
		}
	})
}

// askClaim asks the node that is said to have a publisher.
func (p *actorProcess) askClaim(f *feed, name string) {
	if name == p.m.announced {
		p.send(p.node.Streams(), stream.GiveWay{Stream: f.s.name, Reply: func(free bool, gone string) {
			p.claimAnswered(f, owner.Given(name, free, gone))
		}})
		return
	}
	p.askStream(func() *actor.PID {
		if q := p.view().Peer(name); q != nil && q.Advert.Remote != "" {
			return actor.NewPID(q.Advert.Remote, identity.StreamID(f.s.name))
		}
		return nil
	}, func() proto.Message {
		return &wire.Claim{Protocol: wire.Protocol, Stream: f.s.name, Node: p.m.announced}
	}, func(answer proto.Message) { p.claimAnswered(f, answer) })
}

// claimAnswered takes the answer of a node about the name that a publisher wants.
func (p *actorProcess) claimAnswered(f *feed, answer proto.Message) {
	if f.claim.Answered(answer) != nil {
		p.w.refused(p.m, f, control.Busy)
		return
	}
	p.publish(f)
}

// stepped is told of each step of the control plane.
func (p *actorProcess) stepped(now control.Instant, ev control.Event, out []control.Effect) {
	w, m := p.w, p.m
	w.result.Events++
	var ex *exchange
	var t *tracer
	switch e := ev.(type) {
	case control.Tick:
		t = m.line("tick")
	case control.StateAsked:
		t = m.line("asked").text("from", e.From)
	case control.Fetched:
		ex = p.answers[e.ID]
		delete(p.answers, e.ID)
		t = m.line("answer").text("from", e.Peer).num("id", int64(e.ID))
	case control.FetchFailed:
		t = m.line("no-answer").text("from", e.Peer).num("id", int64(e.ID)).text("why", string(e.Why))
	case control.CaptureUp:
		t = m.line("up").text("stream", e.Stream)
	case control.CaptureDown:
		t = m.line("down").text("stream", e.Stream).text("why", e.Why)
	case control.CaptureStopped:
		t = m.line("stopped").text("stream", e.Stream)
	case control.Measured:
		t = m.line("measured")
	case control.Resumed:
		t = m.line("resumed").num("captures", int64(len(e.Captures)))
		if w.now > m.booted {
			w.checks.restarted(m)
		}
	default:
		t = m.line("event").text("type", typeName(ev))
	}
	t.causes()
	w.checks.stepped(m, now, ev, out, ex)
	for _, e := range out {
		p.effect(e)
	}
}

// effect writes an effect of the control plane into the trace, and does what the actors do not do.
func (p *actorProcess) effect(e control.Effect) {
	w, m := p.w, p.m
	switch e := e.(type) {
	case control.StartCapture:
		w.traceStart(m, e)
		x := &w.checks.claims[m.index][w.byName[e.Stream].index]
		x.media, x.epoch = e.Media, e.Epoch
	case control.StopCapture:
		w.traceStop(m, e)
		if f := m.captures[w.byName[e.Stream].index].feed; f != nil {
			f.to = w.announcing(e.To)
		}
		if f := m.pubs[e.Stream]; f != nil && f.state == control.Running { // the stream's actor ends it meanwhile
			if c, ok := f.ref.(listen.Publication); ok {
				m.later(0, func() { p.writePublished(f, c) })
			}
		}
	case control.Note:
		w.note(m, e)
	case control.Drained:
		w.drained(m, e)
	}
}

// Fetch implements [follower.Fetcher] over the simulated network.
func (p *actorProcess) Fetch(_ act.Env, link *actor.PID, f control.Fetch) {
	p.w.ask(&exchange{
		from: p.m, to: p.m.leads(f), entry: f.Peer, place: f.Place, id: f.ID, question: f.Question,
		name: p.m.announced, timeout: f.Timeout, control: p.m.control, link: link,
	})
}

// send gives a message to an actor of the node, and lets it run.
func (p *actorProcess) send(to *actor.PID, msg any) {
	p.sys.Root.Send(to, msg)
	p.w.actors.run()
}

func (p *actorProcess) asked(ex *exchange) {
	if p.node == nil {
		return
	}
	p.node.Control().AskState(ex.name, *ex.question, act.ReplyFunc(func(st *control.State) { p.w.replyState(p.m, ex, st) }))
	p.w.actors.run()
}

func (p *actorProcess) answered(ex *exchange) {
	st, err := ex.read()
	switch {
	case ex.garbled:
		err = &follower.Error{Why: control.Unauthorised, Err: fmt.Errorf("the answer of %s is not proved", ex.to.name)}
	case err != nil:
		err = &follower.Error{Why: control.Malformed, Err: err}
	default:
		p.answers[ex.id] = ex
	}
	if err != nil {
		st = nil
	}
	p.send(ex.link, follower.Answer{ID: ex.id, State: st, Err: err})
}

func (p *actorProcess) unanswered(ex *exchange) {
	p.send(ex.link, follower.Answer{ID: ex.id, Err: &follower.Error{Why: ex.why, Err: fmt.Errorf("no answer of %s", ex.entry)}})
}

func (p *actorProcess) severed(entry string) {
	if p.node != nil {
		p.event(control.LinkBroken{Peer: entry}, "")
	}
}

func (p *actorProcess) tick() {} // timers are messages

// keepAlive is the interval at which a source writes something. It is below the silence that an input takes for the end of
// its source.
const keepAlive = 20 * time.Second

// sourceSettles is how long a source that has begun writes more often: longer than a hub that has media of another writer takes to decide
// that the new one may go on with it.
const sourceSettles = 2 * time.Second

// A connection is a simulated source that an input's actor has opened.
type connection struct {
	p     *actorProcess
	s     *streamTruth
	owner *actor.PID
	w     input.Writer
	task  *act.Task
	feed  *feed
}

func (p *actorProcess) up(f *feed) {
	switch c := f.ref.(type) {
	case *connection:
		c.w.SetTracks(tracks)
		c.write()
	case listen.Publication:
		c.SetTracks(tracks)
		p.writePublished(f, c)
	}
	if f.m.captures[f.s.index].feed == f && p.node != nil {
		p.w.actors.run()
		f.keepNumbered()
	}
}

// renumbered tells the control plane how segments are numbered now, as a packager does.
func (p *actorProcess) renumbered(f *feed) {
	p.event(control.MediaChanged{Stream: f.s.name, Media: f.mediaNow()}, "")
}

// write brings access units from now on, although nobody watches.
func (c *connection) write() {
	f := c.feed
	if f.m.captures[f.s.index].feed != f || f.state != control.Running {
		return
	}
	if !f.silent() {
		c.bring()
	}
	pause := keepAlive
	if c.p.w.now-f.upAt < sourceSettles {
		pause = lookEvery
	}
	f.m.later(pause, c.write)
}

// bring brings the newest access unit.
func (c *connection) bring() {
	if place := c.feed.picture(); place > c.feed.newest {
		c.feed.newest = place
		_ = c.w.Write(accessUnit(c.feed.source, place)) // a source that was replaced is told to stop
		c.p.w.actors.run()
	}
}

func (p *actorProcess) writePublished(f *feed, to listen.Publication) {
	if f.m.captures[f.s.index].feed != f || f.state != control.Running {
		return
	}
	f.sent++
	n := f.sent
	again := func() {
		f.m.later(sendEvery, func() {
			if f.sent == n {
				p.writePublished(f, to)
			}
		})
	}
	if f.muted { // its connection lingers, until its node gives it up or another publisher takes its place
		if to.Context().Err() != nil {
			delete(f.m.pubs, f.s.name)
			f.sendAway(errors.Is(context.Cause(to.Context()), listen.ErrBusy))
			f.close(GapPublisher)
			return
		}
		again()
		return
	}
	f.newest = f.picture()
	err := to.Write(accessUnit(f.source, f.newest))
	p.w.actors.run()
	if err != nil { // the publisher learns by it that it has to go
		delete(f.m.pubs, f.s.name)
		f.sendAway(errors.Is(err, listen.ErrBusy))
		f.close(GapYield)
		return
	}
	again()
}

func (p *actorProcess) down(f *feed, why string) {
	switch c := f.ref.(type) {
	case *connection:
		err := errors.New(why)
		if f.upAt >= 0 && !f.silent() { // a server that goes away closes the connections that it has
			err = nil
		}
		p.send(c.owner, act.Ended{Task: c.task, Err: err})
	case listen.Publication:
		delete(p.m.pubs, f.s.name)
		c.Close()
		p.w.actors.run()
	}
}

func (p *actorProcess) silent(*feed, bool) {} // the actor of the stream finds out itself

func (p *actorProcess) stopped(*feed) {} // the actor of the input has ended it

// An actorSource is the source of an input's actor.
type actorSource struct {
	p    *actorProcess
	name string
}

// Start implements [input.Source].
func (a actorSource) Start(_ act.Env, owner *actor.PID, w input.Writer) *act.Task {
	p := a.p
	m := p.m
	s := p.w.byName[a.name]
	if old := m.captures[s.index].feed; old != nil {
		old.close(GapSource) // the connection of an input that begins anew has ended
	}
	x := &p.w.checks.claims[m.index][s.index]
	c := &connection{p: p, s: s, owner: owner, w: w}
	done := make(chan struct{})
	c.task = &act.Task{Done: done, Stop: func() {
		if f := c.feed; m.captures[s.index].feed == f {
			f.close(GapYield)
		}
	}}
	f := m.open(s, x.why)
	f.epoch, f.media, f.ref = x.epoch, x.media, c
	if was := m.captures[s.index]; was.boots == m.boots { // an input that begins anew finds the segments of the one before
		f.least = was.next
	}
	c.feed = f
	return c.task
}

func (p *actorProcess) publish(f *feed) {
	if p.node == nil {
		return
	}
	w, m, s := p.w, p.m, f.s
	m.line("publish").text("stream", s.name).text("asked", strings.Join(f.claim.Asked, " ")).causes()
	p.node.Control().WantPublish(s.name, slices.Clone(f.claim.Asked), act.ReplyFunc(func(a control.PublishAnswer) {
		m.line("publisher").text("stream", s.name).text("verdict", a.Verdict.String()).text("at", a.Node).end()
		f.media = a.Media
		switch ask, err := f.claim.Verdict(a); {
		case err != nil:
			w.refused(m, f, a.Verdict)
		case ask != "":
			p.askClaim(f, ask)
		case !f.awaited():
			s.published = w.now
			p.node.Control().Send(control.PublishEnded{Stream: s.name})
		default:
			p.publishes(f)
		}
	}))
	w.actors.run()
}

// publishes lets an admitted publisher begin.
func (p *actorProcess) publishes(f *feed) {
	w, m := p.w, p.m
	p.sys.Root.Send(p.node.Streams(), stream.Publish{
		Stream: f.s.name, Session: "sim",
		Reply: act.ReplyFunc(func(a stream.Published) {
			if a.Err != nil {
				w.refused(m, f, control.Busy)
				p.node.Control().Send(control.PublishEnded{Stream: f.s.name})
				return
			}
			if old := m.captures[f.s.index].feed; old != nil {
				old.close(GapPublisher)
			}
			if !f.awaited() {
				a.Publication.Close()
				return
			}
			g := m.open(f.s, control.PublishedHere)
			g.ref = a.Publication
			g.admitted(f)
		}),
	})
}

func (p *actorProcess) unpublish(f *feed) {
	delete(p.m.pubs, f.s.name)
	f.by = nil
	f.close(GapPublisher)
	if c, ok := f.ref.(listen.Publication); ok {
		c.Close()
	}
	p.w.actors.run()
}

func (p *actorProcess) event(ev control.Event, _ string) {
	p.node.Control().Send(ev)
	p.w.actors.run()
}

func (p *actorProcess) drain() {
	if p.node != nil {
		p.node.HandOver()
		p.w.actors.run()
	}
}

func (p *actorProcess) edit(f *conf.File) {
	if p.node == nil {
		return
	}
	if _, err := p.node.Reload(f); err != nil {
		p.w.checks.hold(oracle.I11, false, nil, []string{p.m.name}, "a reload fails: %v", err)
	}
	p.w.actors.run()
}

// kill makes an actor panic in its mailbox.
func (p *actorProcess) kill(id string) {
	w := p.w
	p.m.line("panic").text("actor", id).causes()
	if b := p.boxes["node/"+id]; b != nil {
		b.PostUserMessage(failNow{})
		w.actors.run()
	}
}

// failsWith says whether an actor fails with a message, as a scenario has it.
func (p *actorProcess) failsWith(id string, msg any) bool {
	at, ok := p.fails[id]
	if !ok {
		return false
	}
	_, x, _ := actor.UnwrapEnvelope(msg)
	if !strings.HasSuffix(typeName(x), "."+at) {
		return false
	}
	delete(p.fails, id)
	p.m.kills++
	p.m.line("panic").text("actor", id).text("at", at).end()
	return true
}

// block keeps an actor from dealing with messages, or lets it go on.
func (p *actorProcess) block(id string, on bool) {
	if on {
		p.blocked[id] = true
		return
	}
	delete(p.blocked, id)
	if b := p.boxes[id]; b != nil {
		b.arm()
		p.w.actors.run()
	}
}

func (p *actorProcess) measure(int) {} // the node asks for it

func (p *actorProcess) suspended(time.Duration) {} // the node compares two clocks

func (p *actorProcess) end() {
	p.ended = true
	p.w.actors.giveBack(p.sys)
}

func (p *actorProcess) view() *control.View {
	if p.node == nil {
		return nil
	}
	return p.node.View()
}

// address is where the actors of a machine are reached.
func (m *machine) address() string { return m.name + ":" + strconv.Itoa(9000+m.moved) }

// at gives the machine that has an address now.
func (w *world) at(address string) *machine {
	for _, m := range w.machines {
		if m.address() == address {
			return m
		}
	}
	return nil
}
