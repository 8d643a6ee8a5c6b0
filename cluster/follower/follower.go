// Package follower follows the state of other nodes: it holds an actor for each node, which fetches the node's state, and the HTTP
// client and handler for these fetches.
//
// A follower makes no decision about streams. For a peer ([Peer]), the control plane decides when the state is fetched, and what an
// answer or silence means. The state of a node outside the group ([External]) is fetched at an interval, and the node is alive until
// it has been silent for too long. A follower that fails is restarted; the answers to its running fetches are lost, as on a bad
// network.
package follower

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
)

// A Fetcher fetches the state of a node. It is an interface, so that a follower opens no socket.
type Fetcher interface {
	// Fetch fetches the state of f.Peer, and sends link an [Answer] with the same ID. If the answer is lost, nothing is sent.
	// Fetch does not block.
	Fetch(env act.Env, link *actor.PID, f control.Fetch)
}

// An Answer is the result of a fetch.
type Answer struct {
	ID    uint64
	State *control.State
	Err   error // an [*Error] if the reason is known
}

// An Error says why a fetch has failed.
type Error struct {
	Why control.FailReason
	Err error
}

func (e *Error) Error() string { return string(e.Why) + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Reason is the reason why a fetch failed with err.
func Reason(err error) control.FailReason {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Why
	}
	return control.Unreachable
}

// Config is what every follower needs.
type Config struct {
	// Entry is the name of the node for the Fetcher: the entry of a peer, or the key of a server or source.
	Entry   string
	Fetcher Fetcher

	// Measured, if not nil, is called with the duration and the error of each fetch that was answered.
	Measured func(entry string, rtt time.Duration, err error)
}

// The questions are the running fetches of one follower.
type questions struct {
	env  act.Env
	cfg  Config
	sent map[uint64]time.Duration // when each was sent, by ID
}

// ask starts a fetch. Fetches older than memory are forgotten: their answers must have been lost.
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

// answered takes an answer, and returns when its fetch was sent. It reports false if no running fetch has the answer's ID.
func (q *questions) answered(a Answer) (asked time.Duration, ok bool) {
	asked, ok = q.sent[a.ID]
	delete(q.sent, a.ID)
	if ok && q.cfg.Measured != nil {
		q.cfg.Measured(q.cfg.Entry, q.env.Now()-asked, a.Err)
	}
	return asked, ok
}

// Peer makes the props of the follower of a peer. The follower takes [control.Fetch], and sends the result to the actor `to`:
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
	case act.Ended: // a fetch has ended; its Answer is another message
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	}
}
