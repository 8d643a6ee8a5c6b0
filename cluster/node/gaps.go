package node

import (
	"time"

	"weir/cluster/control"
)

// gaps measures for how long streams that come to this node had no media. It belongs to the control actor.
type gaps struct {
	silent map[string]time.Duration // how long a peer had not been heard when it was given up
	lost   map[string]loss          // streams that nobody runs, since when
	before *control.View
}

type loss struct {
	at    time.Duration // by this node's clock
	cause string
}

// noted takes up that a peer was given up.
func (g *gaps) noted(n control.Note) {
	if n.Kind == control.NoteStale {
		if g.silent == nil {
			g.silent = map[string]time.Duration{}
		}
		g.silent[n.Node] = time.Duration(n.Age)
	}
}

// changed compares a view with the one before and reports the gaps that ended here.
func (g *gaps) changed(v *control.View, now time.Duration, report func(cause string, d time.Duration)) {
	before := g.before
	g.before = v
	if before == nil {
		return
	}
	for i := range v.Streams {
		s := &v.Streams[i]
		was := before.Stream(s.Name)
		switch {
		case s.OwnerState == control.ClaimRunning || s.OwnerState == control.ClaimDraining:
			if l, ok := g.lost[s.Name]; ok {
				delete(g.lost, s.Name)
				if s.Owner == v.Self {
					report(l.cause, now-l.at)
				}
			}
		case was != nil && was.Owner != "" && was.OwnerState == control.ClaimRunning && s.Kind == control.Kept:
			if g.lost == nil {
				g.lost = map[string]loss{}
			}
			l := loss{now, "release"}
			if p := v.Peer(was.Owner); p != nil && !p.Alive {
				l = loss{now - g.silent[was.Owner], "crash"}
			}
			g.lost[s.Name] = l
		}
	}
	for name := range g.lost {
		if v.Stream(name) == nil {
			delete(g.lost, name)
		}
	}
}
