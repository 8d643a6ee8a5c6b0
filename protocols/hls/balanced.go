package hls

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"weir/protocols/listen"
)

// A Balancer says which server of a balancer serves a viewer. Its methods do not block, and may be called by any
// goroutine.
type Balancer interface {
	// Route chooses a server for a viewer, none of those to avoid; ok is false when none is left.
	Route(r listen.Request, avoid []string) (p Place, ok bool)

	// Place says where a server is that was chosen before; ok is false if it takes nobody any more.
	Place(r listen.Request, server string) (p Place, ok bool)

	// Failed is told that a server did not answer.
	Failed(server string)
}

// A Place is where a server is.
type Place struct {
	Server string // how the balancer calls it
	Here   bool   // it is this node

	// Upstream is the URL at which this node fetches from it, and Public that at which viewers do, both without path.
	Upstream, Public string
}

const (
	// impatience is how often a server that answers may say that it has nothing yet before a viewer who has seen
	// something already is taken elsewhere.
	impatience = 3

	// attempts bounds the servers that are tried for one request without a pause.
	attempts = 8

	// tourRest is how long a viewer who asks for nothing is remembered, beyond what a player may need.
	tourRest = time.Minute
)

// A tour is a viewer of a balancer on his way from server to server.
type tour struct {
	mu     sync.Mutex
	server string // empty before the first
	shown  *text  // the newest playlist of a server that he was shown; nil before the first
	line   line   // how its numbers are shown to him
	until  time.Time

	nothing int // how often in a row his server had nothing yet
	behind  int // how often in a row another server had nothing new yet
}

// tours are the viewers of all balancers. Each belongs to one session of one stream.
type tours struct {
	limit int

	mu  sync.Mutex
	all map[string]*tour // guarded by mu
}

// of returns the tour of a viewer. One too many is not remembered.
func (t *tours) of(key string, now time.Time) *tour {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.all[key]
	if v == nil {
		v = &tour{}
		if t.all == nil {
			t.all = map[string]*tour{}
		}
		if len(t.all) < t.limit {
			t.all[strings.Clone(key)] = v
		}
	}
	v.until = now.Add(tourRest)
	return v
}

func (t *tours) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, v := range t.all {
		if now.After(v.until) {
			delete(t.all, key)
		}
	}
}

// ServeBalanced answers a request below the URL of a stream that itself is below that of a balancer: playlists are
// answered here, from those of the server that was chosen for the viewer, and name its segments. When that server fails,
// the next playlist is another one's, with numbers that go on. The rest is as in [Server.ServeStream].
//
// The viewer counts where the segments come from: their URLs have his session in the query.
func (s *Server) ServeBalanced(w http.ResponseWriter, r *http.Request, rt Balancer, under, stream, name string) {
	q, ok := s.admit(w, r, stream, name)
	if !ok {
		return
	}
	b := &balanced{query: q, balancer: rt, prefix: escape(under), session: sessionOf(q.Query)}
	switch {
	case b.session != "":
	case q.file.kind == multivariant:
		var err error
		if b.session, err = s.newSession(); err != nil {
			refuse(w, err)
			return
		}
	default: // a player that was given the media playlist directly
		sum := sha256.Sum256([]byte(q.Remote.Addr().String() + "\x00" + q.Agent + "\x00" + stream))
		b.session = hex.EncodeToString(sum[:sessionDigits/2])
	}
	b.tour = s.tours.of(under+"\x00"+stream+"\x00"+b.session, time.Now())
	switch q.file.kind {
	case multivariant, mediaPlaylist:
		s.balancedPlaylist(b)
	default:
		s.balancedMedia(b)
	}
}

// A balanced is a request below a balancer in the course of being answered.
type balanced struct {
	*query
	balancer Balancer
	prefix   string // of URLs below the balancer, escaped, with a slash before and after
	session  string
	tour     *tour
	avoid    []string // servers that have been tried in vain
}

// place says which server the viewer has now, and chooses one if he has none; ok is false when there is none.
func (b *balanced) place() (Place, bool) {
	b.tour.mu.Lock()
	server := b.tour.server
	b.tour.mu.Unlock()
	tried := func(server string) bool {
		for _, a := range b.avoid {
			if a == server {
				return true
			}
		}
		return false
	}
	if server != "" && !tried(server) {
		if p, ok := b.balancer.Place(b.Request, server); ok {
			return p, true
		}
	}
	p, ok := b.balancer.Route(b.Request, b.avoid)
	if !ok {
		return p, false
	}
	b.tour.mu.Lock()
	defer b.tour.mu.Unlock()
	if b.tour.shown == nil { // otherwise the viewer stays until the other server has something for him
		b.tour.server = p.Server
	}
	return p, true
}

var errNoServer = errors.New("no server of the balancer takes clients now")

// balancedPlaylist answers a request for a playlist.
func (s *Server) balancedPlaylist(b *balanced) {
	b.tour.mu.Lock()
	shown := b.tour.shown != nil && b.file.kind == mediaPlaylist
	b.tour.mu.Unlock()
	ctx, cancel := context.WithTimeout(b.r.Context(), s.hold(b.query, shown))
	defer cancel()
	var last error
	for {
		var p Place
		again := false
		for range attempts {
			var ok bool
			if p, ok = b.place(); !ok {
				if o := (*outcome)(nil); !errors.As(last, &o) {
					last = errNoServer
				}
				break
			}
			t, k, err := s.textOf(ctx, b, p)
			if err == nil && s.writeBalanced(b, p, k, t) {
				return
			}
			last = err
			if again = s.elsewhere(b, p, err, shown); !again {
				break
			}
		}
		var o *outcome
		switch {
		case shown:
			s.repeatBalanced(b)
			return
		case errors.Is(last, errNoServer):
			listen.Refuse(b.w, listen.Answer{
				Verdict: listen.Unavailable, RetryAfter: 2 * time.Second, Reason: "No server of this balancer takes clients now.",
			})
			return
		case errors.As(last, &o) && (o.status != 0 || o.answer.Verdict == listen.NotFound):
			refuse(b.w, last)
			return
		}
		s.wait(b.query)
		if !pause(ctx) {
			refuse(b.w, last)
			return
		}
	}
}

// elsewhere decides after a server brought no playlist whether another is to be tried at once.
func (s *Server) elsewhere(b *balanced, p Place, err error, shown bool) bool {
	var status statusError
	var o *outcome
	switch {
	case errors.As(err, &status) && int(status) == http.StatusServiceUnavailable,
		errors.As(err, &o) && o.answer.Verdict == listen.Unavailable:
		// It lives and has nothing yet: a stream that is captured on demand needs a moment.
		b.tour.mu.Lock()
		b.tour.nothing++
		patient := b.tour.nothing < impatience || !shown && b.tour.nothing < 4*impatience
		if !patient {
			b.tour.nothing = 0
		}
		b.tour.mu.Unlock()
		if patient {
			return false
		}
	case errors.As(err, &status), errors.As(err, &o):
	case errors.Is(err, errPlaylist), err == nil:
	case p.Here:
		return false
	default:
		b.balancer.Failed(p.Server)
	}
	b.avoid = append(b.avoid, p.Server)
	return true
}

// textOf takes the playlist of a server.
func (s *Server) textOf(ctx context.Context, b *balanced, p Place) (*text, *known, error) {
	q := *b.query
	if p.Here {
		q.Here = true
		t, err := s.currentText(ctx, &q)
		return t, s.find(q.key()), err
	}
	q.scope = p.Upstream
	k := s.remember(&q, q.stream, time.Now())
	t, err := s.fetchText(ctx, k, q.file, listen.Answer{Upstream: p.Upstream, Public: p.Upstream})
	var status statusError
	if errors.As(err, &status) && int(status) == http.StatusNotFound {
		err = &outcome{answer: listen.Answer{Verdict: listen.NotFound, Stream: q.stream, Reason: "there is no such stream: " + q.stream}}
	}
	return t, k, err
}

// writeBalanced sends a playlist of a server to a viewer; false means that this server's would lead him back.
func (s *Server) writeBalanced(b *balanced, p Place, k *known, t *text) bool {
	h := b.w.Header()
	if k == nil {
		k = &known{stream: b.stream, escape: escape(b.stream)}
	}
	below := strings.TrimSuffix(b.prefix, "/") + k.escape
	if b.file.kind == multivariant {
		h["Content-Type"], h["Cache-Control"] = playlistType, noStore
		s.playlists.Add(1)
		s.write(b.query, withPrefix(withQuery(t.relative, variantOf(b.session, b.Query)), below))
		return true
	}
	pl, err := parseLines(t.relative)
	if err != nil {
		return false
	}
	l, ok := b.tour.show(p.Server, t, pl)
	if !ok {
		return false
	}
	s.send(b, p, k, pl, l)
	return true
}

// show makes a playlist of a server, which is pl taken apart, the one that the viewer was shown last, and says how; false
// means that it has nothing yet that he could be shown.
func (v *tour) show(server string, t *text, pl *lines) (line, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.line
	if v.shown != nil && v.server != server {
		before, err := parseLines(v.shown.relative)
		if err == nil {
			if l, err = l.follow(before, pl, v.behind >= impatience); err != nil {
				v.behind++
				return l, false
			}
		}
	}
	if !l.shows(pl) {
		return l, false
	}
	v.server, v.shown, v.line, v.nothing, v.behind = server, t, l, 0, 0
	return l, true
}

// repeatBalanced sends the last playlist once more: a player gives up at an error and not at a playlist without news.
func (s *Server) repeatBalanced(b *balanced) {
	b.tour.mu.Lock()
	t, l, server := b.tour.shown, b.tour.line, b.tour.server
	b.tour.mu.Unlock()
	p, _ := b.balancer.Place(b.Request, server)
	pl, err := parseLines(t.relative)
	if err != nil {
		refuse(b.w, err)
		return
	}
	s.repeated.Add(1)
	s.send(b, p, &known{stream: b.stream, escape: escape(b.stream)}, pl, l)
}

// send writes a media playlist with URIs that lead to the server.
func (s *Server) send(b *balanced, p Place, k *known, pl *lines, l line) {
	h := b.w.Header()
	h["Content-Type"], h["Cache-Control"] = playlistType, noStore // it is one viewer's
	prefix, query := k.escape, "?"+sessionParameter+"="+b.session
	switch {
	case p.Here:
		query += "&" + listen.HereParameter + "=1"
	case p.Public != "" && (!b.Secure || startsSecure(p.Public)):
		prefix = strings.TrimSuffix(p.Public, "/") + k.escape
		query += "&" + listen.HereParameter + "=1"
	default: // through this node
		prefix = strings.TrimSuffix(b.prefix, "/") + k.escape
	}
	s.playlists.Add(1)
	s.write(b.query, pl.render(l, prefix, query))
}

// balancedMedia answers a request for a segment of a viewer who gets his segments through this node, because the server
// has no address that he may be sent to.
func (s *Server) balancedMedia(b *balanced) {
	p, ok := b.place()
	if !ok {
		listen.Refuse(b.w, listen.Answer{Verdict: listen.Unavailable, RetryAfter: time.Second})
		return
	}
	if p.Here {
		b.Here = true
		s.serveMedia(b.query)
		return
	}
	b.scope = p.Upstream
	ctx, cancel := context.WithTimeout(b.r.Context(), s.hold(b.query, false))
	defer cancel()
	k := s.remember(b.query, b.stream, time.Now())
	body, err := s.fetchMedia(ctx, k, b.file, listen.Answer{Upstream: p.Upstream})
	if err != nil {
		refuse(b.w, err)
		return
	}
	s.writeMedia(b.query, body)
}

// at is the path of a file at the node that has the stream, with the query that it needs.
func (k *known) at(name string) string {
	if k.scope == "" {
		return k.escape + name
	}
	return k.escape + name + "?" + listen.HereParameter + "=1"
}

// path is under what a file of another node is kept.
func (k *known) path(name string) string {
	if k.scope == "" {
		return k.escape + name
	}
	return k.scope + "\x00" + k.escape + name
}

// withPrefix puts a prefix before each URI of a multivariant playlist.
func withPrefix(text []byte, prefix string) []byte {
	b := make([]byte, 0, len(text)+len(prefix))
	for l := range strings.Lines(string(text)) {
		if l[0] != '#' && l[0] != '\n' {
			b = append(b, prefix...)
		}
		b = append(b, l...)
	}
	return b
}
