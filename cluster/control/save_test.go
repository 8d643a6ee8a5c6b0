package control

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A node that is saved, written down and restored does what the original does, whatever has happened to it.
func TestRestoredNodeGoesOnLikeTheOriginal(t *testing.T) {
	for seed := range uint64(30) {
		w := mixed(t, seed)
		w.twins = true
		w.bootAll()
		for range 10 {
			w.mixedStorm()
			for _, m := range w.nodes {
				m.twin = nil // a new one with the next step
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A step may leave out a loop only if that would have found nothing: a node that leaves none out does the same.
func TestStepsLeaveOutOnlyWhatFindsNothing(t *testing.T) {
	for seed := range uint64(30) {
		w := mixed(t, seed)
		w.twins, w.thorough, w.refuses = true, true, true
		w.bootAll()
		for range 10 {
			w.mixedStorm()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// mixed makes a world with streams of all kinds.
func mixed(t *testing.T, seed uint64) *world {
	w := newWorld(t, seed)
	w.loss = w.rng.IntN(20)
	streams := kept(12)
	streams[0].Pin, streams[1].Break, streams[2].Kind, streams[3].OnDemand = "n2", true, Published, true
	w.add(2+w.rng.IntN(3), streams)
	named := w.rng.IntN(2) == 0
	for _, m := range w.nodes {
		m.cfg.Limits.Channels = w.rng.IntN(10)
		m.cfg.Peers = slices.Clone(m.cfg.Peers)
		m.cfg.Peers[0].Fetch += Second
		if !named { // what a node is called is known once it has been met
			for i := range m.cfg.Peers {
				m.cfg.Peers[i].Name += ".example.com"
			}
		}
	}
	return w
}

// mixedStorm is a storm, and something of what else may happen to a node.
func (w *world) mixedStorm() {
	w.storm()
	m := w.nodes[w.rng.IntN(len(w.nodes))]
	m.now(func() { m.step(Measured{Load{CPU: w.rng.IntN(1000)}}) })
	if w.rng.IntN(3) == 0 {
		m.now(func() { m.publish("cam003", w.nodes[w.rng.IntN(len(w.nodes))].name) })
	}
	if w.rng.IntN(3) == 0 {
		m.now(func() { m.step(Demanded{Stream: "cam004", Fresh: 5 * Second}) })
	}
	if w.rng.IntN(6) == 0 {
		m.now(func() { m.step(Suspended{Instant(w.rng.Int64N(int64(4 * Second)))}) })
	}
	switch w.rng.IntN(6) {
	case 0:
		m.cfg.Streams = kept(8 + w.rng.IntN(8))
		m.now(func() { m.step(ConfigChanged{Config: m.cfg}) })
	case 1:
		all := m.cfg.Peers
		cfg := m.cfg
		cfg.Peers = slices.Delete(slices.Clone(all), 0, 1)
		m.now(func() { m.step(ConfigChanged{Config: cfg}) })
		w.run(Instant(w.rng.Int64N(int64(5 * Second))))
		cfg.Peers = slices.Clone(all)
		cfg.Peers[len(all)-1].Stale -= Second
		m.now(func() { m.step(ConfigChanged{Config: cfg}) })
	case 2:
		key := m.key
		m.key = "another"
		w.run(Instant(w.rng.Int64N(int64(8 * Second))))
		m.key = key
	}
}

// double steps a restored twin of the node beside it.
func (m *machine) double(ev Event, step func() []Effect) []Effect {
	fresh := m.twin == nil
	if fresh {
		text, err := json.Marshal(m.n.Save())
		if err != nil {
			m.w.t.Fatal(err)
		}
		saved := new(Saved)
		if err := json.Unmarshal(text, saved); err != nil {
			m.w.t.Fatal(err)
		}
		m.twin = Restore(saved)
	}
	other := copyOf(m.w.t, ev)
	got := slices.Clone(step())
	if m.w.thorough {
		m.twin.lookAtAll()
		if why := m.n.remembersWrongly(); why != "" {
			m.w.t.Errorf("%s, after %T: %s", m.name, ev, why)
		}
	}
	twin := m.twin.Step(m.clock(), other)
	a, b := fmt.Sprintf("%+v", texts(m.w.t, got)), fmt.Sprintf("%+v", texts(m.w.t, twin))
	if a != b {
		m.w.t.Errorf("%s, after %T (restored just now: %v):\n %s\nits twin:\n %s", m.name, ev, fresh, a, b)
	}
	if a, b := m.n.bearings(), m.twin.bearings(); a != b {
		m.w.t.Errorf("%s, after %T (restored just now: %v):\n %s\nits twin:\n %s", m.name, ev, fresh, a, b)
	}
	return got
}

// remembersWrongly says what a node has not found anew although it would find something else.
func (n *Node) remembersWrongly() string {
	for _, s := range n.planned {
		if s.index < len(n.placed) {
			if got, want := n.rank(s), Instant(n.plan.Rank(s.index, n.me, n.placed[s.index], n.live)); got != want {
				return fmt.Sprintf("rank for %s = %d, want %d", s.Name, got, want)
			}
		}
	}
	if n.demand {
		return ""
	}
	for _, s := range n.streams {
		if s.demandable() || s.Wanted || s.WantUntil != 0 {
			return "does not look at the demand for " + s.Name
		}
	}
	for _, p := range n.peers {
		if len(p.Wants) > 0 {
			return "does not look at what is wanted at " + p.Name
		}
	}
	return ""
}

// bearings says what a node takes its peers for, and when it asks them next.
func (n *Node) bearings() string {
	var b strings.Builder
	for _, p := range n.peers {
		fmt.Fprintln(&b, p.Name, p.Alive, p.Direct, p.Status, p.Since, p.Suspicion)
	}
	for _, l := range n.links {
		fmt.Fprintln(&b, l.cfg.Entry, l.Self, n.next[l.index], l.Refusal)
	}
	return b.String()
}

func texts(t *testing.T, effects []Effect) (out []string) {
	for _, e := range effects {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%T%s", e, b))
	}
	return out
}

// copyOf copies what an event shares with control.
func copyOf(t *testing.T, ev Event) Event {
	f, ok := ev.(Fetched)
	if !ok || f.State == nil {
		return ev
	}
	b, err := json.Marshal(f.State)
	if err != nil {
		t.Fatal(err)
	}
	f.State = new(State)
	if err := json.Unmarshal(b, f.State); err != nil {
		t.Fatal(err)
	}
	return f
}
