package session

import (
	"sync"

	"weir/protocols/listen"
)

// A Registry lists the sessions that are open now and sums up all that ever were. Any goroutine may read it.
type Registry struct {
	mu     sync.Mutex
	open   map[string]listen.Client
	closed map[listen.Protocol]Total
}

// A Seat is one open session.
type Seat struct {
	ID string
	listen.ClientStats
}

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
	return &Registry{open: map[string]listen.Client{}, closed: map[listen.Protocol]Total{}}
}

// List returns the open sessions in no order.
func (r *Registry) List() []Seat {
	r.mu.Lock()
	clients := make(map[string]listen.Client, len(r.open))
	for id, c := range r.open {
		clients[id] = c
	}
	r.mu.Unlock()
	seats := make([]Seat, 0, len(clients))
	for id, c := range clients {
		seats = append(seats, Seat{id, c.Stats()})
	}
	return seats
}

// Clients returns the open connections in no order.
func (r *Registry) Clients() []listen.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	clients := make([]listen.Client, 0, len(r.open))
	for _, c := range r.open {
		clients = append(clients, c)
	}
	return clients
}

// Totals returns the sums by protocol.
func (r *Registry) Totals() map[listen.Protocol]Total {
	seats := r.List()
	r.mu.Lock()
	sums := make(map[listen.Protocol]Total, len(r.closed))
	for p, t := range r.closed {
		sums[p] = t
	}
	r.mu.Unlock()
	for _, s := range seats {
		t := sums[s.Protocol]
		t.Open++
		t.add(s.ClientStats)
		sums[s.Protocol] = t
	}
	return sums
}

func (r *Registry) add(id string, c listen.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[id] = c
}

func (r *Registry) remove(id string) {
	r.mu.Lock()
	c := r.open[id]
	delete(r.open, id)
	r.mu.Unlock()
	if c == nil {
		return
	}
	s := c.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.closed[s.Protocol]
	t.add(s)
	r.closed[s.Protocol] = t
}
