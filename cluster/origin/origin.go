// Package origin knows the streams of the origins that a node restreams from: nodes outside its group, on which it places
// nothing.
//
// It asks no origin and pulls no stream: package follower brings the origins' states, and the inputs of restreamed streams
// look up where these are to be had.
package origin

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"weir/cluster/control"
	"weir/cluster/directory"
)

// A Rule says what of an origin's streams is restreamed, and under which names.
type Rule struct {
	// Only, if OnlyGiven, are the streams that are captured by themselves. None means that all are, on demand. Except
	// are those that are left out.
	Only, Except []string
	OnlyGiven    bool

	// Prefix stands before the names here, with a slash; empty means none.
	Prefix string
}

// A Stream is one that is restreamed.
type Stream struct {
	Name     string // here
	Origin   string // the origin's own name of it
	OnDemand bool   // captured while clients here want it
	Running  bool   // the origin captures it itself
}

// Restream applies the rule to the streams that an origin configures and captures. A stream that is published is there while
// it has a publisher. A stream that the origin restreams itself is left out, so that no two nodes can feed each other. The
// order is that of the names.
func (r Rule) Restream(list map[string]control.Listed, claims map[string]control.ClaimState) (out []Stream) {
	for _, l := range list {
		state := claims[l.Name]
		running := state == control.ClaimRunning || state == control.ClaimDraining
		switch {
		case l.Restreamed, l.Published && !running, slices.Contains(r.Except, l.Name):
			continue
		case r.OnlyGiven && len(r.Only) > 0 && !slices.Contains(r.Only, l.Name):
			continue
		}
		s := Stream{Name: l.Name, Origin: l.Name, OnDemand: l.OnDemand || r.OnlyGiven && len(r.Only) == 0, Running: running}
		if r.Prefix != "" {
			s.Name = r.Prefix + "/" + l.Name
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Stream) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// An Upstream is where a stream is to be had.
type Upstream struct {
	Source string // the name of the source
	Stream string // the origin's name of the stream
}

// A Directory knows which streams which origins have. Any goroutine may use it. The zero Directory is empty and ready.
type Directory struct {
	mu      sync.Mutex
	order   []string // the sources, in the order of the file
	streams map[string][]Stream
	changed chan struct{} // closed when something changes; nil while nobody waits
}

// Sources puts another list of sources into effect. What is known of one that stays is kept.
func (d *Directory) Sources(names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.order = slices.Clone(names)
	maps.DeleteFunc(d.streams, func(name string, _ []Stream) bool { return !slices.Contains(names, name) })
	d.wake()
}

// Set replaces what is known of a source; nil for one that has gone silent. It says whether the streams here are others
// now, or captured in another way.
func (d *Directory) Set(source string, streams []Stream) (others bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.order, source) {
		return false // a link that is being stopped
	}
	if d.streams == nil {
		d.streams = map[string][]Stream{}
	}
	old := d.streams[source]
	d.streams[source] = streams
	d.wake()
	return !slices.EqualFunc(old, streams, func(a, b Stream) bool {
		return a.Name == b.Name && a.Origin == b.Origin && a.OnDemand == b.OnDemand
	})
}

func (d *Directory) wake() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// Streams are those of one source.
func (d *Directory) Streams(source string) []Stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.streams[source]
}

// Upstreams are the places where a stream is to be had, those that capture it themselves first, and a channel that is
// closed when that may have changed.
func (d *Directory) Upstreams(name string) (ups []Upstream, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	var others []Upstream
	for _, source := range d.order {
		i, ok := slices.BinarySearchFunc(d.streams[source], name, func(s Stream, name string) int { return strings.Compare(s.Name, name) })
		if !ok {
			continue
		}
		s := d.streams[source][i]
		up := Upstream{Source: source, Stream: s.Origin}
		if s.Running {
			ups = append(ups, up)
		} else {
			others = append(others, up)
		}
	}
	return append(ups, others...), d.changed
}

// While returns a context that ends, besides with ctx, once the stream is no longer to be had from that source. The
// caller must cancel it.
func (d *Directory) While(ctx context.Context, name string, up Upstream) (context.Context, context.CancelFunc) {
	return directory.While(ctx, func() (bool, <-chan struct{}) {
		ups, changed := d.Upstreams(name)
		return slices.Contains(ups, up), changed
	})
}
