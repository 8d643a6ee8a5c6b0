package stream

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/protocols/listen"
)

// checkEvery is how often a stream looks whether anybody still needs it.
const checkEvery = 2 * time.Second

func coreProps(env act.Env, spec Spec, h *hub.Hub, wall func() int64) *actor.Props {
	return act.Props(env, "core", func() actor.Actor {
		return &core{env: env, spec: spec, hub: h, wall: wall, roster: newRoster(spec)}
	})
}

// core applies the roster's rules.
type core struct {
	env         act.Env
	spec        Spec
	hub         *hub.Hub
	wall        func() int64
	roster      *roster
	publication *publication

	known   bool   // the holder has said who is here
	early   []any  // what arrived before it had
	told    Role   // as the holder knows it
	took    uint64 // messages of the holder's parent that have been dealt with
	unwatch func()
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
		c.roster.restore(m.is, c.env.Now())
		c.publication = m.is.publication
		c.known = true
		c.unwatch = c.env.After(checkEvery, ctx.Self(), check{c})
		c.told = c.roster.role
		c.catchUp(ctx, m.is)
		early := c.early
		c.early = nil
		c.took = m.is.took // by now all of them have arrived
		for _, msg := range early {
			if ofParent(msg) {
				c.took--
			}
		}
		for _, msg := range early {
			c.decide(ctx, msg)
		}
	case check:
		if m.of == c {
			c.unwatch = c.env.After(checkEvery, ctx.Self(), check{c})
			c.decide(ctx, m)
		}
	default:
		if !c.known {
			c.early = append(c.early, m)
			return
		}
		c.decide(ctx, m)
	}
}

// catchUp does what a core that failed was asked to do and has not.
func (c *core) catchUp(ctx actor.Context, is facts) {
	switch wish := is.wish.(type) {
	case capture:
		if is.role != Capturing {
			c.act(ctx, wish)
		}
	case release:
		if is.role == Capturing {
			c.act(ctx, wish)
		}
	}
	if p := is.publication; p != nil && p.closed() {
		c.act(ctx, left{p})
	}
}

// ofParent says whether the holder has got a message from its parent.
func ofParent(msg any) bool {
	switch msg.(type) {
	case want, capture, release, publish, kick:
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
		os = r.release(now, c.hub.Readers(), m.to != "", m.now)
	case want:
		os = r.want(now)
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
			os = r.left(now)
		}
	case kick:
		if c.publication != nil {
			c.publication.dismiss(m.why)
		}
	case check:
		os = r.check(now, c.hub.Readers())
	}
	if len(os) == 0 && r.role != c.told { // the holder remembers the role in any case
		os = []order{{start: -1, stop: -1}}
	}
	c.told = r.role
	for _, o := range os {
		ctx.Send(ctx.Parent(), obey{o, r.role, c.took})
	}
}

// publish lets a publisher in unless there is one.
func (c *core) publish(ctx actor.Context, m publish) {
	answer := Published{}
	switch {
	case !c.spec.Published:
		answer.Err = fmt.Errorf("%w: stream %q takes no publisher; give it an input publish://", listen.ErrDenied, c.spec.Name)
	case c.publication != nil && !c.publication.closed():
		answer.Err = fmt.Errorf("%w: %q", listen.ErrBusy, c.spec.Name)
	default:
		root, to := ctx.ActorSystem().Root, ctx.Parent()
		c.publication = newPublication(c.hub, m.session, c.wall, func(msg any) { root.Send(to, msg) })
		answer.Publication = c.publication
		ctx.Send(to, admitted{c.publication})
		c.roster.admitted(c.env.Now())
	}
	if !m.reply.Give(answer) && answer.Publication != nil {
		answer.Publication.Close()
	}
}
