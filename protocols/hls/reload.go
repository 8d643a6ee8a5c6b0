package hls

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"weir/protocols/cmaf"
	"weir/protocols/hls/edge"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
)

// servePlaylist answers a request for a playlist. One that has been served is repeated whatever happens to the stream,
// unless the stream is gone for good. To another node none is repeated: it knows which one its own viewers were shown last.
func (s *Server) servePlaylist(q *request) {
	var last *servedPlaylist
	if st := s.find(q.key); st != nil && !q.entry {
		last = st.playlist(q.file).last(time.Now())
	}
	s.answer(q, last != nil, func(ctx context.Context) (again bool, err error) {
		p, err := s.currentPlaylist(ctx, q)
		if err != nil {
			r := refused(err)
			if last == nil || r != nil && !r.unavailable() {
				return r == nil, err
			}
			p = last
			q.leaves = q.mayGet(p, false)
		}
		s.writePlaylist(q, p)
		return false, nil
	})
}

// currentPlaylist asks the router where the stream is and takes the playlist from there. An error that is no refusal may
// pass.
func (s *Server) currentPlaylist(ctx context.Context, q *request) (*servedPlaylist, error) {
	store, a := s.route(ctx, q)
	switch a.Verdict {
	case listen.Serve:
		return s.ownPlaylist(ctx, q, a.Stream, store)
	case listen.Fetch:
		return s.fetchPlaylist(ctx, q, s.remember(q.key, a.Stream, time.Now()), a)
	}
	return nil, &refusal{answer: a}
}

// ownPlaylist takes the playlist from a store, once it has a segment.
func (s *Server) ownPlaylist(ctx context.Context, q *request, name string, store *cmaf.Store) (*servedPlaylist, error) {
	w := store.Window()
	if len(w.Segments) == 0 {
		var err error
		if w, err = store.Wait(ctx, 0); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	st := s.remember(q.key, name, now)
	st.serve(store, now)
	p := playlist.Of(w, q.file)
	if p == nil {
		return nil, errForm
	}
	if q.entry {
		return &servedPlaylist{Playlist: p, path: st.path, text: p.Text}, nil
	}
	served := st.playlist(q.file).offer(p, st.path, "", now)
	q.leaves = q.mayGet(served, false) // it may be an earlier one, with the URLs of the node that had the stream
	return served, nil
}

// fetchPlaylist takes the playlist from the node that a says. When segments come through this node they are fetched ahead.
func (s *Server) fetchPlaylist(ctx context.Context, q *request, st *stream, a listen.Answer) (*servedPlaylist, error) {
	cached, source := st.playlist(q.file), st.source(a.Upstream)
	canRepeat := cached.last(time.Now()) != nil
	p, err := s.edge.Playlist(ctx, &cached.reload, source, q.file, canRepeat)
	switch {
	case errors.Is(err, edge.Status(http.StatusUnsupportedMediaType)):
		return nil, errForm
	case err != nil:
		return nil, failing(err, a.Stream)
	}
	base := ""
	if a.Public != "" {
		base = strings.TrimSuffix(a.Public, "/") + st.path
	}
	served := cached.offer(p, st.path, base, time.Now())
	q.leaves = base != "" && q.mayGet(served, true)
	if served.Playlist == p && base == "" && q.file.Kind == playlist.MediaFile && !source.Separate {
		s.edge.Prefetch(&cached.reload, source, p)
	}
	return served, nil
}

// writePlaylist sends a playlist, and counts the viewer.
func (s *Server) writePlaylist(q *request, p *servedPlaylist) {
	cacheControl, body := noCache, p.Text
	switch {
	case q.file.Kind == playlist.MultivariantFile:
		cacheControl = noStore
		if !q.entry {
			body = p.RenderVariants(q.below(), variantQuery(sessionOf(q), q.Query))
		}
	case !q.entry:
		body = p.textFor(q.leaves)
	}
	n := s.writeText(q, cacheControl, body)
	if q.file.Kind == playlist.MediaFile && !q.entry {
		s.viewers.seen(q, p.Target, n, q.leaves && p.base != "")
	}
}

// writeText sends the text of a playlist, and returns how much of it was taken.
func (s *Server) writeText(q *request, cacheControl []string, body []byte) int {
	h := q.w.Header()
	h["Content-Type"], h["Cache-Control"] = playlistType, cacheControl
	s.playlists.Add(1)
	return s.write(q, body)
}
