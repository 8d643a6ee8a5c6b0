// Package origin holds the directory of restreamed streams: which streams the origins of a node have. An origin is a node outside the
// group, whose streams the node restreams.
//
// It asks no origin and pulls no stream. Package follower fetches the states of the origins, and the inputs of restreamed streams
// look up in the directory from which origin they can pull.
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

// A Rule says which streams of an origin are restreamed, and under which names.
type Rule struct {
	// Only are the streams that are restreamed. If OnlyGiven is set and Only is empty, all streams of the origin are restreamed
	// on demand. Except are streams that are never restreamed.
	Only, Except []string
	OnlyGiven    bool

	// Prefix and a slash are put before the origin's names of the streams; empty means that the names stay as they are.
	Prefix string
}

// A Stream is a restreamed stream.
type Stream struct {
	Name     string // the name at this node
	Origin   string // the name at the origin
	OnDemand bool   // captured while clients of this node want the stream
	Running  bool   // the origin node itself captures the stream
}

// Restream applies the rule to an origin's streams: list are those of its file, claims those that it captures. A published stream is
// included while it has a publisher. A stream that the origin itself restreams is left out, so that no two nodes feed each other. The
// result is sorted by name.
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

// An Upstream is a source from which a stream can be pulled.
type Upstream struct {
	Source string // the name of the source
	Stream string // the name of the stream at the origin
}

// A Directory holds the streams of each source. Any goroutine may use it. The zero Directory is empty and ready to use.
type Directory struct {
	mu      sync.Mutex
	order   []string // the sources, in the order of the file
	streams map[string][]Stream
	changed chan struct{} // closed when the directory changes; nil while no goroutine waits for that
}

// Sources sets the list of sources. The streams of sources that are still in the list are kept.
func (d *Directory) Sources(names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.order = slices.Clone(names)
	maps.DeleteFunc(d.streams, func(name string, _ []Stream) bool { return !slices.Contains(names, name) })
	d.wake()
}

// Set replaces the streams of a source; nil means that the origin is silent. It reports whether the streams of this node differ now in
// their names, or in whether they are captured on demand.
func (d *Directory) Set(source string, streams []Stream) (differ bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.order, source) {
		return false // the source is no longer in the file, and its follower is about to stop
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

// Streams are the streams of one source.
func (d *Directory) Streams(source string) []Stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.streams[source]
}

// Upstreams are the sources from which a stream can be pulled; sources whose node captures the stream itself come first. The channel
// is closed when they may have changed.
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

// While returns a context that ends when ctx ends, or when the stream can no longer be pulled from up. The caller must cancel it.
func (d *Directory) While(ctx context.Context, name string, up Upstream) (context.Context, context.CancelFunc) {
	return directory.While(ctx, func() (bool, <-chan struct{}) {
		ups, changed := d.Upstreams(name)
		return slices.Contains(ups, up), changed
	})
}
