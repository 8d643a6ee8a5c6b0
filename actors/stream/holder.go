// Package stream holds the actors of one live stream: the holder, which keeps its hub and parents its inputs, and the
// core, which decides.
//
// The holder does only bookkeeping, so that nothing in it can fail. When the core fails, the hub, the inputs and the
// viewers stay; the restarted core asks the holder for them and goes on. No access unit is lost, and no other node learns
// of the failure. An input that fails restarts alone. Media never passes through holder or core.
//
// The package does not know which node should capture a stream: it is told to capture and to release, and reports the
// state of the capture.
package stream

import (
	"cmp"
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
	"weir/protocols"
	"weir/protocols/cmaf"
)

// facts are what the holder keeps of a stream, so that a restarted core can go on.
type facts struct {
	role        Role
	active      int   // the input whose media viewers get, or -1
	running     []int // the inputs that have been started
	publication *publication
	took        uint64 // messages of the parent that the core was given
	request     any    // the last capture or release of the control plane that is not finished; nil if none
	spec        Spec   // the specification that is in effect
	next        *Spec  // the one that the core has not applied yet; nil if none
}

func holderProps(env act.Env, c Config, spec Spec) *actor.Props {
	return act.Props(env, "stream", func() actor.Actor {
		h := hub.Config{
			Units: cmp.Or(spec.Hub.Units, c.Hub.Units), Bytes: cmp.Or(spec.Hub.Bytes, c.Hub.Bytes), Tick: cmp.Or(spec.Hub.Tick, c.Hub.Tick),
		}
		return &holder{
			cfg:    c,
			spec:   &spec,
			live:   &Live{Hub: hub.New(spec.Name, h), Store: cmaf.NewStore(c.Pack.Store)},
			inputs: map[int]*actor.PID{}, pending: map[int]bool{}, ending: map[int]bool{}, errs: map[int]string{},
			failing:  map[int]failing{},
			monitors: map[int]monitored{},
			facts:    facts{active: -1, spec: spec},
			Backoff: act.Backoff{
				Env: env, Min: 250 * time.Millisecond, Max: 5 * time.Second, Quiet: 10 * time.Second,
			},
		}
	})
}

type holder struct {
	act.Backoff
	cfg      Config
	spec     *Spec // that of the facts, for an incarnation that follows
	live     *Live
	core     *actor.PID
	packer   *actor.PID
	pack     bool // segments have been asked for; they are made while the stream is captured here
	inputs   map[int]*actor.PID
	pending  map[int]bool   // inputs to start again once their former actor has stopped
	ending   map[int]bool   // inputs that have been told to stop
	errs     map[int]string // the last failure by input
	failing  map[int]failing
	took     uint64 // messages of the parent
	last     int    // the configured input that was active last, or 0
	external bool   // as in the last [Want]
	monitors map[int]monitored
	asked    time.Duration // when segments were last asked for
	segments
	facts facts
}

// Receive implements [actor.Actor].
func (h *holder) Receive(ctx actor.Context) {
	if h.Handle(ctx) {
		return
	}
	switch ctx.Message().(type) {
	case *actor.Stopping:
		h.end(ctx, Status{Stream: h.facts.spec.Name, State: Unpublished})
	case *actor.Restarting:
		h.end(ctx, Status{Stream: h.facts.spec.Name, State: Failed, Err: errHolder})
	default:
		if !h.Closing() {
			h.take(ctx)
		}
	}
}

var (
	errHolder = errors.New("its holder failed and begins anew")
	errEnded  = errors.New("the stream was ended")
)

// end closes the hub and dismisses the publisher. The control plane is told of a publisher or a capture that ends so.
func (h *holder) end(ctx actor.Context, s Status) {
	h.live.Hub.Close()
	h.answerHandOver(false)
	h.cfg.Registry.remove(h.facts.spec.Name, h.live)
	if h.facts.publication != nil {
		h.facts.publication.end(errEnded)
		h.cfg.Report(ctx, Status{Stream: h.facts.spec.Name, State: Unpublished})
	} else if s.State == Failed && (h.facts.role == Capturing || h.facts.role == Releasing) {
		h.cfg.Report(ctx, s)
	}
}

func (h *holder) take(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		h.core, _ = ctx.SpawnNamed(coreProps(h.Env, h.live.Hub, h.cfg.Wall), "core")
		h.show()
	case Want:
		h.took++
		h.want(ctx, m)
	case capture:
		h.took++
		h.succeed(m)
		h.facts.request = m
		ctx.Send(h.core, m)
	case succeed:
		h.took++
		h.succeed(capture{least: m.least})
		ctx.Send(h.core, m)
	case release:
		h.took++
		h.facts.request = m
		ctx.Send(h.core, m)
	case configure:
		h.took++
		h.facts.next = m.spec
		ctx.Send(h.core, m)
	case publish, kick, giveWay, restart:
		h.took++
		ctx.Send(h.core, m)
	case gave:
		for _, reply := range m.replies {
			reply(true, m.session)
		}
	case arrived:
		h.renumber(ctx)
		ctx.Send(h.core, m)
	case left, heard:
		ctx.Send(h.core, m)
	case input.Up:
		if h.ending[m.Index] {
			return // another input may have this index now
		}
		delete(h.errs, m.Index)
		delete(h.failing, m.Index)
		h.facts.active = m.Index
		if m.Index == relayIndex && !h.captures() {
			h.apart = true
			h.renumber(ctx)
		}
		h.switched(m.Index)
		ctx.Send(h.core, m)
		h.show()
	case input.Down:
		if h.ending[m.Index] {
			return
		}
		h.errs[m.Index] = protocols.MaskURLs(m.Err.Error())
		h.failing[m.Index] = failing{h.failing[m.Index].times + 1, cause(m.Err)}
		if h.facts.active == m.Index {
			h.facts.active = -1
			if m.Index != relayIndex && len(h.facts.spec.Inputs) > 1 {
				h.Env.Event(inputLost(h.facts.spec.Name, m.Err))
			}
		}
		ctx.Send(h.core, m)
		h.show()
	case recall:
		h.facts.running = nil
		for _, i := range slices.Sorted(maps.Keys(h.inputs)) {
			if !h.ending[i] || h.pending[i] {
				h.facts.running = append(h.facts.running, i)
			}
		}
		h.facts.took = h.took
		ctx.Send(h.core, recalled{h.facts})
	case admitted:
		h.facts.publication = m.p
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
		if h.facts.role == Capturing && h.cfg.Numbered != nil {
			h.cfg.Numbered(ctx, h.facts.spec.Name, m)
		}
	case packager.Finished:
		h.finished(ctx)
	case *actor.Terminated:
		h.terminated(ctx, m.Who)
	case proto.Message:
		h.answer(ctx, m)
	}
}

// switched reports that a configured input is active after another configured one.
func (h *holder) switched(index int) {
	if index == relayIndex {
		return
	}
	if h.last != relayIndex && h.last != index {
		h.Env.Event(inputSwitched(h.facts.spec.Name, h.facts.spec.Inputs[index-1].Config.URL))
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
	default: // the caller gave a channel without room, against the contract of Want
	}
}

// captures says whether the stream's own inputs, or a publisher, bring the media.
func (h *holder) captures() bool { return h.facts.role == Capturing || h.facts.role == Releasing }

// packUp starts the packager if segments have been asked for and can be made here. Where they were asked for before the
// capture, it starts with the capture.
func (h *holder) packUp(ctx actor.Context) {
	if h.pack && h.packer == nil && !h.waits() && (h.captures() || h.external) {
		if h.external { // its players have no sessions that end
			h.Env.After(packLinger, ctx.Self(), unpack{h})
		}
		h.follow()
		h.packer, _ = ctx.SpawnNamed(packager.Props(h.Env, h.cfg.Pack, h.live.Hub, h.live.Store, h.past()), "packager")
		h.show()
	}
}

// past gives the functions by which an input makes segments of the past again; the zero value if no input can.
func (h *holder) past() packager.Past {
	for _, in := range h.facts.spec.Inputs {
		if b, ok := in.Config.Source.(input.Linear); ok {
			return packager.Past{Backfill: b.Backfill, SegmentAt: b.SegmentAt, Longest: b.Longest}
		}
	}
	return packager.Past{}
}

// unpack stops the packager of an external stream whose segments have not been asked for in a while. As a reader of the
// hub the packager would keep the stream.
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
	h.facts.role = m.role
	if o.stop >= 0 {
		delete(h.pending, o.stop)
		if pid := h.inputs[o.stop]; pid != nil {
			h.ending[o.stop] = true
			h.Stop(ctx, pid)
		}
		if h.facts.active == o.stop {
			h.facts.active = -1
		}
	}
	if o.spec != nil {
		*h.spec, h.facts.spec, h.last = *o.spec, *o.spec, 0
		if h.facts.next == o.spec {
			h.facts.next = nil
		}
		h.live.Hub.SetTick(cmp.Or(o.spec.Hub.Tick, h.cfg.Hub.Tick))
	}
	if o.start >= 0 {
		h.start(ctx, o.start)
	}
	if o.dismiss != nil && h.facts.publication != nil {
		h.facts.publication.end(o.dismiss)
	}
	if o.status != nil {
		if s := o.status.State; s == Stopped || s == Failed || s == Unpublished {
			h.facts.request = nil
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
	if o.dispensable {
		ctx.Send(ctx.Parent(), dispensable{h.facts.spec.Name, m.took})
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
		c.Source = h.cfg.Relay(h.facts.spec.Name)
	} else {
		c = h.facts.spec.Inputs[index-1].Config
		if c.Rank == 0 {
			c.Rank = index
		}
		c.Monitor = h.monitor(index, c.URL)
	}
	c.Index, c.Hub = index, h.live.Hub
	pid, err := ctx.SpawnNamed(input.Props(h.Env, c), fmt.Sprintf("inputs/%d", index))
	if err != nil {
		h.pending[index] = true
		return
	}
	h.inputs[index] = pid
	delete(h.failing, index) // the source may be well by now
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

// show puts the present state of the stream into the registry, for goroutines beside the actors.
func (h *holder) show() {
	h.cfg.Registry.set(h.facts.spec.Name, h.live, h.snapshot())
}

// publishURL is the URL of the input that lets publishers in.
const publishURL = "publish://"

// A monitored input is one with its monitor, which outlives the input's restarts.
type monitored struct {
	url string
	*input.Monitor
}

// monitor returns the monitor of a configured input.
func (h *holder) monitor(index int, url string) *input.Monitor {
	m, ok := h.monitors[index]
	if !ok || m.url != url {
		m = monitored{url, monitor(h.Env, h.facts.spec.Name, url)}
		h.monitors[index] = m
	}
	return m.Monitor
}

// monitor makes the monitor of an input, whose changes are events.
func monitor(env act.Env, stream, url string) *input.Monitor {
	return input.NewMonitor(env.Now, func(c input.Change) { env.Event(inputChanged(stream, url, c)) })
}

func (h *holder) snapshot() Snapshot {
	s := Snapshot{Role: h.facts.role, Packing: h.packer != nil}
	if p := h.facts.publication; p != nil && !p.closed() {
		s.Publisher, s.Silent = p.session, p.isSilent()
		s.Published = &InputState{URL: publishURL, Own: true, Active: p.active(), Monitor: p.Monitor}
	}
	if h.inputs[relayIndex] != nil {
		s.Inputs = append(s.Inputs, InputState{URL: "relay", Active: h.facts.active == relayIndex, Err: h.errs[relayIndex]})
	}
	for i, in := range h.facts.spec.Inputs {
		s.Inputs = append(s.Inputs, InputState{
			URL: in.Config.URL, Own: true, Active: h.facts.active == i+1, Standby: h.inputs[i+1] == nil, Err: h.errs[i+1],
			Failures: h.failing[i+1].times, Cause: h.failing[i+1].cause,
			Monitor: h.monitor(i+1, in.Config.URL),
		})
	}
	return s
}
