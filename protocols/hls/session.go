package hls

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/protocols"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
)

const (
	// sessionParameter is the query parameter in which a viewer's playlist requests carry the identifier that the
	// multivariant playlist gave.
	sessionParameter = "session"

	// sessionDigits is the length of a session identifier: 128 bits in hexadecimal.
	sessionDigits = 32

	// linger is how many target durations a viewer may be silent and still be one; a player has that much buffered.
	linger = 3
)

// sessionIn returns the session identifier in a query, or nothing if there is none of ours.
func sessionIn(query string) string {
	for part := range strings.SplitSeq(query, "&") {
		if id, ok := strings.CutPrefix(part, sessionParameter+"="); ok && playlist.Hexadecimal(id, sessionDigits) {
			return id
		}
	}
	return ""
}

// sessionOf returns the session identifier of a request, or a new one.
func sessionOf(q *request) string {
	if id := sessionIn(q.Query); id != "" {
		return id
	}
	var raw [sessionDigits / 2]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// variantQuery is the query of a variant's URI: the session, and all that the request had, such as tokens. Hops count
// redirects of one request.
func variantQuery(session, asked string) string {
	var b strings.Builder
	b.WriteString("?" + sessionParameter + "=")
	b.WriteString(session)
	for part := range strings.SplitSeq(asked, "&") {
		if part == "" || strings.HasPrefix(part, sessionParameter+"=") || strings.HasPrefix(part, listen.HopsParameter+"=") {
			continue
		}
		b.WriteByte('&')
		b.WriteString(part)
	}
	return b.String()
}

// viewers are the players that have asked for a media playlist lately, and have fetched media. Each is a [listen.Client] without a
// connection of its own: a series of requests with one session identifier, or from one address if they carry none.
//
// The URLs of segments are the same for all viewers. So each segment that an address fetches of a stream lets one player there become a
// viewer, when it asks for the playlist again: whoever asks for playlists alone is none. Where the segments come from another node, this one
// does not see them, and takes its word for it.
type viewers struct {
	sessions   listen.Sessions
	limit      int
	perAddress func() int // the most viewers of an address that are counted; 0: any number
	limiter    *listen.Limiter

	mu        sync.Mutex
	all       map[viewerKey]*viewer // guarded by mu
	byAddress map[netip.Prefix]int  // of all; guarded by mu; no zero entries
	fetched   map[fetcher]*fetches  // guarded by mu
	closed    bool                  // guarded by mu
}

// A fetcher is an address that fetches segments of a stream.
type fetcher struct {
	stream string
	remote netip.Addr
}

// fetches are the segments of a fetcher for which no player has become a viewer yet.
type fetches struct {
	number int
	until  time.Time // when they count no longer
}

// maxFetchers bounds the fetchers that are kept.
const maxFetchers = 100_000

// fetch notes that a segment was fetched.
func (v *viewers) fetch(q *request, target time.Duration) {
	if v.sessions == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	key := fetcher{q.key.name, q.Remote.Addr()}
	f := v.fetched[key]
	if f == nil {
		if len(v.fetched) >= maxFetchers {
			return
		}
		key.stream = strings.Clone(key.stream) // not the whole URL
		f = &fetches{}
		v.fetched[key] = f
	}
	f.number++
	f.until = time.Now().Add(linger * target)
}

// spend takes one of the segments that the address of a request has fetched lately. The caller holds v.mu.
func (v *viewers) spend(q *request, now time.Time) bool {
	key := fetcher{q.key.name, q.Remote.Addr()}
	f := v.fetched[key]
	if f == nil || now.After(f.until) {
		return false
	}
	if f.number--; f.number == 0 {
		delete(v.fetched, key)
	}
	return true
}

// A viewerKey tells viewers apart.
type viewerKey struct {
	stream  string
	session string     // empty for a player that was given the media playlist directly
	remote  netip.Addr // only if there is no session
}

// seen counts n bytes that a player has got. The first request after media has come makes it a viewer, and a session; media says that it
// comes with this request, or from elsewhere.
func (v *viewers) seen(q *request, target time.Duration, n int, media bool) {
	if v.sessions == nil {
		return
	}
	key := viewerKey{stream: q.key.name, session: sessionIn(q.Query)}
	if key.session == "" {
		key.remote = q.Remote.Addr()
	}
	now := time.Now()
	v.mu.Lock()
	w := v.all[key]
	enters := w == nil
	if enters {
		if w = v.admit(q, key, now, media); w == nil {
			v.mu.Unlock()
			return
		}
	}
	w.until = now.Add(linger * target)
	v.mu.Unlock()
	w.bytes.Add(uint64(n))
	if enters {
		v.sessions.Enter(w)
	}
}

// admit makes a player a viewer, unless it has fetched nothing or there are too many. The caller holds v.mu.
func (v *viewers) admit(q *request, key viewerKey, now time.Time, media bool) *viewer {
	if len(v.all) >= v.limit || v.closed || !media && !v.spend(q, now) {
		return nil
	}
	of, limited := v.limiter.Network(q.Remote.Addr())
	if most := v.perAddress(); limited && most > 0 && v.byAddress[of] >= most {
		v.limiter.Refuse(listen.LimitViewersOfAddress, protocols.HLS, q.Remote.String())
		return nil
	}
	key.stream, key.session = strings.Clone(key.stream), strings.Clone(key.session) // not the whole URL
	w := &viewer{key: key, all: v, remote: q.Remote, network: of, gone: make(chan struct{})}
	v.all[key] = w
	if limited {
		v.byAddress[of]++
	}
	return w
}

// sweep drops viewers that nothing serves, because the sessions did not take them, and segments for which no viewer came.
func (v *viewers) sweep(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.DeleteFunc(v.fetched, func(_ fetcher, f *fetches) bool { return now.After(f.until) })
	for _, w := range v.all {
		if now.After(w.until.Add(sweepPeriod)) {
			w.leave()
		}
	}
}

// close ends all sessions.
func (v *viewers) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for _, w := range v.all {
		w.leave()
	}
}

// A viewer is a player that reloads a media playlist. It implements [listen.Client].
type viewer struct {
	key     viewerKey
	all     *viewers
	remote  netip.AddrPort // of the first request
	network netip.Prefix   // of it; the zero one if it does not count for an address
	until   time.Time      // when the viewer has left unless another request comes; guarded by all.mu
	bytes   atomic.Uint64  // see Stats
	gone    chan struct{}  // closed when the viewer has left
}

// leave makes the next request one of a new viewer. It is called with all.mu held.
func (w *viewer) leave() {
	if w.all.all[w.key] == w {
		delete(w.all.all, w.key)
		if w.network.IsValid() {
			if w.all.byAddress[w.network]--; w.all.byAddress[w.network] == 0 {
				delete(w.all.byAddress, w.network)
			}
		}
		close(w.gone)
	}
}

// Serve implements [listen.Client]: it waits until the viewer has not asked for anything for three target durations.
// The requests themselves are answered by the goroutines that they come in.
func (w *viewer) Serve(ctx context.Context, _ listen.Router) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			timer.Reset(w.rest(time.Now()))
		case <-w.gone:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rest is how long the viewer may stay silent. A viewer that has no time left leaves.
func (w *viewer) rest(now time.Time) time.Duration {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	rest := w.until.Sub(now)
	if rest <= 0 {
		w.leave()
	}
	return rest
}

// Close implements [listen.Client]. A viewer that goes on asking enters anew.
func (w *viewer) Close() error {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	w.leave()
	return nil
}

// Stats implements [listen.Client]. BytesOut are the playlists and those segments that this node served with the viewer's
// session in the query, as a balancer asks for. Other segments have the same URL for all viewers, and may come from
// another node. [Server.Stats] counts all.
func (w *viewer) Stats() listen.ClientStats {
	return listen.ClientStats{
		Protocol: protocols.HLS, Remote: w.remote, Stream: w.key.stream, BytesOut: w.bytes.Load(),
	}
}
