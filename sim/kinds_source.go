package sim

import (
	"time"

	"weir/cluster/control"
	"weir/cluster/controller"
)

// Actions on sources, publishers and viewers.
type (
	// SourceDown makes sources unreachable from nodes; captures that run there fail.
	SourceDown struct{ Streams, Nodes []string }

	// SourceUp makes them reachable again.
	SourceUp struct{ Streams, Nodes []string }

	// Stall makes sources fall silent without closing.
	Stall struct{ Streams, Nodes []string }

	// SlowSource makes sources take that long to begin.
	SlowSource struct {
		Streams, Nodes []string
		Up             Range
	}

	// SingleLogin makes cameras refuse a second connection.
	SingleLogin struct{ Streams []string }

	// Publish lets a publisher come to a node. It comes once. With To it leaves then.
	Publish struct{ Node, Stream string }

	// Encoder lets a publisher come to the first of some nodes. Whenever it is refused, sent away, or loses its connection, it
	// tries the next of them after a time of the range. With To it leaves then.
	Encoder struct {
		Stream string
		Nodes  []string
		Back   Range
	}

	// Drop breaks the connections of the publishers of streams. Where that is silent the nodes do not learn of it.
	Drop struct {
		Streams []string
		Silent  bool
	}

	// Unpublish lets it leave.
	Unpublish struct{ Node, Stream string }

	// Demand lets viewers ask nodes for streams, each of Nodes for each of Streams: many of both are a herd. With To they
	// stay until then.
	Demand struct{ Streams, Nodes []string }
)

var sourceKinds = []*Kind{
	kind(Kind{Subject: Sources, Word: "source-down", Args: "STREAMS [on NODES]", Help: "the source cannot be reached from there"},
		draws(ProfileSource, 2, time.Second, func(g *generator) SourceDown { return SourceDown{g.streams(), g.maybeAll()} }),
		func(w *world, f *fault, a SourceDown) {
			w.sources(f, a.Streams, a.Nodes, func(s *streamTruth, node string) { s.unreachable[node] = true; w.cutOff(s) },
				func(s *streamTruth, node string) { delete(s.unreachable, node) })
		}),
	kind(Kind{Subject: Sources, Word: "source-up", Args: "STREAMS [on NODES]", Help: "it can be reached again", Instant: true},
		nil,
		func(w *world, f *fault, a SourceUp) {
			w.sources(f, a.Streams, a.Nodes, func(s *streamTruth, node string) {
				delete(s.unreachable, node)
				delete(s.silent, node)
				if a.Nodes == nil {
					clear(s.unreachable)
					clear(s.silent)
				}
				w.silenceChanged(s)
			}, nil)
		}),
	kind(Kind{Subject: Sources, Word: "stall", Args: "STREAMS [on NODES]", Help: "the source falls silent without closing"},
		draws(ProfileSource, 1, time.Second, func(g *generator) Stall { return Stall{g.streams(), g.maybeAll()} }),
		func(w *world, f *fault, a Stall) {
			w.sources(f, a.Streams, a.Nodes, func(s *streamTruth, node string) { s.silent[node] = true; w.silenceChanged(s) },
				func(s *streamTruth, node string) { delete(s.silent, node); w.silenceChanged(s) })
		}),
	kind(Kind{Subject: Sources, Word: "slow-source", Args: "STREAMS [on NODES] by TIME..TIME", Help: "the source takes so long to begin"},
		draws(ProfileSource, 1, time.Second, func(g *generator) SlowSource {
			return SlowSource{g.streams(), g.maybeAll(), Range{0, g.time(time.Millisecond, g.stale)}}
		}),
		func(w *world, f *fault, a SlowSource) {
			w.sources(f, a.Streams, a.Nodes, func(s *streamTruth, node string) { s.slow[node] = a.Up },
				func(s *streamTruth, node string) { delete(s.slow, node) })
		}),
	kind(Kind{Subject: Sources, Word: "single-login", Args: "STREAMS", Help: "the camera refuses a second connection"},
		draws(ProfileSource, 1, time.Second, func(g *generator) SingleLogin { return SingleLogin{g.streams()} }),
		func(w *world, f *fault, a SingleLogin) {
			w.sources(f, a.Streams, nil, func(s *streamTruth, _ string) { s.single = true }, func(s *streamTruth, _ string) { s.single = false })
		}),
	kind(Kind{Subject: Sources, Word: "demand", Args: "STREAMS at NODES", Help: "viewers ask each of these nodes for each stream"},
		draws(ProfileSource|ProfileCalm, 2, 0, func(g *generator) Demand { return Demand{Streams: g.streams()[:1], Nodes: g.one()} }),
		(*world).demand),
	kind(Kind{Subject: Sources, Word: "publish", Args: "STREAM at NODE", Help: "a publisher comes"},
		draws(ProfileSource, 1, time.Second, func(g *generator) Publish { return Publish{g.one()[0], g.published()} }).
			unless(func(g *generator) bool { return len(g.pubs) == 0 }),
		func(w *world, f *fault, a Publish) {
			if m, s := w.machine(a.Node), w.byName[a.Stream]; m != nil && s != nil {
				f.undo = w.comes(s, []*machine{m}, Range{}).leaves
			}
		}),
	kind(Kind{Subject: Sources, Word: "encoder", Args: "STREAM at NODES returns TIME..TIME", Help: "a publisher comes, and tries the next node when it has to go", client: true},
		draws(ProfileSource, 2, time.Second, func(g *generator) Encoder { return g.encoder() }).
			unless(func(g *generator) bool { return len(g.pubs) == 0 }).further(),
		func(w *world, f *fault, a Encoder) {
			if s := w.byName[a.Stream]; s != nil {
				f.undo = w.comes(s, w.pick(a.Nodes), a.Back).leaves
			}
		}),
	kind(Kind{Subject: Sources, Word: "drop", Args: "STREAMS [silent]", Help: "publishers lose their connections", Instant: true, client: true},
		draws(ProfileSource|ProfileProcess, 2, 0, func(g *generator) Drop { return Drop{[]string{g.published()}, g.flip()} }).
			unless(func(g *generator) bool { return len(g.pubs) == 0 }).further(),
		func(w *world, _ *fault, a Drop) {
			for _, p := range w.publishers {
				if among(a.Streams, p.s) {
					p.drops(a.Silent)
				}
			}
		}),
	kind(Kind{Subject: Sources, Word: "unpublish", Args: "STREAM at NODE", Help: "it leaves", Instant: true},
		nil,
		func(w *world, _ *fault, a Unpublish) {
			if m, s := w.machine(a.Node), w.byName[a.Stream]; m != nil && s != nil {
				if p := w.publisherAt(m, s); p != nil {
					p.leaves()
				}
			}
		}),
}

// sources does something to the sources of streams as seen from nodes; the empty name means from all.
func (w *world) sources(f *fault, streams, nodes []string, do, undo func(s *streamTruth, node string)) {
	if nodes == nil {
		nodes = []string{""}
	}
	all := func(do func(s *streamTruth, node string)) {
		for _, s := range w.streams {
			if among(streams, s) {
				for _, n := range nodes {
					do(s, n)
				}
			}
		}
	}
	all(do)
	w.checks.observeSources()
	if undo != nil {
		f.undo = func() {
			all(undo)
			w.checks.observeSources()
		}
	}
}

// cutOff ends the captures that have lost their source.
func (w *world) cutOff(s *streamTruth) {
	for f := range w.feeds(s) {
		if !f.unreachable() || f.upAt < 0 || f.pub {
			continue
		}
		f.m.later(time.Millisecond, func() {
			if f.m.captures[s.index].feed == f && f.unreachable() && f.state != control.Idle && f.state < control.Stopping {
				f.fail("the source has gone")
			}
		})
	}
}

// demand lets viewers ask nodes for streams. What is on demand is asked for until the fault ends, or once if it has no
// end; of every stream it is checked that they are led to it.
func (w *world) demand(f *fault, a Demand) {
	for _, m := range w.pick(a.Nodes) {
		for _, s := range w.streams {
			if !among(a.Streams, s) {
				continue
			}
			m.demands(s)
			w.checks.demanded(m, s)
			if f.lasts() {
				w.repeatDemand(f, m, s)
			}
		}
	}
	if f.lasts() {
		f.undo = func() {} // repeatDemand sees that it has ended
	}
}

func (w *world) repeatDemand(f *fault, m *machine, s *streamTruth) {
	w.queue.push(item{at: w.now + controller.LoadEvery, do: func() {
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
	if x := m.viewOf(s); x == nil || !x.OnDemand {
		return
	}
	m.process.event(control.Demanded{Stream: s.name, Fresh: controller.DemandFresh}, "demanded")
}
