package hls

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/protocols/hls/edge"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
)

// A Balancer says which server of a balancer serves a viewer. Its methods do not block, and may be called by any
// goroutine.
type Balancer interface {
	// Choose chooses a server for a viewer, none of those to avoid; ok is false when none is left.
	Choose(r listen.Request, avoid []string) (t Target, ok bool)

	// Target returns a server that was chosen before; ok is false if it takes no clients any more.
	Target(r listen.Request, server string) (t Target, ok bool)

	// Failed is told that a server did not answer.
	Failed(server string)
}

// A Target is a server of a balancer, and where it is.
type Target struct {
	Server string // how the balancer calls it
	Here   bool   // it is this node

	// Upstream is the URL at which this node fetches from it, and Public that at which viewers do, both without path.
	// PublicGiven says that the configuration gives Public as such.
	Upstream, Public string
	PublicGiven      bool
}

// Takes says whether a client may be sent to the server's public URL.
func (t Target) Takes(r *listen.Request) bool {
	return t.Public != "" && r.MayLeave(isSecure(t.Public), t.PublicGiven)
}

const (
	// maxUnavailable is how often in a row a server may say that it has nothing yet before a viewer that has been shown a
	// playlist is moved to another server. maxUnavailableFirst is the same for other viewers.
	maxUnavailable, maxUnavailableFirst = 3, 12

	// maxBehind is how often in a row another server may have nothing new yet before the viewer is moved there all the same.
	maxBehind = 3

	// maxAttempts bounds the servers that are tried for one request without a pause.
	maxAttempts = 8

	// positionLinger is how long the position of a viewer that asks for nothing is kept. It is longer than a player waits.
	positionLinger = time.Minute
)

var errNoServer = &refusal{answer: listen.Answer{
	Verdict: listen.Unavailable, RetryAfter: 2 * time.Second, Reason: "No server of this balancer takes clients now.",
}}

// A position is where a viewer of a balancer is: the server, and what the viewer was shown of it.
type position struct {
	mu        sync.Mutex
	server    string             // empty before the first
	shown     *servedPlaylist    // the newest playlist of the server that the viewer was shown; nil before the first
	numbering playlist.Numbering // with which it was shown

	unavailable int // how often in a row the server had nothing yet
	behind      int // how often in a row another server had nothing new yet

	until time.Time // when it is dropped; guarded by positions.mu
}

// get returns the server of the viewer, and the playlist that the viewer was shown last.
func (v *position) get() (server string, shown *servedPlaylist, n playlist.Numbering) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.server, v.shown, v.numbering
}

// choose notes the server of a viewer that was shown nothing yet. Any other viewer stays with the former server until the
// new one has a playlist that goes on from what was shown.
func (v *position) choose(server string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shown == nil {
		v.server = server
	}
}

// show makes p, of a server, the playlist that the viewer was shown last, and returns the numbering for it. ok is false if
// p has nothing that the viewer could be shown.
func (v *position) show(server string, p *servedPlaylist) (n playlist.Numbering, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n = v.numbering
	if v.shown != nil && v.server != server {
		var err error
		if n, err = n.Follow(v.shown.Playlist, p.Playlist, v.behind >= maxBehind); err != nil {
			v.behind++
			return n, false
		}
	}
	if !n.Shows(p.Playlist) {
		return n, false
	}
	v.server, v.shown, v.numbering, v.unavailable, v.behind = server, p, n, 0, 0
	return n, true
}

// waits says whether the viewer waits for the server, which has nothing yet: a stream that is captured on demand needs a
// moment.
func (v *position) waits(shown bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.unavailable++
	if v.unavailable < maxUnavailable || !shown && v.unavailable < maxUnavailableFirst {
		return true
	}
	v.unavailable = 0
	return false
}

// positions are those of the viewers of all balancers.
type positions struct {
	limit int

	mu  sync.Mutex
	all map[positionKey]*position // guarded by mu
}

type positionKey struct{ balancer, stream, session string }

// of returns the position of a viewer. One beyond the limit is not kept.
func (t *positions) of(key positionKey, now time.Time) *position {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := t.all[key]
	if v == nil {
		v = &position{}
		if len(t.all) < t.limit {
			t.all[positionKey{strings.Clone(key.balancer), strings.Clone(key.stream), strings.Clone(key.session)}] = v
		}
	}
	v.until = now.Add(positionLinger)
	return v
}

func (t *positions) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, v := range t.all {
		if now.After(v.until) {
			delete(t.all, key)
		}
	}
}

// A balanced is a request below a balancer in the course of being answered.
type balanced struct {
	*request
	balancer Balancer
	prefix   string // of URLs below the balancer, escaped, with a slash before and none after
	session  string
	position *position
	avoid    []string // servers that have been tried in vain
}

// ServeBalanced answers a request below the URL of a stream that itself is below that of a balancer: playlists are
// answered here, from those of the server that was chosen for the viewer, and name its segments. When that server fails,
// the next playlist is another one's, with numbers that go on. The rest is as in [Server.ServeStream].
//
// The viewer counts where the segments come from: their URLs have the viewer's session in the query.
func (s *Server) ServeBalanced(w http.ResponseWriter, r *http.Request, asked listen.Request, balancer Balancer, under, file string) {
	q := s.parseRequest(w, r, asked, file)
	if q == nil {
		return
	}
	b := &balanced{
		request: q, balancer: balancer, prefix: strings.TrimSuffix(escape(under), "/"), session: sessionIn(q.Query),
	}
	switch {
	case b.session != "":
	case q.file.Kind == playlist.MultivariantFile:
		b.session = sessionOf(q)
	default: // a player that was given the media playlist directly
		sum := sha256.Sum256([]byte(q.Remote.Addr().String() + "\x00" + q.Agent + "\x00" + q.key.name))
		b.session = hex.EncodeToString(sum[:sessionDigits/2])
	}
	b.position = s.positions.of(positionKey{under, q.key.name, b.session}, time.Now())
	if q.isPlaylist() {
		s.balancedPlaylist(b)
	} else {
		s.balancedSegment(b)
	}
}

// target returns the server that the viewer has now, and chooses one if there is none; ok is false when none is left.
func (b *balanced) target() (t Target, ok bool) {
	if server, _, _ := b.position.get(); server != "" && !slices.Contains(b.avoid, server) {
		if t, ok = b.balancer.Target(b.Request, server); ok {
			return t, true
		}
	}
	if t, ok = b.balancer.Choose(b.Request, b.avoid); ok {
		b.position.choose(t.Server)
	}
	return t, ok
}

// balancedPlaylist answers a request for a playlist from one server after the other. A viewer that was shown a playlist is
// shown it again when no server has a newer one: a player gives up at an error, and not at a playlist without news.
func (s *Server) balancedPlaylist(b *balanced) {
	_, last, _ := b.position.get()
	shown := last != nil && b.file.Kind == playlist.MediaFile
	var err error
	s.answer(b.request, shown, func(ctx context.Context) (again bool, _ error) {
		for range maxAttempts {
			t, ok := b.target()
			if !ok {
				if refused(err) == nil {
					err = errNoServer
				}
				break
			}
			if err = s.tryServer(ctx, b, t); err == nil {
				return false, nil
			}
			if !b.moves(t, err, shown) {
				break
			}
		}
		if shown {
			server, p, n := b.position.get()
			t, _ := b.balancer.Target(b.Request, server)
			s.writeBalanced(b, t, p, n)
			return false, nil
		}
		r := refused(err)
		return r == nil || r.unavailable() && r != errNoServer && !r.answer.Failing, err
	})
}

// tryServer answers with the playlist of a server. The error says why there is none for this viewer.
func (s *Server) tryServer(ctx context.Context, b *balanced, t Target) error {
	q := *b.request
	var p *servedPlaylist
	var err error
	if t.Here {
		q.Here = true
		p, err = s.currentPlaylist(ctx, &q)
	} else {
		q.key.server = t.Upstream
		st := s.remember(q.key, q.key.name, time.Now())
		p, err = s.fetchPlaylist(ctx, &q, st, listen.Answer{Upstream: t.Upstream})
	}
	switch {
	case errors.Is(err, edge.Status(http.StatusNotFound)):
		return &refusal{answer: listen.Answer{
			Verdict: listen.NotFound, Stream: q.key.name, Reason: "there is no such stream: " + q.key.name,
		}}
	case err != nil:
		return err
	case b.file.Kind == playlist.MultivariantFile:
		s.writeText(b.request, noStore, p.RenderVariants(b.prefix+p.path, variantQuery(b.session, b.Query)))
		return nil
	}
	n, ok := b.position.show(t.Server, p)
	if !ok {
		return playlist.ErrBehind
	}
	s.writeBalanced(b, t, p, n)
	return nil
}

// moves decides after a server brought no playlist whether another one is tried at once.
func (b *balanced) moves(t Target, err error, shown bool) bool {
	var status edge.Status
	r := refused(err)
	switch {
	case r != nil && r.answer.Failing: // another server may have another source
	case errors.Is(err, edge.Status(http.StatusServiceUnavailable)), r != nil && r.unavailable():
		if b.position.waits(shown) {
			return false
		}
	case r != nil, errors.As(err, &status), errors.Is(err, playlist.ErrInvalid), errors.Is(err, playlist.ErrBehind):
		// The server lives and has nothing for this viewer.
	case t.Here:
		return false
	default:
		b.balancer.Failed(t.Server)
	}
	b.avoid = append(b.avoid, t.Server)
	return true
}

// writeBalanced sends a media playlist with URIs that lead to the server.
func (s *Server) writeBalanced(b *balanced, t Target, p *servedPlaylist, n playlist.Numbering) {
	prefix, query := p.path, "?"+sessionParameter+"="+b.session
	switch {
	case t.Here:
		query += "&" + listen.HereParameter + "=1"
	case t.Takes(&b.Request):
		prefix = strings.TrimSuffix(t.Public, "/") + p.path
		query += "&" + listen.HereParameter + "=1"
	default: // through this node
		prefix = b.prefix + p.path
	}
	s.writeText(b.request, noStore, p.Render(n, prefix, query))
}

// balancedSegment answers a request for a segment of a viewer that gets its segments through this node, because the server
// has no address that the viewer may be sent to.
func (s *Server) balancedSegment(b *balanced) {
	t, ok := b.target()
	switch {
	case !ok:
		refuse(b.w, errNoServer)
	case t.Here:
		b.Here = true
		s.serveSegment(b.request)
	default:
		b.key.server = t.Upstream
		s.answer(b.request, false, func(ctx context.Context) (again bool, err error) {
			st := s.remember(b.key, b.key.name, time.Now())
			body, err := s.fetchSegment(ctx, b.request, st, t.Upstream)
			if err == nil {
				s.writeSegment(b.request, body)
			}
			return false, err
		})
	}
}
