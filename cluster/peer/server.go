package peer

import (
	"errors"
	"maps"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
)

// A Seen is what is known of a server that is no peer: one that clients are sent to and that captures nothing on behalf
// of the group. It is immutable.
type Seen struct {
	Entry    string
	Name     string // as it announces itself
	Instance string
	Ever     bool          // it has answered
	Heard    time.Duration // when it answered last, by the node's monotonic clock
	Warm     bool
	Draining bool
	Busy     bool
	Load     control.Load
	LoadAt   time.Duration // when that was measured, or a little before

	// Why and Detail say why the last question brought nothing; empty after an answer.
	Why    control.FailReason
	Detail string

	Running map[string]bool // streams that it captures and that have media
	Listed  map[string]bool // streams of its file; nil: not known
}

// ServerConfig is what the link to a server needs.
type ServerConfig struct {
	Entry   string
	Fetcher Fetcher

	// Every is the interval of questions, before jitter, and Stale how long an answer may take.
	Every, Stale time.Duration

	// Publish is given what is known whenever it has changed. It must not block.
	Publish func(Seen)

	// Measured, if not nil, is told what became of each question.
	Measured func(entry string, rtt time.Duration, err error)
}

// ServerProps describes the link to a server that is no peer. It asks by itself.
func ServerProps(env act.Env, c ServerConfig) *actor.Props {
	return act.Props(env, "server", func() actor.Actor {
		return &server{env: env, cfg: c, sent: map[uint64]time.Duration{}, is: known{seen: Seen{Entry: c.Entry}}}
	})
}

type askServer struct{ of *server }

type server struct {
	env  act.Env
	cfg  ServerConfig
	id   uint64
	sent map[uint64]time.Duration // when, by the id of each question that is under way
	is   known
}

// Receive implements [actor.Actor].
func (s *server) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.id = s.env.Rand() // answers to an earlier incarnation are nobody's
		s.ask(ctx)
	case askServer:
		if m.of == s {
			s.ask(ctx)
		}
	case Answer:
		s.answered(m)
	case act.Ended: // of a question; its answer comes by itself
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	}
}

func (s *server) ask(ctx actor.Context) {
	now := s.env.Now()
	for id, at := range s.sent { // answers that were lost
		if now-at > 2*s.cfg.Stale {
			delete(s.sent, id)
		}
	}
	s.id++
	s.sent[s.id] = now
	s.cfg.Fetcher.Fetch(s.env, ctx.Self(), control.Fetch{
		Peer: s.cfg.Entry, ID: s.id, Seen: s.is.have, Timeout: control.Instant(s.cfg.Stale),
	})
	jitter := time.Duration(s.env.Rand() % uint64(s.cfg.Every/5+1))
	s.env.After(s.cfg.Every*9/10+jitter, ctx.Self(), askServer{s})
}

func (s *server) answered(a Answer) {
	asked, ok := s.sent[a.ID]
	if !ok {
		return
	}
	delete(s.sent, a.ID)
	now := s.env.Now()
	if s.cfg.Measured != nil {
		s.cfg.Measured(s.cfg.Entry, now-asked, a.Err)
	}
	if a.Err != nil {
		why := control.Unreachable
		if e := (*Error)(nil); errors.As(a.Err, &e) {
			why = e.Why
		}
		s.is.failed(why, a.Err.Error())
	} else if !s.is.take(a.State, asked, now) {
		return
	}
	s.cfg.Publish(s.is.seen)
}

// known is a server as its answers tell of it.
type known struct {
	seen Seen
	have control.Seen // what to tell it that this node has
	inc  uint64
	seq  uint64
}

func (k *known) failed(why control.FailReason, detail string) {
	k.seen.Why, k.seen.Detail = why, detail
}

// take takes an answer in, to a question of the instant asked. It reports false for one that is older than what is
// known.
func (k *known) take(st *control.State, asked, now time.Duration) bool {
	if st.Instance == k.seen.Instance && (st.Inc < k.inc || st.Inc == k.inc && st.Seq <= k.seq) {
		return false
	}
	if st.Instance != k.seen.Instance {
		k.have, k.seen.Running, k.seen.Listed = control.Seen{}, nil, nil
	}
	k.inc, k.seq = st.Inc, st.Seq
	s := &k.seen
	s.Name, s.Instance, s.Ever, s.Heard = st.Node, st.Instance, true, now
	s.Warm, s.Draining, s.Busy = st.Warm, st.Draining, st.Busy
	s.Load, s.LoadAt = st.Load, asked-time.Duration(st.Load.Age)*time.Millisecond
	s.Why, s.Detail = "", ""
	k.body(st)
	return true
}

// body takes in what is sent only when it has changed.
func (k *known) body(st *control.State) {
	same := k.have.Instance == st.Instance && k.have.Inc == st.Inc
	switch {
	case st.Same && same && k.have.Version == st.Version:
		return
	case st.Same, st.Base != 0 && (!same || k.have.Version < st.Base):
		k.have = control.Seen{} // the next question asks for everything
		return
	}
	running := map[string]bool{}
	if st.Base != 0 {
		running = maps.Clone(k.seen.Running)
	}
	for _, name := range st.Gone {
		delete(running, name)
	}
	for _, c := range st.Claims {
		if c.State == control.ClaimRunning {
			running[c.Stream] = true
		} else {
			delete(running, c.Stream)
		}
	}
	k.seen.Running = running
	if st.ListHash != k.have.List || k.seen.Listed == nil {
		listed := make(map[string]bool, len(st.List))
		for _, l := range st.List {
			listed[l.Name] = true
		}
		k.seen.Listed = listed
	}
	k.have = control.Seen{Instance: st.Instance, Inc: st.Inc, Version: st.Version, List: st.ListHash}
}
