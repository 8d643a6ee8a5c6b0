package srs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/protocols/listen"
)

// An Owner is the weir node that has a stream, as RTMP clients reach it.
type Owner struct {
	Name string
	Host string // empty: the host under which the asker has reached this node
	Port int
}

// Config is what a [Cluster] is made of.
type Config struct {
	Vhosts []Vhost

	// Owner says which node of weir's own cluster has a stream now; false if no node has it for sure, or the one that has
	// it is about to let go of it.
	Owner func(stream string) (Owner, bool)

	// Own says whether an RTMP address is this node's.
	Own func(host, port string) bool

	Node     func() string // the announced name of this node
	Instance string        // of this run of the process

	// Wall reads the wall clock in ticks since the Unix epoch; fetched streams are anchored to it.
	Wall func() int64

	Log *slog.Logger
}

// A Cluster is this node among SRS servers. Any goroutine may use it.
type Cluster struct {
	cfg      Config
	vhosts   atomic.Pointer[vhosts]
	finder   *finder
	promises *promises

	mu        sync.Mutex
	expecting chan struct{}        // closed when a stream is expected that was not before; guarded by mu
	upstreams map[string]*Upstream // by weir's name of the stream; guarded by mu
	servers   map[string]server    // that send heartbeats, by identity; guarded by mu
}

// New makes the cluster that its configuration describes. It starts nothing.
func New(cfg Config) *Cluster {
	c := &Cluster{
		cfg: cfg, finder: newFinder(cfg), promises: &promises{of: map[Place]promise{}},
		expecting: make(chan struct{}), upstreams: map[string]*Upstream{}, servers: map[string]server{},
	}
	c.vhosts.Store((*vhosts)(&cfg.Vhosts))
	return c
}

// Configure replaces the virtual hosts. A stream that is being fetched from a server that is no longer listed is fetched from
// another one; all others go on.
func (c *Cluster) Configure(list []Vhost) {
	c.vhosts.Store((*vhosts)(&list))
	c.finder.forget()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.upstreams {
		u.reconsider()
	}
	c.changed()
}

func (c *Cluster) vhost(name string) *Vhost { return (*c.vhosts.Load()).named(name) }

// Resolve finds the virtual host of a request, nil if there is none, and gives the request with the names that weir has
// for the stream.
func (c *Cluster) Resolve(r listen.Request) (listen.Request, *Vhost) {
	v, byHost := (*c.vhosts.Load()).of(&r)
	if v == nil || v.Name == DefaultVhost {
		return r, v
	}
	names := make([]string, len(r.Streams))
	for i, n := range r.Streams {
		names[i] = v.prefix() + n
	}
	r.Streams = names
	if byHost { // a client that is redirected comes under another host
		r.Query = strings.TrimPrefix(r.Query+"&vhost="+v.Name, "&")
	}
	return r, v
}

// Find asks the coworkers of a virtual host for the stream of a request; false if none has it.
func (c *Cluster) Find(ctx context.Context, v *Vhost, r listen.Request) (Found, bool) {
	if v == nil || !v.OriginCluster {
		return Found{}, false
	}
	p, ok := placeOf(v, &r)
	if !ok {
		return Found{}, false
	}
	return c.finder.find(ctx, c.coworkers(v), p, hostOnly(r.Host), false)
}

// Location is where a client that follows redirects is sent to for a stream of another server.
func (f Found) Location(r listen.Request) string {
	before, query, _ := strings.Cut(f.URL(withVhost(param(r.Query), f.Place.Vhost)), "?")
	return before + "?" + listen.WithHops(query, r.Hops+1)
}

func (c *Cluster) coworkers(v *Vhost) []string {
	if !v.Register {
		return v.Coworkers
	}
	list := slices.Clone(v.Coworkers)
	for _, api := range c.registered(time.Now()) {
		if !slices.Contains(list, api) {
			list = append(list, api)
		}
	}
	return list
}

// Free keeps a name for a publisher of this node, if no SRS coworker says that it has the stream; else the error is
// [listen.ErrBusy]. A coworker that does not answer counts as one without the stream: SRS accepts publishers without asking,
// so that weir could not make names unique by refusing. Release gives the name back; it is never nil.
func (c *Cluster) Free(ctx context.Context, v *Vhost, r listen.Request) (release func(), err error) {
	release = func() {}
	if v == nil || !v.OriginCluster {
		return release, nil
	}
	p, ok := placeOf(v, &r)
	if !ok {
		return release, nil
	}
	const here = "weir" // stands for this node; a server_id is longer
	if holder, ok := c.promises.take(p, here, time.Now()); !ok {
		return release, fmt.Errorf("%w: %s is being published at %s", listen.ErrBusy, p.App+"/"+p.Stream, holder)
	}
	if found, ok := c.finder.find(ctx, c.coworkers(v), p, hostOnly(r.Host), true); ok {
		c.promises.drop(p, here)
		return release, fmt.Errorf("%w: %s is published at %s", listen.ErrBusy, p.App+"/"+p.Stream, found.Addr)
	}
	return func() { c.promises.drop(p, here) }, nil
}

var errNoApp = errors.New("the URL has no application; write rtmp://HOST/APP/STREAM")

// hostOnly takes the port away.
func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}
