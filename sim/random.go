package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"weir/cluster/conf"
)

// A faultKind is a fault that can be drawn.
type faultKind struct {
	name     string
	profiles string        // that draw it, besides swarm
	weight   int           // how often, against the others
	least    time.Duration // it lasts at least
	make     func(g *drawing) Action
}

// catalogue is every fault that can be drawn. Each run of a swarm switches about half of them off.
var catalogue = slices.Concat(first, second)

// first and second are drawn one after the other from numbers of their own, so that what is added to the second shifts
// nothing that the first draws.
var first = []faultKind{
	{"crash", "process", 4, 200 * time.Millisecond, func(g *drawing) Action { return Crash{g.some()} }},
	{"restart", "process", 2, 0, func(g *drawing) Action {
		return Restart{Nodes: g.one(), Remembered: g.flip(), Moved: g.flip()}
	}},
	{"crashloop", "process", 1, 5 * time.Second, func(g *drawing) Action {
		return CrashLoop{g.one(), g.time(100*time.Millisecond, 2*g.stale), g.time(50*time.Millisecond, 2*time.Second)}
	}},
	{"pause", "process", 3, 50 * time.Millisecond, func(g *drawing) Action { return Pause{g.one()} }},
	{"suspend", "process", 1, 50 * time.Millisecond, func(g *drawing) Action { return Suspend{g.one()} }},
	{"throttle", "process", 1, time.Second, func(g *drawing) Action { return Throttle{g.one(), g.time(time.Millisecond, g.stale/4)} }},
	{"exhaust", "process", 1, time.Second, func(g *drawing) Action { return Exhaust{g.one()} }},
	{"drain", "process", 1, 0, func(g *drawing) Action { return Drain{g.one()} }},
	{"killactor", "process", 1, 0, func(g *drawing) Action { return KillActor{g.one()[0], g.actor()} }},
	{"wrongkey", "network", 1, time.Second, func(g *drawing) Action { return WrongKey{g.one()} }},
	{"foreign", "network", 1, time.Second, func(g *drawing) Action { return Foreign{g.one()} }},
	{"clockrate", "process", 1, 10 * time.Second, func(g *drawing) Action { return ClockRate{g.one(), g.rng.IntN(1001) - 500} }},
	{"clockjump", "process", 1, 0, func(g *drawing) Action {
		return ClockJump{g.one(), time.Duration(g.rng.Int64N(int64(48*time.Hour))) - 24*time.Hour}
	}},
	{"cut", "network", 3, 100 * time.Millisecond, func(g *drawing) Action { return Cut{g.one(), g.one(), g.flip()} }},
	{"partition", "network", 3, 500 * time.Millisecond, func(g *drawing) Action { return Partition{g.groups()} }},
	{"ring", "network", 1, time.Second, func(*drawing) Action { return Ring{} }},
	{"isolate", "network", 2, 500 * time.Millisecond, func(g *drawing) Action {
		return Isolate{Nodes: g.one(), In: g.flip(), Out: g.flip()}
	}},
	{"refuse", "network", 1, 100 * time.Millisecond, func(g *drawing) Action { return Refuse{g.one(), g.one(), g.flip()} }},
	{"reset", "network", 1, time.Second, func(g *drawing) Action { return Reset{g.some(), nil, g.flip(), g.chance(100)} }},
	{"clog", "network", 1, 100 * time.Millisecond, func(g *drawing) Action { return Clog{g.one(), g.one(), g.flip()} }},
	{"swizzle", "network", 1, time.Second, func(g *drawing) Action { return Swizzle{g.some()} }},
	{"delay", "network", 2, time.Second, func(g *drawing) Action {
		return Delay{g.some(), nil, g.flip(), Range{0, g.time(time.Millisecond, g.stale)}}
	}},
	{"spike", "network", 1, time.Second, func(g *drawing) Action {
		return Spike{g.some(), nil, g.flip(), g.chance(20), Range{0, g.time(time.Millisecond, 2*g.stale)}}
	}},
	{"loss", "network", 2, time.Second, func(g *drawing) Action { return Loss{g.some(), nil, g.flip(), g.chance(60)} }},
	{"burst", "network", 1, time.Second, func(g *drawing) Action {
		return Burst{g.some(), nil, g.flip(), g.chance(10), Percent(10) + g.chance(60)}
	}},
	{"duplicate", "network", 1, time.Second, func(g *drawing) Action { return Duplicate{nil, nil, false, g.chance(50)} }},
	{"reorder", "network", 1, time.Second, func(g *drawing) Action {
		return Reorder{nil, nil, false, g.chance(50), g.time(time.Millisecond, g.stale)}
	}},
	{"bandwidth", "network", 1, time.Second, func(g *drawing) Action { return Bandwidth{g.one(), nil, g.flip(), 200 + g.rng.IntN(20_000)} }},
	{"flaplink", "network", 1, 5 * time.Second, func(g *drawing) Action {
		return FlapLink{g.one(), g.one(), g.flip(), g.time(100*time.Millisecond, 2*g.stale), g.time(100*time.Millisecond, 2*g.stale)}
	}},
	{"slowreplies", "network", 1, time.Second, func(g *drawing) Action {
		return SlowReplies{Nodes: g.one(), By: Range{g.stale * 9 / 10, g.stale * 11 / 10}}
	}},
	{"brokenreplies", "network", 1, time.Second, func(g *drawing) Action {
		return BrokenReplies{g.one(), g.chance(100), [...]Breakage{CutShort, Garbled, Huge}[g.rng.IntN(3)]}
	}},
	{"sourcedown", "source", 2, time.Second, func(g *drawing) Action { return SourceDown{g.streams(), g.maybeAll()} }},
	{"stall", "source", 1, time.Second, func(g *drawing) Action { return Stall{g.streams(), g.maybeAll()} }},
	{"slowsource", "source", 1, time.Second, func(g *drawing) Action {
		return SlowSource{g.streams(), g.maybeAll(), Range{0, g.time(time.Millisecond, g.stale)}}
	}},
	{"singlelogin", "source", 1, time.Second, func(g *drawing) Action { return SingleLogin{g.streams()} }},
	{"demand", "source calm", 2, 0, func(g *drawing) Action { return Demand{Streams: g.streams()[:1], Nodes: g.one()} }},
	{"publish", "source", 1, time.Second, func(g *drawing) Action { return Publish{g.one()[0], g.published()} }},
	{"load", "process", 1, time.Second, func(g *drawing) Action { return Load{g.one(), g.rng.IntN(1001)} }},
	{"edit", "edit", 1, 0, nil}, // see rollingEdit
}

var second = []faultKind{
	{"halfopen", "network", 1, time.Second, func(g *drawing) Action { return HalfOpen{g.one(), g.some(), g.flip()} }},
	{"onthedot", "network", 1, time.Second, func(g *drawing) Action { return SlowReplies{Nodes: g.one(), After: g.stale} }},
	{"drift", "edit", 1, time.Second, nil},   // see drift
	{"herd", "process", 1, time.Second, nil}, // see herd
}

// Faults are the names of all faults that [Random] can draw.
func Faults() []string {
	out := make([]string, len(catalogue))
	for i, k := range catalogue {
		out[i] = k.name
	}
	return out
}

// Profiles are the profiles of [Random].
func Profiles() []string { return []string{"swarm", "calm", "network", "process", "source", "edit"} }

// A drawing draws the faults of one [Random] step.
type drawing struct {
	added int // streams, by edits
	s     *Scenario
	rng   *rand.Rand
	stale time.Duration
	file  *conf.File
	drawn []Step   // before
	names []string // streams
	pubs  []string
}

func (g *drawing) flip() bool { return g.rng.IntN(2) == 0 }

func (g *drawing) one() []string { return []string{g.s.Nodes[g.rng.IntN(len(g.s.Nodes))]} }

// some is one node mostly, and at times several.
func (g *drawing) some() []string {
	if g.rng.IntN(4) > 0 {
		return g.one()
	}
	var out []string
	for _, n := range g.s.Nodes {
		if g.flip() {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return g.one()
	}
	return out
}

func (g *drawing) maybeAll() []string {
	if g.rng.IntN(3) == 0 {
		return nil
	}
	return g.some()
}

func (g *drawing) streams() []string {
	if len(g.names) == 0 {
		return []string{""}
	}
	out := []string{g.names[g.rng.IntN(len(g.names))]}
	for range g.rng.IntN(4) {
		out = append(out, g.names[g.rng.IntN(len(g.names))])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (g *drawing) published() string {
	if len(g.pubs) == 0 {
		return ""
	}
	return g.pubs[g.rng.IntN(len(g.pubs))]
}

func (g *drawing) actor() string {
	switch g.rng.IntN(3) {
	case 0:
		return "control"
	case 1:
		node := g.one()[0]
		for _, p := range g.file.Peers {
			if p.Host == node || p.Name() == node {
				return "peers/" + p.Name()
			}
		}
		return "peers"
	}
	name := g.streams()[0]
	return "streams/" + name + [...]string{"", "/core", "/inputs/1"}[stringHash(name)%3]
}

// time draws evenly by order of magnitude, since what matters lies near small times as much as near large ones.
func (g *drawing) time(least, most time.Duration) time.Duration {
	steps := 0
	for d := least; d < most; d *= 2 {
		steps++
	}
	d := least << g.rng.IntN(steps+1)
	return min(most, d+time.Duration(g.rng.Int64N(int64(d))))
}

func (g *drawing) chance(percent int) PPM { return PPM(g.rng.IntN(percent*10_000) + 1) }

// groups are two parts, or three at times.
func (g *drawing) groups() [][]string {
	out := make([][]string, 2+b2i(g.rng.IntN(4) == 0))
	for _, n := range g.s.Nodes {
		i := g.rng.IntN(len(out) + b2i(g.rng.IntN(8) == 0))
		if i < len(out) {
			out[i] = append(out[i], n)
		}
	}
	return slices.DeleteFunc(out, func(p []string) bool { return len(p) == 0 })
}

// expand draws what the Random steps of a scenario stand for. Its steps all end within the time of theirs.
func expand(s *Scenario, without []string) []Step {
	var out []Step
	for i, st := range s.Steps {
		if r, ok := st.Action.(Random); ok {
			g := newDrawing(s, i)
			out = append(out, g.draw(r.Profile, st.At, max(st.To, st.At+time.Second), without)...)
		}
	}
	return out
}

func newDrawing(s *Scenario, i int) *drawing {
	g := &drawing{s: s, rng: rand.New(rand.NewPCG(s.Seed, stringHash(fmt.Sprint("faults ", i))))}
	g.file = s.file(s.Nodes[0])
	for _, p := range g.file.Peers {
		g.stale = max(g.stale, p.StaleTimeout)
	}
	g.stale = max(g.stale, time.Second)
	for _, x := range g.file.Streams {
		if len(x.Inputs) > 0 && x.Inputs[0].Scheme == "publish" {
			g.pubs = append(g.pubs, x.Name)
		} else {
			g.names = append(g.names, x.Name)
		}
	}
	return g
}

func (g *drawing) draw(profile string, from, to time.Duration, without []string) []Step {
	out := g.drawOf(first, profile, from, to, without)
	g.drawn = out
	g.rng = rand.New(rand.NewPCG(g.s.Seed, stringHash(fmt.Sprint("further faults ", from))))
	return append(out, g.drawOf(second, profile, from, to, without)...)
}

func (g *drawing) drawOf(list []faultKind, profile string, from, to time.Duration, without []string) []Step {
	var kinds []faultKind
	total := 0
	for _, k := range list {
		on := profile == "swarm" || slices.Contains(strings.Fields(k.profiles), profile)
		if profile == "swarm" {
			on = g.flip()
		}
		if !on || slices.Contains(without, k.name) || k.name == "publish" && len(g.pubs) == 0 {
			continue
		}
		kinds = append(kinds, k)
		total += k.weight
	}
	if len(kinds) == 0 {
		return nil
	}
	mean := g.time(g.stale/4, 4*g.stale)
	var out []Step
	for at := from; ; {
		at += time.Duration(g.rng.Int64N(int64(2*mean))) + time.Millisecond
		if at >= to {
			break
		}
		pick := g.rng.IntN(total)
		for _, k := range kinds {
			if pick -= k.weight; pick >= 0 {
				continue
			}
			if k.name == "edit" {
				out = append(out, g.rollingEdit(at, to)...)
				break
			}
			st := Step{At: at}
			switch k.name {
			case "drift":
				st.Action = g.drift(at)
			case "herd":
				st.Action = Crash{g.one()}
				out = append(out, g.herd(at+g.time(time.Millisecond, g.stale)))
			default:
				st.Action = k.make(g)
			}
			if k.least > 0 {
				st.To = min(to, at+k.least+g.time(10*time.Millisecond, 3*g.stale))
			}
			out = append(out, st)
			break
		}
	}
	return out
}

// rollingEdit changes the file and brings the change to one node after the other.
func (g *drawing) rollingEdit(at, to time.Duration) []Step {
	f := *g.file
	f.Streams = slices.Clone(f.Streams)
	if len(f.Streams) == 0 {
		return nil
	}
	i := g.rng.IntN(len(f.Streams))
	switch g.rng.IntN(4) {
	case 0:
		x := f.Streams[i]
		g.added++
		x.Name = fmt.Sprintf("new%02d", g.added)
		f.Streams = append(f.Streams, x)
		g.names = append(g.names, x.Name)
	case 1:
		if len(f.Streams) > 1 {
			f.Streams = slices.Delete(f.Streams, i, i+1)
		}
	case 2:
		if x := &f.Streams[i]; x.Ingest != nil {
			in := *x.Ingest
			in.CaptureAt = g.one()[0]
			x.Ingest = &in
		}
	case 3:
		f.Streams[i].Disabled = !f.Streams[i].Disabled
	}
	g.file = &f
	var out []Step
	for _, k := range g.rng.Perm(len(g.s.Nodes)) {
		if at >= to {
			break
		}
		out = append(out, Step{At: at, Action: Edit{[]string{g.s.Nodes[k]}, &f}})
		at += g.time(10*time.Millisecond, g.stale)
	}
	return out
}

// drift gives one node another file than the others have, for a time: other timeouts, another pin, or a stream or a peer
// less.
func (g *drawing) drift(at time.Duration) Action {
	node := g.one()
	f := *g.fileAt(node[0], at)
	f.Streams, f.Peers = slices.Clone(f.Streams), slices.Clone(f.Peers)
	n := g.rng.IntN(4)
	if len(f.Streams) == 0 {
		n = 0
	}
	switch n {
	case 0:
		by := 50 + time.Duration(g.rng.Int64N(150))
		for i := range f.Peers {
			p := &f.Peers[i]
			p.FetchTimeout = max(p.FetchTimeout*by/100, 100*time.Millisecond).Truncate(time.Millisecond)
			p.StaleTimeout = max(p.StaleTimeout*by/100, 3*p.FetchTimeout).Truncate(time.Millisecond)
		}
	case 1:
		if x := &f.Streams[g.rng.IntN(len(f.Streams))]; x.Ingest != nil {
			in := *x.Ingest
			in.CaptureAt = g.one()[0]
			x.Ingest = &in
		}
	case 2:
		i := g.rng.IntN(len(f.Streams))
		f.Streams = slices.Delete(f.Streams, i, i+1)
	case 3:
		i := g.rng.IntN(len(f.Peers))
		f.Peers = slices.Delete(f.Peers, i, i+1)
	}
	return Edit{node, &f}
}

// fileAt is the file that a node has at an instant by what has been drawn before.
func (g *drawing) fileAt(node string, at time.Duration) *conf.File {
	f := g.s.file(node)
	for _, st := range g.drawn {
		if e, ok := st.Action.(Edit); ok && st.At <= at && slices.Contains(e.Nodes, node) {
			f = e.File
		}
	}
	return f
}

// herd lets viewers come to all nodes for several streams at once, as all those of a node that has died do.
func (g *drawing) herd(at time.Duration) Step {
	a := Demand{}
	if g.flip() {
		a.Streams = append(g.streams(), g.streams()...)
	}
	return Step{At: at, Action: a}
}
