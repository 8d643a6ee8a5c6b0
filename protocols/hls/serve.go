package hls

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

// sessionParameter is the query parameter in which a viewer's playlist requests carry the identifier that the
// multivariant playlist gave.
const sessionParameter = "session"

// sessionDigits is the length of a session identifier: 128 bits in hexadecimal.
const sessionDigits = 32

// Headers that never change, so that setting them allocates nothing.
var (
	playlistType = []string{"application/vnd.apple.mpegurl"}
	tsType       = []string{"video/mp2t"}
	mp4Type      = []string{"video/mp4"}
	noCache      = []string{"no-cache"}
	noStore      = []string{"no-store"}
	immutable    = []string{"public, max-age=3600, immutable"}
)

// servePlaylist answers a request for a playlist. One that has been served is answered whatever happens to the stream,
// unless the stream is gone for good.
func (s *Server) servePlaylist(q *query) {
	var last *text
	if k := s.find(q.key()); k != nil {
		last = k.page(q.file).known(time.Now(), &s.config)
	}
	ctx, cancel := context.WithTimeout(q.r.Context(), s.hold(q, last != nil))
	defer cancel()
	for {
		t, err := s.currentText(ctx, q)
		var o *outcome
		switch {
		case err == nil:
			s.writePlaylist(q, t)
			return
		case errors.As(err, &o) && o.answer.Verdict != listen.Unavailable:
			refuse(q.w, err)
			return
		case last != nil:
			s.repeated.Add(1)
			s.writePlaylist(q, last)
			return
		case o != nil:
			refuse(q.w, err)
			return
		}
		s.wait(q)
		if !pause(ctx) {
			refuse(q.w, err)
			return
		}
	}
}

// currentText asks the router where the stream is and takes the playlist from there. An error that is no outcome
// passes.
func (s *Server) currentText(ctx context.Context, q *query) (*text, error) {
	store, a := s.ask(ctx, q)
	switch a.Verdict {
	case listen.Serve:
		return s.localText(ctx, q, a.Stream, store)
	case listen.Proxy:
		k := s.remember(q, a.Stream, time.Now())
		return s.fetchText(ctx, k, q.file, a)
	}
	return nil, &outcome{answer: a, reason: a.Reason}
}

// localText renders the playlist from a store, once it has a segment.
func (s *Server) localText(ctx context.Context, q *query, stream string, store *cmaf.Store) (*text, error) {
	w := store.Window()
	if len(w.Segments) == 0 {
		s.wait(q)
		var err error
		if w, err = store.Wait(ctx, 0); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	k := s.remember(q, stream, now)
	k.served(store, now)
	form := q.file.form
	if q.file.any {
		form = formOf(w)
	}
	if !w.Segments[len(w.Segments)-1].Generation.Carries(form) {
		return nil, errUnfit
	}
	p := k.page(q.file)
	var t *text
	if q.file.kind == multivariant {
		t = p.offerLocal(0, 0, 0, renderMultivariant(w, form), now, &s.config)
	} else {
		t = p.offerLocal(w.First(), w.Last(), w.TargetDuration, renderMedia(w, form), now, &s.config)
		if t.last > w.Last() {
			s.repeated.Add(1)
		}
	}
	return t, nil
}

// writePlaylist sends a playlist, and counts the viewer.
func (s *Server) writePlaylist(q *query, t *text) {
	h := q.w.Header()
	h["Content-Type"] = playlistType
	var body []byte
	if q.file.kind == multivariant {
		h["Cache-Control"] = noStore
		body = t.relative
		if !q.entry {
			query, err := s.variantQuery(q.Query)
			if err != nil {
				s.log.Error("no session identifier", slog.String("stream", q.stream), slog.Any("err", err))
				refuse(q.w, err)
				return
			}
			body = withQuery(body, query)
		}
	} else {
		h["Cache-Control"] = noCache
		if body = t.relative; !q.entry {
			body = t.bytes(q.Secure)
		}
	}
	s.playlists.Add(1)
	n := s.write(q, body)
	if q.file.kind == mediaPlaylist && !q.entry {
		s.viewers.seen(q, t.target, n)
	}
}

// variantQuery is what follows the question mark in a variant's URI: the viewer's session, which is a new one unless
// the viewer has one, and all that the request had, such as tokens. Hops count redirects of one request.
func (s *Server) variantQuery(asked string) (string, error) {
	id := sessionOf(asked)
	if id == "" {
		var err error
		if id, err = s.newSession(); err != nil {
			return "", err
		}
	}
	return variantOf(id, asked), nil
}

// newSession draws a session identifier.
func (s *Server) newSession() (string, error) {
	var raw [sessionDigits / 2]byte
	s.random.Lock()
	_, err := io.ReadFull(s.source, raw[:])
	s.random.Unlock()
	if err != nil {
		return "", fmt.Errorf("making a session identifier: %w", err)
	}
	return hex.EncodeToString(raw[:]), nil
}

// variantOf is the query of a variant's URI for a session.
func variantOf(id, asked string) string {
	var b strings.Builder
	b.WriteString(sessionParameter + "=")
	b.WriteString(id)
	for part := range strings.SplitSeq(asked, "&") {
		if part == "" || strings.HasPrefix(part, sessionParameter+"=") || strings.HasPrefix(part, listen.HopsParameter+"=") {
			continue
		}
		b.WriteByte('&')
		b.WriteString(part)
	}
	return b.String()
}

// sessionOf returns the session identifier in a query, or nothing if there is none of ours.
func sessionOf(query string) string {
	for part := range strings.SplitSeq(query, "&") {
		if id, ok := strings.CutPrefix(part, sessionParameter+"="); ok && hexadecimal(id, sessionDigits) {
			return id
		}
	}
	return ""
}

// serveMedia answers a request for a segment or an init segment.
func (s *Server) serveMedia(q *query) {
	k := s.find(q.key())
	body := s.atHand(k, q.file)
	ctx, cancel := context.WithTimeout(q.r.Context(), s.hold(q, body != nil))
	defer cancel()
	for {
		b, err := s.currentMedia(ctx, q, body)
		var o *outcome
		switch {
		case err == nil:
			s.writeMedia(q, b)
			return
		case errors.As(err, &o):
			refuse(q.w, err)
			return
		}
		s.wait(q)
		if !pause(ctx) {
			refuse(q.w, err)
			return
		}
	}
}

// atHand returns media that this node holds whatever the router says: of a store that it served before the stream moved,
// or fetched from another node.
func (s *Server) atHand(k *known, f file) []byte {
	if k == nil {
		return nil
	}
	if store := k.last(); store != nil {
		if b := fromWindow(store.Window(), f); b != nil {
			return b
		}
	}
	return s.peers.cached(k.path(f.name))
}

// fromWindow returns a file's bytes, or nil.
func fromWindow(w *cmaf.Window, f file) []byte {
	if f.kind == initSegment {
		if g := w.Generation(f.generation); g != nil {
			b, err := g.Init()
			if err == nil {
				return b
			}
		}
		return nil
	}
	if seg := w.Segment(f.number); seg != nil {
		return seg.Bytes(f.form)
	}
	return nil
}

// currentMedia asks the router where the stream is and takes the file from there; body is what is at hand already. An
// error that is no outcome passes.
func (s *Server) currentMedia(ctx context.Context, q *query, body []byte) ([]byte, error) {
	store, a := s.ask(ctx, q)
	switch a.Verdict {
	case listen.Serve:
		now := time.Now()
		k := s.remember(q, a.Stream, now)
		k.served(store, now)
		if b := fromWindow(store.Window(), q.file); b != nil {
			return b, nil
		}
		if body != nil {
			return body, nil
		}
		return s.localMedia(ctx, k, store, q)
	case listen.Proxy:
		if body != nil {
			return body, nil
		}
		k := s.remember(q, a.Stream, time.Now())
		return s.fetchMedia(ctx, k, q.file, a)
	case listen.Unavailable:
		if body != nil {
			return body, nil
		}
	}
	return nil, &outcome{answer: a, reason: a.Reason}
}

// localMedia takes a file from a store. One that is about to come is waited for: the next segment, and all that a
// playlist has named which was served before the stream came here.
func (s *Server) localMedia(ctx context.Context, k *known, store *cmaf.Store, q *query) ([]byte, error) {
	f, w := q.file, store.Window()
	if f.kind == initSegment {
		if len(w.Segments) == 0 {
			return nil, errSilent
		}
		return nil, errGone
	}
	if f.number <= w.Last() || f.number > w.Last()+1 && !k.lists(f) && len(w.Segments) > 0 {
		return nil, errGone
	}
	s.wait(q)
	w, err := store.Wait(ctx, f.number)
	if err != nil {
		return nil, err
	}
	if b := fromWindow(w, f); b != nil {
		return b, nil
	}
	return nil, errGone
}

func (s *Server) writeMedia(q *query, body []byte) {
	h := q.w.Header()
	h["Content-Type"] = mp4Type
	if q.file.kind == segment && q.file.form == cmaf.TS {
		h["Content-Type"] = tsType
	}
	h["Cache-Control"] = immutable
	s.segments.Add(1)
	n := s.write(q, body)
	if !q.entry && sessionOf(q.Query) != "" {
		s.viewers.seen(q, s.targetOf(q), n)
	}
}

// targetOf is the target duration of the stream of a segment.
func (s *Server) targetOf(q *query) time.Duration {
	if k := s.find(q.key()); k != nil {
		if store := k.last(); store != nil {
			return time.Duration(store.Window().TargetDuration) * time.Second
		}
		for i := range k.pages {
			if t := k.pages[i].known(time.Now(), &s.config); t != nil && t.target > 0 {
				return t.target
			}
		}
	}
	return usualTarget
}

// usualTarget is taken for the target duration where it is not known.
const usualTarget = 6 * time.Second

// piece is how much is written under one deadline.
const piece = 128 << 10

// write sends a body and returns how much of it was taken. A client that takes nothing for the write deadline is given
// up; one that takes little is not.
func (s *Server) write(q *query, body []byte) int {
	q.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if q.r.Method == http.MethodHead {
		q.w.WriteHeader(http.StatusOK)
		return 0
	}
	control := http.NewResponseController(q.w)
	// What was set here must not meet the connection's next response, so nothing may be left in a buffer either.
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	sent := 0
	for sent < len(body) {
		_ = control.SetWriteDeadline(time.Now().Add(s.config.WriteDeadline)) // a test's recorder has none
		n, err := q.w.Write(body[sent:min(sent+piece, len(body))])
		sent += n
		s.bytes.Add(uint64(n))
		if err != nil {
			return sent // the client has gone
		}
	}
	_ = control.Flush()
	return sent
}
