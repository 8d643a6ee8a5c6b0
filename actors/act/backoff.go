package act

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Backoff restarts failed children after a delay. The delay doubles with each failure from Min to Max, less up to half of
// it by random, and begins at Min again after the time Quiet without a failure.
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

	self     *actor.PID
	children map[string]*child
	closing  bool
}

type child struct {
	fails  int
	last   time.Duration
	cancel func() // nil: no restart is pending
}

// restartDue is the timer of a restart. It names the record of the child, so that a late one matches no other child of the
// same name.
type restartDue struct {
	pid *actor.PID
	of  *child
}

// HandleFailure implements [actor.SupervisorStrategy].
func (b *Backoff) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, pid *actor.PID,
	_ *actor.RestartStatistics, reason, _ any,
) {
	now, c := b.Env.Now(), b.children[pid.Id]
	if c == nil || now-c.last > b.Quiet {
		if b.children == nil {
			b.children = map[string]*child{}
		}
		c = &child{}
		b.children[pid.Id] = c
	}
	c.fails++
	c.last = now
	b.Env.Tree().failed(pid.Id, reason)
	if b.closing || b.Limit > 0 && c.fails > b.Limit {
		b.Env.Event(gaveUp(pid.Id, reason))
		sup.StopChildren(pid) // the parent learns of it by Terminated
		return
	}
	d := Delay(b.Min, b.Max, c.fails, b.Env.Rand())
	b.Env.Event(restarting(pid.Id, reason, d))
	c.cancel = b.Env.After(d, b.self, restartDue{pid, c})
}

// Handle takes the messages that belong to the Backoff and says whether this was one of them; the parent then
// leaves it alone.
func (b *Backoff) Handle(ctx actor.Context) (handled bool) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		b.self = ctx.Self()
	case *actor.Stopping, *actor.Restarting:
		// A restart that reaches a child while it stops would revive it.
		b.closing = true
		for _, c := range b.children {
			c.cancelRestart()
		}
	case *actor.Terminated:
		if c := b.children[m.Who.Id]; c != nil {
			c.cancelRestart()
			delete(b.children, m.Who.Id)
		}
	case restartDue:
		if c := b.children[m.pid.Id]; !b.closing && c == m.of && c.cancel != nil {
			c.cancel = nil
			ctx.(actor.Supervisor).RestartChildren(m.pid)
		}
		return true
	}
	return false
}

// Closing says whether the parent is being stopped or restarted. It must not start children then: they would not be
// stopped, and the parent would wait for them for ever.
func (b *Backoff) Closing() bool { return b.closing }

// Stop stops a child, which may be waiting for its restart.
func (b *Backoff) Stop(ctx actor.Context, pid *actor.PID) {
	if c := b.children[pid.Id]; c != nil {
		c.cancelRestart()
	}
	ctx.Stop(pid)
}

func (c *child) cancelRestart() {
	if c.cancel != nil {
		c.cancel()
		c.cancel = nil
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
