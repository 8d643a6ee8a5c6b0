package control

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// asked returns what a node answers, as bytes, and takes it in as a peer would.
func (p *probe) asked(t *testing.T, seen Seen) (*State, int) {
	t.Helper()
	const token = 77
	p.step(StateAsked{From: "n2", Token: token, Question: &Question{Seen: seen}})
	for _, e := range p.out {
		if r, ok := e.(Reply); ok && r.Token == token {
			wire, err := json.Marshal(r.State)
			if err != nil {
				t.Fatal(err)
			}
			return r.State, len(wire)
		}
	}
	t.Fatal("no reply")
	return nil, 0
}

func TestUnchangedStateCostsUnder300BytesHoweverManyStreams(t *testing.T) {
	for _, streams := range []int{1, 100, 2000} {
		var names []string
		for i := range streams {
			names = append(names, fmt.Sprintf("camera/%05d", i))
		}
		p := newProbe(t, []string{"n2"}, names...)
		p.n.cfg.Instance = "0123456789abcdef"
		p.say("n2", State{Seq: 1})
		for i, name := range names { // with packagers running
			if s := p.n.byName[name]; s.State == Starting {
				p.step(CaptureUp{Stream: name})
				p.step(MediaChanged{Stream: name, Media: Media{Sequence: int64(i), Period: 4000}})
			}
		}
		p.step(Measured{Load{Clients: 12345, Captures: streams, OutBits: 9_999_999_999, Interface: 1000, CPU: 1000, Memory: 1000, Uptime: 9_999_999, Chosen: 9_999, Age: 1999}})
		st, full := p.asked(t, Seen{})
		seen := Seen{Instance: st.Instance, Inc: st.Inc, Version: st.Version, List: st.ListHash}
		p.now += 3 * Second
		again, size := p.asked(t, seen)
		if !again.Same || size >= 300 {
			t.Errorf("with %d streams an unchanged answer is %d bytes (in full %d), want under 300", streams, size, full)
		}
	}
}

func TestChangedStateCostsItsDifference(t *testing.T) {
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprintf("cam%04d", i))
	}
	p := newProbe(t, []string{"n2"}, names...)
	p.say("n2", State{Seq: 1})
	var mine []string
	for _, s := range p.n.streams {
		if s.State == Starting {
			mine = append(mine, s.Name)
			p.step(CaptureUp{Stream: s.Name})
		}
	}
	first, full := p.asked(t, Seen{})
	seen := Seen{Instance: first.Instance, Inc: first.Inc, Version: first.Version, List: first.ListHash}
	p.step(CaptureDown{Stream: mine[0], Why: "no frames"})
	p.step(MediaChanged{Stream: mine[1], Media: Media{Sequence: 7, Period: 4000}})
	st, size := p.asked(t, seen)
	if st.Base != first.Version || len(st.Claims) != 2 || len(st.Gone) != 0 || size > 1500 || full < 50_000 {
		t.Errorf("two changes of %d claims: base %d, %d claims, %d gone, %d bytes (in full %d), want two claims", len(mine), st.Base, len(st.Claims), len(st.Gone), size, full)
	}
	cfg := p.n.cfg
	cfg.Streams = slices.DeleteFunc(slices.Clone(cfg.Streams), func(s Stream) bool { return s.Name == mine[2] })
	p.step(ConfigChanged{Config: cfg})
	if st, _ = p.asked(t, seen); !slices.Equal(st.Gone, []string{mine[2]}) {
		t.Errorf("after a stream was removed %v are gone, want %s", st.Gone, mine[2])
	}
	for _, s := range []Seen{
		{Instance: "another", Inc: seen.Inc, Version: seen.Version},
		{Instance: seen.Instance, Inc: seen.Inc + 1, Version: seen.Version},
		{Instance: seen.Instance, Inc: seen.Inc, Version: 1 << 40},
	} {
		if st, _ := p.asked(t, s); st.Base != 0 || len(st.Claims) < len(mine)-1 {
			t.Errorf("to an asker that has seen %+v: base %d, %d claims, want all", s, st.Base, len(st.Claims))
		}
	}
}

func TestWhoMissedTooMuchGetsEverything(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a", "b")
	p.say("n2", State{Seq: 1})
	first, _ := p.asked(t, Seen{})
	seen := Seen{Instance: first.Instance, Inc: first.Inc, Version: first.Version, List: first.ListHash}
	for i := range maxGone + 10 {
		p.n.changed()
		p.n.gone = append(p.n.gone, gone{fmt.Sprint("old", i), p.n.version})
	}
	p.n.untell(p.n.byName["a"])
	p.n.untell(p.n.byName["b"])
	p.n.changed()
	if st, _ := p.asked(t, seen); st.Base != 0 && p.n.goneFrom >= seen.Version {
		t.Errorf("base %d with claims unknown up to version %d, want none", st.Base, p.n.goneFrom)
	}
	if len(p.n.gone) > maxGone {
		t.Errorf("%d claims that are over are remembered, want at most %d", len(p.n.gone), maxGone)
	}
}

func TestDifferenceFromWhatOneDoesNotHaveIsAskedForInFull(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a", "b")
	p.say("n2", State{Seq: 1, Version: 5, Claims: []Claim{{Stream: "a", State: ClaimRunning}}})
	q := p.n.peer("n2")
	next := func() { p.now += 3 * Second; p.step(Tick{}) }
	next()
	p.say("n2", State{Seq: 2, Version: 9, Base: 7, Claims: []Claim{{Stream: "b", State: ClaimRunning}}})
	if q.Seen != (Seen{}) || len(q.claims) != 1 || q.claims[0].Stream != "a" {
		t.Errorf("a difference from version 7 on version 5 gave %d claims, seen %+v; want it left out", len(q.claims), q.Seen)
	}
	next()
	p.say("n2", State{Seq: 3, Version: 9, Claims: []Claim{{Stream: "a", State: ClaimRunning}, {Stream: "b", State: ClaimRunning}}})
	next()
	p.say("n2", State{Seq: 4, Version: 12, Base: 9, Claims: []Claim{{Stream: "b", State: ClaimFailed}, {Stream: "c", State: ClaimStarting}}, Gone: []string{"a"}})
	var got []string
	for _, c := range q.claims {
		got = append(got, c.Stream+" "+string(c.State))
	}
	if want := []string{"b failed", "c starting"}; !slices.Equal(got, want) || q.Seen.Version != 12 {
		t.Errorf("claims %v of version %d, want %v of 12", got, q.Seen.Version, want)
	}
}

// What peers hold, put together from differences, is what the node would tell in full, whatever has happened.
func TestDifferencesAddUpToTheWhole(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed)
		w.loss = w.rng.IntN(30)
		streams := kept(16)
		streams[3].Kind = Published
		w.add(3, streams)
		w.bootAll()
		for range 8 {
			w.storm()
			m := w.nodes[w.rng.IntN(3)]
			m.cfg.Streams = kept(10 + w.rng.IntN(8))
			m.now(func() { m.step(ConfigChanged{Config: m.cfg}) })
		}
		clear(w.cut)
		w.loss = 0
		w.run(60 * Second)
		for _, m := range w.nodes {
			want := claimLines(m)
			for _, other := range w.nodes {
				if p := other.n.peer(m.name); p != nil {
					var got []string
					for _, c := range p.claims {
						got = append(got, fmt.Sprint(c.Stream, c.State, c.Epoch))
					}
					if !slices.Equal(got, want) {
						t.Errorf("seed %d: %s holds of %s\n%v\nwhich claims\n%v", seed, other.name, m.name, got, want)
					}
				}
			}
		}
	}
}

// claimLines are the claims of a node in short.
func claimLines(m *machine) (out []string) {
	m.n.sortStreams()
	for _, s := range m.n.streams {
		if c, ok := m.n.ownClaim(s); ok {
			out = append(out, fmt.Sprint(c.Stream, c.State, c.Epoch))
		}
	}
	return out
}

// TestListAndNamesOfOneFileDoNotTravel has two nodes with one file: the list that the asker has itself is left out from the first
// answer on, and the names of the entries as long as they lead where they led.
func TestListAndNamesOfOneFileDoNotTravel(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, "a", "b")
	var first Fetch
	for _, e := range p.out {
		if f, ok := e.(Fetch); ok {
			first = f
		}
	}
	if first.Seen.List != p.n.ownHash {
		t.Errorf("the first question names list %q, want that of this node's file, %q", first.Seen.List, p.n.ownHash)
	}
	names := []EntryName{{Entry: "n2:80", Node: "n2"}, {Entry: "n1:80", Node: "n1"}}
	p.say("n2", State{Seq: 1, Version: 1, ListHash: p.n.ownHash, Names: names, NamesHash: hashNames(names)})
	n2 := p.n.peer("n2")
	if !sameList(n2.list, p.n.own) || n2.Seen.Version != 1 || n2.Seen.Names == "" || n2.Unaware {
		t.Errorf("after a first answer without a list %+v is known of n2, want this node's list and names", n2.Seen)
	}
	p.pass(2200 * Millisecond)
	p.say("n2", State{Seq: 2, Version: 2, ListHash: p.n.ownHash, NamesHash: hashNames(names)})
	if n2.Seen.Version != 2 || len(n2.Names) != 2 {
		t.Errorf("after an answer without names %+v and names %v are known, want version 2 and the names before", n2.Seen, n2.Names)
	}
	p.pass(2200 * Millisecond)
	p.say("n2", State{Seq: 3, Version: 3, ListHash: p.n.ownHash, NamesHash: "another"})
	if n2.Seen != (Seen{}) {
		t.Errorf("after an answer whose names do not fit their hash the next question has seen %+v, want nothing", n2.Seen)
	}
	all, _ := p.asked(t, Seen{})
	if len(all.Names) == 0 || all.NamesHash != hashNames(all.Names) {
		t.Errorf("an asker that has nothing is told names %v with hash %q", all.Names, all.NamesHash)
	}
	seen := Seen{Instance: all.Instance, Inc: all.Inc, Version: all.Version, List: all.ListHash, Names: all.NamesHash}
	p.n.changed()
	if st, _ := p.asked(t, seen); st.Same || st.List != nil || st.Names != nil {
		t.Errorf("an asker with list and names is told %+v, want neither again", st)
	}
	p.say("n3", State{Seq: 1})
	if st, _ := p.asked(t, seen); len(st.Names) != len(all.Names) {
		t.Errorf("after n3 was met the names are %v, want them told", st.Names)
	}
}

// TestLoadsOfPeersAreShownBeforeLong gives a peer another load with each answer: not each makes a view, and none is kept back for
// longer than a quarter of the interval.
func TestLoadsOfPeersAreShownBeforeLong(t *testing.T) {
	p := newProbe(t, []string{"n2"}, "a")
	p.say("n2", State{Seq: 1, Version: 1, Load: Load{Clients: 1}})
	p.pass(2200 * Millisecond)
	p.say("n2", State{Seq: 2, Version: 1, Same: true, Load: Load{Clients: 2}})
	before := p.n.View()
	if got := before.Peer("n2").Load.Clients; got != 2 {
		t.Fatalf("%d clients are shown, want 2: the last view is old", got)
	}
	p.n.peer("n2").Load.Clients, p.n.loadsDirty = 3, true
	p.now += 400 * Millisecond
	p.step(Measured{Load: p.n.load})
	if p.n.View() != before {
		t.Error("a load alone makes a view 400 ms after the last one")
	}
	p.now += 100 * Millisecond
	p.step(Measured{Load: p.n.load})
	if got := p.n.View().Peer("n2").Load.Clients; got != 3 {
		t.Errorf("after half a second %d clients are shown, want 3", got)
	}
}
