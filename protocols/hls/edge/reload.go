package edge

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"weir/protocols/hls/playlist"
)

const (
	// freshFor is how long a playlist is taken for the newest one without asking again: much less than a segment lasts,
	// and enough for one request to serve all viewers that reload at once.
	freshFor = 250 * time.Millisecond

	// backOff is how long a node that failed is not asked again while viewers can be answered without it.
	backOff = 500 * time.Millisecond
)

// A Reload is the state of one playlist that is fetched again and again, from one node after another. The zero Reload is
// ready for use; its fields are guarded by mu.
type Reload struct {
	mu     sync.Mutex
	node   string             // the one that was asked last
	newest *playlist.Playlist // the last one that has come
	fresh  time.Time          // when newest came from node, unless a request has failed since
	failed time.Time          // when a request to node failed, unless one has succeeded since

	prefetched  *playlist.Playlist // the one whose files are fetched before a viewer asks
	from        Source             // of prefetched
	prefetching bool               // a goroutine does it
}

// Playlist returns the playlist f of a node. If the node has failed a moment ago the error is ErrSilent at once for a
// caller that can do without it, because it has a playlist to repeat.
func (c *Client) Playlist(ctx context.Context, r *Reload, s Source, f playlist.File, canRepeat bool) (*playlist.Playlist, error) {
	if failed := r.ask(s.Node); failed && canRepeat {
		return nil, ErrSilent
	}
	if p := r.current(s.Node); p != nil {
		return p, nil
	}
	return shared(ctx, c, s.url(f.Name), func(url string) (*playlist.Playlist, error) {
		p := r.current(s.Node)
		if p != nil {
			return p, nil // a request that ended just now has brought it
		}
		body, err := c.get(url, c.silence, playlist.MaxBytes)
		if err == nil {
			p, err = playlist.Parse(body, f)
		}
		r.ended(c, s, p, err)
		return p, err
	})
}

// ask notes that a node is asked, and says whether it has failed a moment ago.
func (r *Reload) ask(node string) (failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node != node {
		r.node, r.fresh, r.failed = node, time.Time{}, time.Time{}
	}
	return time.Since(r.failed) < backOff
}

// current returns the playlist that has come from a node a moment ago, or nil.
func (r *Reload) current(node string) *playlist.Playlist {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node != node || time.Since(r.fresh) >= freshFor {
		return nil
	}
	return r.newest
}

// ended notes the result of a request, unless another node has been asked meanwhile.
func (r *Reload) ended(c *Client, s Source, p *playlist.Playlist, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	level := slog.LevelDebug
	switch {
	case r.node != s.Node:
	case err == nil:
		r.newest, r.fresh, r.failed = p, time.Now(), time.Time{}
	default:
		if r.failed.IsZero() {
			level = slog.LevelWarn // once
		}
		r.fresh, r.failed = time.Time{}, time.Now()
	}
	if err != nil {
		c.log.Log(c.ctx, level, "playlist of another node", slog.String("stream", s.Stream), slog.Any("err", err))
	}
}

// Prefetch fetches the files that a playlist names and that are not in the cache, one after the other, because the node
// may fall silent before a viewer asks for them. It does not block. A later call with another playlist takes its place.
func (c *Client) Prefetch(r *Reload, s Source, p *playlist.Playlist) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.prefetched == p {
		return
	}
	r.prefetched, r.from = p, s
	if !r.prefetching {
		r.prefetching = true
		go c.prefetch(r)
	}
}

func (c *Client) prefetch(r *Reload) {
	var p *playlist.Playlist
	var s Source
	var names []string
	for {
		r.mu.Lock()
		if r.prefetched != p {
			p, s, names = r.prefetched, r.from, r.prefetched.Files()
		}
		if len(names) == 0 {
			r.prefetching = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		if _, err := c.Segment(c.ctx, s, names[0]); err != nil {
			names = nil // the next playlist has the names again
		} else {
			names = names[1:]
		}
	}
}
