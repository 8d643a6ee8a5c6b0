package sim

import (
	"slices"

	"weir/cluster/conf"
)

// A fault is an action that was begun.
type fault struct {
	step  Step
	kind  *Kind
	span  int // in Result.Faults
	alter func(l *link)
	undo  func()
	ended bool
	files map[*machine]edited // that it has put into effect for a time
}

// An edited file is one that is in effect for a time, and what is to come after it.
type edited struct{ file, before *conf.File }

// lasts says whether the fault has an end.
func (f *fault) lasts() bool { return f.step.To > f.step.At }

// begin does what a step says, and arranges its end.
func (w *world) begin(st Step) {
	f := &fault{step: st, kind: KindOf(st.Action), span: len(w.result.Faults)}
	w.trace.cause = 0
	w.line("fault").text("kind", f.kind.name).text("what", described(st.Action)).num("until", int64(st.To)).causes()
	span := Span{From: w.now, To: w.now, Action: st.Action}
	f.kind.begin(w, f, st.Action)
	if f.alter != nil || f.undo != nil {
		span.To = w.s.Until
		w.active = append(w.active, f)
		if f.lasts() {
			w.queue.push(item{at: st.To, do: func() { w.endFault(f) }, cause: w.trace.cause})
		}
	}
	w.result.Faults = append(w.result.Faults, span)
	if f.alter != nil {
		w.alterLinks()
	}
	if !f.kind.client {
		w.checks.disturbed(disturbFault)
	}
}

// endFault undoes a fault.
func (w *world) endFault(f *fault) {
	if f.ended {
		return
	}
	f.ended = true
	w.line("fault-ends").text("kind", f.kind.name).causes()
	w.result.Faults[f.span].To = w.now
	w.active = slices.DeleteFunc(w.active, func(g *fault) bool { return g == f })
	if f.undo != nil {
		f.undo()
	}
	if f.alter != nil {
		w.alterLinks()
	}
	if !f.kind.client {
		w.checks.disturbed(disturbFault)
	}
}

// endFaults undoes the faults of a kind that are on.
func (w *world) endFaults(which func(f *fault) bool) {
	for _, f := range slices.Clone(w.active) {
		if which(f) {
			w.endFault(f)
		}
	}
	w.alterLinks()
}

// alterLinks gives every link the conduct that the active faults make.
func (w *world) alterLinks() {
	for i := range w.links {
		l := &w.links[i]
		clogged, rejected := l.clog > 0, l.reject > 0
		l.behaviour = w.base
		if l.from == l.to {
			continue // a node always reaches itself
		}
		for _, f := range w.active {
			if f.alter != nil {
				f.alter(l)
			}
		}
		l.lossy = l.lossy && l.begin > 0
		if l.behaviour != w.base {
			l.soundSince = never
		} else if l.soundSince == never {
			l.soundSince = w.now
		}
		if l.reject > 0 && !rejected {
			w.sever(l, l.delay.Min)
		}
		if clogged && l.clog == 0 {
			w.unclog(l)
		}
	}
}

// parted says whether a link is cut.
func (w *world) parted() bool {
	for i := range w.links {
		if w.links[i].cut > 0 {
			return true
		}
	}
	return false
}

// each does something to machines, and undoes it with the fault if undo is not nil.
func (w *world) each(f *fault, names []string, do, undo func(m *machine)) {
	list := w.pick(names)
	for _, m := range list {
		do(m)
	}
	if undo != nil {
		f.undo = func() {
			for _, m := range list {
				undo(m)
			}
		}
	}
}
