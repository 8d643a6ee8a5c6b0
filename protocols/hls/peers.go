package hls

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/protocols/cmaf"
	"weir/protocols/listen"
)

const (
	// freshFor is how long a playlist that came from another node is served without asking again: much less than a
	// segment lasts, and enough for one request to serve all viewers that reload at once.
	freshFor = 250 * time.Millisecond

	// backOff is how long a node that failed is not asked again while there is something to repeat.
	backOff = 500 * time.Millisecond

	// longestFetch is how long a segment may take from a node that is not silent. No player waits longer.
	longestFetch = 30 * time.Second
)

// peers fetches from other nodes: one request for a URL at a time, however many viewers wait for it.
type peers struct {
	config *Config
	client http.Client
	ctx    context.Context // ends with close
	cancel context.CancelFunc

	mu      sync.Mutex
	flights map[string]*fetch        // by URL; guarded by mu
	items   map[string]*list.Element // of cachedFile, by path; guarded by mu
	used    list.List                // the most recently used first; guarded by mu
	size    int64                    // of all bodies; guarded by mu

	fetched, failed atomic.Uint64
}

type cachedFile struct {
	path string
	body []byte
}

// A fetch is a request for a segment that is under way.
type fetch struct {
	done chan struct{}
	body []byte // set before done is closed, as is err
	err  error
}

func newPeers(c *Config, transport http.RoundTripper) *peers {
	if transport == nil {
		transport = &http.Transport{
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, DisableCompression: true,
			ResponseHeaderTimeout: c.Hold,
		}
	}
	p := &peers{
		config: c, flights: make(map[string]*fetch), items: make(map[string]*list.Element),
		client: http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

func (p *peers) close() {
	p.cancel()
	p.client.CloseIdleConnections()
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.items)
	p.used.Init()
	p.size = 0
}

func (p *peers) count(st *Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	st.Fetched, st.Failed, st.Cached = p.fetched.Load(), p.failed.Load(), p.size
}

// A statusError is an answer of another node other than 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("answered with status %d", int(e)) }

// get fetches path from the node at upstream, which may not be silent for longer than the fetch timeout, take longer
// than total, or send more than limit bytes.
func (p *peers) get(upstream, path string, total time.Duration, limit int64) (body []byte, err error) {
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	url := upstream + path + join + listen.HopsParameter + "=1"
	defer func() {
		p.fetched.Add(1)
		if err != nil {
			p.failed.Add(1)
			err = fmt.Errorf("fetching %s: %w", url, err)
		}
	}()
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(nil)
	end := time.AfterFunc(total, func() { cancel(errSilent) })
	defer end.Stop()
	silence := p.config.FetchTimeout
	alarm := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer alarm.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set(entryHeader, "1")
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, because(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		// A short body is read so that the connection can be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		return nil, statusError(resp.StatusCode)
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
		if int64(len(body)) > limit {
			return nil, fmt.Errorf("more than %d bytes", limit)
		}
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, because(ctx, err)
		}
		alarm.Reset(silence)
	}
}

// because says that the node was silent where net/http only knows that the request was cancelled.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// cached returns a file that has been fetched, or nil.
func (p *peers) cached(path string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.items[path]
	if e == nil {
		return nil
	}
	p.used.MoveToFront(e)
	return e.Value.(*cachedFile).body
}

// media returns a segment or an init segment, from memory, where it is under key, or from the node at upstream.
func (p *peers) media(ctx context.Context, upstream, path, key string) ([]byte, error) {
	p.mu.Lock()
	if e := p.items[key]; e != nil {
		p.used.MoveToFront(e)
		p.mu.Unlock()
		return e.Value.(*cachedFile).body, nil
	}
	// A node that took the stream over is asked although its silent predecessor still is.
	f := p.flights[upstream+path]
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		p.flights[upstream+path] = f
		go p.fly(f, upstream, path, key)
	}
	p.mu.Unlock()
	select {
	case <-f.done:
		return f.body, f.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// fly fetches for all who wait; it does not end when one of them leaves.
func (p *peers) fly(f *fetch, upstream, path, key string) {
	f.body, f.err = p.get(upstream, path, longestFetch, p.config.SegmentBytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.flights, upstream+path)
	if f.err == nil && p.ctx.Err() == nil {
		p.keep(key, f.body)
	}
	close(f.done)
}

// keep stores a file, and forgets the least recently used ones beyond the limit. It is called with mu held.
func (p *peers) keep(path string, body []byte) {
	if p.items[path] != nil || int64(len(body)) > p.config.CacheBytes {
		return
	}
	p.items[path] = p.used.PushFront(&cachedFile{path, body})
	for p.size += int64(len(body)); p.size > p.config.CacheBytes; {
		oldest := p.used.Back()
		c := p.used.Remove(oldest).(*cachedFile)
		delete(p.items, c.path)
		p.size -= int64(len(c.body))
	}
}

// Fetch takes a segment that the node at upstream has made, from memory if it was fetched before. The bytes are shared
// and never changed.
func (s *Server) Fetch(ctx context.Context, upstream, stream string, f cmaf.Form, number int64) ([]byte, error) {
	path := escape(stream) + "s" + strconv.FormatInt(number, 10) + extensions[f]
	return s.peers.media(ctx, upstream, path, path)
}
