// Package follower follows the state of other nodes: an actor for each, which asks for the state, and the HTTP form of
// question and answer.
//
// A follower decides nothing about streams. The control plane says when a peer is asked, and what its answers and its
// silence mean ([Peer]). A node outside the group is asked at an interval, and is alive until it has been silent for too
// long ([External]). A follower that fails starts afresh; the questions that were under way are lost like answers on a bad
// network.
package follower

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
)

// A Fetcher asks a node for its state. It is injected, so that a follower opens no socket.
type Fetcher interface {
	// Fetch asks, and sends link an [Answer] with the same ID, once or, when the answer is lost, never. It does not
	// block.
	Fetch(env act.Env, link *actor.PID, f control.Fetch)
}

// An Answer is what became of a question.
type Answer struct {
	ID    uint64
	State *control.State
	Err   error // a [*Error] where the reason is known
}

// An Error is a question that brought nothing.
type Error struct {
	Why control.FailReason
	Err error
}

func (e *Error) Error() string { return string(e.Why) + ": " + e.Err.Error() }

// Unwrap gives the error behind it.
func (e *Error) Unwrap() error { return e.Err }

// Reason is why a question brought nothing.
func Reason(err error) control.FailReason {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Why
	}
	return control.Unreachable
}

// Config is what every follower needs.
type Config struct {
	// Entry is what the node is called to the Fetcher: the entry of a peer in the file, or the key of another server.
	Entry   string
	Fetcher Fetcher

	// Measured, if not nil, is told what became of each question, and how long that took.
	Measured func(entry string, rtt time.Duration, err error)
}

// The questions of one follower.
type questions struct {
	env  act.Env
	cfg  Config
	sent map[uint64]time.Duration // when, by the ID of each question that is under way
}

// ask puts a question. Those that are older than memory have lost their answers.
func (q *questions) ask(self *actor.PID, f control.Fetch, memory time.Duration) {
	now := q.env.Now()
	for id, at := range q.sent {
		if now-at > memory {
			delete(q.sent, id)
		}
	}
	q.sent[f.ID] = now
	q.cfg.Fetcher.Fetch(q.env, self, f)
}

// answered takes an answer, and gives when its question was put. It reports false for an answer to no question that is
// under way.
func (q *questions) answered(a Answer) (asked time.Duration, ok bool) {
	asked, ok = q.sent[a.ID]
	delete(q.sent, a.ID)
	if ok && q.cfg.Measured != nil {
		q.cfg.Measured(q.cfg.Entry, q.env.Now()-asked, a.Err)
	}
	return asked, ok
}

// Peer describes the follower of a peer. It takes [control.Fetch], and sends the actor to what became of it:
// [control.Fetched] or [control.FetchFailed].
func Peer(env act.Env, c Config, to *actor.PID) *actor.Props {
	return act.Props(env, "peer", func() actor.Actor {
		return &peer{questions: questions{env, c, map[uint64]time.Duration{}}, control: to}
	})
}

type peer struct {
	questions
	control *actor.PID
}

// Receive implements [actor.Actor].
func (p *peer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case control.Fetch:
		p.ask(ctx.Self(), m, time.Minute)
	case Answer:
		p.answered(m)
		if m.Err == nil {
			ctx.Send(p.control, control.Fetched{Peer: p.cfg.Entry, ID: m.ID, State: m.State})
			return
		}
		ctx.Send(p.control, control.FetchFailed{Peer: p.cfg.Entry, ID: m.ID, Why: Reason(m.Err), Detail: m.Err.Error()})
	case act.Ended: // of a fetch; its answer comes by itself
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	}
}
