package control

import (
	"fmt"
	"slices"
	"testing"
)

// entriesOf says where the entries of a peer's file lead, each as HOST>NODE, or HOST alone if the peer has not met the node.
func entriesOf(list ...string) (out []EntryName) {
	for _, e := range list {
		var k EntryName
		host := e
		for i := range e {
			if e[i] == '>' {
				host, k.Node = e[:i], e[i+1:]
			}
		}
		k.Entry = host + ":80"
		out = append(out, k)
	}
	return out
}

var listingTests = []struct {
	name   string
	n2, n3 []EntryName // of their files; n3 is dead if it has none
	out    bool
}{
	{"all list it", entriesOf("n1>n1", "n2>n2", "n3>n3"), entriesOf("n1>n1", "n2>n2", "n3>n3"), false},
	{"none lists it", entriesOf("n2>n2", "n3>n3"), entriesOf("n2>n2", "n3>n3"), true},
	{"one lists it", entriesOf("n1>n1", "n2>n2", "n3>n3"), entriesOf("n2>n2", "n3>n3"), false},
	{"the only one that lives does not", entriesOf("n2>n2", "n3>n3"), nil, true},
	{"the others have met nobody since their boot", entriesOf("n1", "n2>n2", "n3"), entriesOf("n1", "n2", "n3>n3"), false},
	{"an entry that nobody has met may lead here", entriesOf("n2>n2", "n3>n3", "other"), entriesOf("n2>n2", "n3>n3", "other"), false},
	{"an entry that this file has for another node does not", entriesOf("n2>n2", "n3"), entriesOf("n2", "n3>n3"), true},
	{"the entry is that of this node, under its former name", entriesOf("n1>old", "n2>n2"), entriesOf("n1>old", "n3>n3"), false},
	{"an entry of another spelling leads here", entriesOf("address>n1", "n2>n2"), entriesOf("address>n1", "n3>n3"), false},
	{"nothing is told of the entries", nil, nil, false},
}

func TestNodeIsLeftOutWhenNoLivePeerListsItForAsLongAsStale(t *testing.T) {
	for _, tt := range listingTests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProbe(t, []string{"n1", "n2", "n3"}, "cam1", "cam2", "cam3")
			p.say("n1", State{Instance: "i1", Seq: 1})
			seq := uint64(1)
			say := func() {
				p.say("n2", State{Seq: seq, Names: tt.n2})
				if tt.n3 != nil {
					p.say("n3", State{Seq: seq, Names: tt.n3})
				}
				seq++
			}
			for range 2 { // the other has been met when the second comes
				say()
				p.pass(2500 * Millisecond)
			}
			for p.now < probeStale-Second {
				say()
				p.pass(2500 * Millisecond)
				if p.n.leftOut && p.now < probeStale {
					t.Fatalf("left out after %d ms, before S", p.now/Millisecond)
				}
			}
			for p.now < 3*probeStale {
				say()
				p.pass(2500 * Millisecond)
			}
			if p.n.leftOut != tt.out || p.n.View().LeftOut != tt.out {
				t.Errorf("left out: %t, want %t", p.n.leftOut, tt.out)
			}
			if got := slices.ContainsFunc(p.n.View().Alarms, func(a Alarm) bool { return a.Kind == AlarmLeftOut }); got != tt.out {
				t.Errorf("alarm: %t, want %t", got, tt.out)
			}
		})
	}
}

// An outcast is a node that n2 and n3 have not listed since it began.
type outcast struct {
	*probe
	seq uint64
}

// newOutcast returns a warm one with the stream cam1, as edit changes it.
func newOutcast(t *testing.T, edit func(s *Stream)) *outcast {
	o := &outcast{probe: newProbe(t, []string{"n1", "n2", "n3"}, "cam1")}
	o.say("n1", State{Instance: "i1", Seq: 1})
	cfg := o.n.cfg
	cfg.Streams = slices.Clone(cfg.Streams)
	edit(&cfg.Streams[0])
	o.step(ConfigChanged{cfg})
	o.hear(3 * Second)
	if !o.n.warm || !o.n.unlisted {
		t.Fatalf("warm %t, unlisted %t, want both", o.n.warm, o.n.unlisted)
	}
	return o
}

// hear lets time go by, in which n2 tells its claims, and returns the first capture that stops.
func (o *outcast) hear(d Instant, claims ...Claim) (stopped *StopCapture) {
	look := func(out []Effect) {
		for _, e := range out {
			if s, ok := e.(StopCapture); ok && stopped == nil {
				stopped = &s
			}
		}
	}
	for end := o.now + d; o.now < end && stopped == nil; {
		for _, host := range []string{"n2", "n3"} {
			o.seq++
			st := State{Seq: o.seq, Names: entriesOf("n2>n2", "n3>n3")}
			if host == "n2" {
				st.Claims = slices.Clone(claims)
			}
			look(o.say(host, st))
		}
		for until := o.now + 2500*Millisecond; o.now < until; {
			o.now = min(until, o.n.wake)
			look(o.step(Tick{}))
		}
	}
	return stopped
}

func TestNodeThatIsLeftOutStartsOnlyWhatNoPeerCanTake(t *testing.T) {
	o := newOutcast(t, func(*Stream) {})
	if n := o.n.captures(); n > 0 {
		t.Errorf("%d captures, want none beside peers that do not see them", n)
	}
	cfg := o.n.cfg
	cfg.Streams = append(slices.Clone(cfg.Streams), Stream{Name: "door", Clustered: true})
	for _, p := range o.n.peers { // their files stay as they were
		p.list, p.ListKey = normalList([]Listed{{Name: "cam1", Clustered: true}}), "other"
	}
	o.step(ConfigChanged{cfg})
	if got := o.started(); len(got) > 0 {
		t.Errorf("starts %v before the peers have been asked about it", got)
	}
	for until := o.now + 2*o.n.fetch; o.now < until; { // none of them answers
		o.now = min(until, o.n.wake)
		o.step(Tick{})
	}
	if cam, door := o.n.View().Stream("cam1"), o.n.View().Stream("door"); cam.Mine != Idle || door.Mine != Starting {
		t.Errorf("cam1 is %s and door %s, want only the stream that no other file has", cam.Mine, door.Mine)
	}
}

func TestNodeThatIsLeftOutStartsAnOnDemandStreamForItsOwnClients(t *testing.T) {
	o := newOutcast(t, func(s *Stream) { s.OnDemand, s.ClientsTimeout = true, Second })
	o.step(Demanded{Stream: "cam1", Fresh: 60 * Second})
	if got := o.started(); !slices.Equal(got, []string{"cam1"}) {
		t.Errorf("starts %v, want cam1: no peer learns of its clients", got)
	}
}

func TestNodeThatIsLeftOutYieldsOnceAnotherRunsTheStreamWhateverTheOrderSays(t *testing.T) {
	for _, kind := range []Kind{Kept, Published} {
		o := newOutcast(t, func(s *Stream) { s.Kind, s.Pin, s.Clustered = kind, "n1", kind == Kept })
		s := o.n.stream("cam1")
		o.n.start(s, map[Kind]Reason{Kept: Pinned, Published: PublishedHere}[kind], "") // as if before
		o.step(CaptureUp{Stream: "cam1"})
		claim := Claim{Stream: "cam1", State: ClaimStarting, Pin: "n1", Home: s.Home, Epoch: 1}
		if got := o.hear(2*probeStale, claim); got != nil {
			t.Errorf("kind %d: %+v before another runs it", kind, *got)
		}
		if !o.n.leftOut {
			t.Fatal("not left out after 2 S")
		}
		claim.State = ClaimRunning
		if got := o.hear(2*probeStale, claim); got == nil || got.To != "n2" || got.Why != Unlisted {
			t.Errorf("kind %d: stops %+v, want it handed to n2", kind, got)
		}
	}
}

func TestCameraOfOneConnectionIsReleasedByANodeThatIsLeftOut(t *testing.T) {
	o := newOutcast(t, func(s *Stream) { s.Break = true })
	o.n.start(o.n.stream("cam1"), Home, "")
	o.step(CaptureUp{Stream: "cam1"})
	if got := o.hear(2 * probeStale); got == nil || got.Why != Unlisted || !got.Now {
		t.Errorf("stops %+v, want it released: the source lets no peer in before that", got)
	}
}

func TestNewPublisherIsSentFromANodeThatIsLeftOutToOneThatIsSeen(t *testing.T) {
	o := newOutcast(t, func(s *Stream) { s.Kind, s.Clustered = Published, false })
	for _, p := range o.n.peers {
		p.list, p.ListKey = o.n.own, o.n.ownHash
	}
	var got PublishAnswer
	for _, e := range o.step(PublishWanted{Stream: "cam1", Token: 7}) {
		if a, ok := e.(PublishAnswer); ok {
			got = a
		}
	}
	if got.Verdict != Elsewhere || got.Node == "" || got.Token != 7 {
		t.Errorf("answer %+v, want a node elsewhere", got)
	}
}

func TestNodeThatAsksAndIsInNoFileIsNamedOnce(t *testing.T) {
	p := newProbe(t, []string{"n1", "n2"}, "cam1")
	p.say("n1", State{Instance: "i1", Seq: 1})
	noted := 0
	ask := func(from string, unlisted bool) {
		p.step(StateAsked{From: from, Token: 1, Question: &Question{Unlisted: unlisted}})
		if p.noted(NoteUnlisted) {
			noted++
		}
	}
	alarm := func() bool {
		return slices.ContainsFunc(p.n.View().Alarms, func(a Alarm) bool { return a.Kind == AlarmUnlisted && a.Node == "n9" })
	}
	ask("n9", false) // a server that balances, or restreams, is no peer and does not say so
	ask("n2", true)  // its name is new to it
	ask("n1", true)
	if noted != 0 || alarm() {
		t.Errorf("%d notes, alarm %t, want none", noted, alarm())
	}
	for range 5 {
		ask("n9", true)
		p.pass(2 * Second)
	}
	if noted != 1 || !alarm() {
		t.Errorf("%d notes, alarm %t, want one and an alarm", noted, alarm())
	}
	p.pass(leastAsked)
	if alarm() {
		t.Error("alarm although it asks no more")
	}
	ask("n9", true)
	if noted != 1 || !alarm() {
		t.Errorf("it asks again: %d notes, alarm %t, want no second note and an alarm", noted, alarm())
	}
	for i := range 2 * maxAskers {
		ask(fmt.Sprint("x", i), true)
	}
	if len(p.n.askers) > maxAskers {
		t.Errorf("%d askers are remembered, want at most %d", len(p.n.askers), maxAskers)
	}
}

// A node whose file does not list this one sees none of its claims: it would never stop a stream that this node takes back.
func TestNothingIsTakenBackFromANodeThatDoesNotSeeThisOne(t *testing.T) {
	for _, tt := range []struct {
		name  string
		names []EntryName // of n2's file
		taken bool
	}{
		{"it lists this node", []EntryName{{Entry: "n1:80", Node: "n1"}}, true},
		{"it lists n3 alone", []EntryName{{Entry: "n3:80", Node: "n3"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProbe(t, []string{"n2", "n3"}, camNames...)
			cam, taken := p.home("n1"), false
			for seq := uint64(1); seq < 30; seq++ {
				for _, host := range []string{"n2", "n3"} {
					st := State{Seq: seq, Names: []EntryName{{Entry: "n1:80", Node: "n1"}}}
					if host == "n2" {
						st.Names, st.Claims = tt.names, []Claim{claimOf(cam, ClaimRunning, p)}
					}
					p.say(host, st)
					taken = taken || slices.Contains(p.started(), cam)
				}
				p.pass(3 * Second)
				taken = taken || slices.Contains(p.started(), cam)
			}
			if taken != tt.taken {
				t.Errorf("%s is taken back: %t, want %t", cam, taken, tt.taken)
			}
		})
	}
}
