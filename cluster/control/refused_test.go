package control

import (
	"slices"
	"testing"
)

// broken gives a node n1 that has met the others, and to which the connections of n2 have just broken.
func broken(t *testing.T, others ...string) *probe {
	p := newProbe(t, append([]string{"n2"}, others...), camNames...)
	p.met(1)
	p.pass(Second)
	p.step(LinkBroken{Peer: "n2:80"})
	return p
}

// met lets all peers answer what they were asked.
func (p *probe) met(seq uint64) {
	p.t.Helper()
	for _, l := range p.n.links {
		p.say(l.cfg.Host, State{Seq: seq})
	}
}

// refuse lets the newest question to a peer fail.
func (p *probe) refuse(host string, why FailReason) {
	p.t.Helper()
	ids := p.ids[host+":80"]
	if len(ids) == 0 {
		p.t.Fatalf("no fetch of %s is under way", host)
	}
	p.ids[host+":80"] = nil
	p.step(FetchFailed{Peer: host + ":80", ID: ids[len(ids)-1], Why: why})
}

// testifies lets a peer answer a question about n2.
func (p *probe) testifies(host string, seq uint64, since Testimony) {
	p.t.Helper()
	p.say(host, State{Seq: seq, Ages: []Age{{Node: "n2", Instance: "in2", Seq: seq, Age: 1, Since: since}}})
}

func (p *probe) status(of string) Status { return p.n.View().Peer(of).Status }

func (p *probe) open(host string) bool { return len(p.ids[host+":80"]) > 0 }

func (p *probe) want(of string, want Status) {
	p.t.Helper()
	if got := p.status(of); got != want {
		p.t.Errorf("%s is %s, want %s", of, got, want)
	}
}

func TestPeerWhoseProcessHasEndedIsDownAtOnce(t *testing.T) {
	p := broken(t)
	from := p.now
	if !p.open("n2") {
		t.Fatal("n2 is not asked at once after its connection broke")
	}
	p.refuse("n2", ConnectionRefused)
	p.want("n2", Alive)
	for !p.open("n2") && p.now < from+Second {
		p.pass(Millisecond)
	}
	if p.now-from < refusalPause {
		t.Errorf("n2 is asked again after %d ms, want at least 100", (p.now-from)/Millisecond)
	}
	p.refuse("n2", ConnectionRefused)
	p.want("n2", Down)
	if !p.noted(NoteDown) || p.noted(NoteStale) || len(p.started()) == 0 || p.now-from > refusalPause+5*Millisecond {
		t.Errorf("after %d ms: effects %v, want n2 noted as down and its streams started", (p.now-from)/Millisecond, p.out)
	}
	for range 10 { // it is asked on as ever
		p.pass(3 * Second)
		if p.open("n2") {
			p.refuse("n2", ConnectionRefused)
		}
	}
	p.want("n2", Down)
	p.pass(3 * Second)
	p.say("n2", State{Instance: "later", Seq: 1})
	p.want("n2", Alive)
	if !p.noted(NoteRestarted) {
		t.Errorf("effects %v, want n2 to have restarted", p.out)
	}
}

func TestRefusalWithoutABreakSaysNothing(t *testing.T) {
	for name, why := range map[string][]FailReason{
		"refused, nothing has broken":         {ConnectionRefused, ConnectionRefused, ConnectionRefused},
		"time-outs after a break":             {"", Unreachable, Unreachable, Unreachable},
		"one refusal":                         {"", ConnectionRefused},
		"a time-out between two refusals":     {"", ConnectionRefused, Unreachable, ConnectionRefused},
		"503 between two refusals":            {"", ConnectionRefused, Malformed, ConnectionRefused},
		"a refusal, and then another version": {"", ConnectionRefused, Incompatible},
	} {
		p := newProbe(t, []string{"n2"}, camNames...)
		p.met(1)
		p.pass(Second)
		for _, w := range why {
			if w == "" {
				p.step(LinkBroken{Peer: "n2:80"})
				continue
			}
			for !p.open("n2") {
				p.pass(10 * Millisecond)
			}
			p.refuse("n2", w)
		}
		if got := p.status("n2"); got != Alive || len(p.started()) > 0 {
			t.Errorf("%s: n2 is %s and %v is started, want it alive", name, got, p.started())
		}
		p.ids = map[string][]uint64{}
		for range 3 { // from now on silence
			p.pass(3 * Second)
		}
		p.pass(Second)
		if got := p.status("n2"); got != Stale {
			t.Errorf("%s: then n2 is silent and %s, want it stale", name, got)
		}
	}
}

// The second refusal has to come 100 ms after the first, whatever else makes this node ask in between.
func TestRefusalsThatFollowAtOnceAreOne(t *testing.T) {
	p := broken(t)
	p.refuse("n2", ConnectionRefused)
	p.pass(hintPause)
	p.step(StateAsked{From: "n2", Token: 1, Question: &Question{News: true}})
	if !p.open("n2") {
		t.Fatal("n2 has news and is not asked")
	}
	p.refuse("n2", ConnectionRefused)
	p.want("n2", Alive)
	p.pass(refusalPause)
	p.refuse("n2", ConnectionRefused)
	p.want("n2", Down)
}

func TestNodeThatHearsThePeerPrevails(t *testing.T) {
	p := broken(t, "n3")
	p.ids["n3:80"] = nil
	p.refuse("n2", ConnectionRefused)
	if !p.open("n3") {
		t.Fatal("n3 is not asked whether it hears n2")
	}
	p.testifies("n3", 2, AskingSince)
	p.pass(refusalPause)
	p.refuse("n2", ConnectionRefused)
	p.want("n2", Alive)
	p.testifies("n3", 3, HeardSince)
	if !p.noted(NoteVouched) {
		t.Errorf("effects %v, want a note that n3 hears n2", p.out)
	}
	for seq := range uint64(10) {
		p.pass(2500 * Millisecond)
		if p.open("n2") {
			p.refuse("n2", ConnectionRefused)
		}
		p.testifies("n3", 4+seq, "")
		p.want("n2", Alive)
	}
}

func TestAllOthersHaveToSayThatTheyHearNothing(t *testing.T) {
	p := broken(t, "n3", "n4")
	p.ids["n3:80"], p.ids["n4:80"] = nil, nil
	p.refuse("n2", ConnectionRefused)
	p.pass(refusalPause)
	p.refuse("n2", ConnectionRefused)
	p.testifies("n3", 2, NothingSince)
	p.want("n2", Alive)
	p.testifies("n4", 2, AskingSince)
	p.want("n2", Alive)
	p.pass(refusalPause)
	p.testifies("n4", 3, NothingSince)
	p.want("n2", Down)
	if !slices.ContainsFunc(p.out, func(e Effect) bool { f, ok := e.(Fetch); return ok && f.Peer == "n4:80" && f.News }) && len(p.started()) > 0 {
		t.Errorf("effects %v, want the others told that streams have come here", p.out)
	}
	// One that says only now that it hears n2 is believed, unless what it has heard may be older than the break.
	p.pass(3 * Second)
	p.say("n3", State{Seq: 4, Ages: []Age{{Node: "n2", Instance: "in2", Seq: 90, Age: 1}}})
	p.want("n2", Down)
	p.pass(3 * Second)
	p.testifies("n3", 91, HeardSince)
	p.want("n2", Alive)
}

func TestNodeThatHangsOrIsOlderKeepsThePeerUntilItIsStale(t *testing.T) {
	for name, answer := range map[string]func(p *probe, seq uint64){
		"hangs": func(*probe, uint64) {},
		"is of an older version": func(p *probe, seq uint64) {
			p.say("n3", State{Seq: seq, Ages: []Age{{Node: "n2", Instance: "in2", Seq: 1, Age: 9000}}})
		},
	} {
		p := broken(t, "n3")
		from := p.now
		for seq := uint64(2); p.status("n2") == Alive; seq++ {
			if p.open("n2") {
				p.refuse("n2", ConnectionRefused)
			}
			if p.open("n3") {
				answer(p, seq)
			}
			p.pass(50 * Millisecond)
		}
		if p.now-from < probeStale-2*Second {
			t.Errorf("n3 %s: n2 is %s after %d ms, want it waited for", name, p.status("n2"), (p.now-from)/Millisecond)
		}
		if name == "hangs" && len(p.n.entries["n3:80"].Flights) > 2*maxFlights {
			t.Errorf("%d questions are under way", len(p.n.entries["n3:80"].Flights))
		}
	}
}

// While a process ends, its machine may reset what it had accepted for it.
func TestResetAfterABreakIsFollowedByAnotherQuestionSoon(t *testing.T) {
	p := broken(t)
	from := p.now
	for _, why := range []FailReason{Unreachable, Unreachable, ConnectionRefused, ConnectionRefused} {
		for !p.open("n2") {
			p.pass(Millisecond)
		}
		p.refuse("n2", why)
	}
	p.want("n2", Down)
	if p.now-from > 4*refusalPause {
		t.Errorf("n2 is down %d ms after the break, want at most 400", (p.now-from)/Millisecond)
	}
}

// An answer to a question of before the break may have been under way when the process ended.
func TestAnswerFromBeforeTheBreakIsNoLife(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	p.met(1)
	p.pass(3 * Second)
	before := p.ids["n2:80"]
	p.now += Millisecond
	p.step(LinkBroken{Peer: "n2:80"})
	late := func(seq uint64) {
		p.step(Fetched{Peer: "n2:80", ID: before[0], State: &State{
			V: Protocol, Node: "n2", Instance: "in2", Seq: seq, Version: seq, Warm: true, Hash: "h", ListHash: p.n.ownHash, List: slices.Clone(p.n.own),
		}})
		before = before[1:]
	}
	late(2)
	p.refuse("n2", ConnectionRefused)
	p.pass(refusalPause)
	p.refuse("n2", ConnectionRefused)
	p.want("n2", Down)
}

func TestEveryWayToThePeerHasToRefuse(t *testing.T) {
	p := newProbe(t, []string{"n2", "n2b"}, camNames...)
	both := func(seq uint64) {
		p.say("n2", State{Seq: seq})
		p.say("n2b", State{Node: "n2", Instance: "in2", Seq: seq + 1})
	}
	both(1)
	p.pass(3 * Second)
	both(3)
	p.step(LinkBroken{Peer: "n2:80"})
	p.refuse("n2", ConnectionRefused)
	p.pass(refusalPause)
	p.refuse("n2", ConnectionRefused)
	p.want("n2", Alive)
	p.step(LinkBroken{Peer: "n2b:80"})
	p.refuse("n2b", ConnectionRefused)
	p.pass(refusalPause)
	p.refuse("n2b", ConnectionRefused)
	p.want("n2", Down)
}

func TestDoubtedPeerIsAskedBeforeTheAnswer(t *testing.T) {
	for _, c := range []struct {
		end  func(p *probe)
		want Testimony
	}{
		{func(p *probe) { p.refuse("n2", ConnectionRefused) }, NothingSince},
		{func(p *probe) { p.refuse("n2", Unreachable) }, AskingSince},
		{func(p *probe) { p.say("n2", State{Seq: 3}) }, HeardSince},
		{func(*probe) {}, AskingSince},
	} {
		p := newProbe(t, []string{"n2", "n3"}, camNames...)
		p.met(1)
		p.met(2) // what has started is announced
		p.pass(Second)
		ask := func(age int64) Testimony {
			p.step(StateAsked{From: "n3", Token: 1, Question: &Question{Doubt: []Doubt{{"n2", age}}}})
			for _, e := range p.out {
				if r, ok := e.(Reply); ok {
					return r.State.Ages[0].Since
				}
			}
			return ""
		}
		if got := ask(20); got != AskingSince || !p.open("n2") {
			t.Errorf("testifies %q, asked %t; want n2 asked first", got, p.open("n2"))
		}
		c.end(p)
		p.pass(100 * Millisecond)
		if got := ask(120); got != c.want {
			t.Errorf("testifies %q, want %q", got, c.want)
		}
		if again := c.want == AskingSince; again != p.open("n2") {
			t.Errorf("it testifies %q, and has asked n2 again: %t", c.want, !again)
		}
	}
}
