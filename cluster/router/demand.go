package router

import (
	"maps"
	"slices"
	"sync"
	"time"

	"weir/actors/session"
	"weir/cluster/control"
	"weir/protocols"
)

// demand counts the requests that wait for on-demand streams. The clients that are served already have sessions.
type demand struct {
	mu      sync.Mutex
	waiting map[string]int // by stream
}

// want tells the control plane that a client wants an on-demand stream, at once and until enough is called, and for least
// at any rate.
func (r *Router) want(stream string, least time.Duration) (enough func()) {
	d := &r.demand
	d.mu.Lock()
	d.waiting[stream]++
	d.mu.Unlock()
	r.cfg.Demanded(stream, least)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.waiting[stream]--; d.waiting[stream] == 0 {
			delete(d.waiting, stream)
		}
	}
}

// Wanted lists the on-demand streams that clients of this node watch or wait for, in order. A peer that relays a stream
// from here tells of its own clients itself, unless every node captures the stream for its own clients.
func (r *Router) Wanted(v *control.View, sessions []session.Info) []string {
	names := map[string]bool{}
	for _, s := range sessions {
		if s.Publisher || s.Stream == "" || names[s.Stream] {
			continue
		}
		sv := v.Stream(s.Stream)
		if sv == nil || !sv.OnDemand || s.Protocol == protocols.Relay && !s.Edge && sv.Clustered {
			continue
		}
		names[s.Stream] = true
	}
	r.demand.mu.Lock()
	for name := range r.demand.waiting {
		if sv := v.Stream(name); sv != nil && sv.OnDemand {
			names[name] = true
		}
	}
	r.demand.mu.Unlock()
	return slices.Sorted(maps.Keys(names))
}
