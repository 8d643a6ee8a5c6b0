// Package status collects what the HTTP API and the metrics show of a node and of its cluster.
//
// It decides nothing, and does not know HTTP. It does not know the configuration file either: [Config] gives it the settings of the
// file that are shown.
package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"weir/actors/act"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/cluster/drain"
	"weir/cluster/geo"
	"weir/protocols"
	"weir/protocols/api"
	"weir/protocols/listen"
)

// Config says where the figures come from. Any goroutine may call its functions.
type Config struct {
	View    func() *control.View // nil before the control plane's first step
	Now     func() time.Duration // the clock of the view's instants
	Control controller.Client

	// File gives the settings of the file in effect.
	File func() File

	Sessions *session.Registry
	Streams  *stream.Registry
	Captures func() int // how many streams this node captures
	Tree     *act.Tree

	// Ask sends a question to the owner of a stream and waits for the answer.
	Ask func(ctx context.Context, stream string, q proto.Message) (proto.Message, error)

	// Rate is the bit rate of a stream that this node has, and Since the instant since which a stream is in its state.
	Rate  func(stream string) int64
	Since func(stream string) (time.Duration, bool)

	// History is how often another node came to have a stream, and for how long no node has run it, as far as this node has seen.
	History func(stream string, now time.Duration) (moves uint64, gap time.Duration)

	// Others asks the other nodes for their figures; it gives them by node. Nodes that do not answer are left out. Nil if there
	// are none.
	Others func(ctx context.Context) map[string]map[string]Figures

	// Go runs a function in a goroutine of its own.
	Go func(run func(context.Context) error)

	// Events are those behind the one of a number; more is closed when there is another one.
	Events func(after uint64) (list []api.Event, more <-chan struct{})

	Kick func(session string) // ends a session of this node

	// Restart begins the inputs of a stream anew that this node captures; RestartAt asks another node to do so.
	Restart   func(stream string)
	RestartAt func(ctx context.Context, node, stream string) error

	Countries *geo.Database
	Drain     *drain.Drain
	Balancers func() []api.Balancer
	Limits    func() (open map[protocols.Protocol]int, refused map[listen.Refusal]uint64)
	Minutes   func(most int) []api.Minute
	Reload    func(ctx context.Context) (restart []string, err error)

	// Refused is why the configuration file as it is now is not in effect, and for how long; empty if it is.
	Refused func() (why string, since time.Duration)

	// Certificates are the alarms about the certificates of this node.
	Certificates func() []api.Alarm
}

// A File holds the settings of a configuration file that are shown.
type File struct {
	Hash   string                           // nodes with the same hash place streams alike
	Stream func(name string) (Stream, bool) // false if the stream is not in the file
	Peers  map[string]Peer                  // by the control plane's names of their entries

	ReturnHolddown time.Duration
	StreamMetrics  bool // whether each stream has series of its own
}

// A Status implements the interfaces through which package api shows a node. Any goroutine may use it.
type Status struct {
	cfg   Config
	known others
}

var (
	_ api.Node    = (*Status)(nil)
	_ api.Control = (*Status)(nil)
)

// New returns the Status of a node.
func New(c Config) *Status { return &Status{cfg: c} }

// Balancers implements [api.Node].
func (s *Status) Balancers() []api.Balancer { return s.cfg.Balancers() }

// Pulse implements [api.Node].
func (s *Status) Pulse(minutes int) []api.Minute { return s.cfg.Minutes(minutes) }

// Actors implements [api.Node].
func (s *Status) Actors() []api.Actor {
	now := s.cfg.Now()
	leaves := s.cfg.Tree.Leaves()
	out := make([]api.Actor, 0, len(leaves))
	for _, l := range leaves {
		out = append(out, api.Actor{
			ID: l.ID, Kind: l.Kind, Restarts: l.Restarts, Failure: l.Failure, Note: l.Note, RunningMS: (now - l.Started).Milliseconds(),
		})
	}
	return out
}

// Events implements [api.Node].
func (s *Status) Events(after uint64) ([]api.Event, <-chan struct{}) { return s.cfg.Events(after) }

// sessionID is the identifier of a session for the whole group.
func sessionID(node, id string) string { return node + "-" + id }

// Sessions implements [api.Node].
func (s *Status) Sessions() []api.Session {
	v := s.cfg.View()
	if v == nil {
		return nil
	}
	now := s.cfg.Now()
	list := s.cfg.Sessions.List()
	out := make([]api.Session, 0, len(list))
	for _, is := range list {
		a := api.Session{
			ID: sessionID(v.Self, is.ID), Name: api.Maybe(is.Stream), Type: "play", Protocol: string(is.Protocol), IP: is.Remote.Addr().String(),
			Country: s.cfg.Countries.Country(is.Remote.Addr()), Node: v.Self, Duration: int64((now - is.Since) / time.Second),
			Bytes: is.BytesOut, Dropped: is.Dropped,
		}
		switch {
		case is.Publisher:
			a.Type, a.Bytes = "publish", is.BytesIn
		case !is.Watches():
			a.Type = "relay"
		}
		out = append(out, a)
	}
	return out
}

// Kick implements [api.Control].
func (s *Status) Kick(_ context.Context, session string) error {
	v := s.cfg.View()
	if v != nil {
		for _, is := range s.cfg.Sessions.List() {
			if sessionID(v.Self, is.ID) == session {
				s.cfg.Kick(is.ID)
				return nil
			}
		}
	}
	return fmt.Errorf("%w: session %s of this node", api.ErrNotFound, session)
}

// Restart implements [api.Control].
func (s *Status) Restart(ctx context.Context, stream string) error {
	v := s.cfg.View()
	if v == nil {
		return api.ErrNotFound
	}
	sv := v.Stream(stream)
	switch {
	case sv == nil:
		return fmt.Errorf("%w: %s", api.ErrNotFound, stream)
	case sv.Owner == v.Self:
		s.cfg.Restart(stream)
		return nil
	case sv.Owner == "":
		return fmt.Errorf("%w that a node captures: %s", api.ErrNotFound, stream)
	}
	return s.cfg.RestartAt(ctx, sv.Owner, stream)
}

// Live implements [api.Node]: a node is live if its control plane answers.
func (s *Status) Live(ctx context.Context) error { return s.cfg.Control.Ping(ctx) }

var (
	errNotWarm  = errors.New("this node is still asking its peers which streams they have")
	errDraining = errors.New("this node is draining")
)

// Ready implements [api.Node].
func (s *Status) Ready() error {
	v := s.cfg.View()
	switch {
	case v == nil || !v.Warm:
		return errNotWarm
	case v.Draining:
		return errDraining
	}
	return nil
}

// Explain implements [api.Control].
func (s *Status) Explain(ctx context.Context, stream string) (any, error) {
	x, err := s.cfg.Control.Explain(ctx, stream)
	switch {
	case err != nil:
		return nil, err
	case x == nil:
		return nil, fmt.Errorf("%w: %s", api.ErrNotFound, stream)
	}
	return x, nil
}

// Plan implements [api.Control].
func (s *Status) Plan(ctx context.Context, without []string) (any, error) {
	return s.cfg.Control.Forecast(ctx, without)
}

// Drain implements [api.Control].
func (s *Status) Drain(ctx context.Context, limit time.Duration, report func(api.Drain)) {
	s.cfg.Drain.Follow(ctx, limit, report)
}

// Reload implements [api.Control].
func (s *Status) Reload(ctx context.Context) ([]string, error) { return s.cfg.Reload(ctx) }

func seconds(d control.Instant) int64 { return int64(d / control.Second) }

// Totals are the figures of /metrics that are computed at each request.
func (s *Status) Totals() api.Totals {
	t := api.Totals{
		Clients: map[string]int{}, BytesOut: map[string]uint64{}, Restarts: s.cfg.Tree.Restarts(), Captures: s.cfg.Captures(),
		Balancers: s.cfg.Balancers(), Alarms: map[string]int{},
		Inputs: map[string]int{}, InputEvents: map[string]uint64{}, Connections: map[string]int{}, Refused: map[api.Refusal]uint64{},
	}
	open, refused := s.cfg.Limits()
	for p, c := range open {
		t.Connections[string(p)] = c
	}
	for r, c := range refused {
		t.Refused[api.Refusal{Limit: string(r.Limit), Protocol: string(r.Protocol)}] = c
	}
	for p, c := range s.cfg.Sessions.Totals() {
		t.Clients[string(p)] = c.Open
		t.BytesOut[string(p)] = c.BytesOut
		t.Dropped += c.Dropped
	}
	for _, a := range s.Alarms() {
		t.Alarms[a.Kind]++
	}
	s.inputs(&t)
	if s.cfg.File().StreamMetrics {
		s.series(&t, s.Figures())
	}
	if v := s.cfg.View(); v != nil {
		for _, p := range v.Peers {
			t.Peers = append(t.Peers, api.PeerTotals{Name: p.Name, Alive: p.Alive, RTT: time.Duration(p.RTT)})
		}
	}
	return t
}
