package hls

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"weir/protocols/listen"
)

// A flight is a request for a playlist that is under way, or has ended.
type flight struct {
	from string
	done chan struct{}
	text *text // set before done is closed, as is err; the one to be served, which may not be the one that was fetched
	err  error
}

func (f *flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// fetchText takes a playlist from the node that has the stream. However many viewers ask, one request is under way to
// a node, and those who come while it is take part in its result.
func (s *Server) fetchText(ctx context.Context, k *known, f file, a listen.Answer) (*text, error) {
	p := k.page(f)
	now := time.Now()
	p.mu.Lock()
	if p.from == a.Upstream {
		if p.text != nil && now.Sub(p.fresh) < freshFor {
			defer p.mu.Unlock()
			return p.text, nil
		}
		if p.text != nil && now.Sub(p.failed) < backOff {
			p.mu.Unlock()
			return nil, errSilent
		}
	}
	fl := p.flight
	if fl == nil || fl.from != a.Upstream || fl.ended() {
		fl = &flight{from: a.Upstream, done: make(chan struct{})}
		p.flight = fl
		go s.fly(k, f, a, fl)
	}
	p.mu.Unlock()
	select {
	case <-fl.done:
		return fl.text, fl.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// fly fetches a playlist for all who wait.
func (s *Server) fly(k *known, f file, a listen.Answer, fl *flight) {
	defer close(fl.done)
	t, files, err := s.fetch(k, f, a)
	p := k.page(f)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	newest := p.flight == fl // a request that had been given up may end after its successor
	if newest {
		p.from = a.Upstream
	}
	if err != nil {
		fl.err = err
		level := slog.LevelDebug
		if newest {
			if p.failed.IsZero() {
				level = slog.LevelWarn // once
			}
			p.failed, p.fresh = now, time.Time{}
		}
		s.log.Log(s.peers.ctx, level, "playlist of another node", slog.String("stream", k.stream), slog.Any("err", err))
		return
	}
	if newest {
		p.fresh, p.failed = now, time.Time{}
	}
	fl.text = p.offerLocked(t, now, &s.config)
	if fl.text != t {
		s.repeated.Add(1)
	} else if a.Public == "" && f.kind == mediaPlaylist {
		s.want(p, k, a.Upstream, files)
	}
}

// fetch asks the node that has the stream, and returns its playlist and what that names.
func (s *Server) fetch(k *known, f file, a listen.Answer) (*text, []string, error) {
	body, err := s.peers.get(a.Upstream, k.at(f.name), s.config.FetchTimeout, maxPlaylist)
	var status statusError
	switch {
	case errors.As(err, &status) && int(status) == http.StatusUnsupportedMediaType:
		return nil, nil, errUnfit
	case err != nil:
		return nil, nil, err
	case f.kind == multivariant:
		body, err = checkMultivariant(body)
		return &text{relative: body}, nil, err
	}
	pl, err := parseMedia(body, f.form)
	if err != nil {
		return nil, nil, err
	}
	t := &text{
		first: pl.first, last: pl.last, relative: body,
		target: time.Duration(pl.target) * time.Second,
	}
	if a.Public != "" {
		t.public = a.Public
		t.absolute = pl.absolute(strings.TrimSuffix(a.Public, "/") + k.escape)
	}
	return t, pl.files, nil
}

// want has all of files fetched that are not here, one after the other, because the node that has them may fall silent
// before a viewer asks. It is called with p.mu held.
func (s *Server) want(p *page, k *known, upstream string, files []string) {
	p.wanted, p.wantedFrom = files, upstream
	if p.fetching || s.nextWanted(p, k) == "" {
		return
	}
	p.fetching = true
	go func() {
		for {
			p.mu.Lock()
			name, from := s.nextWanted(p, k), p.wantedFrom
			if name == "" {
				p.fetching = false
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
			if _, err := s.peers.media(s.peers.ctx, from, k.at(name), k.path(name)); err != nil {
				s.log.Debug("segment of another node", slog.String("stream", k.stream), slog.Any("err", err))
				p.mu.Lock()
				if p.wantedFrom == from {
					p.wanted = nil // the next playlist that comes names what is still missing
				}
				p.mu.Unlock()
			}
		}
	}()
}

// nextWanted takes the files that are here off the front of p.wanted and returns the next one. It is called with p.mu
// held.
func (s *Server) nextWanted(p *page, k *known) string {
	for len(p.wanted) > 0 && s.peers.cached(k.path(p.wanted[0])) != nil {
		p.wanted = p.wanted[1:]
	}
	if len(p.wanted) == 0 {
		return ""
	}
	return p.wanted[0]
}

// fetchMedia takes a segment or an init segment from the node that has the stream. A segment that a playlist has named
// may be one that only its predecessor had, or not have yet; the error for it passes.
func (s *Server) fetchMedia(ctx context.Context, k *known, f file, a listen.Answer) ([]byte, error) {
	b, err := s.peers.media(ctx, a.Upstream, k.at(f.name), k.path(f.name))
	var status statusError
	switch {
	case err == nil:
		return b, nil
	case errors.As(err, &status) && int(status) == http.StatusUnsupportedMediaType:
		return nil, errUnfit
	case errors.As(err, &status) && int(status) == http.StatusNotFound && !k.lists(f):
		return nil, errGone
	}
	s.log.Debug("segment of another node", slog.String("stream", k.stream), slog.Any("err", err))
	return nil, err
}
