package load

import (
	"time"

	"weir/cluster/control"
)

// Outages measures how long streams had no media before this node took them over. It belongs to one goroutine. The zero Outages is
// ready to use.
type Outages struct {
	silences map[string]time.Duration // how long each peer had been silent when it was declared dead
	open     map[string]outage        // the streams that no node runs, by name
	before   *control.View            // the last view
}

type outage struct {
	began time.Duration // by this node's clock
	cause string
}

// Noted takes a note of the control plane.
func (o *Outages) Noted(n control.Note) {
	if n.Kind == control.NoteStale {
		if o.silences == nil {
			o.silences = map[string]time.Duration{}
		}
		o.silences[n.Node] = time.Duration(n.Age)
	}
}

// Changed takes a new view of the control plane, and reports the outages that this node has ended.
func (o *Outages) Changed(v *control.View, now time.Duration, report func(cause string, d time.Duration)) {
	before := o.before
	o.before = v
	if before == nil || sameStreams(before, v) {
		return
	}
	for i := range v.Streams {
		s := &v.Streams[i]
		was := before.Stream(s.Name)
		switch {
		case s.OwnerState == control.ClaimRunning || s.OwnerState == control.ClaimDraining:
			if out, ok := o.open[s.Name]; ok {
				delete(o.open, s.Name)
				if s.Owner == v.Self {
					report(out.cause, now-out.began)
				}
			}
		case was != nil && was.Owner != "" && was.OwnerState == control.ClaimRunning && s.Kind == control.Kept:
			o.begin(s.Name, was.Owner, v, now)
		}
	}
	for name := range o.open {
		if v.Stream(name) == nil {
			delete(o.open, name)
		}
	}
}

// sameStreams says whether two views have one list of streams, as they do if only peers have changed.
func sameStreams(a, b *control.View) bool {
	return len(a.Streams) == len(b.Streams) && (len(a.Streams) == 0 || &a.Streams[0] == &b.Streams[0])
}

// begin records that no node runs a stream any more. If the owner is dead, the outage began with the owner's silence.
func (o *Outages) begin(stream, owner string, v *control.View, now time.Duration) {
	out := outage{now, "release"}
	if p := v.Peer(owner); p != nil && !p.Alive {
		out = outage{now - o.silences[owner], "crash"}
	}
	if o.open == nil {
		o.open = map[string]outage{}
	}
	o.open[stream] = out
}
