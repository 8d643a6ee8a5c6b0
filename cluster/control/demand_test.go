package control

import "testing"

// library returns a settled world whose streams are captured on demand.
func library(t *testing.T, seed uint64, nodes, count int, change ...func(*Stream)) *world {
	streams := kept(count)
	for i := range streams {
		streams[i].OnDemand, streams[i].ClientsTimeout = true, 10*Second
		for _, f := range change {
			f(&streams[i])
		}
	}
	w := newWorld(t, seed)
	w.add(nodes, streams)
	w.bootAll()
	w.run(10 * Second)
	if w.starts != 0 {
		t.Fatalf("%d captures were started before anybody wanted one", w.starts)
	}
	w.reset()
	return w
}

// watch lets clients at a node want a stream for d.
func (m *machine) watch(stream string, d Instant) {
	for at := Instant(0); at < d; at += Second {
		m.later(at, func() { m.step(Demanded{Stream: stream, Fresh: min(2*Second, d-at)}) })
	}
}

func TestDemandIsMetWhereTheStreamIsPlacedAndEndsAfterTheLastClient(t *testing.T) {
	for seed := range uint64(10) {
		w := library(t, seed, 3, 12)
		home := w.home()["cam001"]
		asked := w.nodes[0]
		if asked.name == home {
			asked = w.nodes[1]
		}
		if v := asked.n.View().Stream("cam001"); v.State != StreamWaiting || !v.OnDemand || v.Owner != "" {
			t.Errorf("seed %d: before a client comes: %+v, want waiting", seed, v)
		}
		asked.watch("cam001", 20*Second)
		w.run(w.fetch*11/10 + 2*w.delay + w.up)
		w.wantOwners(map[string]string{"cam001": home})
		if w.starts != 1 {
			t.Errorf("seed %d: %d captures were started for one demand, want 1", seed, w.starts)
		}
		w.run(2 * Second)
		if v := asked.n.View().Stream("cam001"); v.State != StreamRunning || v.Owner != home || v.Reason != OnDemand {
			t.Errorf("seed %d: with a client %s on %s, %s, want running at its home, on demand", seed, v.State, v.Owner, v.Reason)
		}
		w.run(20*Second - w.now%Second) // past the last demand, before clients_timeout
		w.wantOwners(map[string]string{"cam001": home})
		w.run(15 * Second)
		w.wantOwners(map[string]string{"cam001": "-"})
		if v := asked.n.View().Stream("cam001"); v.State != StreamWaiting {
			t.Errorf("seed %d: after the last client %s, want waiting", seed, v.State)
		}
		if w.starts != 1 {
			t.Errorf("seed %d: %d captures were started, want 1", seed, w.starts)
		}
	}
}

func TestDemandsAtTwoNodesAtOnceEndAtOneNode(t *testing.T) {
	for seed := range uint64(20) {
		w := library(t, seed, 3, 12)
		for _, m := range w.nodes[:2] {
			m.watch("cam005", 30*Second)
		}
		w.run(10 * Second)
		w.wantOwners(map[string]string{"cam005": w.home()["cam005"]})
		for _, m := range w.nodes {
			if got := m.n.View().Stream("cam005").Owner; got != w.home()["cam005"] {
				t.Errorf("seed %d: %s takes %q for the owner", seed, m.name, got)
			}
		}
		if w.starts != 1 {
			t.Errorf("seed %d: %d captures were started for two demands, want 1", seed, w.starts)
		}
	}
}

func TestDemandSurvivesTheDeathOfTheOwner(t *testing.T) {
	for seed := range uint64(10) {
		w := library(t, seed, 3, 12)
		home := w.home()["cam007"]
		var asked *machine
		for _, m := range w.nodes {
			if m.name != home {
				asked = m
			}
		}
		asked.watch("cam007", 60*Second)
		w.run(5 * Second)
		w.machine(home).crash()
		w.run(w.stale + 3*w.delay + w.up)
		if got := w.owners()["cam007"]; got == "-" || got == home {
			t.Errorf("seed %d: %s captures the stream after its owner died", seed, got)
		}
		if w.starts != 2 {
			t.Errorf("seed %d: %d captures were started, want 2", seed, w.starts)
		}
	}
}

func TestDemandOfAStreamThatIsNotOnDemandIsNoted(t *testing.T) {
	w := calm(t, 1, 2, kept(4))
	m := w.machine("n1")
	m.step(Demanded{Stream: "cam001", Fresh: Second})
	m.step(Demanded{Stream: "nowhere", Fresh: Second})
	if m.noted(NoteUnexpected) != 2 {
		t.Errorf("%d notes, want 2", m.noted(NoteUnexpected))
	}
}

func TestClientsTimeoutIsTheStreamsOwn(t *testing.T) {
	for _, tt := range []struct {
		timeout Instant
		gone    bool // five minutes after the last client
	}{{10 * Second, true}, {2 * Second, true}, {-1, false}} {
		w := library(t, 1, 3, 12, func(s *Stream) { s.ClientsTimeout = tt.timeout })
		home := w.home()["cam003"]
		w.machine(home).watch("cam003", 10*Second)
		w.run(5 * Second)
		w.wantOwners(map[string]string{"cam003": home})
		w.run(10 * Second)
		if tt.timeout == 2*Second {
			w.wantOwners(map[string]string{"cam003": "-"})
		}
		w.run(300 * Second)
		want := home
		if tt.gone {
			want = "-"
		}
		w.wantOwners(map[string]string{"cam003": want})
	}
}

func TestNodeThatCapturesForItselfListensToItsOwnClientsOnly(t *testing.T) {
	w := library(t, 1, 3, 4, func(s *Stream) { s.Clustered = false })
	w.nodes[0].watch("cam002", 10*Second)
	w.run(8 * Second)
	for i, m := range w.nodes {
		want := Idle
		if i == 0 {
			want = Running
		}
		if got := m.n.View().Stream("cam002").Mine; got != want {
			t.Errorf("%s, whose clients want it: %t, is %s, want %s", m.name, i == 0, got, want)
		}
	}
	w.run(90 * Second)
	if got := w.nodes[0].n.View().Stream("cam002").Mine; got != Idle {
		t.Errorf("after the last client it is %s, want idle", got)
	}
}
