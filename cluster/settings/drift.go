package settings

import (
	"context"
	"slices"
	"sync"
	"time"

	"weir/cluster/exchange"
	"weir/protocols/api"
)

// fresh is for how long a comparison of the files is shown to everybody who asks: each one asks the whole group.
const fresh = 2 * time.Second

// A drift is what was found out lately about how the files of the nodes differ.
type drift struct {
	reading sync.Mutex // one text at a time is read for its lines
	version string     // of the text that was read last
	lines   []string
	err     error

	mu   sync.Mutex
	last *comparison
}

// A comparison is one of this node's file with those of the others.
type comparison struct {
	version string        // of this node's file
	done    chan struct{} // closed once the rest is there
	at      time.Duration // when it was
	list    []api.Drift
	err     error
}

// sharedLines are those of a text that the nodes have to share. Reading a file of thousands of streams takes a while, so they are kept until
// the file changes.
func (s *Settings) sharedLines(text []byte, version string) ([]string, error) {
	d := &s.drift
	d.reading.Lock()
	defer d.reading.Unlock()
	if d.version != version {
		d.version = version
		d.lines, d.err = s.cfg.Lines(text)
	}
	return d.lines, d.err
}

// Drift implements [api.Settings]. One comparison is under way at a time, and everybody who asks meanwhile gets what it finds.
func (s *Settings) Drift(ctx context.Context) ([]api.Drift, error) {
	text, version, err := s.read()
	if err != nil {
		return nil, err
	}
	c, begins := s.comparison(version)
	if begins {
		s.compare(context.WithoutCancel(ctx), c, text) // others may wait for it when this client has gone
	}
	select {
	case <-c.done:
		return c.list, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// comparison is the one that is under way, or the last one if it is fresh, or else another one, which begins.
func (s *Settings) comparison(version string) (c *comparison, begins bool) {
	d := &s.drift
	d.mu.Lock()
	defer d.mu.Unlock()
	if c = d.last; c != nil {
		select {
		case <-c.done:
			if c.version == version && s.cfg.Now()-c.at < fresh {
				return c, false
			}
		default:
			return c, false
		}
	}
	d.last = &comparison{version: version, done: make(chan struct{})}
	return d.last, true
}

// compare asks the other nodes.
func (s *Settings) compare(ctx context.Context, c *comparison, text []byte) {
	defer close(c.done)
	defer func() { c.at = s.cfg.Now() }()
	own, err := s.sharedLines(text, c.version)
	if err != nil {
		c.err = err
		return
	}
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	for _, a := range exchange.All[shared](ctx, s.cfg.Others, s.cfg.Others.Peers(), asksShared, struct{}{}) {
		d := api.Drift{Node: a.Peer.Name, Status: "same", Version: a.Value.Version, Diff: []string{}}
		switch {
		case a.Err != nil:
			d.Status, d.Error = "unreachable", a.Err.Error()
		case !slices.Equal(own, a.Value.Lines):
			d.Status, d.Diff = "different", Diff(own, a.Value.Lines)
		}
		c.list = append(c.list, d)
	}
}
