package control

import (
	"fmt"
	"slices"
	"testing"
)

func TestPinnedStreamsFollowTheirPin(t *testing.T) {
	streams := kept(12)
	streams[0].Pin = "n2"      // announced name
	streams[1].Pin = "n3:8080" // entry
	streams[2].Pin = "n33"     // nobody
	w := newWorld(t, 1)
	w.add(3, streams)
	w.bootAll()
	w.run(10 * Second)
	want := map[string]string{"cam001": "n2", "cam002": "n3"}
	w.wantOwners(want)
	for _, m := range w.nodes {
		if got := m.noted(NoteUnknownPin); got != 1 {
			t.Errorf("%s noted %d unknown pins, want 1", m.name, got)
		}
	}
	i := slices.IndexFunc(w.nodes[0].notes, func(n Note) bool { return n.Kind == NoteUnknownPin })
	if got := w.nodes[0].notes[i]; got.Stream != "cam003" || got.Detail != "n33, nearest known: n3" {
		t.Errorf("note of an unknown pin = %+v, want cam003 and the nearest name n3", got)
	}
	if v := w.machine("n1").n.View().Stream("cam001"); v.Reason != Pinned || v.State != StreamRunning || v.Owner != "n2" {
		t.Errorf("cam001 = %s on %s, %s, want running on n2, pinned", v.State, v.Owner, v.Reason)
	}
	w.machine("n2").crash()
	w.run(10 * Second)
	if v := w.machine("n1").n.View().Stream("cam001"); v.Reason != Spill || v.Of != "n2" || v.Owner == "n2" {
		t.Errorf("cam001 after its pin died = %s of %s on %s, want spill of n2 elsewhere", v.Reason, v.Of, v.Owner)
	}
	w.machine("n2").boot()
	w.run(10 * Second)
	w.wantOwners(want)
}

func TestListsWithAndWithoutTheNodeItselfPlaceAlike(t *testing.T) {
	w := newWorld(t, 1)
	w.add(3, kept(30))
	for i, m := range w.nodes[:2] {
		m.cfg.Peers = slices.Delete(slices.Clone(m.cfg.Peers), i, i+1)
	}
	w.bootAll()
	w.run(10 * Second)
	w.wantOwners(w.home())
	w.wantAgreement()
	if got := w.nodes[0].n.View(); len(got.Peers) != 2 || len(got.Entries) != 0 {
		t.Errorf("a list of the others: %d peers, own entries %v, want 2 and none", len(got.Peers), got.Entries)
	}
	if got := w.nodes[2].n.View(); len(got.Peers) != 2 || !slices.Equal(got.Entries, []string{"n3:8080"}) {
		t.Errorf("a full list: %d peers, own entries %v, want 2 and n3:8080", len(got.Peers), got.Entries)
	}
}

func TestNodeWithoutANameTakesItFromItsOwnEntry(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed)
		w.add(3, kept(30))
		for i, m := range w.nodes {
			m.cfg.Self, m.cfg.Named = fmt.Sprintf("host-%d.example", i), false
		}
		w.bootAll()
		w.run(100*Millisecond + w.fetch/2 + 4*w.delay + w.up)
		for i, m := range w.nodes {
			if got, want := m.n.View().Self, fmt.Sprintf("n%d", i+1); got != want {
				t.Errorf("seed %d: the announced name is %q, want %q", seed, got, want)
			}
		}
		w.wantOwners(w.home())
		if w.starts != 30 {
			t.Errorf("seed %d: %d captures were started, want 30", seed, w.starts)
		}
	}
}

func TestAnnouncedNamesReplaceEntriesInPlacement(t *testing.T) {
	w := newWorld(t, 2)
	w.add(3, kept(30))
	for i, m := range w.nodes {
		m.name = fmt.Sprintf("edge-%d", i)
		m.cfg.Self = m.name
	}
	w.bootAll()
	w.run(10 * Second)
	w.wantOwners(w.home())
	w.wantAgreement()
	// A node that boots while another is dead learns its name from the third.
	w.machine("edge-1").crash()
	w.run(10 * Second)
	w.machine("edge-0").crash()
	w.run(10 * Second)
	w.machine("edge-0").boot()
	w.run(10 * Second)
	if p := w.machine("edge-0").n.View().Peer("edge-1"); p == nil || p.Met || p.Status != NeverSeen {
		t.Errorf("peer edge-1, never met = %+v, want its name known", p)
	}
	w.machine("edge-1").boot()
	w.run(20 * Second)
	w.wantOwners(w.home())
}

func TestTwoEntriesOfOneInstanceAreOneNode(t *testing.T) {
	w := newWorld(t, 1)
	w.add(2, kept(10))
	alias := &machine{w: w, name: "n2b", entry: "10.0.0.2:8080"} // an address of n2
	m := w.machine("n1")
	m.cfg.Peers = append(slices.Clone(m.cfg.Peers), Peer{Entry: alias.entry, Host: "10.0.0.2", Name: "10.0.0.2", Fetch: w.fetch, Stale: w.stale})
	n2 := w.machine("n2")
	w.bootAll()
	// The world leads the second entry to n2 as well.
	w.run(200 * Millisecond)
	n := m.n
	for _, l := range n.links {
		if l.cfg.Entry != alias.entry {
			continue
		}
		for range 2 {
			l.Flights = append(l.Flights[:0], flight{1 << 40, m.clock()})
			n2.token++
			n2.tokens[n2.token] = func(st *State) {
				m.step(Fetched{Peer: alias.entry, ID: 1 << 40, State: st})
			}
			n2.step(StateAsked{From: "n1", Token: n2.token})
			w.run(Millisecond)
		}
	}
	v := n.View()
	if len(v.Peers) != 1 || v.Peers[0].Name != "n2" || !slices.Equal(v.Peers[0].Aliases, []string{alias.entry}) {
		t.Fatalf("peers = %+v, want n2 alone with an alias", v.Peers)
	}
	if got := m.noted(NoteAlias); got != 1 {
		t.Errorf("%d notes about the alias, want 1", got)
	}
	w.run(10 * Second)
	w.wantOwners(w.home())
}

func TestUnclusteredStreamsRunOnEveryNodeAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	w.add(3, []Stream{{Name: "cam01"}, {Name: "cam02"}, {Name: "cam03", Clustered: true}})
	w.nodes[2].cfg.Streams = w.nodes[2].cfg.Streams[1:]
	w.nodes[0].boot()
	w.run(w.up)
	if c := w.nodes[0].captures["cam01"]; c == nil || c.state != Running {
		t.Error("a stream that is not clustered waits for the warm-up")
	}
	w.nodes[1].boot()
	w.nodes[2].boot()
	w.run(10 * Second)
	got := w.owners()
	if got["cam01"] != "n1,n2" || got["cam02"] != "n1,n2,n3" {
		t.Errorf("owners = %v, want cam01 on n1 and n2, cam02 on all", got)
	}
	for _, m := range w.nodes {
		v := m.n.View().Stream("cam02")
		if v.Owner != m.name || v.Reason != NotClustered || v.State != StreamRunning || len(v.Claimants) != 3 {
			t.Errorf("%s sees cam02 %s on %s, %s, %d claimants", m.name, v.State, v.Owner, v.Reason, len(v.Claimants))
		}
	}
	v := w.nodes[2].n.View().Stream("cam01")
	if v == nil || v.Here || v.Owner == "" || !slices.Equal(v.On, []string{"n1", "n2"}) {
		t.Errorf("a node that lacks cam01 sees %+v, want it at n1 or n2", v)
	}
}

func TestNodesWithDifferentFilesCaptureOnlyTheirOwn(t *testing.T) {
	for seed := range uint64(10) {
		all := kept(9)
		w := newWorld(t, seed)
		w.add(3, all)
		files := map[string][]Stream{"n1": all[:6], "n2": all[3:], "n3": {all[0], all[4], all[8]}}
		files["n3"][0].Pin, files["n1"][0].Pin = "n3", "n3"
		for _, m := range w.nodes {
			m.cfg.Streams, m.cfg.Hash = files[m.name], m.name
		}
		check := func() {
			t.Helper()
			for _, s := range all {
				var has []string
				for _, m := range w.nodes {
					if c := m.captures[s.Name]; m.up && c != nil && c.state == Running {
						has = append(has, m.name)
						if !slices.ContainsFunc(files[m.name], func(x Stream) bool { return x.Name == s.Name }) {
							t.Errorf("seed %d: %s captures %s, which its file lacks", seed, m.name, s.Name)
						}
					}
				}
				if len(has) != 1 {
					t.Errorf("seed %d: %s is captured by %v, want one", seed, s.Name, has)
				}
			}
		}
		w.bootAll()
		w.run(10 * Second)
		check()
		if v := w.machine("n2").n.View().Stream("cam001"); v == nil || v.Owner != "n3" || v.Here {
			t.Errorf("seed %d: n2 sees %+v, want cam001 on its pin n3", seed, v)
		}
		w.machine("n3").crash()
		w.run(10 * Second)
		if got := w.machine("n1").captures["cam001"]; got == nil || got.state != Running {
			t.Errorf("seed %d: n1 did not take cam001 over", seed)
		}
		w.machine("n3").boot()
		w.run(20 * Second)
		check()
		if c := w.machine("n3").captures["cam001"]; c == nil || c.state != Running {
			t.Errorf("seed %d: cam001 did not return to its pin", seed)
		}
		for _, p := range w.machine("n1").n.View().Peers {
			if p.Status != Drifted {
				t.Errorf("seed %d: %s has status %s, want drifted", seed, p.Name, p.Status)
			}
		}
	}
}

func TestStreamGoesToAnotherNodeWhenItsSourceFailsAtTheOwner(t *testing.T) {
	w := calm(t, 1, 3, kept(9))
	home := w.home()
	owner := home["cam001"]
	for _, m := range w.nodes {
		m.n.cfg.ReturnHolddown = 20 * Second
	}
	w.dead[[2]string{owner, "cam001"}] = true
	m := w.machine(owner)
	m.set("cam001", Idle)
	m.step(CaptureDown{Stream: "cam001", Why: "no frames"})
	if v := m.n.View().Stream("cam001"); v.State != StreamFailed || v.Detail != "no frames" {
		t.Errorf("after the failure the owner sees %s, %q, want failed, no frames", v.State, v.Detail)
	}
	w.run(2*Second + w.stale + 2*w.fetch + StartUp) // G, and what it takes to see and to start
	got := w.owners()["cam001"]
	if got == owner || got == "-" {
		t.Fatalf("cam001 is captured by %s after its source failed at %s", got, owner)
	}
	tried := m.noted(NoteClaimed)
	w.run(10 * Second) // 19 s since the failure
	if now := m.noted(NoteClaimed); now != tried {
		t.Errorf("the home tried %d times to take cam001 back before return_holddown", now-tried)
	}
	w.run(100 * Second)
	if now := w.owners()["cam001"]; now != got {
		t.Errorf("cam001 went on from %s to %s", got, now)
	}
	if v := w.nodes[0].n.View().Stream("cam001"); v.Reason != Fallback {
		t.Errorf("reason = %s, want fallback", v.Reason)
	}
	if now := m.noted(NoteClaimed); now == tried || now > tried+6 {
		t.Errorf("the home tried %d times in 100 s, want a few", now-tried)
	}
	delete(w.dead, [2]string{owner, "cam001"})
	w.reset()
	w.run(120 * Second)
	w.wantOwners(home)
	if w.maxGap > 0 {
		t.Errorf("gap of %d ms when the source came back at the home", w.maxGap/Millisecond)
	}
}

func TestDrainHandsEverythingOverWithoutAGap(t *testing.T) {
	for seed := range uint64(10) {
		w := calm(t, seed, 3, kept(30))
		m := w.machine("n1")
		m.step(Drain{})
		w.run(10 * Second)
		if len(m.drained) != 1 || m.drained[0].Left != 0 {
			t.Fatalf("seed %d: drained = %v, want once with nothing left", seed, m.drained)
		}
		if w.maxGap > 0 || len(w.gapFrom) > 0 || w.starts != 10 {
			t.Errorf("seed %d: a drain made a gap of %d ms and %d starts, want 0 and 10", seed, w.maxGap/Millisecond, w.starts)
		}
		if got := w.machine("n2").n.View().Peer("n1").Status; got != Draining {
			t.Errorf("seed %d: status of the draining peer = %s", seed, got)
		}
		w.machine("n2").step(Drain{})
		w.machine("n3").step(Drain{})
		w.run(5 * Second)
		if got := w.machine("n3").drained; len(got) != 1 || got[0].Left == 0 {
			t.Errorf("seed %d: when all drain n3 reports %v, want what is left", seed, got)
		}
	}
}

func TestEditMovesNoRunningStream(t *testing.T) {
	w := calm(t, 1, 3, kept(30))
	before := w.owners()
	for _, m := range w.nodes {
		m.cfg.Streams, m.cfg.Hash = kept(41), "edited"
		m.step(ConfigChanged{Config: m.cfg})
		w.run(700 * Millisecond)
	}
	w.run(20 * Second)
	after := w.owners()
	for s, owner := range before {
		if after[s] != owner {
			t.Errorf("%s moved from %s to %s by an edit", s, owner, after[s])
		}
	}
	for _, s := range kept(41)[30:] {
		if owner := after[s.Name]; len(owner) != 2 {
			t.Errorf("the new stream %s is captured by %s, want one node", s.Name, owner)
		}
	}
	for _, m := range w.nodes {
		m.cfg.Streams = kept(20)
		m.step(ConfigChanged{Config: m.cfg})
	}
	w.run(5 * Second)
	for _, m := range w.nodes {
		for s, c := range m.captures {
			if s > "cam020" && c.state != Idle {
				t.Errorf("%s still captures %s, which was removed", m.name, s)
			}
		}
	}
}

func TestControlThatRestartsKeepsItsCaptures(t *testing.T) {
	w := calm(t, 1, 3, kept(30))
	m := w.machine("n2")
	var captures []Capture
	for _, s := range sortedKeys(m.captures) {
		if c := m.captures[s]; c.state == Running {
			captures = append(captures, Capture{Stream: s, Epoch: c.epoch, Up: true})
		}
	}
	cfg := m.cfg
	cfg.Instance = "n2/1" // and no inc: it learns from the others that it was there before
	m.n = New(cfg, m.clock())
	m.step(Resumed{Captures: captures, Up: 10 * Second})
	w.run(10 * Second)
	w.wantOwners(w.home())
	w.wantAgreement()
	if w.starts != 0 || w.maxGap > 0 {
		t.Errorf("%d starts and a gap of %d ms, want none", w.starts, w.maxGap/Millisecond)
	}
	if got := w.machine("n1").n.View().Peer("n2").Generation; got != 1 {
		t.Errorf("generation = %d, want 1: the process is the same", got)
	}
}

func TestEditThatReachesAllNodesIsNoDrift(t *testing.T) {
	w := calm(t, 1, 3, kept(9))
	drifts := func() (list []string) {
		for _, m := range w.nodes {
			v := m.n.View()
			for _, a := range v.Alarms {
				if a.Kind == AlarmDrift {
					list = append(list, m.name+" of "+a.Node)
				}
			}
			for _, p := range v.Peers {
				if p.Status == Drifted {
					list = append(list, m.name+" sees "+p.Name)
				}
			}
		}
		return list
	}
	for _, m := range w.nodes {
		m.cfg.Hash = "edited"
		m.step(ConfigChanged{Config: m.cfg})
		for range 7 {
			w.run(100 * Millisecond)
			if got := drifts(); len(got) > 0 {
				t.Fatalf("while an edit goes round there is drift: %v", got)
			}
		}
	}
	w.run(10 * Second)
	if got := drifts(); len(got) > 0 {
		t.Errorf("after an edit of all nodes there is drift: %v", got)
	}
	n1 := w.machine("n1")
	n1.cfg.Hash = "another"
	n1.step(ConfigChanged{Config: n1.cfg})
	edited := n1.n.now
	w.run(20 * Second)
	if got := drifts(); len(got) != 8 {
		t.Errorf("after an edit of one node there is drift: %v, want four alarms and statuses", got)
	}
	for _, a := range n1.n.View().Alarms {
		if a.Kind == AlarmDrift && a.Since != edited {
			t.Errorf("n1 says that %s has drifted since %v, want since its own edit at %v", a.Node, a.Since, edited)
		}
	}
}
