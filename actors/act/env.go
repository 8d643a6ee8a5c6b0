// Package act is the only door to protoactor: props, supervision with real back-off, goroutines that report to their
// owner, and timers that are messages.
//
// It knows no stream and no cluster. What is not a function of messages (the clock, randomness, goroutines, the
// mailbox) comes through [Env], so that the simulator can run the same actors on a virtual one.
package act

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// An Env is everything that an actor may not take from the machine itself.
type Env interface {
	// Now is the monotonic time since boot. A jump of the wall clock does not move it.
	Now() time.Duration

	// After sends msg to an actor once d has passed. cancel may lose the race with the timer and a restarted actor
	// keeps its PID, so a message must carry a number or pointer by which its receiver knows a late one.
	After(d time.Duration, to *actor.PID, msg any) (cancel func())

	// Rand is for jitter and identifiers that nobody has to guess; seeded in the simulator.
	Rand() uint64

	// Mailbox makes the mailboxes of all actors; nil means protoactor's own.
	Mailbox() actor.MailboxProducer

	// Go runs a function beside the actors for owner. Its context ends when the task is stopped. It is the way in which
	// everything that blocks (sockets, files, media) is attached to an actor; the actor's own context must not be used in it.
	Go(owner *actor.PID, run func(context.Context) error) *Task

	// Event tells the log, the metrics and the trace of something that happened to an actor.
	Event(e Event)

	// Tree is where actors register as they start and stop.
	Tree() *Tree
}

// Props describes an actor. Every actor is made by it: a mailbox of the environment's, registration in the tree, and
// guarded against panics while it is being stopped, which protoactor would turn into a revival or a parent that waits
// for ever. kind is the word for this sort of actor in the tree and in metrics.
//
// mk builds a fresh value for each incarnation: nothing that a failed one corrupted survives in it.
//
// A parent that is not itself an [actor.SupervisorStrategy] stops a child that fails.
func Props(env Env, kind string, mk func() actor.Actor, opts ...actor.PropsOption) *actor.Props {
	if m := env.Mailbox(); m != nil {
		opts = append(opts, actor.WithMailbox(m))
	}
	return actor.PropsFromProducer(func() actor.Actor { return &guarded{inner: mk(), env: env, kind: kind} }, opts...)
}

// guarded is what protoactor sees of each actor.
type guarded struct {
	inner actor.Actor
	env   Env
	kind  string
}

func (g *guarded) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		g.env.Tree().started(ctx.Self().Id, g.kind, g.env.Now())
	case *actor.Stopped:
		defer g.env.Tree().stopped(ctx.Self().Id)
		defer g.contain(ctx)
	case *actor.Stopping, *actor.Restarting:
		defer g.contain(ctx)
	}
	g.inner.Receive(ctx)
}

func (g *guarded) contain(ctx actor.Context) {
	if r := recover(); r != nil {
		g.env.Event(stopPanicked(ctx.Self().Id, r))
	}
}

// HandleFailure decides about a failed child: by the parent's own strategy if it has one, else it stops the child.
func (g *guarded) HandleFailure(sys *actor.ActorSystem, sup actor.Supervisor, child *actor.PID,
	rs *actor.RestartStatistics, reason, msg any,
) {
	if s, ok := g.inner.(actor.SupervisorStrategy); ok {
		s.HandleFailure(sys, sup, child, rs, reason, msg)
		return
	}
	g.env.Event(gaveUp(child.Id, reason))
	sup.StopChildren(child)
}
