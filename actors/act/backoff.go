package act

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Backoff restarts failed children: at once never, but after a delay that doubles with each failure from Min to Max,
// of which a random half is taken off, and starts again from Min after Quiet without a failure.
//
// A parent embeds it, calls Handle first in Receive, and stops children with Stop. While a child waits for its
// restart its mail waits too. The fields are set once, by the parent's producer; the rest is touched in the parent's
// mailbox only.
type Backoff struct {
	Env             Env
	Min, Max, Quiet time.Duration

	// Limit is the number of failures, without a quiet time between them, after which a child is stopped instead.
	// Zero means never.
	Limit int

	self    *actor.PID
	kids    map[string]*kid
	closing bool
}

type kid struct {
	fails  int
	last   time.Duration
	cancel func() // nil: no restart is pending
}

// restartDue names the kid besides the child, so that one that outlived a stopped child matches nothing.
type restartDue struct {
	child *actor.PID
	kid   *kid
}

// HandleFailure implements [actor.SupervisorStrategy].
func (b *Backoff) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID,
	_ *actor.RestartStatistics, reason, _ any,
) {
	now, k := b.Env.Now(), b.kids[child.Id]
	if k == nil || now-k.last > b.Quiet {
		if b.kids == nil {
			b.kids = map[string]*kid{}
		}
		k = &kid{}
		b.kids[child.Id] = k
	}
	k.fails++
	k.last = now
	b.Env.Tree().failed(child.Id, reason)
	if b.closing || b.Limit > 0 && k.fails > b.Limit {
		b.Env.Event(gaveUp(child.Id, reason))
		sup.StopChildren(child) // the parent learns of it by Terminated
		return
	}
	d := Delay(b.Min, b.Max, k.fails, b.Env.Rand())
	b.Env.Event(restarting(child.Id, reason, d))
	k.cancel = b.Env.After(d, b.self, restartDue{child, k})
}

// Handle takes the messages that belong to the Backoff and says whether this was one of them; the parent then
// leaves it alone.
func (b *Backoff) Handle(ctx actor.Context) (mine bool) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		b.self = ctx.Self()
	case *actor.Stopping, *actor.Restarting:
		// A restart that reaches a child while it stops would revive it.
		b.closing = true
		for _, k := range b.kids {
			k.settle()
		}
	case *actor.Terminated:
		if k := b.kids[m.Who.Id]; k != nil {
			k.settle()
			delete(b.kids, m.Who.Id)
		}
	case restartDue:
		if k := b.kids[m.child.Id]; !b.closing && k == m.kid && k.cancel != nil {
			k.cancel = nil
			ctx.(actor.Supervisor).RestartChildren(m.child)
		}
		return true
	}
	return false
}

// Closing says whether the parent is being stopped or restarted. It then starts no more children: nobody would stop
// them, and it would wait for them for ever.
func (b *Backoff) Closing() bool { return b.closing }

// Stop stops a child, which may be waiting for its restart.
func (b *Backoff) Stop(ctx actor.Context, child *actor.PID) {
	if k := b.kids[child.Id]; k != nil {
		k.settle()
	}
	ctx.Stop(child)
}

func (k *kid) settle() {
	if k.cancel != nil {
		k.cancel()
		k.cancel = nil
	}
}

// Delay is the time to wait before the try that follows the given number of failures, which counts from 1: least
// doubled with each failure up to most, of which up to half, chosen by random, is taken off.
func Delay(least, most time.Duration, fails int, random uint64) time.Duration {
	d := least
	for range min(fails-1, 62) {
		if d >= most {
			break
		}
		d *= 2
	}
	d = min(d, most)
	return d - time.Duration(random%uint64(d/2+1))
}
