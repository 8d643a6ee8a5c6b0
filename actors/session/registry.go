package session

import (
	"maps"
	"sync"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

// A Registry lists the open sessions, and sums up those of this process by protocol. Any goroutine may read it.
type Registry struct {
	mu     sync.Mutex
	open   map[string]opened
	closed map[protocols.Protocol]Total
}

// An Info is one open session.
type Info struct {
	ID    string
	Since time.Duration // when it began, by the clock of the environment
	listen.ClientStats
}

// An opened client is one whose session has begun.
type opened struct {
	listen.Client
	since time.Duration
}

// Watches says whether the session is a client of this node's own: a viewer, or a node outside the group that restreams.
// The viewers of a stream that a peer relays from here are counted at that peer.
func (i Info) Watches() bool { return !i.Publisher && (i.Protocol != protocols.Relay || i.Edge) }

// A Total sums up the sessions of one protocol, those that have ended included.
type Total struct {
	Open              int
	BytesIn, BytesOut uint64
	Dropped           uint64
}

func (t *Total) add(s listen.ClientStats) {
	t.BytesIn += s.BytesIn
	t.BytesOut += s.BytesOut
	t.Dropped += s.Dropped
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{open: map[string]opened{}, closed: map[protocols.Protocol]Total{}}
}

// List returns the open sessions in no order.
func (r *Registry) List() []Info {
	infos, _ := r.look()
	return infos
}

// Viewers counts the sessions that watch a stream.
func (r *Registry) Viewers(stream string) (n int) {
	for _, i := range r.List() {
		if i.Stream == stream && i.Watches() {
			n++
		}
	}
	return n
}

// Clients returns the open connections in no order.
func (r *Registry) Clients() []listen.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]listen.Client, 0, len(r.open))
	for _, o := range r.open {
		list = append(list, o.Client)
	}
	return list
}

// Totals returns the sums by protocol.
func (r *Registry) Totals() map[protocols.Protocol]Total {
	infos, sums := r.look()
	for _, s := range infos {
		t := sums[s.Protocol]
		t.Open++
		t.add(s.ClientStats)
		sums[s.Protocol] = t
	}
	return sums
}

// look returns the open sessions and the sums of those that have ended, of one moment: no session is in both.
func (r *Registry) look() ([]Info, map[protocols.Protocol]Total) {
	r.mu.Lock()
	defer r.mu.Unlock()
	infos := make([]Info, 0, len(r.open))
	for id, c := range r.open {
		infos = append(infos, Info{id, c.since, c.Stats()})
	}
	return infos, maps.Clone(r.closed)
}

func (r *Registry) add(id string, since time.Duration, c listen.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[id] = opened{c, since}
}

func (r *Registry) remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.open[id]; ok {
		delete(r.open, id)
		s := c.Stats()
		t := r.closed[s.Protocol]
		t.add(s)
		r.closed[s.Protocol] = t
	}
}
