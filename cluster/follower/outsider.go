package follower

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
)

// OutsiderConfig is what the follower of a node outside the group needs.
type OutsiderConfig struct {
	Config

	Kind string // of the actor in the tree, and of its events: a word such as "server"

	// Every is the interval of questions, before jitter. Stale is how long a question may take, and the silence after which
	// the node counts as dead.
	Every, Stale time.Duration

	// Changed is given what is known of the node after each answer and each question that failed, and when it has
	// become silent. It is called in the mailbox of the follower and must not block.
	Changed func(State)
}

// Outsider describes the follower of a node outside the group. It asks by itself. Restarted, it says nothing until there is
// an answer or the node has been silent for too long.
func Outsider(env act.Env, c OutsiderConfig) *actor.Props {
	return act.Props(env, c.Kind, func() actor.Actor {
		return &outsider{
			OutsiderConfig: c, questions: questions{env, c.Config, map[uint64]time.Duration{}},
			known: known{state: State{Entry: c.Entry, Stale: c.Stale}},
		}
	})
}

type outsider struct {
	OutsiderConfig
	questions
	known known

	id     uint64
	began  time.Duration
	alive  bool // by the last event
	judged bool // there was one
	failed control.FailReason
}

// ask is the time to ask again, and to notice silence, for that incarnation.
type ask struct{ of *outsider }

// Receive implements [actor.Actor].
func (o *outsider) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		o.began = o.env.Now()
		o.id = o.env.Rand() // answers to an earlier incarnation match no question
		o.again(ctx)
	case ask:
		if m.of == o {
			o.again(ctx)
		}
	case Answer:
		o.take(ctx, m)
	case act.Ended: // of a fetch; its answer comes by itself
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	}
}

// again asks, whether or not the question before has been answered.
func (o *outsider) again(ctx actor.Context) {
	if now := o.env.Now(); now-max(o.began, o.known.state.Heard) >= o.Stale && (o.alive || !o.judged) {
		o.alive, o.judged = false, true
		o.known.forget()
		o.env.Tree().Note(ctx.Self().Id, "silent")
		o.env.Event(lost(o.Kind, o.Entry, errors.New("it has not answered for "+o.Stale.String())))
		o.Changed(o.known.state)
	}
	o.id++
	o.ask(ctx.Self(), control.Fetch{
		Peer: o.Entry, ID: o.id, Seen: o.known.have, Timeout: control.Instant(o.Stale),
	}, 2*o.Stale)
	jitter := time.Duration(o.env.Rand() % uint64(o.Every/5+1))
	o.env.After(o.Every*9/10+jitter, ctx.Self(), ask{o})
}

func (o *outsider) take(ctx actor.Context, a Answer) {
	asked, ok := o.answered(a)
	switch {
	case !ok:
		return
	case a.Err != nil:
		why := Reason(a.Err)
		o.known.state.Why, o.known.state.Detail = why, a.Err.Error()
		if why != o.failed {
			o.failed = why
			o.env.Event(failed(o.Kind, o.Entry, a.Err))
		}
	default:
		if !o.known.take(a.State, asked, o.env.Now()) {
			return
		}
		o.failed = ""
		if !o.alive {
			o.alive, o.judged = true, true
			o.env.Tree().Note(ctx.Self().Id, "connected")
			o.env.Event(found(o.Kind, o.Entry, a.State.Node))
		}
	}
	o.Changed(o.known.state)
}
