package srs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir/actors/input"
	"weir/codecs"
	"weir/protocols/listen"
)

// ErrNowhere says that no SRS server that was asked has the stream.
var ErrNowhere = errors.New("no SRS server has the stream")

const (
	// stagger is how long an origin may keep an edge waiting for media before the next one is tried beside it. A
	// stand-alone SRS accepts the play of any name and waits for its publisher.
	stagger = 700 * time.Millisecond

	// fetchTimeout is how long all origins together have to bring the first media, and Silence how long a stream that
	// runs may bring none.
	fetchTimeout = 5 * time.Second
	Silence      = 5 * time.Second

	// The pause after all servers have failed is doubled from LeastPause to MostPause while that lasts. Only viewers that are
	// here already wait for it. The most is the part of their gap that this node adds when the name is published again.
	LeastPause = 200 * time.Millisecond
	MostPause  = time.Second

	// Quiet is how long a server may bring no media before its coworkers are asked whether another one has the stream.
	// SRS keeps its players when a publisher leaves.
	Quiet = time.Second

	// steady is how long a stream must have run to be fetched again without a pause.
	steady = time.Second

	maxUpstreams = 10_000
)

// An Upstream is one stream that this node fetches from SRS servers for its own viewers while no node of its group has it.
type Upstream struct {
	c     *Cluster
	name  string // weir's
	vhost string

	mu     sync.Mutex
	place  Place
	param  string    // of the client that asked first
	host   string    // by which it came
	wanted time.Time // when a viewer last asked
	failed chan struct{}
	err    error     // once failed is closed
	since  time.Time // when it was
	from   string    // the server that brings media now, as it is configured; empty for none
	turn   context.CancelCauseFunc
	active int
	there  chan struct{} // has room for one; filled when a server is found that has the stream
}

// Expect says that a viewer of this node wants a stream that SRS servers have, or may have later, under the name that weir has
// for it. The stream is fetched once [Cluster.Pull] is called, which the relay of the stream does. found says that a server has
// just answered that it has the stream; then the failures before mean nothing.
func (c *Cluster) Expect(name string, v *Vhost, r listen.Request, found bool) (*Upstream, error) {
	p, ok := placeOf(v, &r)
	if !ok {
		return nil, errNoApp
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u, err := c.upstream(name)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.active == 0 { // the viewers that are here already are served with the parameters of the first one
		u.vhost, u.place, u.param, u.host = v.Name, p, param(r.Query), hostOnly(r.Host)
	}
	u.wanted = now
	if u.err != nil && (found || now.Sub(u.since) > missAge) {
		u.failed, u.err = make(chan struct{}), nil
	}
	if found && u.from == "" {
		select {
		case u.there <- struct{}{}:
		default:
		}
	}
	return u, nil
}

// upstream returns the upstream of a stream, and makes it if there is none. The caller holds mu.
func (c *Cluster) upstream(name string) (*Upstream, error) {
	if u := c.upstreams[name]; u != nil {
		return u, nil
	}
	if now := time.Now(); len(c.upstreams) >= maxUpstreams && !c.prune(now) {
		return nil, errors.New("too many streams are fetched at once")
	}
	u := &Upstream{c: c, name: name, failed: make(chan struct{}), there: make(chan struct{}, 1)}
	u.place = c.vhosts.Load().place(name)
	u.vhost = u.place.Vhost
	c.upstreams[name] = u
	c.changed()
	return u, nil
}

// changed wakes the relays that wait for [Cluster.Expected]. The caller holds mu.
func (c *Cluster) changed() {
	close(c.expecting)
	c.expecting = make(chan struct{})
}

// prune forgets streams that no viewer has asked for lately. The caller holds mu.
func (c *Cluster) prune(now time.Time) (some bool) {
	for name, u := range c.upstreams {
		u.mu.Lock()
		if u.active == 0 && now.Sub(u.wanted) > time.Minute {
			delete(c.upstreams, name)
			some = true
		}
		u.mu.Unlock()
	}
	return some
}

// Failed is closed when all servers have been tried in vain since the stream was expected, or just before; Err then says
// why.
func (u *Upstream) Failed() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failed
}

// Err is why the stream could not be fetched.
func (u *Upstream) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *Upstream) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		close(u.failed)
	}
	u.err, u.since = err, time.Now()
}

// Fetching says whether media of a stream comes from an SRS server now.
func (c *Cluster) Fetching(name string) bool {
	c.mu.Lock()
	u := c.upstreams[name]
	c.mu.Unlock()
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.from != ""
}

// Expecting gives a channel that is closed when a stream is expected that was not before.
func (c *Cluster) Expecting() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expecting
}

// Expected says whether SRS servers may have a stream: a viewer has asked for it, or its name belongs to a virtual host with such
// servers.
func (c *Cluster) Expected(name string) bool {
	c.mu.Lock()
	u := c.upstreams[name]
	c.mu.Unlock()
	p := c.vhosts.Load().place(name)
	if u != nil {
		u.mu.Lock()
		p.Vhost = u.vhost
		u.mu.Unlock()
	}
	v := c.vhost(p.Vhost)
	return (u != nil || p.App != "") && v != nil && (v.Remote || v.OriginCluster)
}

// Pull fetches a stream that is expected, from the servers that have it, and writes it to w until ctx ends or w refuses more; the
// error is never nil. When a server fails the next one is tried, without a pause until all have failed. While no server has
// the stream they are asked again and again, for the viewers that are here.
func (c *Cluster) Pull(ctx context.Context, name string, w input.Writer) error {
	c.mu.Lock()
	u, err := c.upstream(name)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	u.begin(1)
	defer u.begin(-1)
	pause, after, again := LeastPause, "", false
	level := slog.LevelInfo // of the next line in the log: only the first of several failures in a row stands out
	for ; ; again = true {
		began := time.Now()
		from, err := u.once(ctx, w, after, again)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errRefusedByWriter):
			return err
		}
		c.cfg.Log.Log(ctx, level, "fetching from SRS ended", slog.String("stream", name), slog.String("server", from), slog.Any("err", err))
		ran := from != "" && time.Since(began) > steady
		if ran { // the next one, at once
			after, pause, level = from, LeastPause, slog.LevelInfo
			continue
		}
		if from == "" {
			u.fail(err)
		}
		level = slog.LevelDebug
		select {
		case <-time.After(pause):
		case <-u.there:
		case <-ctx.Done():
			return ctx.Err()
		}
		pause, after = min(2*pause, MostPause), from
	}
}

func (u *Upstream) begin(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.active += n
	u.wanted = time.Now()
}

// reconsider stops fetching from a server that is no longer configured.
func (u *Upstream) reconsider() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.turn == nil {
		return
	}
	v := u.c.vhost(u.vhost)
	if v == nil || !v.Remote && !v.OriginCluster || v.Remote && !slices.Contains(v.Origins, u.from) {
		u.turn(errChanged)
	}
}

// Why a fetch is ended that has not failed.
var (
	errChanged = errors.New("the configuration has changed")
	errMoved   = errors.New("the server is silent, and another one has the stream")
)

// once fetches from one server until that fails. from is the server, as it is configured or as a coworker named it; empty if
// no server brought media. The server behind after in the list is tried first. again says that servers are asked whose earlier
// answer did not help.
func (u *Upstream) once(ctx context.Context, w input.Writer, after string, again bool) (from string, err error) {
	u.mu.Lock()
	p, param, host := u.place, u.param, u.host
	u.mu.Unlock()
	v := u.c.vhost(u.vhost)
	if v == nil {
		return "", fmt.Errorf("%w: vhost %s is not configured", ErrNowhere, u.vhost)
	}
	endpoints, err := u.endpoints(ctx, v, p, param, host, after, again)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opening, opened := context.WithTimeout(ctx, fetchTimeout)
	defer opened()
	f, _, err := race(opening, len(endpoints), stagger,
		func(opening context.Context, i int) (*fetch, error) { return endpoints[i].open(ctx, opening) }, func(f *fetch) { f.close() })
	if err != nil {
		return "", err
	}
	u.mu.Lock()
	u.from, u.turn = f.endpoint.server, cancel
	u.mu.Unlock()
	u.reconsider()
	defer func() {
		u.mu.Lock()
		u.from, u.turn = "", nil
		u.mu.Unlock()
	}()
	u.c.cfg.Log.Info("fetching from SRS", slog.String("stream", u.name), slog.String("server", f.endpoint.server))
	newest, _ := w.Rejoin()
	out := &anchored{w: w, from: max(u.c.cfg.Wall(), newest+1)}
	if !v.Remote {
		go u.lookAround(ctx, v, f.endpoint, out, cancel)
	}
	err = f.copy(out)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return f.endpoint.server, err
}

// lookAround ends a fetch, until ctx ends, when its server has brought no media for a while and a coworker says that another server
// has the stream.
func (u *Upstream) lookAround(ctx context.Context, v *Vhost, from endpoint, out *anchored, end context.CancelCauseFunc) {
	u.mu.Lock()
	p, host := u.place, u.host
	u.mu.Unlock()
	tick := time.NewTicker(Quiet)
	defer tick.Stop()
	for seen := uint64(0); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if written := out.written.Load(); written != seen {
			seen = written
			continue
		}
		if found, ok := u.c.finder.find(ctx, u.c.coworkers(v), p, host, true); ok && found.Addr != from.server {
			end(errMoved)
			return
		}
	}
}

// endpoints are the URLs under which the stream may be had, the best first.
func (u *Upstream) endpoints(ctx context.Context, v *Vhost, p Place, param, host, after string, again bool) ([]endpoint, error) {
	if !v.Remote {
		if !v.OriginCluster {
			return nil, ErrNowhere
		}
		found, ok := u.c.finder.find(ctx, u.c.coworkers(v), p, host, again)
		if !ok {
			return nil, ErrNowhere
		}
		return []endpoint{{server: found.Addr, url: found.URL(withVhost(param, v.Name))}}, nil
	}
	list := slices.Clone(v.Origins)
	if i := slices.Index(list, after); i >= 0 {
		list = slices.Concat(list[i+1:], list[:i+1])
	}
	endpoints := make([]endpoint, 0, len(list))
	for _, o := range list {
		endpoints = append(endpoints, endpointOf(v, o, p, param))
	}
	return endpoints, nil
}

// anchored moves the timestamps of a fetched stream, which count from any zero, to the wall clock. The media of the next
// server goes on behind what was written before.
type anchored struct {
	w       input.Writer
	from    int64 // where the first access unit is put
	shift   int64
	begun   bool
	written atomic.Uint64 // access units
}

var errRefusedByWriter = errors.New("the stream takes no more media")

// SetTracks implements [codecs.Writer].
func (a *anchored) SetTracks(t codecs.Tracks) { a.w.SetTracks(t) }

// Write implements [codecs.Writer].
func (a *anchored) Write(au *codecs.AccessUnit) error {
	if !a.begun {
		a.begun, a.shift = true, a.from-au.DTS
	}
	a.written.Add(1)
	moved := *au
	moved.DTS += a.shift
	moved.PTS += a.shift
	if err := a.w.Write(&moved); err != nil {
		return fmt.Errorf("%w: %w", errRefusedByWriter, err)
	}
	return nil
}
