package hls

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

// linger is how many target durations a viewer may be silent and still be one; it is what a player has buffered.
const linger = 3

// viewers are those who have asked for a media playlist lately. Each is a [listen.Client] without a connection of its
// own: a series of requests with one session identifier, or from one address if they carry none.
type viewers struct {
	sessions listen.Sessions
	limit    int

	mu     sync.Mutex
	all    map[identity]*viewer // guarded by mu
	closed bool                 // guarded by mu

	untracked atomic.Uint64
}

// An identity tells viewers apart.
type identity struct {
	stream  string
	session string     // empty for a player that was given the media playlist directly
	remote  netip.Addr // only if there is no session
}

func newViewers(sessions listen.Sessions, limit int) *viewers {
	return &viewers{sessions: sessions, limit: limit, all: make(map[identity]*viewer)}
}

func (v *viewers) count(st *Stats) {
	v.mu.Lock()
	defer v.mu.Unlock()
	st.Viewers, st.Untracked = len(v.all), v.untracked.Load()
}

// seen counts a playlist that a viewer has got. The first makes him enter the sessions.
func (v *viewers) seen(q *query, target time.Duration, n int) {
	if v.sessions == nil {
		return
	}
	id := identity{stream: q.stream, session: sessionOf(q.Query)}
	if id.session == "" {
		id.remote = q.Remote.Addr()
	}
	now := time.Now()
	v.mu.Lock()
	w := v.all[id]
	enters := w == nil
	if enters {
		if len(v.all) >= v.limit || v.closed {
			v.mu.Unlock()
			v.untracked.Add(1)
			return
		}
		id.stream, id.session = strings.Clone(id.stream), strings.Clone(id.session) // not the whole URL
		w = &viewer{id: id, all: v, remote: q.Remote, gone: make(chan struct{})}
		v.all[id] = w
	}
	w.until = now.Add(linger * target)
	v.mu.Unlock()
	w.bytes.Add(uint64(n))
	if enters {
		v.sessions.Enter(w)
	}
}

// sweep forgets viewers whom nobody serves, because the sessions did not take them.
func (v *viewers) sweep(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, w := range v.all {
		if now.After(w.until.Add(sweepPeriod)) {
			delete(v.all, id)
		}
	}
}

// close ends all sessions.
func (v *viewers) close() {
	v.mu.Lock()
	v.closed = true
	all := make([]*viewer, 0, len(v.all))
	for _, w := range v.all {
		all = append(all, w)
	}
	v.mu.Unlock()
	for _, w := range all {
		_ = w.Close()
	}
}

// A viewer is one who watches by playlist. It implements [listen.Client].
type viewer struct {
	id     identity
	all    *viewers
	remote netip.AddrPort // of the first request
	until  time.Time      // when the viewer has left unless another request comes; guarded by all.mu
	bytes  atomic.Uint64  // of playlists

	once sync.Once
	gone chan struct{} // closed by Close
}

// Serve implements [listen.Client]: it waits until the viewer has not asked for anything for three target durations.
// The requests themselves are answered by the goroutines that they come in.
func (w *viewer) Serve(ctx context.Context, _ listen.Router) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			rest := w.rest(time.Now())
			if rest <= 0 {
				return w.Close()
			}
			timer.Reset(rest)
		case <-w.gone:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rest is how long the viewer may stay silent. One who has no time left is forgotten in the same moment, so that the
// next request is a new viewer's.
func (w *viewer) rest(now time.Time) time.Duration {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	rest := w.until.Sub(now)
	if rest <= 0 && w.all.all[w.id] == w {
		delete(w.all.all, w.id)
	}
	return rest
}

// Close implements [listen.Client]. A viewer that goes on asking enters anew.
func (w *viewer) Close() error {
	w.once.Do(func() {
		close(w.gone)
		w.all.mu.Lock()
		defer w.all.mu.Unlock()
		if w.all.all[w.id] == w {
			delete(w.all.all, w.id)
		}
	})
	return nil
}

// Stats implements [listen.Client]. BytesOut are the playlists alone: which viewer a segment went to is not known, as
// its URL is the same for all, and it may have come from another node. [Server.Stats] counts segments.
func (w *viewer) Stats() listen.ClientStats {
	return listen.ClientStats{
		Protocol: protocols.HLS, Remote: w.remote, Stream: w.id.stream, BytesOut: w.bytes.Load(),
	}
}
