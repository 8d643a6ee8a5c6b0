package sim

import (
	"slices"
	"time"
)

// Links are those from each of From to each of To, and, unless OneWay, back.
type Links struct {
	From, To []string
	OneWay   bool
}

// Actions on links and on what passes over them.
type (
	// Cut loses everything.
	Cut struct{ Links }

	// Partition loses everything between groups. A node that is in no group reaches all: it is a bridge.
	Partition struct{ Groups [][]string }

	// Ring lets each node reach only its two neighbours in the order of Nodes.
	Ring struct{ Nodes []string }

	// Isolate cuts nodes off from all others, and from each other too. In and Out limit it to one direction.
	Isolate struct {
		Nodes   []string
		In, Out bool // neither: both
	}

	// Refuse makes new questions fail at once, as a name that does not resolve. It tells nothing of the process there.
	Refuse struct{ Links }

	// Reject is a firewall that begins to refuse what nodes From send to nodes To: their connections break, and new ones are refused
	// at once, as if the process there had ended.
	Reject struct{ Links }

	// Reset breaks exchanges with a probability; the asker knows at once.
	Reset struct {
		Links
		Probability PPM
	}

	// HalfOpen leaves connections standing that lead nowhere: what nodes From ask nodes To arrives, and the answers do
	// not. What To ask From goes its way.
	HalfOpen struct{ Links }

	// Clog holds messages back; they arrive when it ends.
	Clog struct{ Links }

	// Swizzle clogs each link at a random instant and releases it at another, in random order.
	Swizzle struct{ Nodes []string }

	// Delay replaces the delay of the network.
	Delay struct {
		Links
		By Range
	}

	// Spike delays single messages by more, with a probability.
	Spike struct {
		Links
		Probability PPM
		By          Range
	}

	// Loss replaces the loss of the network.
	Loss struct {
		Links
		Probability PPM
	}

	// Burst loses messages in bursts (Gilbert's model): each message may begin or end one, in which all are lost.
	Burst struct {
		Links
		Begin, End PPM
	}

	// Duplicate delivers messages twice.
	Duplicate struct {
		Links
		Probability PPM
	}

	// Reorder lets messages overtake each other by up to By.
	Reorder struct {
		Links
		Probability PPM
		By          time.Duration
	}

	// Bandwidth limits a link, in bytes per second.
	Bandwidth struct {
		Links
		Bytes int
	}

	// FlapLink cuts and heals a link again and again.
	FlapLink struct {
		Links
		Down, Up time.Duration
	}

	// SlowReplies makes nodes answer late: by a time that is drawn from By for each answer, or, if After is not zero, so
	// that the answer arrives exactly that long after it was asked for, by the clock of the node that asks.
	SlowReplies struct {
		Nodes []string
		By    Range
		After time.Duration
	}

	// BrokenReplies makes the answers of nodes unreadable.
	BrokenReplies struct {
		Nodes       []string
		Probability PPM
		How         Breakage
	}

	// Heal makes all links whole.
	Heal struct{}
)

// A Breakage is a way in which an answer is broken.
type Breakage uint8

// The ways.
const (
	CutShort Breakage = iota // the body ends early
	Garbled                  // bytes are changed
	Huge                     // far more than anybody should send
)

// String gives the word of the scenario language.
func (b Breakage) String() string { return [...]string{"cut", "garbled", "huge"}[b] }

// Breakages are all ways.
func Breakages() []Breakage { return []Breakage{CutShort, Garbled, Huge} }

var linkKinds = []*Kind{
	kind(Kind{Subject: Topology, Word: "cut", Args: "LINK", Help: "nothing passes"},
		draws(ProfileNetwork, 3, 100*time.Millisecond, func(g *generator) Cut { return Cut{Links{g.one(), g.one(), g.flip()}} }),
		func(_ *world, f *fault, a Cut) { f.alters(a.Links, func(l *link) { l.cut++ }) }),
	kind(Kind{Subject: Topology, Word: "partition", Args: "NODES | NODES …", Help: "nothing passes between the groups"},
		draws(ProfileNetwork, 3, 500*time.Millisecond, func(g *generator) Partition { return Partition{g.groups()} }),
		func(w *world, f *fault, a Partition) {
			f.alter = func(l *link) {
				i, j := groupOf(a.Groups, l.from.name), groupOf(a.Groups, l.to.name)
				l.cut += b2i(i >= 0 && j >= 0 && i != j)
			}
			if len(a.Groups) > 2 {
				w.result.Sometimes["3-way partition"]++
			}
		}),
	kind(Kind{Subject: Topology, Word: "ring", Args: "[NODES]", Help: "each reaches only its two neighbours"},
		draws(ProfileNetwork, 1, time.Second, func(*generator) Ring { return Ring{} }),
		(*world).ring),
	kind(Kind{Subject: Topology, Word: "isolate", Args: "NODES [in] [out]", Help: "nothing reaches it, or leaves it, or both"},
		draws(ProfileNetwork, 2, 500*time.Millisecond, func(g *generator) Isolate {
			return Isolate{Nodes: g.one(), In: g.flip(), Out: g.flip()}
		}),
		func(_ *world, f *fault, a Isolate) {
			both := a.In == a.Out
			f.alter = func(l *link) {
				out, in := slices.Contains(a.Nodes, l.from.name), slices.Contains(a.Nodes, l.to.name)
				l.cut += b2i(out && (a.Out || both) || in && (a.In || both))
			}
		}),
	kind(Kind{Subject: LinkBehaviour, Word: "refuse", Args: "LINK", Help: "connections fail at once, as without DNS; nothing breaks"},
		draws(ProfileNetwork, 1, 100*time.Millisecond, func(g *generator) Refuse { return Refuse{Links{g.one(), g.one(), g.flip()}} }),
		func(_ *world, f *fault, a Refuse) { f.alters(a.Links, func(l *link) { l.refuse++ }) }),
	kind(Kind{Subject: LinkBehaviour, Word: "reject", Args: "LINK", Help: "a firewall breaks connections and refuses new ones"},
		draws(ProfileNetwork, 2, 100*time.Millisecond, func(g *generator) Reject { return Reject{Links{g.one(), g.some(), g.flip()}} }).further(),
		func(_ *world, f *fault, a Reject) {
			f.alters(a.Links, func(l *link) {
				l.refuse++
				l.reject++
			})
		}),
	kind(Kind{Subject: LinkBehaviour, Word: "reset", Args: "LINK P%", Help: "so many connections break"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) Reset { return Reset{Links{g.some(), nil, g.flip()}, g.chance(100)} }),
		func(_ *world, f *fault, a Reset) {
			f.alters(a.Links, func(l *link) { l.reset = max(l.reset, a.Probability) })
		}),
	kind(Kind{Subject: LinkBehaviour, Word: "half-open", Args: "LINK", Help: "questions arrive, their answers do not"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) HalfOpen { return HalfOpen{Links{g.one(), g.some(), g.flip()}} }).further(),
		func(_ *world, f *fault, a HalfOpen) { f.alters(a.Links, func(l *link) { l.halfOpen++ }) }),
	kind(Kind{Subject: LinkBehaviour, Word: "clog", Args: "LINK", Help: "messages wait and come when it ends"},
		draws(ProfileNetwork, 1, 100*time.Millisecond, func(g *generator) Clog { return Clog{Links{g.one(), g.one(), g.flip()}} }),
		func(_ *world, f *fault, a Clog) { f.alters(a.Links, func(l *link) { l.clog++ }) }),
	kind(Kind{Subject: Topology, Word: "swizzle", Args: "[NODES]", Help: "links clog and clear one after the other, at random"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) Swizzle { return Swizzle{g.some()} }),
		(*world).swizzle),
	kind(Kind{Subject: LinkBehaviour, Word: "delay", Args: "LINK TIME..TIME", Help: "messages take so long"},
		draws(ProfileNetwork, 2, time.Second, func(g *generator) Delay {
			return Delay{Links{g.some(), nil, g.flip()}, Range{0, g.time(time.Millisecond, g.stale)}}
		}),
		func(_ *world, f *fault, a Delay) { f.alters(a.Links, func(l *link) { l.delay = a.By }) }),
	kind(Kind{Subject: LinkBehaviour, Word: "spike", Args: "LINK P% by TIME..TIME", Help: "single messages take so much longer"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) Spike {
			return Spike{Links{g.some(), nil, g.flip()}, g.chance(20), Range{0, g.time(time.Millisecond, 2*g.stale)}}
		}),
		func(_ *world, f *fault, a Spike) {
			f.alters(a.Links, func(l *link) { l.spike, l.spikeBy = a.Probability, a.By })
		}),
	kind(Kind{Subject: LinkBehaviour, Word: "loss", Args: "LINK P%", Help: "so many messages are lost"},
		draws(ProfileNetwork, 2, time.Second, func(g *generator) Loss { return Loss{Links{g.some(), nil, g.flip()}, g.chance(60)} }),
		func(_ *world, f *fault, a Loss) { f.alters(a.Links, func(l *link) { l.loss = a.Probability }) }),
	kind(Kind{Subject: LinkBehaviour, Word: "burst", Args: "LINK begin P% end P%", Help: "messages are lost in bursts"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) Burst {
			return Burst{Links{g.some(), nil, g.flip()}, g.chance(10), Percent(10) + g.chance(60)}
		}),
		func(_ *world, f *fault, a Burst) {
			f.alters(a.Links, func(l *link) { l.begin, l.end = a.Begin, a.End })
		}),
	kind(Kind{Subject: LinkBehaviour, Word: "duplicate", Args: "LINK P%", Help: "messages come twice"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) Duplicate { return Duplicate{Probability: g.chance(50)} }),
		func(_ *world, f *fault, a Duplicate) { f.alters(a.Links, func(l *link) { l.dup = a.Probability }) }),
	kind(Kind{Subject: LinkBehaviour, Word: "reorder", Args: "LINK P% by TIME", Help: "messages overtake each other"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) Reorder {
			return Reorder{Probability: g.chance(50), By: g.time(time.Millisecond, g.stale)}
		}),
		func(_ *world, f *fault, a Reorder) {
			f.alters(a.Links, func(l *link) { l.re, l.overtake = a.Probability, a.By })
		}),
	kind(Kind{Subject: LinkBehaviour, Word: "bandwidth", Args: "LINK BYTES", Help: "so many bytes pass in a second"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) Bandwidth {
			return Bandwidth{Links{g.one(), nil, g.flip()}, 200 + g.rng.IntN(20_000)}
		}),
		func(_ *world, f *fault, a Bandwidth) { f.alters(a.Links, func(l *link) { l.bandwidth = a.Bytes }) }),
	kind(Kind{Subject: Topology, Word: "flap", Args: "LINK down TIME up TIME", Help: "the link is cut and heals again and again", name: "flaplink"},
		draws(ProfileNetwork, 1, 5*time.Second, func(g *generator) FlapLink {
			return FlapLink{Links{g.one(), g.one(), g.flip()}, g.time(100*time.Millisecond, 2*g.stale), g.time(100*time.Millisecond, 2*g.stale)}
		}),
		(*world).flap),
	kind(Kind{Subject: Answers, Word: "slow-replies", Args: "NODES by TIME..TIME, or NODES after TIME", Help: "it answers late; exactly so long after it was asked"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) SlowReplies {
			return SlowReplies{Nodes: g.one(), By: Range{g.stale * 9 / 10, g.stale * 11 / 10}}
		}),
		func(w *world, f *fault, a SlowReplies) {
			if a.After > 0 {
				f.alter = func(l *link) {
					if a.Nodes == nil || slices.Contains(a.Nodes, l.from.name) {
						l.punctual = a.After
					}
				}
				return
			}
			w.each(f, a.Nodes, func(m *machine) { m.slow = a.By }, func(m *machine) { m.slow = Range{} })
		}),
	kind(Kind{Subject: Answers, Word: "broken-replies", Args: "NODES P% cut|garbled|huge", Help: "its answers cannot be read"},
		draws(ProfileNetwork, 1, time.Second, func(g *generator) BrokenReplies {
			return BrokenReplies{g.one(), g.chance(100), Breakages()[g.rng.IntN(3)]}
		}),
		func(w *world, f *fault, a BrokenReplies) {
			w.each(f, a.Nodes, func(m *machine) { m.broken, m.breakage = a.Probability, a.How }, func(m *machine) { m.broken = 0 })
		}),
	kind(Kind{Subject: Topology, Word: "heal", Help: "all links are whole again", Instant: true},
		nil,
		func(w *world, _ *fault, _ Heal) {
			w.endFaults(func(f *fault) bool { return f.alter != nil })
		}),
}

// alters gives links another conduct for as long as the fault is on.
func (f *fault) alters(on Links, do func(l *link)) {
	f.alter = func(l *link) {
		if on.have(l) {
			do(l)
		}
	}
}

// have says whether a link is one of them.
func (on Links) have(l *link) bool {
	in := func(names []string, m *machine) bool { return names == nil || slices.Contains(names, m.name) }
	return in(on.From, l.from) && in(on.To, l.to) || !on.OneWay && in(on.To, l.from) && in(on.From, l.to)
}

func groupOf(groups [][]string, name string) int {
	return slices.IndexFunc(groups, func(g []string) bool { return slices.Contains(g, name) })
}

func (w *world) ring(f *fault, a Ring) {
	names := a.Nodes
	if names == nil {
		names = w.s.Nodes
	}
	w.result.Sometimes["ring"] += b2i(len(names) > 3)
	f.alter = func(l *link) {
		i, j := slices.Index(names, l.from.name), slices.Index(names, l.to.name)
		if i < 0 || j < 0 {
			return
		}
		if d := (i - j + len(names)) % len(names); d != 1 && d != len(names)-1 {
			l.cut++
		}
	}
}

// flap cuts and heals a link in turns until the fault ends.
func (w *world) flap(f *fault, a FlapLink) {
	down := true
	f.alter = func(l *link) { l.cut += b2i(down && a.have(l)) }
	var toggle func()
	toggle = func() {
		if f.ended {
			return
		}
		down = !down
		w.alterLinks()
		w.checks.disturbed(disturbFlap)
		d := a.Up
		if down {
			d = a.Down
		}
		w.queue.push(item{at: w.now + max(d, time.Millisecond), do: toggle})
	}
	w.queue.push(item{at: w.now + max(a.Down, time.Millisecond), do: toggle})
}

// swizzle arranges a clog of each link for a random part of the time.
func (w *world) swizzle(f *fault, a Swizzle) {
	span := max(f.step.To-f.step.At, time.Second)
	for _, m := range w.pick(a.Nodes) {
		for _, o := range w.pick(a.Nodes) {
			if m == o {
				continue
			}
			x, y := time.Duration(w.random.Int64N(int64(span))), time.Duration(w.random.Int64N(int64(span)))
			c := Step{
				At: w.now + min(x, y), To: w.now + max(x, y) + time.Millisecond,
				Action: Clog{Links{[]string{m.name}, []string{o.name}, true}},
			}
			w.queue.push(item{at: c.At, do: func() { w.begin(c) }})
		}
	}
}
