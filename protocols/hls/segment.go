package hls

import (
	"context"
	"errors"
	"net/http"
	"time"

	"weir/protocols/cmaf"
	"weir/protocols/hls/edge"
	"weir/protocols/hls/playlist"
	"weir/protocols/listen"
)

// usualTarget is taken for the target duration where it is not known.
const usualTarget = 6 * time.Second

// serveSegment answers a request for a segment or an init segment.
func (s *Server) serveSegment(q *request) {
	held := s.heldSegment(q)
	s.answer(q, held != nil, func(ctx context.Context) (again bool, err error) {
		body, err := s.currentSegment(ctx, q, held)
		if err != nil {
			return refused(err) == nil, err
		}
		s.writeSegment(q, body)
		return false, nil
	})
}

// heldSegment returns a segment that this node has whatever the router says: of a store that it served before the stream
// moved, or fetched from another node.
func (s *Server) heldSegment(q *request) []byte {
	st := s.find(q.key)
	if st == nil {
		return nil
	}
	if store := st.lastStore(); store != nil {
		if b := fromWindow(store.Window(), q.file); b != nil {
			return b
		}
	}
	return s.edge.Cached(st.source(q.key.server), q.file.Name)
}

// fromWindow returns a file's bytes, or nil.
func fromWindow(w *cmaf.Window, f playlist.File) []byte {
	if f.Kind == playlist.InitFile {
		if g := w.Generation(f.Generation); g != nil {
			if b, err := g.Init(); err == nil {
				return b
			}
		}
		return nil
	}
	if seg := w.Segment(f.Number); seg != nil {
		return seg.Bytes(f.Form)
	}
	return nil
}

// currentSegment asks the router where the stream is and takes the file from there, unless it is held already. An error
// that is no refusal may pass.
func (s *Server) currentSegment(ctx context.Context, q *request, held []byte) ([]byte, error) {
	store, a := s.route(ctx, q)
	switch a.Verdict {
	case listen.Serve:
		now := time.Now()
		st := s.remember(q.key, a.Stream, now)
		st.serve(store, now)
		if b := fromWindow(store.Window(), q.file); b != nil {
			return b, nil
		}
		if held == nil {
			return s.awaitSegment(ctx, q, st, store)
		}
	case listen.Fetch:
		if held == nil {
			return s.fetchSegment(ctx, q, s.remember(q.key, a.Stream, time.Now()), a.Upstream)
		}
	case listen.Unavailable:
	default:
		held = nil
	}
	if held == nil {
		return nil, &refusal{answer: a}
	}
	return held, nil
}

// awaitSegment takes a file from a store that does not have it yet. One that is about to come is waited for: the next
// segment, and those that a playlist has named which was served before the stream came here.
func (s *Server) awaitSegment(ctx context.Context, q *request, st *stream, store *cmaf.Store) ([]byte, error) {
	f, w := q.file, store.Window()
	switch {
	case f.Kind == playlist.InitFile && len(w.Segments) == 0:
		return nil, edge.ErrSilent
	case f.Kind == playlist.InitFile,
		f.Number <= w.Last(),
		f.Number > w.Last()+1 && !st.lists(f) && len(w.Segments) > 0:
		return nil, errNoSegment
	}
	w, err := store.Wait(ctx, f.Number)
	if err != nil {
		return nil, err
	}
	if b := fromWindow(w, f); b != nil {
		return b, nil
	}
	return nil, errNoSegment
}

// fetchSegment takes a segment or an init segment from the node that has the stream. A segment that a playlist has named
// may be one that only the node's predecessor had, or that the node does not have yet: it is asked for again.
func (s *Server) fetchSegment(ctx context.Context, q *request, st *stream, node string) ([]byte, error) {
	b, err := s.edge.Segment(ctx, st.source(node), q.file.Name)
	switch {
	case errors.Is(err, edge.Status(http.StatusUnsupportedMediaType)):
		return nil, errForm
	case errors.Is(err, edge.Status(http.StatusNotFound)) && !st.lists(q.file):
		return nil, errNoSegment
	}
	return b, err
}

func (s *Server) writeSegment(q *request, body []byte) {
	h := q.w.Header()
	h["Content-Type"] = mp4Type
	if q.file.Kind == playlist.SegmentFile && q.file.Form == cmaf.TS {
		h["Content-Type"] = tsType
	}
	h["Cache-Control"] = immutable
	s.segments.Add(1)
	n := s.write(q, body)
	switch {
	case q.entry || q.file.Kind != playlist.SegmentFile:
	case sessionIn(q.Query) != "":
		s.viewers.seen(q, s.targetOf(q), n, true)
	default:
		s.viewers.fetch(q, s.targetOf(q))
	}
}

// targetOf is the target duration of the stream of a segment.
func (s *Server) targetOf(q *request) time.Duration {
	st := s.find(q.key)
	if st == nil {
		return usualTarget
	}
	if store := st.lastStore(); store != nil {
		return time.Duration(store.Window().TargetDuration) * time.Second
	}
	for i := range st.playlists {
		if p := st.playlists[i].last(time.Now()); p != nil && p.Target > 0 {
			return p.Target
		}
	}
	return usualTarget
}
