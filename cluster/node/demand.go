package node

import (
	"maps"
	"slices"
	"sync"
	"time"

	"weir/cluster/control"
	"weir/cluster/controller"
	"weir/protocols"
)

// A demand counts the requests that wait for on-demand streams. Those who are served already are among the sessions.
type demand struct {
	mu      sync.Mutex
	waiting map[string]int // by stream
}

// want tells the control plane that a client wants a stream, at once and until enough is called, and for least at any
// rate.
func (n *Node) want(stream string, least time.Duration) (enough func()) {
	d := &n.demand
	d.mu.Lock()
	if d.waiting == nil {
		d.waiting = map[string]int{}
	}
	d.waiting[stream]++
	d.mu.Unlock()
	n.sys.Root.Send(n.pid("control"), control.Demanded{Stream: stream, Fresh: max(controller.DemandFresh, control.Instant(least))})
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.waiting[stream]--; d.waiting[stream] == 0 {
			delete(d.waiting, stream)
		}
	}
}

// wanted are the on-demand streams that clients of this node watch or wait for. A peer that relays a stream from here
// speaks for its own clients, unless every node captures the stream for itself.
func (n *Node) wanted() []string {
	n.forgetInstances()
	v := n.view.get()
	if v == nil {
		return nil
	}
	names := map[string]bool{}
	for _, s := range n.sessions.List() {
		if s.Publisher || s.Stream == "" || names[s.Stream] {
			continue
		}
		sv := v.Stream(s.Stream)
		if sv == nil || !sv.OnDemand || s.Protocol == protocols.Relay && !s.Edge && sv.Clustered {
			continue
		}
		names[s.Stream] = true
	}
	n.demand.mu.Lock()
	for name := range n.demand.waiting {
		if sv := v.Stream(name); sv != nil && sv.OnDemand {
			names[name] = true
		}
	}
	n.demand.mu.Unlock()
	return slices.Sorted(maps.Keys(names))
}
