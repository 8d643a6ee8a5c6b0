// Package edge fetches playlists, segments and init segments from the nodes that have a stream, for a node that serves
// viewers of it, and keeps the segments.
//
// It knows no viewer, and does not decide which node is asked.
package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"

	"weir/protocols/listen"
)

// Header marks a request of a node that answers a viewer of its own. The node that is asked does not pass such a request
// on to a third one, does not hold it for long, and counts no viewer.
const Header = "Weir-Entry"

const (
	// maxFetch is how long a segment may take from a node that is not silent. No player waits longer.
	maxFetch = 30 * time.Second

	maxCached  = 256 << 20 // bytes of all segments that are held
	maxSegment = 128 << 20 // bytes of one segment
)

// ErrSilent says that a node has not answered in time.
var ErrSilent = errors.New("the node that has the stream does not answer")

// A Status is an answer of another node other than 200. It is an error.
type Status int

// Error implements error.
func (s Status) Error() string { return fmt.Sprintf("answered with status %d", int(s)) }

// A Source is a node that has a stream.
type Source struct {
	Stream string // its name
	Path   string // of the stream's URL, escaped, with a slash before and after
	Node   string // URL of the node, without path

	// Separate says that the segments of this node are its own, and not those of other nodes under the same names: it is
	// the server that a balancer has chosen. Such a node serves the request itself if it can.
	Separate bool
}

func (s Source) url(name string) string {
	url := s.Node + s.Path + name + "?"
	if s.Separate {
		url += listen.HereParameter + "=1&"
	}
	return url + listen.HopsParameter + "=1"
}

// key is the name of a file in the cache. The nodes of a group have the same files under the same names.
func (s Source) key(name string) string {
	if s.Separate {
		return s.Node + s.Path + name
	}
	return s.Path + name
}

// A Client fetches from other nodes. One request for a file is under way to a node, however many callers wait for it, and
// the request goes on when a caller leaves. Any goroutine may call its methods.
type Client struct {
	silence  time.Duration // how long a node may take for a playlist, or send nothing of a segment
	limit    int64         // [maxSegment], but for tests
	http     http.Client
	log      *slog.Logger
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	requests singleflight.Group // by URL
	cache    cache
}

// New returns a client that fetches through a transport. A node may take as long as silence for a playlist, or send
// nothing of a segment for as long.
func New(silence time.Duration, transport http.RoundTripper, log *slog.Logger) *Client {
	c := &Client{silence: silence, limit: maxSegment, log: log, cache: cache{limit: maxCached}, http: http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close ends the requests that are under way.
func (c *Client) Close() {
	c.cancel()
	c.http.CloseIdleConnections()
}

// Cached returns a file that has been fetched, or nil.
func (c *Client) Cached(s Source, name string) []byte { return c.cache.get(s.key(name)) }

// Segment returns a segment or an init segment, from the cache or from the node. The bytes are shared and never changed.
func (c *Client) Segment(ctx context.Context, s Source, name string) ([]byte, error) {
	key := s.key(name)
	if b := c.cache.get(key); b != nil {
		return b, nil
	}
	// The key has the node in it: one that took the stream over is asked although its silent predecessor still is.
	return shared(ctx, c, s.url(name), func(url string) ([]byte, error) {
		if b := c.cache.get(key); b != nil {
			return b, nil // a request that ended just now has brought it
		}
		b, err := c.get(url, maxFetch, c.limit)
		if err != nil {
			c.log.Debug("segment of another node", slog.String("stream", s.Stream), slog.Any("err", err))
			return nil, err
		}
		c.cache.put(key, b)
		return b, nil
	})
}

// shared waits for the one call of fetch for a URL that is under way, until ctx ends.
func shared[T any](ctx context.Context, c *Client, url string, fetch func(url string) (T, error)) (T, error) {
	var none T
	select {
	case r := <-c.requests.DoChan(url, func() (any, error) { return fetch(url) }):
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// get fetches a URL from a node, which may not be silent for longer than the configured time, take longer than total, or
// send more than limit bytes.
func (c *Client) get(url string, total time.Duration, limit int64) (body []byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("fetching %s: %w", url, err)
		}
	}()
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	end := time.AfterFunc(total, func() { cancel(ErrSilent) })
	defer end.Stop()
	silence := time.AfterFunc(c.silence, func() { cancel(ErrSilent) })
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(Header, "1")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, because(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // a short body is read so that the connection can be used again
		if err := listen.FailingIn(resp, text); err != nil {
			return nil, err
		}
		return nil, Status(resp.StatusCode)
	}
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("%d bytes announced, at most %d are taken", resp.ContentLength, limit)
	}
	size := resp.ContentLength
	if size < 0 {
		size = 64 << 10
	}
	body = make([]byte, 0, size+1)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := resp.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, fmt.Errorf("more than %d bytes", limit)
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, because(ctx, err)
		}
		silence.Reset(c.silence)
	}
}

// because says that the node was silent where net/http only knows that the request was cancelled.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
