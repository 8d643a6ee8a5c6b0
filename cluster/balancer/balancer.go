// Package balancer chooses a server for each client of a balancer. It gathers the figures of the servers, from the
// control plane's view and from the answers of servers that are no peers, and remembers which of them failed clients.
//
// The choice itself is a pure function, in package balance. How a client gets to its server is not decided here.
package balancer

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/cluster/balance"
	"weir/cluster/control"
	"weir/cluster/follower"
	"weir/protocols/hls"
	"weir/protocols/listen"
)

// A Config joins the balancers to their node. Its functions may be called by any goroutine, and do not block.
type Config struct {
	// View is what the control plane knows; nil before its first step.
	View func() *control.View

	// Now is the node's monotonic time.
	Now func() time.Duration

	// Load is what this node carries, and when that was measured.
	Load func() (control.Load, time.Duration)

	// Rate is the bit rate of a stream that is here, in bits per second; 0 without a measurement.
	Rate func(stream string) int64

	// Country is the ISO 3166-1 code of an address; empty without one.
	Country func(netip.Addr) string
}

// A Balancer is what the file says of one balancer.
type Balancer struct {
	Name    string
	Mode    balance.Mode
	Blind   bool // as in [balance.Config]
	Servers []Server
}

// A Server is what the file says of a server of a balancer.
type Server struct {
	balance.Entry

	// Key is HOST:PORT. Peer says that it is the entry of a peer; other servers are followed by links of their own.
	Key  string
	Peer bool

	// Public is the URL, without path, at which clients reach the server, and Private that at which nodes do.
	// PublicGiven says that the file gives Public as such.
	Public, Private string
	PublicGiven     bool
}

// A Request is a client that needs a server.
type Request struct {
	listen.Request
	Publish bool

	// Redirected says that the client is sent to the server, which therefore must be one to which it may be sent.
	Redirected bool
}

// stream is the stream that the client wants; empty for the report, which is about no client.
func (r *Request) stream() string {
	if len(r.Streams) == 0 {
		return ""
	}
	return r.Streams[0]
}

// Balancers are the balancers of the file in effect. Any goroutine may use them.
type Balancers struct {
	cfg Config

	mu      sync.Mutex // what follows
	list    []*balancer
	servers map[string]follower.State // that are no peers, by key
	failed  map[string]time.Duration  // when a server last failed a client, by key
	chosen  choices
}

type balancer struct {
	Balancer
	core *balance.Balancer
}

// choices counts the choices of all balancers.
type choices struct {
	count, before uint64        // by now, and when the rate was last measured
	at            time.Duration // when that was
	rate          int           // per second, then
}

// New returns balancers, of which there are none before [Balancers.Configure].
func New(cfg Config) *Balancers {
	return &Balancers{cfg: cfg, servers: map[string]follower.State{}, failed: map[string]time.Duration{}}
}

// Configure puts the balancers of a file into effect. Choices of the last seconds go on counting.
func (b *Balancers) Configure(list []Balancer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, used := b.list, map[string]bool{}
	b.list = make([]*balancer, 0, len(list))
	for _, c := range list {
		entries := make([]balance.Entry, len(c.Servers))
		for i, s := range c.Servers {
			entries[i] = s.Entry
			used[s.Key] = used[s.Key] || !s.Peer
		}
		is := &balancer{c, balance.New(balance.Config{Mode: c.Mode, Blind: c.Blind, Servers: entries})}
		if i := slices.IndexFunc(before, func(old *balancer) bool { return old.Name == c.Name }); i >= 0 {
			is.core.Adopt(before[i].core)
		}
		b.list = append(b.list, is)
	}
	for key := range b.servers {
		if !used[key] {
			delete(b.servers, key)
		}
	}
}

// Seen takes in the state of a server that is no peer.
func (b *Balancers) Seen(s follower.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers[s.Entry] = s
}

// named is the balancer of that name, or nil. It is called with b.mu held.
func (b *Balancers) named(name string) *balancer {
	if i := slices.IndexFunc(b.list, func(is *balancer) bool { return is.Name == name }); i >= 0 {
		return b.list[i]
	}
	return nil
}

// Has says whether there is a balancer of that name.
func (b *Balancers) Has(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.named(name) != nil
}

// Choose picks a server for a client, none of those to avoid, given by their keys; ok is false when none is left. The URLs of
// this node are empty.
func (b *Balancers) Choose(name string, r Request, avoid []string) (t hls.Target, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	is := b.named(name)
	if is == nil {
		return hls.Target{}, false
	}
	now := b.cfg.Now()
	list := b.candidates(is, r)
	for i := range list {
		if slices.Contains(avoid, list[i].target.Server) {
			list[i].is.State = balance.Failing
		}
	}
	at := is.core.Choose(balance.Instant(now), servers(list), balance.Request{
		Country: b.cfg.Country(r.Remote.Addr()), Publish: r.Publish, Weight: b.weight(now),
		// Not the identifier of a viewer's session: a player that is reloaded stays where it was.
		Session: balance.Session(r.Remote.Addr().String(), r.Agent, r.stream()),
		Bits:    b.cfg.Rate(r.stream()),
	})
	if at < 0 {
		return hls.Target{}, false
	}
	b.chosen.count++
	return list[at].target, true
}

// Usable says whether a server that was chosen before may go on serving its viewers.
func (b *Balancers) Usable(name, key string, r Request) (t hls.Target, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	is := b.named(name)
	if is == nil {
		return hls.Target{}, false
	}
	for _, c := range b.candidates(is, r) {
		if c.target.Server == key {
			return c.target, c.is.State == balance.Ready || c.is.State == balance.Booting || c.is.State == balance.Lacking
		}
	}
	return hls.Target{}, false
}

// Failed notes that a server did not answer for a client. It is given no clients until it has measured its load once more.
func (b *Balancers) Failed(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed[key] = b.cfg.Now()
}

// PerSecond is how many clients were sent to servers per second since it was last called.
func (b *Balancers) PerSecond(now time.Duration) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &b.chosen
	if passed := now - c.at; passed > 0 {
		c.rate = int(float64(c.count-c.before)/passed.Seconds() + 0.5)
	}
	c.before, c.at = c.count, now
	return c.rate
}

// weight is how many clients one stands for that this node chooses a server for, in thousandths: other nodes choose
// meanwhile, and their clients show only when servers count them. It is called with b.mu held.
func (b *Balancers) weight(now time.Duration) int {
	own := b.chosen.rate
	if passed := now - b.chosen.at; passed > 0 {
		own = max(own, int(float64(b.chosen.count-b.chosen.before)/max(passed.Seconds(), 1)))
	}
	others, nodes, instance := 0, 1, ""
	if v := b.cfg.View(); v != nil {
		instance = v.Instance
		for i := range v.Peers {
			if p := &v.Peers[i]; p.Alive && p.Load.Chosen > 0 {
				others += p.Load.Chosen
				nodes++
			}
		}
	}
	for _, s := range b.servers {
		if s.Instance != instance && s.Alive(now) && s.Load.Chosen > 0 {
			others += s.Load.Chosen
			nodes++
		}
	}
	if own == 0 || others == 0 {
		return 1000
	}
	return min(1000*(own+others)/own, 1000*nodes)
}

// OfPlaylists is the balancer of that name for viewers whose playlists are answered by this node.
func (b *Balancers) OfPlaylists(name string) hls.Balancer { return ofPlaylists{b, name} }

type ofPlaylists struct {
	all  *Balancers
	name string
}

// Choose implements [hls.Balancer].
func (p ofPlaylists) Choose(r listen.Request, avoid []string) (hls.Target, bool) {
	return p.all.Choose(p.name, Request{Request: r}, avoid)
}

// Target implements [hls.Balancer].
func (p ofPlaylists) Target(r listen.Request, server string) (hls.Target, bool) {
	return p.all.Usable(p.name, server, Request{Request: r})
}

// Failed implements [hls.Balancer].
func (p ofPlaylists) Failed(server string) { p.all.Failed(server) }
