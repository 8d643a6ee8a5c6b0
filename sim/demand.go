package sim

import (
	"time"

	"weir/cluster/control"
)

// How long a viewer's demand for an on-demand stream holds, and how often it is repeated while the viewer is there, as a
// node's sessions do.
const (
	demandFresh = 5 * time.Second
	demandEvery = 2 * time.Second
)

// wants lets viewers ask nodes for streams. What is on demand is asked for until the fault ends, or once if it has no
// end; of every stream it is checked that they are led to it.
func (w *world) wants(f *fault, a Demand, st Step) bool {
	for _, m := range w.pick(a.Nodes) {
		for _, s := range w.streams {
			if !among(a.Streams, s) {
				continue
			}
			m.demands(s)
			w.checks.demanded(m, s)
			if st.To > st.At {
				w.repeatDemand(f, m, s)
			}
		}
	}
	if st.To > st.At {
		f.undo = func() {} // repeatDemand sees that it has ended
	}
	return true
}

func (w *world) repeatDemand(f *fault, m *machine, s *streamTruth) {
	w.queue.push(item{at: w.now + demandEvery, do: func() {
		if !f.ended {
			m.demands(s)
			w.repeatDemand(f, m, s)
		}
	}})
}

// demands tells a node's control plane that a viewer wants a stream. A viewer of one that always runs asks for nothing.
func (m *machine) demands(s *streamTruth) {
	if !m.runs() {
		return
	}
	v := m.view() // nil for a node that did not start
	if v == nil {
		return
	}
	if x := v.Stream(s.name); x == nil || !x.OnDemand {
		return
	}
	ev := control.Demanded{Stream: s.name, Fresh: control.Instant(demandFresh)}
	switch p := m.process.(type) {
	case *coreProcess:
		(*core)(p).step(ev, "demanded")
	case *actorProcess:
		p.send(p.node.Control(), ev)
	}
}
