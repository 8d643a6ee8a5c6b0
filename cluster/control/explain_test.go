package control

import (
	"slices"
	"strings"
	"testing"
)

func TestExplanationSaysWhyAStreamIsWhereItIs(t *testing.T) {
	streams := kept(9)
	streams[0].Pin = "n2"
	w := newWorld(t, 1)
	w.add(3, streams)
	for _, m := range w.nodes {
		m.cfg.ReturnHolddown = 20 * Second
	}
	w.bootAll()
	w.run(10 * Second)
	explain := func(node, stream string) *Explanation {
		m := w.machine(node)
		before, _ := m.n.Save(), 0
		x := m.n.Explain(stream, m.clock())
		if a, b := texts(t, []Effect{Reply{State: &State{Claims: []Claim{}}}}), m.n.Save(); len(a) == 0 || b.Version != before.Version {
			t.Error("explaining has changed the node")
		}
		return x
	}
	says := func(x *Explanation, want string) {
		t.Helper()
		if x == nil || !strings.Contains(strings.Join(x.Why, "\n"), want) {
			t.Errorf("explanation %+v, want it to say %q", x, want)
		}
	}
	if x := explain("n1", "nowhere"); x != nil {
		t.Errorf("explanation of an unknown stream = %+v", x)
	}
	x := explain("n1", "cam001")
	says(x, "capture_at names n2")
	if x.Owner != "n2" || x.Reason != Pinned || len(x.Order) != 3 || x.Order[0].Node != "n2" || x.Order[0].Claim != ClaimRunning || !x.Order[0].Alive {
		t.Errorf("explanation of a pinned stream = %+v", x)
	}
	w.machine("n2").crash()
	w.run(10 * Second)
	x = explain("n1", "cam001")
	says(x, "capture_at names n2, which is dead: no node has heard it for")
	if x.Reason != Spill || x.Order[0].Alive || x.Order[0].Age < 3000 {
		t.Errorf("explanation of an orphan = %+v", x)
	}
	w.machine("n2").boot()
	w.run(8 * Second)
	says(explain("n2", "cam001"), "takes it back in 1")
	says(explain("n1", "cam001"), "that node's to say")
}

func TestForecastTakesWhatTheFileCallsANode(t *testing.T) {
	n := New(Config{Self: "n1", Named: true, Instance: "i", Peers: []Peer{
		{Entry: "a.example.com:8080", Host: "a.example.com", Name: "n1", Fetch: Second, Stale: 3 * Second},
		{Entry: "b.example.com:8080", Host: "b.example.com", Name: "n2", Fetch: Second, Stale: 3 * Second},
		{Entry: "c.example.com:80", Host: "c.example.com", Name: "n3", Fetch: Second, Stale: 3 * Second},
		{Entry: "c.example.com:81", Host: "c.example.com", Name: "n4", Fetch: Second, Stale: 3 * Second},
	}}, 0)
	n.Step(0, Tick{})
	for said, want := range map[string]string{
		"n1": "n1", "n2": "n2", "b.example.com": "n2", "b.example.com:8080": "n2", "c.example.com:81": "n4",
		"c.example.com": "", "b": "", "b.example.com:81": "", // several nodes share the host; nothing is called so
	} {
		f := n.Forecast([]string{said})
		if want == "" && !slices.Equal(f.Unknown, []string{said}) || want != "" && !slices.Equal(f.Without, []string{want}) {
			t.Errorf("Forecast(%s) is without %v, unknown %v, want %q", said, f.Without, f.Unknown, want)
		}
	}
}

func TestForecastOfAFailureIsWhatHappens(t *testing.T) {
	for seed := range uint64(10) {
		w := calm(t, seed, 4, kept(37))
		f := w.machine("n1").n.Forecast([]string{[]string{"n3", w.machine("n3").entry}[seed%2], "n9"})
		if !slices.Equal(f.Without, []string{"n3"}) {
			t.Errorf("without %v, want n3 by whatever the file calls it", f.Without)
		}
		if !slices.Equal(f.Unknown, []string{"n9"}) {
			t.Errorf("unknown = %v, want n9", f.Unknown)
		}
		before := w.owners()
		w.machine("n3").crash()
		w.run(10 * Second)
		after := w.owners()
		moves := map[string]Transfer{}
		for _, m := range f.Moves {
			moves[m.Stream] = m
		}
		for s, owner := range after {
			want, moved := moves[s]
			if moved != (owner != before[s]) || moved && (want.From != before[s] || want.To != owner) {
				t.Errorf("seed %d: %s went from %s to %s, the forecast was %+v (moves: %v)", seed, s, before[s], owner, want, moved)
			}
		}
		for _, n := range f.Nodes {
			count := 0
			for _, owner := range after {
				if owner == n.Node {
					count++
				}
			}
			if n.Then != count {
				t.Errorf("seed %d: %s has %d streams, the forecast was %+v", seed, n.Node, count, n)
			}
		}
	}
}
