package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"google.golang.org/protobuf/proto"

	"weir/actors/act"
	"weir/cluster/control"
	"weir/cluster/identity"
	"weir/cluster/wire"
)

// A stage runs the actors of all machines: one message of one actor at a time, chosen by the seed among those that have
// mail. Time stands still while any has.
type stage struct {
	w       *world
	rng     *rand.Rand
	ready   []*mailbox
	pumping bool
}

func newStage(w *world) *stage { return &stage{w: w, rng: w.rng("stage")} }

// pump lets the actors work until no mail is left.
func (st *stage) pump() {
	if st.pumping {
		return
	}
	st.pumping = true
	cause := st.w.trace.cause
	for len(st.ready) > 0 {
		i, last := st.rng.IntN(len(st.ready)), len(st.ready)-1
		b := st.ready[i]
		st.ready[i], st.ready[last] = st.ready[last], nil
		st.ready = st.ready[:last]
		b.queued = false
		st.w.trace.cause = cause
		b.step()
		b.arm()
	}
	st.w.trace.cause = cause
	st.pumping = false
}

// systems are actor systems that are not in use: they are dear to make.
var systems = sync.Pool{New: func() any {
	sys := act.NewSystem(nil)
	sys.ProcessRegistry.LocalPIDs.LocalPIDs = sys.ProcessRegistry.LocalPIDs.LocalPIDs[:1]
	return sys
}}

// system gives a machine an actor system that looks new.
func (st *stage) system(m *machine) *actor.ActorSystem {
	sys := systems.Get().(*actor.ActorSystem)
	r := sys.ProcessRegistry
	for _, id := range r.LocalPIDs.LocalPIDs[0].Keys() {
		r.LocalPIDs.LocalPIDs[0].Remove(id)
	}
	r.SequenceID, r.RemoteHandlers, r.Address = 0, nil, m.address()
	sys.ID = m.instance()
	sys.EventStream = eventstream.NewEventStream()
	sys.Guardians = actor.NewGuardians(sys)
	sys.DeadLetter = actor.NewDeadLetter(sys)
	actor.SubscribeSupervision(sys)
	r.Add(actor.NewEventStreamProcess(sys), "eventstream")
	from, boots := m, m.boots
	r.RegisterAddressResolver(func(*actor.PID) (actor.Process, bool) { return wireLink{from, boots}, true })
	return sys
}

// giveBack takes the actor system of a process that has ended.
func (st *stage) giveBack(_ *machine, sys *actor.ActorSystem) {
	if !st.pumping { // else something of it may still be on the stack
		systems.Put(sys)
	}
}

// boom makes the actor that takes it fail.
type boom struct{}

var errKilled = errors.New("killed by the simulator")

// A mailbox keeps the order of protoactor's own (system messages first, user mail held while suspended) and gives out
// one message at a time.
type mailbox struct {
	p            *actorProcess
	sys, user    []any
	held, queued bool
	inv          actor.MessageInvoker
	id           string
}

// PostUserMessage implements actor.Mailbox.
func (b *mailbox) PostUserMessage(x any) {
	b.user = append(b.user, x)
	b.arm()
}

// PostSystemMessage implements actor.Mailbox.
func (b *mailbox) PostSystemMessage(x any) {
	b.sys = append(b.sys, x)
	b.arm()
}

// Start implements actor.Mailbox.
func (b *mailbox) Start() { b.arm() }

// UserMessageCount implements actor.Mailbox.
func (b *mailbox) UserMessageCount() int { return len(b.user) }

// RegisterHandlers implements actor.Mailbox.
func (b *mailbox) RegisterHandlers(inv actor.MessageInvoker, _ actor.Dispatcher) { b.inv = inv }

func (b *mailbox) arm() {
	if !b.queued && b.inv != nil && !b.p.ended && (len(b.sys) > 0 || len(b.user) > 0 && !b.held) {
		b.queued = true
		st := b.p.w.actors
		st.ready = append(st.ready, b)
	}
}

// step handles one message.
func (b *mailbox) step() {
	var msg any
	b.self()
	defer func() {
		if r := recover(); r != nil {
			b.trace("failed", fmt.Errorf("%v", r))
			b.inv.EscalateFailure(r, msg) // the rest is protoactor's own
		}
	}()
	switch {
	case b.p.ended: // a crash takes the mail with it
		b.sys, b.user = nil, nil
	case len(b.sys) > 0:
		msg = b.sys[0]
		b.sys[0] = nil
		b.sys = b.sys[1:]
		switch msg.(type) {
		case *actor.SuspendMailbox:
			b.held = true
		case *actor.ResumeMailbox:
			b.held = false
		default:
			b.inv.InvokeSystemMessage(msg)
		}
	case len(b.user) > 0 && !b.held:
		msg = b.user[0]
		b.user[0] = nil
		b.user = b.user[1:]
		if _, ok := msg.(boom); ok {
			panic(errKilled)
		}
		b.inv.InvokeUserMessage(msg)
	}
}

// self is the id of the mailbox's actor, which is known once it has begun.
func (b *mailbox) self() string {
	if b.id == "" {
		if s, ok := b.inv.(interface{ Self() *actor.PID }); ok && s.Self() != nil {
			b.id = s.Self().Id
			b.p.boxes[b.id] = b
		}
	}
	return b.id
}

func (b *mailbox) trace(what string, err error) {
	b.p.w.trace.line(b.p.w.now, b.p.m.name, what).text("actor", b.self()).text("why", err.Error()).end()
}

// An actorEnv is the machine as its actors see it.
type actorEnv struct {
	p    *actorProcess
	rng  *rand.Rand
	tree *act.Tree
}

func newActorEnv(p *actorProcess) *actorEnv {
	return &actorEnv{p: p, tree: act.NewTree(), rng: p.w.rng(fmt.Sprintf("env %s %d", p.m.name, p.boots))}
}

// Now implements [act.Env].
func (e *actorEnv) Now() time.Duration { return e.p.m.reads() }

// After implements [act.Env].
func (e *actorEnv) After(d time.Duration, to *actor.PID, msg any) func() {
	off := false
	p := e.p
	p.m.timer(d, func() {
		if !off && !p.ended {
			p.send(to, msg)
		}
	})
	return func() { off = true }
}

// Rand implements [act.Env].
func (e *actorEnv) Rand() uint64 { return e.rng.Uint64() }

// Mailbox implements [act.Env].
func (e *actorEnv) Mailbox() actor.MailboxProducer {
	return func() actor.Mailbox { return &mailbox{p: e.p} }
}

var errNoGoroutines = errors.New("nothing may block in a simulation")

// Go implements [act.Env]: there are no goroutines, so it fails at once. What blocks in a node is replaced.
func (e *actorEnv) Go(owner *actor.PID, _ func(context.Context) error) *act.Task {
	t := &act.Task{Stop: func() {}, Done: make(chan struct{})}
	e.p.m.later(0, func() { e.p.send(owner, act.Ended{Task: t, Err: errNoGoroutines}) })
	return t
}

// Event implements [act.Env].
func (e *actorEnv) Event(ev act.Event) {
	w := e.p.w
	t := w.trace.line(w.now, e.p.m.name, ev.Kind)
	for _, a := range ev.Attrs {
		switch v := a.Value.Any().(type) {
		case string:
			t.text(a.Key, v)
		case time.Duration:
			t.num(a.Key, int64(v))
		case error:
			t.text(a.Key, v.Error())
		}
	}
	t.end()
}

// Tree implements [act.Env].
func (e *actorEnv) Tree() *act.Tree { return e.tree }

// A wireLink is what protoactor takes for the process behind every foreign address: the simulated network.
type wireLink struct {
	m     *machine
	boots int
}

// SendUserMessage implements actor.Process.
func (l wireLink) SendUserMessage(to *actor.PID, m any) { l.send(to, m, false) }

// SendSystemMessage implements actor.Process.
func (l wireLink) SendSystemMessage(to *actor.PID, m any) { l.send(to, m, true) }

// Stop implements actor.Process.
func (l wireLink) Stop(to *actor.PID) { l.send(to, &actor.Stop{}, true) }

func (l wireLink) send(to *actor.PID, msg any, system bool) {
	m, w := l.m, l.m.w
	address, id := to.Address, to.Id
	_, x, sender := actor.UnwrapEnvelope(msg)
	pm, ok := x.(proto.Message)
	if !ok {
		w.trace.line(w.now, m.name, "dropped").text("type", typeName(x)).end() // as the remote does, with a log line
		return
	}
	raw, err := proto.Marshal(pm) // through bytes: nodes share no pointer
	if err != nil {
		w.trace.line(w.now, m.name, "dropped").text("type", typeName(x)).text("err", err.Error()).end()
		return
	}
	from := ""
	if sender != nil {
		from = sender.Id
	}
	target := w.at(address)
	w.trace.line(w.now, m.name, "mail").text("to", address).text("actor", id).text("type", typeName(x)).end()
	if target == nil || m.exhausted > 0 || target.exhausted > 0 || !m.trusts(target) {
		return
	}
	back := m.address()
	w.carry(w.link(m, target), &exchange{from: m, to: target, mail: func() {
		p, ok := target.process.(*actorProcess)
		if !ok || !target.up || target.address() != address {
			return
		}
		in := pm.ProtoReflect().Type().New().Interface()
		if err := proto.Unmarshal(raw, in); err != nil {
			w.checks.hold(I11, false, nil, []string{m.name}, "a message does not survive the wire: %v", err)
			return
		}
		pid := actor.NewPID(address, id)
		q, _ := p.sys.ProcessRegistry.GetLocal(id)
		if system {
			q.SendSystemMessage(pid, in)
		} else {
			e := &actor.MessageEnvelope{Message: in}
			if from != "" {
				e.Sender = actor.NewPID(back, from)
			}
			q.SendUserMessage(pid, e)
		}
		w.actors.pump()
	}}, mailing, len(raw)+100)
}

// typeNames are names of types by type, since fmt makes each anew.
var typeNames sync.Map

func typeName(x any) string {
	t := reflect.TypeOf(x)
	if s, ok := typeNames.Load(t); ok {
		return s.(string)
	}
	s := t.String()
	typeNames.Store(t, s)
	return s
}

// askStream puts a question to whoever owns a stream, as package identity does, without waiting: done is told the answer, or
// nil.
func (p *actorProcess) askStream(name string, question func() proto.Message, done func(answer proto.Message)) {
	try := 0
	var again func()
	ask := func() {
		if p.ended {
			return
		}
		try++
		pid := p.clus.Get(name, identity.Kind)
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
		p.w.actors.pump()
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
	p.askStream(e.Stream, func() proto.Message {
		return &wire.Release{Protocol: wire.Protocol, Stream: e.Stream, Node: p.m.announced}
	}, func(answer proto.Message) {
		if _, ok := answer.(*wire.Released); ok {
			p.sys.Root.Send(self, control.Released(e))
			p.w.actors.pump()
		}
	})
}

// askClaim asks the node that is said to have a publisher.
func (p *actorProcess) askClaim(f *feed, name string) {
	p.askStream(f.s.name, func() proto.Message {
		return &wire.Claim{Protocol: wire.Protocol, Stream: f.s.name, Node: p.m.announced}
	}, func(answer proto.Message) {
		if f.claim.Answered(answer) != nil {
			p.w.refused(p.m, f.s, control.Busy)
			return
		}
		p.publish(f, name)
	})
}
