// Package controller is the actor around the control plane's state machine: it takes events as messages, steps the machine,
// and applies the effects. Code outside the actors asks it questions through a [Client].
//
// It makes no decision; package control does. It knows no socket and no file, and does not know the configuration file. An effect
// outside the actor tree is applied by a function of [Config].
package controller

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors"
	"weir/actors/act"
	"weir/actors/stream"
	"weir/cluster/control"
	"weir/cluster/journal"
)

type wake struct{ n uint64 }

// Config is what the control actor needs. Its functions are called in the actor's mailbox and must not block.
type Config struct {
	// Control makes the configuration of the state machine by the file in effect. Instance and seed are the same in each
	// call.
	Control func() control.Config

	// Name is the name that this node announces now.
	Name func() string

	Streams  *actor.PID       // the actor that supervises all streams
	Registry *stream.Registry // the registry of these streams
	Peers    *actor.PID       // the group of the followers of peers

	// Publish is called with the new view whenever the view has changed.
	Publish func(*control.View)

	Note func(control.Note)

	// Load measures the load of this node. It is called every [LoadEvery].
	Load func() control.Load

	// Wanted lists the on-demand streams that clients of this node want now.
	Wanted func() []string

	// Packs says that this node makes HLS segments. A simulated node does not.
	Packs bool

	// Release asks the owner of a stream to stop capturing it. Once the owner has stopped, it sends [control.Released] to self.
	Release func(self *actor.PID, e control.AskRelease)

	// Stepped, if not nil, is called after each step, before the effects of the step are applied.
	Stepped func(now control.Instant, ev control.Event, out []control.Effect)

	// Suspended is for how long the machine has been suspended since it was booted.
	Suspended func() time.Duration

	Journal *journal.Writer // nil if no journal is written

	// Drained is called with the result of a drain. Draining says whether the node is draining; a state machine that starts after
	// another one has failed has to be told.
	Drained  func(control.Drained)
	Draining func() bool
}

// LeastSuspend is the shortest suspend that is noticed.
const LeastSuspend = 100 * time.Millisecond

// LoadEvery is the interval at which the control plane gets this node's load and the streams that its clients want.
const LoadEvery = 2 * time.Second

// DemandFresh is how long a stream counts as wanted after one [control.Demanded]: a little longer than until the next one.
const DemandFresh = control.Instant(LoadEvery + time.Second)

// Props makes the props of the control actor. The actor takes each [control.Event] as a message.
func Props(env act.Env, c Config) *actor.Props {
	incarnation := uint64(0)
	var last *control.View
	publish := c.Publish
	c.Publish = func(v *control.View) {
		last = v
		publish(v)
	}
	return act.Props(env, "control", func() actor.Actor {
		incarnation++
		return &controller{env: env, cfg: c, incarnation: incarnation, last: last}
	})
}

type controller struct {
	env         act.Env
	cfg         Config
	incarnation uint64
	last        *control.View // the last one of the state machine before this one; nil if there was none

	node    *control.Node
	version uint64          // of the view that was published last
	blank   control.Instant // before this instant, a view is published only if it is warm
	wakes   uint64          // numbers the wake-up messages; only the last one counts
	cancel  func()          // cancels the timer of the last wake-up message
	token   uint64          // numbers the questions to the state machine
	asleep  time.Duration   // Config.Suspended as of the last step

	measuredAt control.Instant // when the load was measured

	// The questions that are not answered yet, by token.
	asked  map[uint64]*act.Reply[*control.State]
	wanted map[uint64]publishWanted
	asking map[uint64]func(released bool)
}

// relearning is how long the last view of a failed state machine stays published. The next state machine has no answer of a peer
// at first, so with its first views clients would find no stream of another node.
const relearning = control.Second

// measure makes an incarnation of the actor measure the load and report the streams that clients want.
type measure struct{ of *controller }

func (c *controller) now() control.Instant { return control.Instant(c.env.Now()) }

// Receive implements [actor.Actor].
func (c *controller) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.start(ctx)
	case *actor.Stopping, *actor.Restarting:
		if c.cancel != nil {
			c.cancel()
		}
	case wake:
		if m.n == c.wakes {
			c.step(ctx, control.Tick{})
		}
	case measure:
		if m.of == c {
			c.env.After(LoadEvery, ctx.Self(), m)
			c.measure(ctx)
			for _, name := range c.cfg.Wanted() {
				c.step(ctx, control.Demanded{Stream: name, Fresh: DemandFresh})
			}
		}
	case act.Ended: // of a question to another node
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	case stateAsked:
		c.token++
		c.asked[c.token] = m.reply
		c.step(ctx, control.StateAsked{From: m.from, Token: c.token, Question: &m.question})
	case publishWanted:
		c.token++
		c.wanted[c.token] = m
		c.step(ctx, control.PublishWanted{Stream: m.stream, Token: c.token, Asked: m.asked})
	case releaseAsked:
		c.token++
		c.asking[c.token] = m.answer
		c.step(ctx, control.ReleaseAsked{Stream: m.stream, From: m.from, Token: c.token})
	case explain:
		m.reply.Give(c.node.Explain(m.stream, c.now()))
	case forecast:
		m.reply.Give(c.node.Forecast(m.without))
	case ping:
		m.reply.Give(struct{}{})
	case control.Event:
		c.step(ctx, m)
	}
}

// start makes the state machine. If an earlier one has failed, the new one is told which captures are running, and warms up again.
// The captures go on meanwhile.
func (c *controller) start(ctx actor.Context) {
	cfg := c.cfg.Control()
	cfg.Inc += c.incarnation - 1
	if c.incarnation > 1 {
		cfg.Self, cfg.Named = c.cfg.Name(), true // the name may have changed since the start
	}
	c.node = control.New(cfg, c.now())
	c.asleep = c.cfg.Suspended()
	c.cfg.Journal.Begin(c.node)
	c.asked, c.wanted = map[uint64]*act.Reply[*control.State]{}, map[uint64]publishWanted{}
	c.asking = map[uint64]func(bool){}
	if c.incarnation > 1 {
		c.blank = c.now() + relearning
		c.step(ctx, control.Resumed{Captures: Captures(c.cfg.Registry, c.last), Up: c.now()})
	}
	c.measure(ctx)
	if c.cfg.Draining() {
		c.step(ctx, control.Drain{})
	}
	c.step(ctx, control.Tick{})
	c.env.After(LoadEvery, ctx.Self(), measure{c})
}

func (c *controller) measure(ctx actor.Context) {
	c.measuredAt = c.now()
	c.step(ctx, control.Measured{Load: c.cfg.Load()})
}

func (c *controller) step(ctx actor.Context, ev control.Event) {
	if asleep := c.cfg.Suspended(); asleep-c.asleep >= LeastSuspend {
		was := c.asleep
		c.asleep = asleep
		c.step(ctx, control.Suspended{For: control.Instant(asleep - was)})
	}
	now := c.now()
	c.cfg.Journal.Event(c.node, now, ev)
	out := c.node.Step(now, ev)
	// The view is published before the effects are applied, so that code that handles an effect sees the view that led to it.
	if v := c.node.View(); v.Version != c.version && (v.Warm || now >= c.blank) {
		c.version = v.Version
		c.cfg.Publish(v)
	}
	if c.cfg.Stepped != nil {
		c.cfg.Stepped(now, ev, out)
	}
	for _, e := range out {
		c.cfg.Journal.Effect(e)
		c.do(ctx, e)
	}
}

func (c *controller) do(ctx actor.Context, e control.Effect) {
	switch e := e.(type) {
	case control.Fetch:
		ctx.Send(c.cfg.Peers, actors.Forward{Child: e.Peer, Msg: e})
	case control.Reply:
		e.State.Load.Age = int64((c.now() - c.measuredAt) / control.Millisecond)
		c.asked[e.Token].Give(e.State)
		delete(c.asked, e.Token)
	case control.StartCapture:
		ctx.Send(c.cfg.Streams, captureOf(e, c.node.View(), c.cfg.Packs))
	case control.StopCapture:
		ctx.Send(c.cfg.Streams, stream.Release{Stream: e.Stream, To: e.To, Now: e.Now, Why: dismissal(e)})
	case control.PublishAnswer:
		wanted := c.wanted[e.Token]
		delete(c.wanted, e.Token)
		if m := e.Media; e.Verdict == control.Granted && c.cfg.Packs && m != (control.Media{}) {
			least := func(later time.Duration) int64 { return m.After(control.Instant(later)) }
			ctx.Send(c.cfg.Streams, stream.Succeed{Stream: wanted.stream, Least: least}) // before the publisher's media
		}
		if !wanted.reply.Give(e) && e.Verdict == control.Granted { // the publisher has given up
			ctx.Send(ctx.Self(), control.PublishEnded{Stream: wanted.stream})
		}
	case control.AskRelease:
		c.cfg.Release(ctx.Self(), e)
	case control.ReleaseAnswer:
		c.asking[e.Token](e.Released)
		delete(c.asking, e.Token)
	case control.WakeAt:
		if c.cancel != nil {
			c.cancel()
		}
		c.wakes++
		c.cancel = c.env.After(time.Duration(e.At-c.now()), ctx.Self(), wake{c.wakes})
	case control.Note:
		c.cfg.Note(e)
	case control.Drained:
		c.cfg.Drained(e)
	default:
		panic(fmt.Errorf("control: an effect that nobody applies: %T", e))
	}
}
