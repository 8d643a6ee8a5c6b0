package follower

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
)

// ExternalConfig is what the follower of a node outside the group needs.
type ExternalConfig struct {
	Config

	Kind string // of the actor in the tree, and of its events: a word such as "server"

	// Every is the interval of questions, before jitter. Stale is how long a question may take, and the silence after which
	// the node counts as dead.
	Every, Stale time.Duration

	// Changed is given what is known of the node after each answer and each question that failed, and when it has
	// become silent. It is called in the mailbox of the follower and must not block.
	Changed func(State)
}

// External describes the follower of a node outside the group. It asks by itself. Restarted, it says nothing until there is
// an answer or the node has been silent for too long.
func External(env act.Env, c ExternalConfig) *actor.Props {
	return act.Props(env, c.Kind, func() actor.Actor {
		return &external{
			ExternalConfig: c, questions: questions{env, c.Config, map[uint64]time.Duration{}},
			replica: replica{state: State{Entry: c.Entry, Stale: c.Stale}},
		}
	})
}

type external struct {
	ExternalConfig
	questions
	replica replica

	id     uint64
	began  time.Duration
	alive  bool // by the last event
	judged bool // there was one
	failed control.FailReason
}

// ask is the time to ask again, and to notice silence, for that incarnation.
type ask struct{ of *external }

// Receive implements [actor.Actor].
func (e *external) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		e.began = e.env.Now()
		e.id = e.env.Rand() // answers to an earlier incarnation match no question
		e.again(ctx)
	case ask:
		if m.of == e {
			e.again(ctx)
		}
	case Answer:
		e.take(ctx, m)
	case act.Ended: // of a fetch; its answer comes by itself
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	}
}

// again asks, whether or not the question before has been answered.
func (e *external) again(ctx actor.Context) {
	if now := e.env.Now(); now-max(e.began, e.replica.state.Answered) >= e.Stale && (e.alive || !e.judged) {
		e.alive, e.judged = false, true
		e.replica.forget()
		e.env.Tree().Note(ctx.Self().Id, "silent")
		e.env.Event(lost(e.Kind, e.Entry, errors.New("it has not answered for "+e.Stale.String())))
		e.Changed(e.replica.state)
	}
	e.id++
	e.ask(ctx.Self(), control.Fetch{
		Peer: e.Entry, ID: e.id, Seen: e.replica.have, Timeout: control.Instant(e.Stale),
	}, 2*e.Stale)
	jitter := time.Duration(e.env.Rand() % uint64(e.Every/5+1))
	e.env.After(e.Every*9/10+jitter, ctx.Self(), ask{e})
}

func (e *external) take(ctx actor.Context, a Answer) {
	asked, ok := e.answered(a)
	switch {
	case !ok:
		return
	case a.Err != nil:
		why := Reason(a.Err)
		e.replica.state.Why, e.replica.state.Detail = why, a.Err.Error()
		if why != e.failed {
			e.failed = why
			e.env.Event(failed(e.Kind, e.Entry, a.Err))
		}
	default:
		if !e.replica.take(a.State, asked, e.env.Now()) {
			return
		}
		e.failed = ""
		if !e.alive {
			e.alive, e.judged = true, true
			e.env.Tree().Note(ctx.Self().Id, "connected")
			e.env.Event(found(e.Kind, e.Entry, a.State.Node))
		}
	}
	e.Changed(e.replica.state)
}
