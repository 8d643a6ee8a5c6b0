package control

import (
	"fmt"
	"testing"
)

// limited makes a world whose nodes capture at most so many streams each.
func limited(t *testing.T, seed uint64, streams []Stream, most ...int) *world {
	w := newWorld(t, seed)
	w.add(len(most), streams)
	for i, m := range w.nodes {
		m.cfg.Limits.Channels = most[i]
	}
	return w
}

// counts are the captures of each node that run.
func (w *world) counts() (out []int) {
	for _, m := range w.nodes {
		n := 0
		for _, c := range m.captures {
			if m.up && c.state == Running {
				n++
			}
		}
		out = append(out, n)
	}
	return out
}

func (w *world) wantCounts(want ...int) {
	w.t.Helper()
	if got := w.counts(); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("at %d ms: the nodes capture %v streams, want %v", w.now/Millisecond, got, want)
	}
}

// watchLimits fails when a node captures more than so many streams at any instant of d.
func (w *world) watchLimits(d Instant, most ...int) {
	w.t.Helper()
	for range d / (10 * Millisecond) {
		w.run(10 * Millisecond)
		for i, n := range w.counts() {
			if n > most[i] {
				w.t.Fatalf("at %d ms: %s captures %d streams, want at most %d", w.now/Millisecond, w.nodes[i].name, n, most[i])
			}
		}
	}
}

func TestChannelLimitIsKeptFromTheColdStartOn(t *testing.T) {
	for seed := range uint64(10) {
		w := limited(t, seed, kept(30), 3, 20, 20)
		w.bootAll()
		w.watchLimits(10*Second, 3, 20, 20)
		if got := w.counts(); got[0] != 3 || got[0]+got[1]+got[2] != 30 || got[1] < 13 || got[2] < 13 {
			t.Errorf("seed %d: the nodes capture %v streams, want 3 on the first and the others evenly", seed, got)
		}
		if w.starts != 30 {
			t.Errorf("seed %d: %d captures were started, want 30", seed, w.starts)
		}
		w.wantAgreement()
		full := 0
		for _, s := range w.machine("n2").n.View().Streams {
			if s.Reason == FullElsewhere && s.Of == "n1" {
				full++
			}
		}
		if full != 7 {
			t.Errorf("seed %d: %d streams are where they are because n1 is full, want 7 of its 10", seed, full)
		}
		if v := w.machine("n3").n.View(); !v.Peer("n1").Full || v.Peer("n2").Full || len(v.Alarms) != 0 {
			t.Errorf("seed %d: n3 takes n1 for full: %v, n2: %v, alarms %v", seed, v.Peer("n1").Full, v.Peer("n2").Full, v.Alarms)
		}
	}
}

func TestTakeOverAndReturnKeepTheLimit(t *testing.T) {
	for seed := range uint64(10) {
		w := limited(t, seed, kept(30), 20, 11, 20)
		w.bootAll()
		w.watchLimits(10*Second, 20, 11, 20)
		w.machine("n3").crash()
		w.watchLimits(10*Second, 20, 11, 20)
		w.wantCounts(19, 11, 0)
		w.machine("n3").boot()
		w.watchLimits(20*Second, 20, 11, 20)
		w.wantCounts(10, 10, 10)
	}
}

func TestWhenAllAreFullTheLeastLoadedTakesItAndAnAlarmIsShown(t *testing.T) {
	for seed := range uint64(10) {
		w := limited(t, seed, kept(30), 12, 12, 12)
		w.bootAll()
		w.run(10 * Second)
		w.wantCounts(10, 10, 10)
		w.machine("n1").crash()
		w.run(15 * Second)
		w.wantCounts(0, 15, 15)
		for _, m := range w.nodes[1:] {
			v := m.n.View()
			if len(v.Alarms) != 1 || v.Alarms[0].Kind != AlarmOverfull || m.noted(NoteOverfull) != 1 {
				t.Errorf("seed %d: alarms of %s = %+v, want that all are full", seed, m.name, v.Alarms)
			}
		}
		w.machine("n1").boot()
		w.run(20 * Second)
		w.wantCounts(10, 10, 10)
		if v := w.machine("n2").n.View(); len(v.Alarms) != 0 {
			t.Errorf("seed %d: alarms after the return = %+v, want none", seed, v.Alarms)
		}
	}
}

func TestPinExceedsNoLimit(t *testing.T) {
	streams := kept(9)
	for i := range 5 {
		streams[i].Pin = "n1"
	}
	w := limited(t, 1, streams, 3, 0, 0)
	w.bootAll()
	w.watchLimits(10*Second, 3, 9, 9)
	if got := w.counts(); got[0] != 3 {
		t.Errorf("the nodes capture %v streams, want 3 of its pinned ones on the first", got)
	}
	pinned := 0
	for _, s := range w.machine("n1").n.View().Streams {
		if s.Owner == "n1" && s.Reason == Pinned {
			pinned++
		}
	}
	if pinned != 3 {
		t.Errorf("%d of what n1 has is pinned to it, want all 3", pinned)
	}
}

func TestLimitOfAPeerEntryHoldsForThatNode(t *testing.T) {
	w := newWorld(t, 1)
	w.add(3, kept(30))
	peers := w.nodes[0].cfg.Peers // all share it
	peers[1].Limits.Channels = 4
	w.bootAll()
	w.watchLimits(10*Second, 30, 4, 30)
	if got := w.counts(); got[1] != 4 {
		t.Errorf("the nodes capture %v streams, want 4 on the second", got)
	}
}

func TestPublisherAtAFullNodeIsSentToOneWithRoom(t *testing.T) {
	w := limited(t, 1, []Stream{{Name: "live1", Kind: Published}, {Name: "live2", Kind: Published}, {Name: "live3", Kind: Published}}, 1, 1)
	w.bootAll()
	w.run(5 * Second)
	a, b := w.machine("n1"), w.machine("n2")
	a.publish("live1")
	w.run(2 * Second)
	a.publish("live2")
	if got := a.verdict(); got.Verdict != Elsewhere || got.Node != "n2" {
		t.Errorf("a publisher at a full node: %v %s, want sent to n2", got.Verdict, got.Node)
	}
	b.publish("live2")
	w.run(2 * Second)
	a.publish("live3")
	if got := a.verdict(); got.Verdict != Granted {
		t.Errorf("a publisher when all are full: %v, want granted", got.Verdict)
	}
	w.run(2 * Second)
	if v := b.n.View(); len(v.Alarms) != 1 || v.Alarms[0].Kind != AlarmOverfull {
		t.Errorf("alarms = %+v, want that all are full", v.Alarms)
	}
}

func TestBusyNodeKeepsWhatItHasAndTakesNothingNew(t *testing.T) {
	w := newWorld(t, 1)
	w.add(3, kept(30))
	for _, m := range w.nodes {
		m.cfg.Limits.CPU = 800
	}
	w.bootAll()
	w.run(10 * Second)
	w.reset()
	m := w.machine("n2")
	cpu := func(permille int) { m.step(Measured{Load{CPU: permille}}) }
	cpu(799)
	if m.n.View().Full {
		t.Error("full below the limit")
	}
	cpu(800)
	w.run(10 * Second)
	if w.starts != 0 {
		t.Errorf("%d captures were started when a node became busy, want 0", w.starts)
	}
	w.machine("n1").crash()
	w.run(10 * Second)
	w.wantCounts(0, 10, 20)
	cpu(720) // a tenth below
	if !m.n.View().Full {
		t.Error("no longer full a tenth below the limit")
	}
	cpu(719)
	if m.n.View().Full {
		t.Error("still full more than a tenth below the limit")
	}
	w.machine("n1").boot()
	w.run(20 * Second)
	w.wantOwners(w.home())
}

func TestOfTwoLimitsTheLowerCounts(t *testing.T) {
	for _, tt := range []struct{ a, b, want int }{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {3, 5, 3}, {5, 3, 3}} {
		if got := least(tt.a, tt.b); got != tt.want {
			t.Errorf("least(%d, %d) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// A stream that failed here and that another node has had since is taken back: it takes a place here as any other does.
func TestStreamThatIsTakenBackAfterFailuresCountsForTheLimit(t *testing.T) {
	list := []Stream{{Name: "back", Clustered: true, Pin: "n1"}}
	for i := range 8 {
		list = append(list, Stream{Name: fmt.Sprint("of n3 ", i), Clustered: true, Pin: "n3"})
	}
	p := probeOf(t, []string{"n2", "n3"}, list...)
	cfg := p.n.cfg
	cfg.Limits.Channels = 1
	p.step(ConfigChanged{Config: cfg})
	var held []Claim
	for _, s := range list[1:] {
		held = append(held, Claim{Stream: s.Name, State: ClaimRunning, Why: Pinned, Pin: "n3", Home: p.n.byName[s.Name].Home})
	}
	seq := uint64(0)
	answer := func(of string, st State) {
		if p.open(of) {
			seq++
			st.Seq = seq
			p.say(of, st)
		}
	}
	answer("n2", State{})
	answer("n3", State{Claims: held})
	p.step(CaptureUp{Stream: "back"})
	p.step(CaptureDown{Stream: "back", Why: "no route"})
	elsewhere := State{Claims: []Claim{{Stream: "back", State: ClaimRunning, Why: Fallback, Pin: "n1", Home: p.n.byName["back"].Home}}}
	for deadline := p.now + 2*60*Second; p.n.byName["back"].State != Starting; p.pass(Second) {
		answer("n2", elsewhere)
		answer("n3", State{Claims: held})
		if p.now > deadline {
			t.Fatal("the stream is not taken back")
		}
	}
	for p.status("n3") == Alive {
		answer("n2", elsewhere)
		p.pass(Second)
	}
	if n := p.n.captures(); n != 1 {
		t.Errorf("the node has %d streams, want 1, as n2 has room for all others", n)
	}
}
