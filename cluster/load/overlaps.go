package load

import (
	"time"

	"weir/cluster/control"
)

// Overlaps measures how long streams were captured by several nodes at once, and finds the nodes that were taken for dead and had not
// ended. It belongs to one goroutine. The zero Overlaps is ready to use.
type Overlaps struct {
	open   map[string]time.Duration // by stream, since when several nodes run it
	absent map[string]string        // by peer, the process that was taken for dead
	before *control.View
}

// Changed takes a new view of the control plane. It reports the overlaps that have ended, and the nodes that turn out to have lived.
func (o *Overlaps) Changed(v *control.View, now time.Duration, overlap func(time.Duration), lived func(peer string)) {
	before := o.before
	o.before = v
	if o.open == nil {
		o.open, o.absent = map[string]time.Duration{}, map[string]string{}
	}
	for i := range v.Peers {
		p := &v.Peers[i]
		process, was := o.absent[p.Name]
		switch {
		case p.Status == control.Stale && p.Instance != "":
			o.absent[p.Name] = p.Instance
		case p.Alive && was:
			delete(o.absent, p.Name)
			if process == p.Instance {
				lived(p.Name)
			}
		}
	}
	if before != nil && sameStreams(before, v) {
		return
	}
	for i := range v.Streams {
		s := &v.Streams[i]
		began, was := o.open[s.Name]
		switch several := running(s) > 1; {
		case several && !was:
			o.open[s.Name] = now
		case !several && was:
			delete(o.open, s.Name)
			overlap(now - began)
		}
	}
	for name, began := range o.open {
		if v.Stream(name) == nil {
			delete(o.open, name)
			overlap(now - began)
		}
	}
}

// running is how many nodes run a stream. Those that hand it over do not count: they stop as soon as another one runs it.
func running(s *control.StreamView) (n int) {
	for _, c := range s.Claimants {
		if c.State == control.ClaimRunning && !c.Solo {
			n++
		}
	}
	return n
}
