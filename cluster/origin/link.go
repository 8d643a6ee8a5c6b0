package origin

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"weir/actors/act"
	"weir/cluster/control"
	"weir/cluster/peer"
)

// Config is what a link needs.
type Config struct {
	Source  string // its name, which the fetcher is given as the peer
	Rule    Rule
	Fetcher peer.Fetcher
	Streams *Directory

	// Fetch is the interval of fetches, and Stale the silence after which the origin is taken for dead and its streams
	// vanish.
	Fetch, Stale time.Duration

	// Changed is called, in the mailbox of the link, when the streams are others.
	Changed func()
}

// Props describes the link to one origin. Restarted, it starts afresh and leaves the streams as they were for as long as
// a silent origin's would stay.
func Props(env act.Env, c Config) *actor.Props {
	return act.Props(env, "source", func() actor.Actor { return &link{env: env, cfg: c} })
}

// A link asks one origin for its state, again and again.
type link struct {
	env  act.Env
	cfg  Config
	memo memory

	id     uint64
	busy   bool // a question is under way
	asked  time.Duration
	heard  time.Duration
	there  bool // it has answered lately
	known  bool // it has answered, or failed to, since the link was made
	failed control.FailReason
}

// tick is the time to ask again, or to notice silence, for that incarnation.
type tick struct{ of *link }

// Receive implements [actor.Actor].
func (l *link) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		l.heard = l.env.Now()
		l.ask(ctx)
	case tick:
		if m.of == l {
			l.ask(ctx)
		}
	case peer.Answer:
		if m.ID == l.id {
			l.busy = false
			l.answered(ctx, m)
		}
	case act.Ended: // of a fetch; its answer comes by itself
		if act.Panicked(m.Err) {
			panic(m.Err)
		}
	}
}

func (l *link) ask(ctx actor.Context) {
	l.env.After(l.cfg.Fetch, ctx.Self(), tick{l})
	now := l.env.Now()
	if now-l.heard >= l.cfg.Stale {
		l.lose(ctx, errors.New("it has not answered for "+l.cfg.Stale.String()))
	}
	if l.busy && now-l.asked < l.cfg.Stale {
		return
	}
	l.busy, l.asked = true, now
	l.id++
	l.cfg.Fetcher.Fetch(l.env, ctx.Self(), control.Fetch{
		Peer: l.cfg.Source, ID: l.id, Seen: l.memo.seen, Timeout: control.Instant(l.cfg.Stale),
	})
}

// lose lets the origin's streams vanish.
func (l *link) lose(ctx actor.Context, err error) {
	l.memo = memory{}
	if !l.there && l.known {
		return
	}
	l.there, l.known = false, true
	l.env.Tree().Note(ctx.Self().Id, "silent")
	l.env.Event(lost(l.cfg.Source, err))
	l.set(nil)
}

func (l *link) answered(ctx actor.Context, a peer.Answer) {
	if a.Err != nil {
		why := control.Unreachable
		if e := (*peer.Error)(nil); errors.As(a.Err, &e) {
			why = e.Why
		}
		if why != l.failed {
			l.failed = why
			l.env.Event(failed(l.cfg.Source, a.Err))
		}
		return
	}
	l.heard, l.failed = l.env.Now(), ""
	if !l.there {
		l.there, l.known = true, true
		l.env.Tree().Note(ctx.Self().Id, "connected")
		l.env.Event(found(l.cfg.Source, a.State.Node))
	}
	l.memo.take(a.State)
	l.set(l.cfg.Rule.Restream(l.memo.list, l.memo.claims))
}

func (l *link) set(streams []Stream) {
	if l.cfg.Streams.Set(l.cfg.Source, streams) {
		l.cfg.Changed()
	}
}

// A memory is what an origin has told, which it need not repeat.
type memory struct {
	seen   control.Seen
	list   []control.Listed
	claims map[string]control.ClaimState
}

// take takes in an answer to the question in which seen was told.
func (m *memory) take(st *control.State) {
	if st.Same {
		return
	}
	switch {
	case st.Base == 0:
		m.claims = map[string]control.ClaimState{}
	case st.Base != m.seen.Version: // an answer to another question
		m.seen = control.Seen{}
		return
	}
	for _, c := range st.Claims {
		m.claims[c.Stream] = c.State
	}
	for _, name := range st.Gone {
		delete(m.claims, name)
	}
	if st.ListHash != m.seen.List {
		m.list = st.List
	}
	m.seen = control.Seen{Instance: st.Instance, Inc: st.Inc, Version: st.Version, List: st.ListHash}
}
