package stream

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/protocols/listen"
)

// checkEvery is the interval at which a stream checks whether it still has viewers or a publisher.
const checkEvery = 2 * time.Second

func coreProps(env act.Env, h *hub.Hub, wall func() int64) *actor.Props {
	return act.Props(env, "core", func() actor.Actor { return &core{env: env, hub: h, wall: wall} })
}

// core applies the roster's rules.
type core struct {
	env         act.Env
	spec        Spec // as in the holder's facts until the core has applied another
	hub         *hub.Hub
	wall        func() int64
	roster      *roster // nil until the holder's facts have arrived
	publication *publication

	ready    bool   // the holder's facts have arrived
	queued   []any  // messages that arrived before them
	reported Role   // the role that the holder was told last
	took     uint64 // messages of the holder's parent that have been dealt with
	unwatch  func() // cancels the timer of the next check

	// waiting are the replies to those for whom the publication has been ended. They wait until it has left.
	waiting []func(free bool, gone string)
}

// Receive implements [actor.Actor].
func (c *core) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		ctx.Send(ctx.Parent(), recall{})
	case *actor.Stopping, *actor.Restarting:
		if c.unwatch != nil {
			c.unwatch()
		}
	case *actor.Stopped:
	case recalled:
		c.spec, c.roster = m.facts.spec, newRoster(m.facts.spec)
		c.roster.restore(m.facts, c.env.Now())
		c.publication = m.facts.publication
		c.ready = true
		c.unwatch = c.env.After(checkEvery, ctx.Self(), check{c})
		c.reported = c.roster.role
		c.resume(ctx, m.facts)
		queued := c.queued
		c.queued = nil
		c.took = m.facts.took // by now all of them have arrived
		for _, msg := range queued {
			if ofParent(msg) {
				c.took--
			}
		}
		for _, msg := range queued {
			c.decide(ctx, msg)
		}
	case check:
		if m.of == c {
			c.unwatch = c.env.After(checkEvery, ctx.Self(), check{c})
			c.decide(ctx, m)
		}
	default:
		if !c.ready {
			c.queued = append(c.queued, m)
			return
		}
		c.decide(ctx, m)
	}
}

// resume repeats what a failed core had not finished: to apply a specification, and the last capture or release.
func (c *core) resume(ctx actor.Context, f facts) {
	if f.next != nil {
		c.act(ctx, configure{f.next})
	}
	switch m := f.request.(type) {
	case capture:
		if f.role != Capturing {
			c.act(ctx, m)
		}
	case release:
		if f.role == Capturing {
			c.act(ctx, m)
		}
	}
	if p := f.publication; p != nil && p.closed() {
		c.act(ctx, left{p})
	}
}

// ofParent says whether a message came to the holder from its parent, which counts those that it sends.
func ofParent(msg any) bool {
	switch msg.(type) {
	case want, succeed, capture, release, publish, kick, giveWay, configure, restart:
		return true
	}
	return false
}

func (c *core) decide(ctx actor.Context, msg any) {
	if ofParent(msg) {
		c.took++
	}
	c.act(ctx, msg)
}

// act does what a message asks for.
func (c *core) act(ctx actor.Context, msg any) {
	now, r := c.env.Now(), c.roster
	var os []order
	switch m := msg.(type) {
	case capture:
		os = r.capture(now)
	case release:
		if m.why != nil {
			r.why = m.why
		}
		os = r.release(now, c.hub.Readers(), m.to != "", m.now)
	case want:
		os = r.want(now)
	case configure:
		os = r.configure(now, c.hub.Readers(), m.spec, sameInputs(c.spec, *m.spec))
		c.spec = *m.spec
	case input.Up:
		os = r.up(now, m.Index)
	case input.Down:
		os = r.down(now, m.Index, m.Err)
	case publish:
		c.publish(ctx, m)
	case arrived:
		if m.p == c.publication {
			os = r.arrived(now)
		}
	case left:
		if m.p == c.publication {
			c.publication = nil
			ctx.Send(ctx.Parent(), admitted{nil})
			os = r.left(now, c.hub.Readers())
			defer c.gave(ctx, m.p.session) // behind what the control plane is told
		}
	case giveWay:
		c.giveWay(now, m)
	case heard:
		if m.p == c.publication && !m.p.isSilent() {
			os = r.sends()
		}
	case restart:
		os = r.restart()
		if c.publication != nil {
			c.publication.end(errRestarted)
		}
	case kick:
		if c.publication != nil {
			c.publication.end(errors.New(m.why))
		}
	case check:
		os = r.check(now, c.hub.Readers())
		if p := c.publication; p != nil && r.publisher && p.fallsSilent(now, c.spec.Takeover) {
			os = append(os, r.tell(Silent, nil))
		}
	}
	if len(os) == 0 && r.role != c.reported { // the holder keeps the role for the case that the core fails
		os = []order{{start: -1, stop: -1}}
	}
	c.reported = r.role
	for _, o := range os {
		ctx.Send(ctx.Parent(), obey{o, r.role, c.took})
	}
}

// errTakenOver is what a publisher is told that has given way.
var errTakenOver = fmt.Errorf("%w: another publisher has taken the stream over", listen.ErrBusy)

// errRestarted is what the publisher of a stream is told that was restarted.
var errRestarted = errors.New("the stream was restarted")

// giveWay ends the publication if its publisher has been silent for long enough.
func (c *core) giveWay(now time.Duration, m giveWay) {
	p := c.publication
	switch {
	case p == nil:
		m.reply(true, "")
	case p.closed() || c.spec.Takeover.due(now-p.lastHeard()):
		c.waiting = append(c.waiting, m.reply)
		p.end(errTakenOver)
	default:
		m.reply(false, "")
	}
}

// gave answers those for whom a publication has been ended, once the holder has done what its end asks for.
func (c *core) gave(ctx actor.Context, session string) {
	if len(c.waiting) > 0 {
		ctx.Send(ctx.Parent(), gave{session, c.waiting})
		c.waiting = nil
	}
}

// publish admits a publisher unless the stream has one.
func (c *core) publish(ctx actor.Context, m publish) {
	answer := Published{}
	switch {
	case !c.spec.Published:
		answer.Err = fmt.Errorf("%w: stream %q takes no publisher; give it an input publish://", listen.ErrDenied, c.spec.Name)
	case c.publication != nil && !c.publication.closed():
		answer.Err = fmt.Errorf("%w: %q", listen.ErrBusy, c.spec.Name)
	default:
		root, to := ctx.ActorSystem().Root, ctx.Parent()
		c.publication = newPublication(c.hub, m.session, monitor(c.env, c.spec.Name, publishURL), c.env.Now, c.wall, func(msg any) { root.Send(to, msg) })
		answer.Publication = c.publication
		ctx.Send(to, admitted{c.publication})
		c.roster.admitted(c.env.Now())
	}
	if !m.reply.Give(answer) && answer.Publication != nil {
		answer.Publication.Close()
	}
}
