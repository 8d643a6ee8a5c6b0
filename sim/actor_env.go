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
	"google.golang.org/protobuf/proto"

	"weir/actors/act"
	"weir/sim/oracle"
)

// An actorEnv is what the actors of a machine see of it.
type actorEnv struct {
	p    *actorProcess
	rng  *rand.Rand
	tree *act.Tree
}

func newActorEnv(p *actorProcess) *actorEnv {
	return &actorEnv{p: p, tree: act.NewTree(), rng: p.w.rng(fmt.Sprintf("env %s %d", p.m.name, p.m.boots))}
}

// Now implements [act.Env].
func (e *actorEnv) Now() time.Duration { return e.p.m.reads() }

// After implements [act.Env].
func (e *actorEnv) After(d time.Duration, to *actor.PID, msg any) func() {
	p := e.p
	return p.m.timer(d, func() {
		if !p.ended {
			p.send(to, msg)
		}
	}).cancel
}

// Rand implements [act.Env].
func (e *actorEnv) Rand() uint64 { return e.rng.Uint64() }

// Mailbox implements [act.Env].
func (e *actorEnv) Mailbox() actor.MailboxProducer {
	return func() actor.Mailbox { return &mailbox{p: e.p} }
}

var errNoGoroutines = errors.New("nothing may block in a simulation")

// Go implements [act.Env]. It fails at once, since there are no goroutines: everything that blocks in a node is replaced.
func (e *actorEnv) Go(owner *actor.PID, _ func(context.Context) error) *act.Task {
	t := &act.Task{Stop: func() {}, Done: make(chan struct{})}
	e.p.m.later(0, func() { e.p.send(owner, act.Ended{Task: t, Err: errNoGoroutines}) })
	return t
}

// Event implements [act.Env].
func (e *actorEnv) Event(ev act.Event) {
	t := e.p.m.line(ev.Kind)
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

// A wireLink is what protoactor takes for the process behind every address but its own: the simulated network.
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

// send carries a message through bytes, since nodes share no pointer.
func (l wireLink) send(to *actor.PID, msg any, system bool) {
	m, w := l.m, l.m.w
	address, id := to.Address, to.Id
	_, x, sender := actor.UnwrapEnvelope(msg)
	pm, ok := x.(proto.Message)
	if !ok {
		m.line("dropped").text("type", typeName(x)).end() // as protoactor's remote does
		return
	}
	raw, err := proto.Marshal(pm)
	if err != nil {
		m.line("dropped").text("type", typeName(x)).text("err", err.Error()).end()
		return
	}
	from := ""
	if sender != nil {
		from = sender.Id
	}
	target := w.at(address)
	m.line("mail").text("to", address).text("actor", id).text("type", typeName(x)).end()
	if target == nil || m.exhausted > 0 || target.exhausted > 0 || !m.trusts(target) {
		return
	}
	back := m.address()
	w.carry(w.link(m, target), &exchange{from: m, to: target, arrive: func() {
		p, ok := target.process.(*actorProcess)
		if !ok || !target.up || target.address() != address {
			return
		}
		in := pm.ProtoReflect().Type().New().Interface()
		if err := proto.Unmarshal(raw, in); err != nil {
			w.checks.hold(oracle.I11, false, nil, []string{m.name}, "a message does not survive the wire: %v", err)
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
		w.actors.run()
	}}, message, len(raw)+100)
}

// typeNames are the names of types. They are kept because reflect makes each anew.
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
