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

	Kind string // names the actor in the tree and its events; a word such as "server"

	// Every is the interval between fetches, before jitter. Stale is the time limit of a fetch, and the silence after which the
	// node counts as dead.
	Every, Stale time.Duration

	// Changed is called with the state of the node after each answer, after each failed fetch, and when the node has been
	// silent for too long. It is called in the mailbox of the follower and must not block.
	Changed func(State)
}

// External makes the props of the follower of a node outside the group, which fetches the state at an interval. A follower that was
// restarted calls Changed first when there is an answer, or when the node has been silent for too long.
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

	id     uint64 // of the last fetch
	began  time.Duration
	alive  bool               // the last event said that the node is alive
	judged bool               // there was an event that said whether the node is alive
	failed control.FailReason // of the last failed fetch; empty after an answer
}

// ask makes an incarnation of the follower fetch the state again.
type ask struct{ of *external }

// Receive implements [actor.Actor].
func (e *external) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		e.began = e.env.Now()
		e.id = e.env.Rand() // answers to fetches of an earlier incarnation have other ids
		e.again(ctx)
	case ask:
		if m.of == e {
			e.again(ctx)
		}
	case Answer:
		e.take(ctx, m)
	case act.Ended: // a fetch has ended; its Answer is another message
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	}
}

// again notices if the node has been silent for too long, and fetches its state, whether or not the last fetch was answered.
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
		Peer: e.Entry, ID: e.id, Question: &control.Question{Seen: e.replica.have, Late: []string{}}, Timeout: control.Instant(e.Stale),
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
