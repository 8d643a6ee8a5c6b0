package node

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors"
	"weir/actors/act"
	"weir/actors/stream"
	"weir/cluster/control"
)

// Messages to the control actor besides the [control.Event]s that are sent to it as they are.
type (
	stateAsked struct {
		from  string
		seen  control.Seen
		want  []string
		reply *act.Reply[*control.State]
	}
	publishWanted struct {
		stream, free string
		reply        *act.Reply[control.PublishAnswer]
	}
	releaseAsked struct {
		stream, from string
		answer       func(released bool) // may be called by any goroutine
	}
	explain struct {
		stream string
		reply  *act.Reply[*control.Explanation] // nil: there is no such stream
	}
	forecast struct {
		without []string
		reply   *act.Reply[*control.Forecast]
	}
	wake struct{ n uint64 }
	ping struct{ reply chan<- struct{} } // has room for one
)

// controlConfig is what the control actor needs. Its functions are called in the actor's mailbox.
type controlConfig struct {
	config  func() control.Config // by the file that is in effect; of one instance always
	streams *actor.PID
	peers   *actor.PID // the group of the links

	// captures lists what is captured here, for a control plane that begins after another one has failed.
	captures func() []control.Capture

	// name is the announced name by now.
	name func() string

	// publish is given the view whenever it has changed.
	publish func(*control.View)

	note func(control.Note)
	load func() control.Load

	// wanted lists the on-demand streams that clients of this node want now.
	wanted func() []string

	// packs says that this node has viewers, for whom segments are made.
	packs bool

	// release asks the owner of a stream to let go of it, and sends self [control.Released] once it has.
	release func(self *actor.PID, e control.AskRelease)

	// stepped, if not nil, is told of every step before its effects are applied.
	stepped func(now control.Instant, ev control.Event, out []control.Effect)

	// suspended is for how long the machine has been suspended so far.
	suspended func() time.Duration

	journal *diary // nil: none is written

	// drained is told what became of a drain; draining says that the node drains, to a control plane that begins after
	// another one has failed.
	drained  func(control.Drained)
	draining func() bool
}

// leastSuspend is how much two clocks have to differ to mean a suspend.
const leastSuspend = 100 * time.Millisecond

// loadEvery is how often the control plane is told of this node's load.
const loadEvery = 2 * time.Second

// demandFresh is how long it is believed that clients want a stream: until the next look at them, and a little longer.
const demandFresh = control.Instant(loadEvery + time.Second)

func controlProps(env act.Env, c controlConfig) *actor.Props {
	incarnation := uint64(0)
	return act.Props(env, "control", func() actor.Actor {
		incarnation++
		return &controller{env: env, cfg: c, incarnation: incarnation}
	})
}

// controller owns the control plane's state machine: it hands it events and does what it says.
type controller struct {
	env         act.Env
	cfg         controlConfig
	incarnation uint64

	node    *control.Node
	version uint64          // of the view that was published
	blank   control.Instant // until then nothing is published unless it is warm
	wakes   uint64
	cancel  func()
	token   uint64
	asleep  time.Duration

	measuredAt control.Instant // of the load

	asked  map[uint64]*act.Reply[*control.State]
	wanted map[uint64]publishWanted
	asking map[uint64]func(released bool)
}

// relearning is how long what a failed control plane knew is left in effect while the next one asks the peers anew: it
// knows nobody at first, and clients would find no stream of another node.
const relearning = control.Second

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
			c.env.After(loadEvery, ctx.Self(), m)
			c.measure(ctx)
			for _, name := range c.cfg.wanted() {
				c.step(ctx, control.Demanded{Stream: name, Fresh: demandFresh})
			}
		}
	case act.Ended: // of a question to another node
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	case stateAsked:
		c.token++
		c.asked[c.token] = m.reply
		c.step(ctx, control.StateAsked{From: m.from, Token: c.token, Seen: m.seen, Want: m.want})
	case publishWanted:
		c.token++
		c.wanted[c.token] = m
		c.step(ctx, control.PublishWanted{Stream: m.stream, Token: c.token, Free: m.free})
	case releaseAsked:
		c.token++
		c.asking[c.token] = m.answer
		c.step(ctx, control.ReleaseAsked{Stream: m.stream, From: m.from, Token: c.token})
	case explain:
		m.reply.Give(c.node.Explain(m.stream, c.now()))
	case forecast:
		m.reply.Give(c.node.Forecast(m.without))
	case ping:
		m.reply <- struct{}{}
	case control.Event:
		c.step(ctx, m)
	}
}

// start makes the state machine. One that follows a failed one is told what goes on here and warms up again; what is
// captured is not touched meanwhile.
func (c *controller) start(ctx actor.Context) {
	cfg := c.cfg.config()
	cfg.Inc += c.incarnation - 1
	if c.incarnation > 1 {
		cfg.Self, cfg.Named = c.cfg.name(), true // what it is called by now, not what it was started as
	}
	c.node = control.New(cfg, c.now())
	c.asleep = c.cfg.suspended()
	c.cfg.journal.begin(c.node)
	c.asked, c.wanted = map[uint64]*act.Reply[*control.State]{}, map[uint64]publishWanted{}
	c.asking = map[uint64]func(bool){}
	if c.incarnation > 1 {
		c.blank = c.now() + relearning
		c.step(ctx, control.Resumed{Captures: c.cfg.captures(), Up: c.now()})
	}
	c.measure(ctx)
	if c.cfg.draining() {
		c.step(ctx, control.Drain{})
	}
	c.step(ctx, control.Tick{})
	c.env.After(loadEvery, ctx.Self(), measure{c})
}

func (c *controller) measure(ctx actor.Context) {
	c.measuredAt = c.now()
	c.step(ctx, control.Measured{Load: c.cfg.load()})
}

func (c *controller) step(ctx actor.Context, ev control.Event) {
	if asleep := c.cfg.suspended(); asleep-c.asleep >= leastSuspend {
		was := c.asleep
		c.asleep = asleep
		c.step(ctx, control.Suspended{For: control.Instant(asleep - was)})
	}
	now := c.now()
	c.cfg.journal.event(c.node, now, ev)
	out := c.node.Step(now, ev)
	// First, so that whoever an effect reaches finds what led to it.
	if v := c.node.View(); v.Version != c.version && (v.Warm || now >= c.blank) {
		c.version = v.Version
		c.cfg.publish(v)
	}
	if c.cfg.stepped != nil {
		c.cfg.stepped(now, ev, out)
	}
	for _, e := range out {
		c.cfg.journal.effect(e)
		c.do(ctx, e)
	}
}

func (c *controller) do(ctx actor.Context, e control.Effect) {
	switch e := e.(type) {
	case control.Fetch:
		ctx.Send(c.cfg.peers, actors.Forward{Child: e.Peer, Msg: e})
	case control.Reply:
		e.State.Load.Age = int64((c.now() - c.measuredAt) / control.Millisecond)
		c.asked[e.Token].Give(e.State)
		delete(c.asked, e.Token)
	case control.StartCapture:
		ctx.Send(c.cfg.streams, captureOf(e, c.node.View(), c.cfg.packs))
	case control.StopCapture:
		ctx.Send(c.cfg.streams, stream.Release{Stream: e.Stream, To: e.To, Now: e.Now})
	case control.PublishAnswer:
		wanted := c.wanted[e.Token]
		delete(c.wanted, e.Token)
		if !wanted.reply.Give(e) && e.Verdict == control.Granted { // whoever wanted to publish has gone
			ctx.Send(ctx.Self(), control.PublishEnded{Stream: wanted.stream})
		}
	case control.AskRelease:
		c.cfg.release(ctx.Self(), e)
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
		c.cfg.note(e)
	case control.Drained:
		c.cfg.drained(e)
	default:
		panic(fmt.Errorf("control: an effect that nobody applies: %T", e))
	}
}

// askRelease asks the owner of a stream, beside the actors, to let go of it.
func (n *Node) askRelease(self *actor.PID, e control.AskRelease) {
	n.env.Go(self, func(ctx context.Context) error {
		if err := n.asker().Release(ctx, e.Stream); err != nil {
			return err // control starts without an answer, later
		}
		n.sys.Root.Send(self, control.Released(e))
		return nil
	})
}

// report translates what a stream says of its capture. It is called in the mailbox of the streams' supervisor or of a
// stream.
func report(to *actor.PID) func(actor.Context, stream.Status) {
	return func(ctx actor.Context, s stream.Status) {
		switch s.State {
		case stream.Running:
			ctx.Send(to, control.CaptureUp{Stream: s.Stream})
		case stream.Failed:
			ctx.Send(to, control.CaptureDown{Stream: s.Stream, Why: s.Err.Error()})
		case stream.Stopped:
			ctx.Send(to, control.CaptureStopped{Stream: s.Stream})
		case stream.Unpublished:
			ctx.Send(to, control.PublishEnded{Stream: s.Stream})
		}
	}
}

// askState puts a peer's question to the control actor.
func askState(send func(any)) func(ctx context.Context, from string, seen control.Seen, want []string) (*control.State, error) {
	return func(ctx context.Context, from string, seen control.Seen, want []string) (*control.State, error) {
		reply := act.NewReply[*control.State]()
		send(stateAsked{from, seen, want, reply})
		st, err := reply.Wait(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking the control plane: %w", err)
		}
		return st, nil
	}
}
