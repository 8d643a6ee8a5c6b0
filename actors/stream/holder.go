// Package stream holds the actors of one live stream: the holder, which keeps its hub and parents its inputs, and the
// core, which decides.
//
// The holder does only bookkeeping, so that nothing in it can fail: when the core fails and restarts it finds hub,
// inputs and viewers where they were, asks the holder who they are, and goes on. No access unit is lost, and no other
// node learns of it. An input that fails restarts alone. Media never passes through either of them.
//
// The package does not know which node should capture what: it is told to capture and to release, and reports how
// that goes.
package stream

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/actors/packager"
	"weir/protocols/cmaf"
)

// facts are what the holder remembers of a stream, whatever happens to the core.
type facts struct {
	role        Role
	heard       int // the input whose media viewers get, or -1
	running     []int
	publication *publication
	took        uint64 // messages of the parent that the core was given
	wish        any    // the last capture or release that was asked for and has not ended; nil if none
}

func holderProps(env act.Env, c Config, spec Spec) *actor.Props {
	h := c.Hub
	if spec.Hub.Tick != 0 {
		h.Tick = spec.Hub.Tick
	}
	return act.Props(env, "stream", func() actor.Actor {
		return &holder{
			cfg: c, spec: spec,
			live:   &Live{Hub: hub.New(spec.Name, h), Store: cmaf.NewStore(c.Pack.Store)},
			inputs: map[int]*actor.PID{}, pending: map[int]bool{}, ending: map[int]bool{}, errs: map[int]string{},
			is: facts{heard: -1},
			Backoff: act.Backoff{
				Env: env, Min: 250 * time.Millisecond, Max: 30 * time.Second, Quiet: time.Minute,
			},
		}
	})
}

type holder struct {
	act.Backoff
	cfg      Config
	spec     Spec
	live     *Live
	core     *actor.PID
	packer   *actor.PID
	pack     bool // somebody has asked for segments, which are made where the stream is captured
	inputs   map[int]*actor.PID
	pending  map[int]bool   // inputs to start again once their former actor has stopped
	ending   map[int]bool   // inputs that have been told to stop
	errs     map[int]string // the last failure by input
	took     uint64         // messages of the parent
	last     int            // the configured input that was heard last, or 0
	external bool           // whoever wanted it last said so
	asked    time.Duration  // when somebody last wanted segments
	segments
	is facts
}

// Receive implements [actor.Actor].
func (h *holder) Receive(ctx actor.Context) {
	if h.Handle(ctx) {
		return
	}
	switch ctx.Message().(type) {
	case *actor.Stopping:
		h.end(ctx, Status{Stream: h.spec.Name, State: Unpublished})
	case *actor.Restarting:
		h.end(ctx, Status{Stream: h.spec.Name, State: Failed, Err: errHolder})
	default:
		if !h.Closing() {
			h.take(ctx)
		}
	}
}

var errHolder = errors.New("its holder failed and begins anew")

// end lets go of what the stream holds. A control plane that believes in a capture or a publisher here is told.
func (h *holder) end(ctx actor.Context, s Status) {
	h.live.Hub.Close()
	h.answerHandOver(false)
	h.cfg.Registry.remove(h.spec.Name, h.live)
	if h.is.publication != nil {
		h.is.publication.dismiss("the stream was ended")
		h.cfg.Report(ctx, Status{Stream: h.spec.Name, State: Unpublished})
	} else if s.State == Failed && (h.is.role == Capturing || h.is.role == Releasing) {
		h.cfg.Report(ctx, s)
	}
}

func (h *holder) take(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		h.core, _ = ctx.SpawnNamed(coreProps(h.Env, h.spec, h.live.Hub, h.cfg.Wall), "core")
		h.show()
	case Want:
		h.took++
		h.want(ctx, m)
	case capture:
		h.took++
		h.succeed(m)
		h.is.wish = m
		ctx.Send(h.core, m)
	case release:
		h.took++
		h.is.wish = m
		ctx.Send(h.core, m)
	case publish, kick:
		h.took++
		ctx.Send(h.core, m)
	case arrived, left:
		ctx.Send(h.core, m)
	case input.Up:
		delete(h.errs, m.Index)
		h.is.heard = m.Index
		h.switched(m.Index)
		ctx.Send(h.core, m)
		h.show()
	case input.Down:
		h.errs[m.Index] = m.Err.Error()
		if h.is.heard == m.Index {
			h.is.heard = -1
			if m.Index != relayIndex && len(h.spec.Inputs) > 1 {
				h.Env.Event(inputLost(h.spec.Name, m.Err))
			}
		}
		ctx.Send(h.core, m)
		h.show()
	case recall:
		h.is.running = nil
		for _, i := range slices.Sorted(maps.Keys(h.inputs)) {
			if !h.ending[i] || h.pending[i] {
				h.is.running = append(h.is.running, i)
			}
		}
		h.is.took = h.took
		ctx.Send(h.core, recalled{h.is})
	case admitted:
		h.is.publication = m.p
	case unpack:
		h.unpack(ctx, m)
	case obey:
		h.obey(ctx, m)
	case inherited:
		h.inherited(ctx, m)
	case HandOver:
		h.handOver(ctx, m)
	case reclaim:
		h.reclaim(ctx, m)
	case packager.Numbered:
		if h.is.role == Capturing && h.cfg.Numbered != nil {
			h.cfg.Numbered(ctx, h.spec.Name, m)
		}
	case packager.Finished:
		h.finished(ctx)
	case *actor.Terminated:
		h.terminated(ctx, m.Who)
	case proto.Message:
		h.answer(ctx, m)
	}
}

// switched tells of an input of the stream's own that viewers get from now on after another one.
func (h *holder) switched(index int) {
	if index == relayIndex {
		return
	}
	if h.last != relayIndex && h.last != index {
		h.Env.Event(inputSwitched(h.spec.Name, h.spec.Inputs[index-1].Config.URL))
	}
	h.last = index
}

func (h *holder) want(ctx actor.Context, m Want) {
	ctx.Send(h.core, want{})
	h.external = m.External
	if m.Pack {
		h.asked, h.pack = h.Env.Now(), true
		h.packUp(ctx)
	}
	select {
	case m.Reply <- h.live:
	default: // whoever asked gives no room: they asked wrongly and get nothing
	}
}

// captures says whether the stream's own inputs, or a publisher, bring the media.
func (h *holder) captures() bool { return h.is.role == Capturing || h.is.role == Releasing }

// packUp starts the packager if segments are wanted and can be made here. One that was asked for before the capture
// begins with it.
func (h *holder) packUp(ctx actor.Context) {
	if h.pack && h.packer == nil && !h.waits() && (h.captures() || h.external) {
		if h.external { // nobody says when the last player has gone
			h.Env.After(packLinger, ctx.Self(), unpack{h})
		}
		h.packer, _ = ctx.SpawnNamed(packager.Props(h.Env, h.cfg.Pack, h.live.Hub, h.live.Store, h.past()), "packager")
		h.show()
	}
}

// past is how segments of the past can be made again, where an input can do that.
func (h *holder) past() packager.Past {
	for _, in := range h.spec.Inputs {
		if b, ok := in.Config.Source.(input.Linear); ok {
			return packager.Past{Backfill: b.Backfill, SegmentAt: b.SegmentAt, Longest: b.Longest}
		}
	}
	return packager.Past{}
}

// unpack ends the segments of a external stream that nobody has asked for in a while: they would keep it.
func (h *holder) unpack(ctx actor.Context, m unpack) {
	switch quiet := h.Env.Now() - h.asked; {
	case m.of != h || h.packer == nil || h.captures():
	case quiet < packLinger:
		h.Env.After(packLinger-quiet, ctx.Self(), m)
	default:
		h.pack = false
		h.Stop(ctx, h.packer)
	}
}

func (h *holder) obey(ctx actor.Context, m obey) {
	o := m.order
	captured := h.captures()
	h.is.role = m.role
	if o.stop >= 0 {
		delete(h.pending, o.stop)
		if pid := h.inputs[o.stop]; pid != nil {
			h.ending[o.stop] = true
			h.Stop(ctx, pid)
		}
		if h.is.heard == o.stop {
			h.is.heard = -1
		}
	}
	if o.start >= 0 {
		h.start(ctx, o.start)
	}
	if o.dismiss != "" && h.is.publication != nil {
		h.is.publication.dismiss(o.dismiss)
	}
	if o.status != nil {
		if s := o.status.State; s == Stopped || s == Failed || s == Unpublished {
			h.is.wish = nil
		}
		h.Env.Event(changed(*o.status))
		h.cfg.Report(ctx, *o.status)
	}
	switch {
	case h.captures():
		if o.status != nil && o.status.State == Running {
			h.inherit(ctx)
		}
		h.packUp(ctx)
	case captured:
		h.yield(ctx)
	}
	if o.letGo {
		ctx.Send(ctx.Parent(), dispensable{h.spec.Name, m.took})
	}
	h.show()
}

func (h *holder) start(ctx actor.Context, index int) {
	if h.inputs[index] != nil {
		h.pending[index] = true
		return
	}
	c := input.Config{URL: "relay", Silence: 0}
	if index == relayIndex {
		c.Source = h.cfg.Relay(h.spec.Name)
	} else {
		c = h.spec.Inputs[index-1].Config
		if c.Rank == 0 {
			c.Rank = index
		}
	}
	c.Index, c.Hub = index, h.live.Hub
	pid, err := ctx.SpawnNamed(input.Props(h.Env, c), fmt.Sprintf("inputs/%d", index))
	if err != nil {
		h.pending[index] = true
		return
	}
	h.inputs[index] = pid
}

func (h *holder) terminated(ctx actor.Context, who *actor.PID) {
	if h.packer != nil && who.Id == h.packer.Id {
		h.packer = nil
		h.answerHandOver(true)
		h.packUp(ctx)
		h.show()
		return
	}
	for index, pid := range h.inputs {
		if pid.Id == who.Id {
			delete(h.inputs, index)
			delete(h.ending, index)
			if h.pending[index] {
				delete(h.pending, index)
				h.start(ctx, index)
			}
			h.show()
			return
		}
	}
}

func (h *holder) answer(ctx actor.Context, m proto.Message) {
	if h.cfg.Answer == nil || ctx.Sender() == nil {
		return
	}
	root, to := ctx.ActorSystem().Root, ctx.Sender()
	if r := h.cfg.Answer(h.live, h.snapshot(), m, func(r any) { root.Send(to, r) }); r != nil {
		ctx.Respond(r)
	}
}

// show lets goroutines beside the actors see the stream as it is now.
func (h *holder) show() {
	h.cfg.Registry.set(h.spec.Name, h.live, h.snapshot())
}

func (h *holder) snapshot() Snapshot {
	s := Snapshot{Role: h.is.role, Packing: h.packer != nil}
	if p := h.is.publication; p != nil && !p.closed() {
		s.Publisher = p.session
	}
	if h.inputs[relayIndex] != nil {
		s.Inputs = append(s.Inputs, InputState{URL: "relay", Active: h.is.heard == relayIndex, Err: h.errs[relayIndex]})
	}
	for i, in := range h.spec.Inputs {
		s.Inputs = append(s.Inputs, InputState{
			URL: in.Config.URL, Own: true, Active: h.is.heard == i+1, Standby: h.inputs[i+1] == nil, Err: h.errs[i+1],
		})
	}
	return s
}
