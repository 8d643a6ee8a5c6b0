package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"weir/cluster/conf"
)

// A Profile says which faults [Random] draws. Its zero value, swarm, draws of all of them, of which about half are switched
// off in each run.
type Profile uint8

// Profiles. Those but the first can be added, to say in which of them a fault is.
const (
	ProfileSwarm Profile = 0
	ProfileCalm  Profile = 1 << iota
	ProfileNetwork
	ProfileProcess
	ProfileSource
	ProfileEdit
)

// Profiles are all profiles.
func Profiles() []Profile {
	return []Profile{ProfileSwarm, ProfileCalm, ProfileNetwork, ProfileProcess, ProfileSource, ProfileEdit}
}

// String gives the word of the scenario language.
func (p Profile) String() string {
	return [...]string{"swarm", "calm", "network", "process", "source", "edit"}[slices.Index(Profiles(), p)]
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *Profile) UnmarshalText(text []byte) error {
	for _, q := range Profiles() {
		if q.String() == string(text) {
			*p = q
			return nil
		}
	}
	return fmt.Errorf("found %q, expected one of the profiles %s", text, profileList())
}

// profileList is for messages and the help.
func profileList() string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.String())
	}
	return strings.Join(names, ", ")
}

// drawn says how a fault is drawn.
type drawn struct {
	name     string                  // for [Options.Without]
	profiles Profile                 // that draw it, besides swarm
	weight   int                     // how often, against the others
	least    time.Duration           // it lasts at least; zero: it has no end
	second   bool                    // it is drawn after the others; see catalogue
	apart    bool                    // swarm does not draw it beside faults of other profiles
	never    func(g *generator) bool // there is nothing to draw it for; nil: there always is

	// steps are what the fault is made of, when it begins at an instant and all faults end at another. The last gets an end
	// where the fault has one.
	steps func(g *generator, at, end time.Duration) []Step
}

// draws says how an action of one step is drawn.
func draws[A any](profiles Profile, weight int, least time.Duration, draw func(g *generator) A) *drawn {
	return &drawn{profiles: profiles, weight: weight, least: least, steps: func(g *generator, at, _ time.Duration) []Step {
		return []Step{{At: at, Action: draw(g)}}
	}}
}

// unless says when there is nothing to draw the fault for.
func (d *drawn) unless(never func(g *generator) bool) *drawn {
	d.never = never
	return d
}

// further puts the fault among those that are drawn after the others.
func (d *drawn) further() *drawn {
	d.second = true
	return d
}

// A Fault is something that [Random] can draw, by its place in the catalogue.
type Fault uint8

// catalogue is every fault that can be drawn: those of the kinds in their order, and some that are made of actions of
// other kinds. First and second ones are drawn one after the other from numbers of their own, so that what is added to
// the second shifts nothing that the first draws.
var catalogue = func() []*drawn {
	var first, second []*drawn
	for _, k := range kinds {
		switch {
		case k.drawn == nil:
		case k.drawn.second:
			second = append(second, k.drawn)
		default:
			first = append(first, k.drawn)
		}
	}
	return slices.Concat(first, second, []*drawn{
		{name: "onthedot", profiles: ProfileNetwork, weight: 1, least: time.Second, second: true, steps: (*generator).onTheDot},
		{name: "drift", profiles: ProfileEdit, weight: 1, least: time.Second, second: true, steps: (*generator).drift},
		{name: "herd", profiles: ProfileProcess, weight: 1, least: time.Second, second: true, steps: (*generator).herd},
		{name: "rename", profiles: ProfileEdit, weight: 1, second: true, steps: (*generator).rename},
		{name: "leaveout", profiles: ProfileEdit, weight: 1, least: time.Second, second: true, steps: (*generator).leaveOut, never: alone},
	})
}()

// Faults are the names of all faults that [Random] can draw.
func Faults() []string {
	var names []string
	for _, d := range catalogue {
		names = append(names, d.name)
	}
	return names
}

// String gives the name of the fault.
func (f Fault) String() string { return catalogue[f].name }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *Fault) UnmarshalText(text []byte) error {
	name := string(text)
	i := slices.IndexFunc(catalogue, func(d *drawn) bool { return d.name == name })
	if i < 0 {
		more := ""
		if near := conf.Nearest(name, Faults()); near != "" {
			more = fmt.Sprintf("; did you mean %q?", near)
		}
		return fmt.Errorf("found %q, expected the name of a fault%s", name, more)
	}
	*f = Fault(i)
	return nil
}

// A generator draws the faults of one [Random] step.
type generator struct {
	s       *Scenario
	rng     *rand.Rand
	stale   time.Duration // the longest stale_timeout
	file    *conf.File    // as edits have left it
	added   int           // how many streams edits have added
	renamed int           // how many nodes have got another name
	drawn   []Step        // in the first round
	names   []string      // of streams that are captured
	pubs    []string      // of streams that are published
}

// flip is true every other time.
func (g *generator) flip() bool { return g.rng.IntN(2) == 0 }

// one is one node.
func (g *generator) one() []string { return []string{g.s.Nodes[g.rng.IntN(len(g.s.Nodes))]} }

// some is one node mostly, and at times several.
func (g *generator) some() []string {
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

// maybeAll is all nodes at times.
func (g *generator) maybeAll() []string {
	if g.rng.IntN(3) == 0 {
		return nil
	}
	return g.some()
}

// streams are up to four streams.
func (g *generator) streams() []string {
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

// published is a stream that is published.
func (g *generator) published() string {
	if len(g.pubs) == 0 {
		return ""
	}
	return g.pubs[g.rng.IntN(len(g.pubs))]
}

// encoder is a publisher that comes back, at one node or at several.
func (g *generator) encoder() Encoder {
	e := Encoder{Stream: g.published(), Nodes: g.one()}
	for g.flip() {
		e.Nodes = append(e.Nodes, g.one()...)
	}
	least := g.time(10*time.Millisecond, g.stale)
	e.Back = Range{least, least + g.time(10*time.Millisecond, g.stale)}
	return e
}

// actor is the id of an actor, which need not run.
func (g *generator) actor() string {
	switch g.rng.IntN(3) {
	case 0:
		return "control"
	case 1:
		node := g.one()[0]
		for _, p := range g.file.Peers {
			if g.s.leadsTo(p, node) {
				return "peers/" + p.Name()
			}
		}
		return "peers"
	}
	name := g.streams()[0]
	return "streams/" + name + [...]string{"", "/core", "/inputs/1"}[stringHash(name)%3]
}

// time draws evenly by order of magnitude, since what matters lies near small times as much as near large ones.
func (g *generator) time(least, most time.Duration) time.Duration {
	steps := 0
	for d := least; d < most; d *= 2 {
		steps++
	}
	d := least << g.rng.IntN(steps+1)
	return min(most, d+time.Duration(g.rng.Int64N(int64(d))))
}

// chance is a probability of at most so many percent.
func (g *generator) chance(percent int) PPM { return PPM(g.rng.IntN(percent*10_000) + 1) }

// groups are two parts, or three at times.
func (g *generator) groups() [][]string {
	out := make([][]string, 2+b2i(g.rng.IntN(4) == 0))
	for _, n := range g.s.Nodes {
		i := g.rng.IntN(len(out) + b2i(g.rng.IntN(8) == 0))
		if i < len(out) {
			out[i] = append(out[i], n)
		}
	}
	return slices.DeleteFunc(out, func(p []string) bool { return len(p) == 0 })
}

// Expand gives what the Random steps of a scenario stand for.
func Expand(s *Scenario) []Step { return expand(s, nil) }

// expand draws what the Random steps of a scenario stand for. Its steps all end within the time of theirs.
func expand(s *Scenario, without []Fault) []Step {
	var out []Step
	for i, st := range s.Steps {
		if r, ok := st.Action.(Random); ok {
			g := newGenerator(s, i)
			out = append(out, g.draw(r.Profile, st.At, max(st.To, st.At+time.Second), without)...)
		}
	}
	return out
}

// newGenerator makes the generator of step i.
func newGenerator(s *Scenario, i int) *generator {
	g := &generator{s: s, rng: rand.New(rand.NewPCG(s.Seed, stringHash(fmt.Sprint("faults ", i))))}
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

// draw draws what happens from an instant to another.
func (g *generator) draw(profile Profile, from, to time.Duration, without []Fault) []Step {
	g.drawn = g.round(false, profile, from, to, without)
	g.rng = rand.New(rand.NewPCG(g.s.Seed, stringHash(fmt.Sprint("further faults ", from))))
	return append(g.drawn, g.round(true, profile, from, to, without)...)
}

// round draws the first faults of the catalogue, or the second ones.
func (g *generator) round(second bool, profile Profile, from, to time.Duration, without []Fault) []Step {
	var on []*drawn
	total := 0
	for i, d := range catalogue {
		if d.second != second {
			continue
		}
		picked := d.profiles&profile != 0
		if profile == ProfileSwarm {
			picked = !d.apart && g.flip()
		}
		if !picked || slices.Contains(without, Fault(i)) || d.never != nil && d.never(g) {
			continue
		}
		on = append(on, d)
		total += d.weight
	}
	if len(on) == 0 {
		return nil
	}
	mean := g.time(g.stale/4, 4*g.stale)
	var out []Step
	for at := from; ; {
		at += time.Duration(g.rng.Int64N(int64(2*mean))) + time.Millisecond
		if at >= to {
			return out
		}
		pick := g.rng.IntN(total)
		i := slices.IndexFunc(on, func(d *drawn) bool {
			pick -= d.weight
			return pick < 0
		})
		out = append(out, on[i].steps(g, at, to)...)
		if least := on[i].least; least > 0 {
			out[len(out)-1].To = min(to, at+least+g.time(10*time.Millisecond, 3*g.stale))
		}
	}
}

// rollingEdit changes the file and brings the change to one node after the other.
func (g *generator) rollingEdit(at, to time.Duration) []Step {
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
		g.pin(&f.Streams[i])
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

// pin pins a stream to another node.
func (g *generator) pin(x *conf.Stream) {
	if x.Ingest != nil {
		in := *x.Ingest
		in.CaptureAt = g.one()[0]
		x.Ingest = &in
	}
}

// drift gives one node another file than the others have, for a time: other timeouts, another pin, or a stream or a peer
// less.
func (g *generator) drift(at, _ time.Duration) []Step {
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
		g.pin(&f.Streams[g.rng.IntN(len(f.Streams))])
	case 2:
		i := g.rng.IntN(len(f.Streams))
		f.Streams = slices.Delete(f.Streams, i, i+1)
	case 3:
		i := g.rng.IntN(len(f.Peers))
		f.Peers = slices.Delete(f.Peers, i, i+1)
	}
	return []Step{{At: at, Action: Edit{node, &f}}}
}

// fileAt is the file that a node has at an instant by what has been drawn before.
func (g *generator) fileAt(node string, at time.Duration) *conf.File {
	f := g.s.file(node)
	for _, st := range g.drawn {
		if e, ok := st.Action.(Edit); ok && st.At <= at && slices.Contains(e.Nodes, node) {
			f = e.File
		}
	}
	return f
}

// alone says that a node has no other.
func alone(g *generator) bool { return len(g.s.Nodes) < 2 }

// rename starts a process again under another name, which its file gives it until something else changes the file.
func (g *generator) rename(at, _ time.Duration) []Step {
	node := g.one()
	f := *g.fileAt(node[0], at)
	g.renamed++
	f.Name = fmt.Sprintf("studio%d", g.renamed)
	return []Step{{At: at, Action: Edit{node, &f}}, {At: at, Action: Restart{Nodes: node, Remembered: g.flip()}}}
}

// leaveOut takes a node out of the files of all others, for a time.
func (g *generator) leaveOut(at, _ time.Duration) []Step {
	node := g.one()[0]
	var others []string
	for _, n := range g.s.Nodes {
		if n != node {
			others = append(others, n)
		}
	}
	f := *g.fileAt(others[0], at)
	f.Peers = slices.DeleteFunc(slices.Clone(f.Peers), func(p conf.Peer) bool { return g.s.leadsTo(p, node) })
	return []Step{{At: at, Action: Edit{others, &f}}}
}

// herd ends a process, and lets its viewers come to all nodes for several streams at once.
func (g *generator) herd(at, _ time.Duration) []Step {
	crash := Step{At: at, Action: Crash{g.one()}}
	a, come := Demand{}, at+g.time(time.Millisecond, g.stale)
	if g.flip() {
		a.Streams = append(g.streams(), g.streams()...)
	}
	return []Step{{At: come, Action: a}, crash}
}

// onTheDot lets the answers of a node arrive at the very instant at which others take it for dead.
func (g *generator) onTheDot(at, _ time.Duration) []Step {
	return []Step{{At: at, Action: SlowReplies{Nodes: g.one(), After: g.stale}}}
}
