package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"weir/actors/act"
)

// A scheduler runs the actors of all machines: one message of one actor at a time, chosen by the seed among the actors that
// have mail. Time stands still while one has.
type scheduler struct {
	w       *world
	rng     *rand.Rand
	ready   []*mailbox
	running bool
}

func newScheduler(w *world) *scheduler { return &scheduler{w: w, rng: w.rng("stage")} }

// run lets the actors work until no mail is left.
func (st *scheduler) run() {
	if st.running {
		return
	}
	st.running = true
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
	st.running = false
	for _, m := range st.w.machines {
		if m.up {
			st.w.viewers.published(m)
		}
	}
}

// systems are actor systems that are not in use. They are kept because making one takes long.
var systems = sync.Pool{New: func() any {
	sys := act.NewSystem(nil)
	sys.ProcessRegistry.LocalPIDs.LocalPIDs = sys.ProcessRegistry.LocalPIDs.LocalPIDs[:1]
	return sys
}}

// system gives a machine an actor system that looks new.
func (st *scheduler) system(m *machine) *actor.ActorSystem {
	sys := systems.Get().(*actor.ActorSystem)
	r := sys.ProcessRegistry
	for _, id := range r.LocalPIDs.LocalPIDs[0].Keys() {
		r.LocalPIDs.LocalPIDs[0].Remove(id)
	}
	r.SequenceID, r.RemoteHandlers, r.Address = 0, nil, m.address()
	sys.ID = m.instance
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
func (st *scheduler) giveBack(sys *actor.ActorSystem) {
	if !st.running { // otherwise one of its actors may be on the stack
		systems.Put(sys)
	}
}

// failNow makes the actor that takes it fail.
type failNow struct{}

var errKilled = errors.New("killed by the simulator")

// Mail is messages in the order in which they came. Its memory is used again once all of them are out.
type mail struct {
	messages []any
	first    int
}

func (l *mail) len() int { return len(l.messages) - l.first }

func (l *mail) push(x any) { l.messages = append(l.messages, x) }

func (l *mail) pop() any {
	x := l.messages[l.first]
	l.messages[l.first] = nil
	if l.first++; l.first == len(l.messages) {
		l.messages, l.first = l.messages[:0], 0
	}
	return x
}

// A mailbox keeps the order of protoactor's own mailbox (system messages first, user messages held while suspended), and
// gives out one message at a time.
type mailbox struct {
	p            *actorProcess
	sys, user    mail
	held, queued bool
	inv          actor.MessageInvoker
	id           string
}

// PostUserMessage implements actor.Mailbox.
func (b *mailbox) PostUserMessage(x any) {
	b.user.push(x)
	b.arm()
}

// PostSystemMessage implements actor.Mailbox.
func (b *mailbox) PostSystemMessage(x any) {
	b.sys.push(x)
	b.arm()
}

// Start implements actor.Mailbox.
func (b *mailbox) Start() { b.arm() }

// UserMessageCount implements actor.Mailbox.
func (b *mailbox) UserMessageCount() int { return b.user.len() }

// RegisterHandlers implements actor.Mailbox.
func (b *mailbox) RegisterHandlers(inv actor.MessageInvoker, _ actor.Dispatcher) { b.inv = inv }

// arm puts the mailbox among those that have mail.
func (b *mailbox) arm() {
	if !b.queued && b.inv != nil && !b.p.ended && !(len(b.p.blocked) > 0 && b.p.blocked[b.self()]) && (b.sys.len() > 0 || b.user.len() > 0 && !b.held) {
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
			b.inv.EscalateFailure(r, msg) // from here protoactor supervises as ever
		}
	}()
	switch {
	case b.p.ended: // a crash takes the mail with it
		b.sys, b.user = mail{}, mail{}
	case b.sys.len() > 0:
		msg = b.sys.pop()
		switch msg.(type) {
		case *actor.SuspendMailbox:
			b.held = true
		case *actor.ResumeMailbox:
			b.held = false
		default:
			b.inv.InvokeSystemMessage(msg)
		}
	case b.user.len() > 0 && !b.held:
		msg = b.user.pop()
		if _, ok := msg.(failNow); ok || b.p.failsWith(b.id, msg) {
			panic(errKilled)
		}
		b.inv.InvokeUserMessage(msg)
	}
}

// self is the id of the mailbox's actor. It is known once the actor has begun.
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
	b.p.m.line(what).text("actor", b.self()).text("why", err.Error()).end()
}
