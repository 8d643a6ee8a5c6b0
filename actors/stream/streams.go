package stream

import (
	"maps"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/actors/hub"
	"weir/actors/input"
	"weir/actors/packager"
	"weir/protocols/cmaf"
)

// Config is what all streams share.
type Config struct {
	Specs []Spec // at the start; [Configure] replaces them
	Hub   hub.Config
	Pack  packager.Config

	// Relay makes the source that brings a stream from the node that owns it at the time.
	Relay func(stream string) input.Source

	// Wall reads the wall clock, in ticks since the Unix epoch; a publisher's timeline is anchored to it.
	Wall func() int64

	// Report is told the [Status] of captures.
	Report func(ctx actor.Context, s Status)

	// Numbered, if not nil, is told how the segments of a captured stream are numbered.
	Numbered func(ctx actor.Context, stream string, n packager.Numbered)

	// Inherit asks the node from for the segments that it has made of a stream, and to make no more. done is called once,
	// from any goroutine, with nil if there are none to continue. A nil Inherit says that no node can be asked.
	Inherit func(ctx actor.Context, stream, from string, done func(*cmaf.Handover))

	// Answer is offered each message from another node that is addressed to a stream, and returns the reply; nil for
	// none, or for one that later gets, once, from any goroutine. It must not block.
	Answer func(live *Live, snapshot Snapshot, msg any, later func(reply any)) (reply any)

	Registry *Registry
}

// Supervisor describes the parent of all streams.
func Supervisor(env act.Env, c Config) *actor.Props {
	return act.Props(env, "streams", func() actor.Actor {
		return &streams{cfg: c, holders: map[string]*actor.PID{}, names: map[string]string{}, sent: map[string]uint64{}, specs: byName(c.Specs), Backoff: act.Backoff{
			Env: env, Min: 100 * time.Millisecond, Max: 5 * time.Second, Quiet: 30 * time.Second,
		}}
	})
}

// ActorName is the last part of the id of a stream's actor.
func ActorName(stream string) string { return url.PathEscape(stream) }

type streams struct {
	act.Backoff
	cfg     Config
	specs   map[string]Spec
	holders map[string]*actor.PID // by stream
	names   map[string]string     // the streams of the holders, by the id of the actor
	sent    map[string]uint64     // messages handed on, by stream
	ending  map[string][]any      // messages for streams whose holder is still stopping
}

// Receive implements [actor.Actor].
func (s *streams) Receive(ctx actor.Context) {
	if s.Handle(ctx) {
		return
	}
	switch m := ctx.Message().(type) {
	case Configure:
		s.configure(ctx, m.Specs)
	case Amend:
		s.amend(ctx, m)
	case Capture:
		s.send(ctx, m.Stream, capture{m.Least, m.From})
	case Succeed:
		s.send(ctx, m.Stream, succeed{m.Least})
	case Release:
		if s.holders[m.Stream] == nil {
			s.cfg.Report(ctx, Status{Stream: m.Stream, State: Stopped})
			return
		}
		s.send(ctx, m.Stream, release{m.To, m.Now, m.Why})
	case Want:
		s.send(ctx, m.Stream, m)
	case Publish:
		s.send(ctx, m.Stream, publish{m.Session, m.Reply})
	case GiveWay:
		if s.holders[m.Stream] == nil {
			m.Reply(true, "")
			return
		}
		s.send(ctx, m.Stream, giveWay{m.Reply})
	case Restart:
		if s.holders[m.Stream] != nil {
			s.send(ctx, m.Stream, restart{})
		}
	case Kick:
		if s.holders[m.Stream] != nil {
			s.send(ctx, m.Stream, kick{m.Why})
		}
	case HandOver:
		if s.holders[m.Stream] == nil || s.ending[m.Stream] != nil {
			m.Reply(false)
			return
		}
		ctx.Send(s.holders[m.Stream], m) // it is no reason for the stream to stay
	case dispensable:
		if pid := s.holders[m.name]; pid != nil && s.ending[m.name] == nil && s.sent[m.name] == m.took {
			s.stop(ctx, m.name, pid)
		}
	case *actor.Terminated:
		s.terminated(ctx, m.Who)
	}
}

func (s *streams) send(ctx actor.Context, name string, msg any) {
	if s.Closing() {
		return
	}
	if mail, stopping := s.ending[name]; stopping {
		s.ending[name] = append(mail, msg)
		return
	}
	pid := s.holders[name]
	if pid == nil {
		var err error
		pid, err = ctx.SpawnNamed(holderProps(s.Env, s.cfg, specOf(s.specs, name)), ActorName(name))
		if err != nil {
			s.Env.Event(refused(name, err))
			return
		}
		s.holders[name], s.names[pid.Id] = pid, name
	}
	s.sent[name]++
	ctx.Send(pid, msg)
}

func (s *streams) stop(ctx actor.Context, name string, pid *actor.PID) {
	if s.ending == nil {
		s.ending = map[string][]any{}
	}
	s.ending[name] = []any{}
	s.Stop(ctx, pid)
}

// terminated forgets a holder that has stopped. Messages that came while it was stopping go to a new one.
func (s *streams) terminated(ctx actor.Context, who *actor.PID) {
	name, ok := s.names[who.Id]
	if !ok {
		return
	}
	delete(s.names, who.Id)
	delete(s.holders, name)
	delete(s.sent, name)
	mail := s.ending[name]
	delete(s.ending, name)
	for _, msg := range mail {
		s.send(ctx, name, msg)
	}
}

// configure replaces the specifications, and tells the streams whose specification has changed.
func (s *streams) configure(ctx actor.Context, specs []Spec) {
	before := s.specs
	s.specs = byName(specs)
	for _, name := range slices.Sorted(maps.Keys(s.holders)) {
		s.respecified(ctx, name, specOf(before, name))
	}
}

// amend replaces the specifications of some streams.
func (s *streams) amend(ctx actor.Context, m Amend) {
	for _, spec := range m.Specs {
		before := specOf(s.specs, spec.Name)
		s.specs[spec.Name] = spec
		s.respecified(ctx, spec.Name, before)
	}
	for _, name := range m.Gone {
		before := specOf(s.specs, name)
		delete(s.specs, name)
		s.respecified(ctx, name, before)
	}
}

// respecified tells a stream that runs if its specification is another one than before.
func (s *streams) respecified(ctx actor.Context, name string, before Spec) {
	if spec := specOf(s.specs, name); s.holders[name] != nil && s.ending[name] == nil && !same(before, spec) {
		s.send(ctx, name, configure{&spec})
	}
}

func byName(specs []Spec) map[string]Spec {
	m := make(map[string]Spec, len(specs))
	for _, s := range specs {
		m[s.Name] = s
	}
	return m
}

// specOf returns the specification of the stream of that name.
func specOf(specs map[string]Spec, name string) Spec {
	spec, ok := specs[name]
	if !ok {
		spec = specs[""]
		spec.Name = name
	}
	return spec
}

// same says whether two specifications are equal.
func same(a, b Spec) bool {
	return sameInputs(a, b) && a.Name == b.Name && a.Published == b.Published && a.Hub == b.Hub && a.Takeover == b.Takeover
}

// sameInputs says whether two specifications have the same inputs. Sources are functions and cannot be compared; an input is
// identified by its key, its URL and its times.
func sameInputs(a, b Spec) bool {
	return slices.EqualFunc(a.Inputs, b.Inputs, func(a, b Input) bool {
		a.Config.Source, a.Config.Wall = nil, nil
		b.Config.Source, b.Config.Wall = nil, nil
		return reflect.DeepEqual(a, b)
	})
}

// A Registry lists the streams that have a holder on this node. Any goroutine may read it.
type Registry struct {
	mu   sync.RWMutex
	live map[string]registered
}

type registered struct {
	live *Live
	snap Snapshot
}

// A Snapshot is the state of a stream as its holder saw it last.
type Snapshot struct {
	Role      Role
	Publisher string // session, or empty
	Silent    bool   // the control plane has been told that the publisher is silent
	Packing   bool   // segments are being made
	Inputs    []InputState

	// Published is the publisher as an input; nil if there is none.
	Published *InputState
}

// All are the inputs, and the publisher.
func (s *Snapshot) All() []InputState {
	if s.Published == nil {
		return s.Inputs
	}
	return append(slices.Clone(s.Inputs), *s.Published)
}

// An InputState is the state of one input of a stream here.
type InputState struct {
	URL    string
	Own    bool // configured in the file, and not the relay of another node
	Active bool // viewers get its media
	// Standby says that it is not started, because another one is active or the stream is not captured.
	Standby bool
	Err     string

	// Failures is how often in a row the input has failed since it was started, and Cause why it did last, without the place
	// of the source: viewers may read it.
	Failures int
	Cause    string

	// Monitor says how the input is; nil for a relay.
	Monitor *input.Monitor
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{live: map[string]registered{}} }

// Get returns a stream that has a holder here.
func (r *Registry) Get(name string) (l *Live, s Snapshot, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	g, ok := r.live[name]
	return g.live, g.snap, ok
}

// Names returns the streams that have a holder here, in no order.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.live))
	for name := range r.live {
		names = append(names, name)
	}
	return names
}

// Each calls a function with each stream, in no order. The function must not call the registry.
func (r *Registry) Each(do func(name string, l *Live)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for name, x := range r.live {
		do(name, x.live)
	}
}

func (r *Registry) set(name string, l *Live, s Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[name] = registered{l, s}
}

func (r *Registry) remove(name string, l *Live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[name].live == l {
		delete(r.live, name)
	}
}
