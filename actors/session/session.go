// Package session holds the actor that supervises one connection of a viewer or a publisher, from accept to close. The
// session exists before its stream is known.
//
// The connection belongs to the parent: a session that fails restarts after a back-off and goes on with the same
// socket, a viewer at the next random access point. When the connection ends, the session ends. It knows no protocol;
// that is the [listen.Client]'s.
package session

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/protocols/listen"
)

// Enter admits a connection; see [listen.Sessions].
type Enter struct{ Client listen.Client }

// Close ends the session of that id. An unknown id is ignored.
type Close struct{ ID string }

// Config is what all sessions share.
type Config struct {
	Router   listen.Router
	Registry *Registry

	// Left, if not nil, is told of each session that has ended. It must not block.
	Left func(listen.ClientStats)

	// Ended, if not nil, is told of each session that has ended, and how long it was. It must not block.
	Ended func(s Info, lasted time.Duration)
}

// Supervisor describes the parent of all sessions. Its address takes [Enter] and [Close].
func Supervisor(env act.Env, c Config) *actor.Props {
	return act.Props(env, "sessions", func() actor.Actor {
		return &sessions{cfg: c, Backoff: act.Backoff{
			Env: env, Min: 50 * time.Millisecond, Max: 2 * time.Second, Quiet: 10 * time.Second, Limit: 5,
		}}
	})
}

type sessions struct {
	act.Backoff
	cfg  Config
	last uint64
	open map[string]*entry // by actor id
}

// An entry is what a restarted session gets from the failed one: the connection, and the goroutine that last served it.
type entry struct {
	id     string
	since  time.Duration // when it entered
	client listen.Client
	served <-chan struct{} // closed when that goroutine has returned
}

// Receive implements [actor.Actor].
func (s *sessions) Receive(ctx actor.Context) {
	if s.Handle(ctx) {
		return
	}
	switch m := ctx.Message().(type) {
	case Enter:
		s.enter(ctx, m.Client)
	case Close:
		if pid := actor.NewPID(ctx.Self().Address, ctx.Self().Id+"/"+m.ID); s.open[pid.Id] != nil {
			s.Stop(ctx, pid)
		}
	case *actor.Terminated:
		if entry := s.open[m.Who.Id]; entry != nil {
			delete(s.open, m.Who.Id)
			if s.cfg.Ended != nil {
				s.cfg.Ended(Info{entry.id, entry.since, entry.client.Stats()}, s.Env.Now()-entry.since)
			}
			s.cfg.Registry.remove(entry.id)
			entry.client.Close()
			if s.cfg.Left != nil {
				s.cfg.Left(entry.client.Stats())
			}
		}
	}
}

func (s *sessions) enter(ctx actor.Context, c listen.Client) {
	if s.Closing() {
		_ = c.Close()
		return
	}
	s.last++
	st := &entry{id: fmt.Sprint(s.last), since: s.Env.Now(), client: c}
	pid, err := ctx.SpawnNamed(act.Props(s.Env, "session", func() actor.Actor {
		return &session{env: s.Env, cfg: s.cfg, entry: st}
	}), st.id)
	if err != nil {
		c.Close()
		s.Env.Event(refused(st.id, err))
		return
	}
	if s.open == nil {
		s.open = map[string]*entry{}
	}
	s.open[pid.Id] = st
	s.cfg.Registry.add(st.id, st.since, c)
}

type session struct {
	env   act.Env
	cfg   Config
	entry *entry
	task  *act.Task
}

// Receive implements [actor.Actor].
func (s *session) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.serve(ctx)
	case act.Ended:
		if m.Task != s.task {
			return
		}
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
		// A client that has not asked for a stream, such as one that sent garbage, is logged by the protocol.
		if st := s.entry.client.Stats(); st.Stream != "" {
			s.env.Event(ended(s.entry.id, st, m.Err))
		}
		ctx.Stop(ctx.Self())
	case *actor.Restarting:
		s.task.Stop()
	case *actor.Stopping:
		s.task.Stop()
		s.entry.client.Close()
	}
}

// serve goes on with the connection when the goroutine of an earlier incarnation has returned.
func (s *session) serve(ctx actor.Context) {
	before := s.entry.served
	s.task = s.env.Go(ctx.Self(), func(c context.Context) error {
		if before != nil {
			select {
			case <-before:
			case <-c.Done():
				return c.Err()
			}
		}
		return s.entry.client.Serve(c, s.cfg.Router)
	})
	s.entry.served = s.task.Done
}
