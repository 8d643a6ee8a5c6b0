package hls

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/protocols"
	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

// entryHeader marks a request of another node that answers a viewer of its own: such a request is never passed on to
// a third node, not held for long, and its sender is no viewer.
const entryHeader = "Weir-Entry"

// retryPause is how long a request that is held waits before it asks the router again.
const retryPause = 250 * time.Millisecond

// sweepPeriod is how often what nobody asks for is forgotten.
const sweepPeriod = 30 * time.Second

// A Server answers the requests below the URLs of all streams. Its methods may be called by any number of goroutines.
type Server struct {
	config  Config
	router  Router
	log     *slog.Logger
	peers   *peers
	viewers *viewers

	random sync.Mutex // held while reading source
	source io.Reader

	tours tours

	mu       sync.RWMutex
	streams  map[string]*known // by [query.key]; guarded by mu
	sweeping *time.Timer       // guarded by mu; nil when there is nothing to sweep
	closed   bool              // guarded by mu

	playlists, segments, bytes, repeated, held atomic.Uint64
}

// Stats counts what a server has done.
type Stats struct {
	Playlists, Segments uint64 // served
	Bytes               uint64 // of both
	Repeated            uint64 // playlists served again because there was no newer one, or only one that went back
	Held                uint64 // requests that had to wait
	Fetched, Failed     uint64 // requests to other nodes
	Cached              int64  // bytes held that came from other nodes
	Viewers             int    // watching now
	Untracked           uint64 // requests of viewers beyond the limit
}

// New returns a server that asks d.
func New(c Config, d Router, around Around) *Server {
	c = c.withDefaults()
	if around.Random == nil {
		around.Random = rand.Reader
	}
	if around.Log == nil {
		around.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		config: c, router: d, log: around.Log, source: around.Random,
		streams: make(map[string]*known),
		viewers: newViewers(around.Sessions, c.Viewers),
	}
	s.peers = newPeers(&s.config, around.Transport)
	s.tours.limit = c.Viewers
	return s
}

// Close ends fetches that are under way, and forgets everything. Requests are answered as before.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.sweeping != nil {
		s.sweeping.Stop()
		s.sweeping = nil
	}
	clear(s.streams)
	s.mu.Unlock()
	s.peers.close()
	s.viewers.close()
	return nil
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	st := Stats{
		Playlists: s.playlists.Load(), Segments: s.segments.Load(), Bytes: s.bytes.Load(),
		Repeated: s.repeated.Load(), Held: s.held.Load(),
	}
	s.peers.count(&st)
	s.viewers.count(&st)
	return st
}

// known is what a server remembers of a stream that the router has found.
type known struct {
	stream string
	escape string // the stream's name as it stands in URLs, with a slash before and after

	// scope keeps apart what bears one name and may be numbered otherwise: the segments of a server of a balancer, by its
	// URL. It is empty for everything else.
	scope string

	used  atomic.Int64 // Unix seconds of the last request
	pages [4]page      // index.m3u8, index.fmp4.m3u8, ts.m3u8, cmaf.m3u8

	mu       sync.Mutex
	store    *cmaf.Store // the last one that was served here; guarded by mu
	servedAt time.Time   // guarded by mu
}

// page returns the page of a playlist.
func (k *known) page(f file) *page {
	i := 0
	switch {
	case f.kind == mediaPlaylist:
		i = 2 + int(f.form)
	case !f.any:
		i = 1
	}
	return &k.pages[i]
}

// lists says whether a segment stands in the last playlist that was served.
func (k *known) lists(f file) bool {
	return f.kind == initSegment || k.pages[2+int(f.form)].lists(f.number)
}

// served remembers the store that serves the stream here, for viewers who hold a playlist of it when it has moved.
func (k *known) served(store *cmaf.Store, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.store, k.servedAt = store, now
}

func (k *known) last() *cmaf.Store {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.store
}

// find returns what is known of a stream, or nil.
func (s *Server) find(key string) *known {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.streams[key]
}

// maxKnown bounds the streams that a server remembers: below a balancer it may be told of any name.
const maxKnown = 20_000

// remember returns what is known of a stream that the router has found, from now on if need be. stream is the name that the
// router gave.
func (s *Server) remember(q *query, stream string, now time.Time) *known {
	key := q.key()
	k := s.find(key)
	if k == nil {
		s.mu.Lock()
		if k = s.streams[key]; k == nil {
			k = &known{stream: stream, escape: escape(stream), scope: q.scope}
			if !s.closed && len(s.streams) < maxKnown {
				s.streams[strings.Clone(key)] = k
				if s.sweeping == nil {
					s.sweeping = time.AfterFunc(sweepPeriod, s.sweep)
				}
			}
		}
		s.mu.Unlock()
	}
	k.used.Store(now.Unix())
	return k
}

// sweep forgets streams that nobody asks for, and stores that have moved away.
func (s *Server) sweep() {
	now := time.Now()
	s.viewers.sweep(now)
	s.tours.sweep(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, k := range s.streams {
		if now.Sub(time.Unix(k.used.Load(), 0)) > s.config.Forget {
			delete(s.streams, name)
			continue
		}
		k.mu.Lock()
		if k.store != nil && now.Sub(k.servedAt) > s.config.Stubborn {
			k.store = nil
		}
		k.mu.Unlock()
	}
	switch {
	case s.closed:
	case len(s.streams) > 0:
		s.sweeping.Reset(sweepPeriod)
	default:
		s.sweeping = nil
	}
}

// escape writes a stream's name as a URL path that starts and ends with a slash; slashes within the name stay.
func escape(stream string) string {
	var b strings.Builder
	b.WriteByte('/')
	for part := range strings.SplitSeq(stream, "/") {
		b.WriteString(url.PathEscape(part))
		b.WriteByte('/')
	}
	return b.String()
}

// ServeStream answers a request for a file of a stream; file is the last component of the URL's path, unescaped, and
// stream what stands before it. [Serves] tells beforehand which files there are. Every answer carries CORS headers.
func (s *Server) ServeStream(w http.ResponseWriter, r *http.Request, stream, name string) {
	q, ok := s.admit(w, r, stream, name)
	if !ok {
		return
	}
	q.entry = r.Header.Get(entryHeader) != ""
	if q.file.kind == multivariant || q.file.kind == mediaPlaylist {
		s.servePlaylist(q)
	} else {
		s.serveMedia(q)
	}
}

// admit understands a request, or answers it; ok is false for what has been answered.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, stream, name string) (_ *query, ok bool) {
	h := w.Header()
	listen.CORS(h)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h["Allow"] = allowed
		w.WriteHeader(http.StatusNoContent)
		return nil, false
	default:
		h["Allow"] = allowed
		fail(w, http.StatusMethodNotAllowed, "Only GET, HEAD and OPTIONS are answered here.")
		return nil, false
	}
	f, ok := parseFile(name)
	if !ok {
		fail(w, http.StatusNotFound, "A stream has no such file.")
		return nil, false
	}
	if len(r.URL.RawQuery) > maxQuery {
		fail(w, http.StatusRequestURITooLong, "The query is too long.")
		return nil, false
	}
	return &query{w: w, r: r, file: f, stream: stream, Request: listen.HTTPRequest(r, protocols.HLS, stream)}, true
}

// maxQuery bounds the query of a request, in bytes: it is repeated in the multivariant playlist.
const maxQuery = 8 << 10

var allowed = []string{"GET, HEAD, OPTIONS"}

// A query is one request in the course of being answered.
type query struct {
	listen.Request
	w      http.ResponseWriter
	r      *http.Request
	file   file
	stream string
	scope  string // as in known
	entry  bool   // another node asks on behalf of its viewers
	waited bool   // it has been held
}

// key is under what a server remembers the stream.
func (q *query) key() string {
	if q.scope == "" {
		return q.stream
	}
	return q.stream + "\x00" + q.scope // no stream's name has control characters
}

// wait counts a request that has to wait.
func (s *Server) wait(q *query) {
	if !q.waited {
		q.waited = true
		s.held.Add(1)
	}
}

// hold is how long the request may wait for its stream.
func (s *Server) hold(q *query, atHand bool) time.Duration {
	switch {
	case q.entry:
		return s.config.FetchTimeout / 2 // the other node knows better how long its viewers can wait
	case atHand:
		return s.config.FetchTimeout
	}
	return s.config.Hold
}

// ask asks the router. What it returns is Serve with a store, Proxy with an upstream, or a refusal.
func (s *Server) ask(ctx context.Context, q *query) (*cmaf.Store, listen.Answer) {
	store, a := s.router.Window(ctx, q.Request)
	if a.Stream == "" {
		a.Stream = q.stream
	}
	if a.Verdict == listen.Redirect && a.Upstream != "" && q.file.kind != multivariant {
		a.Verdict = listen.Proxy
	}
	switch {
	case a.Verdict == listen.Proxy && q.entry && !q.Here:
		// Two nodes that each believe the other has the stream would ask each other for ever. One that a balancer has
		// chosen asks the owner, which is not told that it was chosen too.
		return nil, listen.Answer{
			Verdict: listen.Unavailable, Stream: a.Stream, RetryAfter: time.Second,
			Reason: "The stream has moved on; ask again.",
		}
	case a.Verdict == listen.Redirect:
		before, rest, _ := strings.Cut(a.Location, "?")
		a.Location = before + "?" + listen.WithHops(rest, q.Hops+1)
	}
	if a.Verdict == listen.Serve && store == nil {
		return nil, listen.Answer{Verdict: listen.Unavailable, Stream: a.Stream, RetryAfter: time.Second}
	}
	return store, a
}

func startsSecure(base string) bool { return strings.HasPrefix(base, "https://") }

// An outcome is why a request cannot be answered with media.
type outcome struct {
	status int // 0: as the answer says
	answer listen.Answer
	reason string
}

func (o *outcome) Error() string { return o.reason }

var (
	errGone = &outcome{status: http.StatusNotFound, reason: "There is no such segment, or not any more."}

	errUnfit = &outcome{
		status: http.StatusUnsupportedMediaType,
		reason: "The codecs of this stream are not carried in this form; index.m3u8 names one that carries them.",
	}
	errSilent = errors.New("the node that has the stream does not answer")
)

// refuse answers with what err says: an outcome is told as it is, and all else passes.
func refuse(w http.ResponseWriter, err error) {
	var o *outcome
	switch {
	case errors.As(err, &o) && o.status == 0:
		listen.Refuse(w, o.answer)
	case errors.As(err, &o):
		fail(w, o.status, o.reason)
	default:
		listen.Refuse(w, listen.Answer{Verdict: listen.Unavailable, RetryAfter: time.Second})
	}
}

// fail answers with one line of text.
func fail(w http.ResponseWriter, status int, line string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, line+"\n")
}

// pause waits a moment and says whether the request may try again.
func pause(ctx context.Context) bool {
	t := time.NewTimer(retryPause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
