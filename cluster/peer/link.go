// Package peer holds the links to the other nodes of the group: an actor for each, which fetches that node's state when
// the control plane says so, and the HTTP form of question and answer.
//
// A link decides nothing: what an answer means, and whether silence means death, is the control plane's to say. A link
// that fails starts afresh; the fetch that was under way is lost like an answer on a bad network.
package peer

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
)

// A Fetcher asks a peer for its state. It is injected, so that the link opens no socket.
type Fetcher interface {
	// Fetch asks, and sends link an [Answer] with the same ID, once or, when the answer is lost, never. It does not
	// block.
	Fetch(env act.Env, link *actor.PID, f control.Fetch)
}

// An Answer is what became of a fetch.
type Answer struct {
	ID    uint64
	State *control.State
	Err   error // a [*Error] where the reason is known
}

// An Error is a fetch that brought nothing.
type Error struct {
	Why control.FailReason
	Err error
}

func (e *Error) Error() string { return string(e.Why) + ": " + e.Err.Error() }

// Unwrap gives the error behind it.
func (e *Error) Unwrap() error { return e.Err }

// Config is what a link needs.
type Config struct {
	Entry   string // as in [control.Peer]
	Fetcher Fetcher
	Control *actor.PID // is sent [control.Fetched] and [control.FetchFailed]

	// Measured, if not nil, is told the round-trip time of each answer; zero for a fetch that failed.
	Measured func(entry string, rtt time.Duration, err error)
}

// Props describes the link to one peer. It takes [control.Fetch].
func Props(env act.Env, c Config) *actor.Props {
	return act.Props(env, "peer", func() actor.Actor { return &link{env: env, cfg: c, sent: map[uint64]time.Duration{}} })
}

type link struct {
	env  act.Env
	cfg  Config
	sent map[uint64]time.Duration // when, by the id of each fetch that is under way
}

// Receive implements [actor.Actor].
func (l *link) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case control.Fetch:
		now := l.env.Now()
		for id, at := range l.sent { // answers that were lost
			if now-at > time.Minute {
				delete(l.sent, id)
			}
		}
		l.sent[m.ID] = now
		l.cfg.Fetcher.Fetch(l.env, ctx.Self(), m)
	case Answer:
		l.answered(ctx, m)
	case act.Ended: // of a fetch; its answer comes by itself
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	}
}

func (l *link) answered(ctx actor.Context, a Answer) {
	rtt := l.env.Now() - l.sent[a.ID]
	delete(l.sent, a.ID)
	if a.Err != nil {
		rtt = 0
	}
	if l.cfg.Measured != nil {
		l.cfg.Measured(l.cfg.Entry, rtt, a.Err)
	}
	if a.Err == nil {
		ctx.Send(l.cfg.Control, control.Fetched{Peer: l.cfg.Entry, ID: a.ID, State: a.State})
		return
	}
	failed := control.FetchFailed{Peer: l.cfg.Entry, ID: a.ID, Why: control.Unreachable, Detail: a.Err.Error()}
	if e := (*Error)(nil); errors.As(a.Err, &e) {
		failed.Why = e.Why
	}
	ctx.Send(l.cfg.Control, failed)
}
