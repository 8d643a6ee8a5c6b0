// Package act is how all actors use protoactor: props, supervision with real back-off, goroutines that report to their
// owner, timers that are messages, and events for the log.
//
// It knows no stream and no cluster. The clock, randomness, goroutines and mailboxes come from an [Env], so that the
// simulator can run the same actors on a virtual one.
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

	// Go runs a function on a goroutine for owner. Its context ends when the task is stopped. Everything that blocks
	// (sockets, files, media) runs in such a function, which must not use the context of the actor.
	Go(owner *actor.PID, run func(context.Context) error) *Task

	// Event tells the log, the metrics and the trace of something that happened to an actor.
	Event(e Event)

	// Tree is where actors register as they start and stop.
	Tree() *Tree
}

// Props describes an actor, and every actor is made by it. The actor gets a mailbox of the environment's and is entered in
// the tree. A panic while it is being stopped is caught: protoactor would revive the actor, or its parent would wait for
// ever. kind is the word for this sort of actor in the tree and in metrics.
//
// mk builds a fresh value for each incarnation, so that a restarted actor has no state of the failed one.
//
// A parent that is not itself an [actor.SupervisorStrategy] stops a child that fails.
func Props(env Env, kind string, mk func() actor.Actor, opts ...actor.PropsOption) *actor.Props {
	if m := env.Mailbox(); m != nil {
		opts = append(opts, actor.WithMailbox(m))
	}
	return actor.PropsFromProducer(func() actor.Actor { return &guarded{inner: mk(), env: env, kind: kind} }, opts...)
}

// guarded is the actor that protoactor runs: it passes messages on to inner.
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
