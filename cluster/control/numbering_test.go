package control

import "testing"

// TestNumberingIsNoYoungerThanItsQuestion has a peer answer after six seconds. It may have cut segments for all that time.
func TestNumberingIsNoYoungerThanItsQuestion(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	cam := p.home("n2")
	p.say("n2", State{Seq: 1})
	p.pass(3 * Second)
	asked := p.now
	p.now += 6 * Second
	p.say("n2", State{Seq: 2, Claims: []Claim{{Stream: cam, State: ClaimRunning, Media: &Media{Sequence: 70, Period: 1000, Age: 500}}}})
	got := p.n.byName[cam].anchor(p.now)
	if least := (p.now - asked) / Second * 1000; got.Age < int64(least) {
		t.Errorf("segment 70 is taken to have begun %d ms ago, want at least %d", got.Age, least)
	}
	if n := got.After(0); n <= 70+6 {
		t.Errorf("the next owner begins with segment %d; segment %d may have been cut", n, 70+6)
	}
}

// TestNumbersOfAnotherNodeEndOwnNumbering gives this node a publisher that numbers, and then has another node number. The next
// publisher here goes on with the node's own numbers only if no other node has numbered since, however far its numbers were.
func TestNumbersOfAnotherNodeEndOwnNumbering(t *testing.T) {
	theirs := func(m Media) []Claim {
		return []Claim{{Stream: "live", State: ClaimRunning, Why: PublishedHere, Media: &m}}
	}
	for _, tt := range []struct {
		name  string
		own   Media   // told by this node's capture, which ends at once
		other []Claim // of n2, which says a second later that it is over
		least int64   // of the next capture here, or 0: it goes on by itself
	}{
		{"nobody else", Media{Sequence: 29, Period: 4000}, nil, 0},
		{"a newer anchor", Media{Sequence: 29, Period: 4000}, theirs(Media{Sequence: 32, Period: 4000}), 32 + 2},
		{"an older anchor of higher numbers", Media{Sequence: 29, Period: 4000}, theirs(Media{Sequence: 2, Period: 4000, Age: 120_000}), 32 + 2},
		{"lower numbers", Media{Sequence: 29, Period: 4000}, theirs(Media{Sequence: 20, Period: 4000}), 29 + 2},
		{"another node that makes no segments", Media{Sequence: 29, Period: 4000}, []Claim{{Stream: "live", State: ClaimRunning, Why: PublishedHere}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := probeOf(t, []string{"n2"}, Stream{Name: "live", Kind: Published})
			p.say("n2", State{Seq: 1})
			p.pass(3 * Second)
			if a, _ := p.granted("live", 1); a.Verdict != Granted || a.Media != (Media{}) {
				t.Fatalf("the first publisher got %+v, want granted, without numbers", a)
			}
			p.step(CaptureUp{Stream: "live"})
			p.step(MediaChanged{Stream: "live", Media: tt.own})
			p.step(PublishEnded{Stream: "live"})
			p.pass(3 * Second)
			p.say("n2", State{Seq: 2, Claims: tt.other})
			p.pass(3 * Second)
			p.say("n2", State{Seq: 3})
			a, _ := p.answered(PublishWanted{Stream: "live", Token: 2, Asked: []string{"n2"}})
			if a.Verdict != Granted {
				t.Fatalf("the second publisher got %+v, want granted", a)
			}
			switch {
			case tt.least == 0 && a.Media != (Media{}):
				t.Errorf("the capture is numbered from %d, want that it goes on by itself", a.Media.After(0))
			case tt.least > 0 && (a.Media == (Media{}) || a.Media.After(0) < tt.least):
				t.Errorf("the capture is numbered from %+v, want at least %d", a.Media, tt.least)
			}
		})
	}
}

// TestOneOwnersNewestAnchorCounts has one owner correct its anchor to fewer segments than the old one suggests, which another node
// with lower numbers cannot do.
func TestOneOwnersNewestAnchorCounts(t *testing.T) {
	s := &stream{}
	s.remember(Media{Sequence: 10, Period: 1000}, "n2", 0, 0)
	for _, tt := range []struct {
		media Media
		owner string
		want  int64 // the number that is being cut after 60 s
	}{
		{Media{Sequence: 60, Period: 1000}, "n3", 70}, // less far than n2's
		{Media{Sequence: 60, Period: 1000}, "n2", 60},
		{Media{Sequence: 50, Period: 1000, Age: 20_000}, "n2", 60}, // late
		{Media{Sequence: 20, Period: 1000, Age: 45_000}, "n3", 65},
		{Media{Sequence: 20, Period: 1000, Age: 44_000}, "n3", 65}, // its teller slept
		{Media{Sequence: 20, Period: 1000, Age: 46_000}, "n3", 66},
	} {
		s.remember(tt.media, tt.owner, 60*Second, 60*Second)
		if got := s.anchor(60 * Second).current(0); got != tt.want {
			t.Fatalf("after %+v of %s the number is %d, want %d", tt.media, tt.owner, got, tt.want)
		}
	}
}

func TestSegmentsOfAnOwnerGoOnWithTime(t *testing.T) {
	m := Media{Sequence: 70, Period: 1000, Age: 500}
	for _, tt := range []struct {
		later Instant
		want  int64
	}{{0, 72}, {499 * Millisecond, 72}, {500 * Millisecond, 73}, {10 * Second, 82}} {
		if got := m.After(tt.later); got != tt.want {
			t.Errorf("After(%d ms) = %d, want %d", tt.later/Millisecond, got, tt.want)
		}
	}
}

// A node that boots learns from its peers what an earlier instance of it has numbered.
func TestNumbersOfAnEarlierInstanceAreGoneOnFrom(t *testing.T) {
	p := probeOf(t, []string{"n2"}, Stream{Name: "live", Kind: Published})
	p.say("n2", State{Seq: 1, Ages: []Age{{Node: "n1", Instance: "i0", Claims: []Claim{
		{Stream: "live", State: ClaimFailed, Media: &Media{Sequence: 40, Period: 4000}},
	}}}})
	if a, _ := p.granted("live", 1); a.Verdict != Granted || a.Media == (Media{}) || a.Media.After(0) < 42 {
		t.Errorf("the publisher gets %+v, want granted, with numbers from 42", a)
	}
}

// TestNodeUnderANewNameIsToldOfTheNumberingsThatItHasForgotten has a node ask under a name that its peer does not know. It may have had
// another name when it numbered the segments of a stream, and may begin that stream before the peer has asked it.
func TestNodeUnderANewNameIsToldOfTheNumberingsThatItHasForgotten(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	cam := p.home("n2")
	p.say("n2", State{Seq: 1, Claims: []Claim{{Stream: cam, State: ClaimRunning, Media: &Media{Sequence: 70, Period: 1000}}}})
	for _, tt := range []struct {
		from string
		want []string
		told bool
	}{
		{"studio", []string{"studio"}, true},
		{"studio", nil, false}, // it has them already
		{"studio", []string{"n2"}, false},
	} {
		var st *State
		for _, e := range p.step(StateAsked{From: tt.from, Token: 1, Question: &Question{Want: tt.want}}) {
			if r, ok := e.(Reply); ok {
				st = r.State
			}
		}
		if told := len(st.Numberings) == 1 && st.Numberings[0].Stream == cam && st.Numberings[0].Media.Sequence == 70; told != tt.told {
			t.Errorf("%s wants those of %v and is told %v, want the numbering of %s: %t", tt.from, tt.want, st.Numberings, cam, tt.told)
		}
		if err := st.Check(); err != nil {
			t.Errorf("the answer is malformed: %v", err)
		}
	}

	p = newProbe(t, []string{"n2"}, camNames...)
	p.say("n2", State{Seq: 1, Numberings: []Claim{{Stream: cam, State: ClaimFailed, Media: &Media{Sequence: 70, Period: 1000}}}})
	if got := p.n.byName[cam].anchor(p.now); got.Sequence != 70 {
		t.Errorf("it takes %+v for the numbering, want segment 70", got)
	}
}

// numbers is what the next capture of a stream of the probe would go on from.
func (p *probe) numbers(stream string) int64 {
	s := p.n.byName[stream]
	p.n.highest(s)
	return s.anchor(p.now).After(0)
}

// TestNumbersOfANodeThatHasEndedGoNoFurther has n3 number a stream beside its owner, n2 segments ahead. Once n3 has ended, the owner gets
// ahead of that, and the next owner goes on from the numbers of the one that is left, although that one has told nothing new.
func TestNumbersOfANodeThatHasEndedGoNoFurther(t *testing.T) {
	for _, ended := range []bool{false, true} { // n2, at last, whose numbers are known all the same
		p := newProbe(t, []string{"n2", "n3"}, camNames...)
		cam := p.home("n2")
		claim := func(sequence int64) []Claim {
			return []Claim{{Stream: cam, State: ClaimRunning, Media: &Media{Sequence: sequence, Period: 4000}}}
		}
		for seq := uint64(1); seq <= 50; seq++ {
			if seq == 1 {
				p.say("n2", State{Seq: 1, Version: 1, Claims: claim(100)})
			} else {
				p.say("n2", State{Seq: seq, Version: 1, Same: true})
			}
			switch {
			case seq < 5:
				p.say("n3", State{Seq: seq, Version: 1})
			case seq < 10:
				p.say("n3", State{Seq: seq, Version: 2, Claims: claim(110)})
			default:
				p.say("n3", State{Seq: seq, Version: 3})
			}
			p.pass(2400 * Millisecond)
		}
		want := int64(100 + 50*24/40 + 2)
		if ended {
			p.say("n2", State{Seq: 51, Version: 2})
			p.pass(20 * Second)
		}
		if got := p.numbers(cam); got < want || got > want+3 {
			t.Errorf("n2 has ended: %t; the next owner goes on from segment %d, want %d or a little more", ended, got, want)
		}
	}
}

// TestToldNumberingIsOfNobody has the owner of a stream tell which numbering it remembers, that of another node which is over.
func TestToldNumberingIsOfNobody(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	cam := p.home("n2")
	p.say("n2", State{
		Seq: 1, Claims: []Claim{{Stream: cam, State: ClaimRunning, Media: &Media{Period: 4000, Age: 95_000}}},
		Numberings: []Claim{{Stream: cam, State: ClaimFailed, Media: &Media{Sequence: 15, Period: 4000, Age: 24_000}}},
	})
	if got := p.n.byName[cam].anchor(p.now).current(0); got != 23 {
		t.Errorf("segment %d is taken for the current one, want 23 of the owner", got)
	}
}

// TestOwnNumbersAreClaimed has another node number a stream beside this one, which is told of that by an answer.
func TestOwnNumbersAreClaimed(t *testing.T) {
	p := newProbe(t, []string{"n2"}, camNames...)
	cam := p.home("n1")
	p.say("n2", State{Seq: 1, Version: 1})
	p.pass(3 * Second)
	p.step(CaptureUp{Stream: cam})
	p.step(MediaChanged{Stream: cam, Media: Media{Sequence: 40, Period: 4000}})
	p.say("n2", State{Seq: 2, Version: 2, Claims: []Claim{{Stream: cam, State: ClaimRunning, Media: &Media{Sequence: 50, Period: 4000}}}})
	s := p.n.byName[cam]
	if c, ok := p.n.ownClaim(s); !ok || c.Media == nil || c.Media.Sequence != 40 {
		t.Errorf("it claims the stream with %+v, want its own numbers", c.Media)
	}
	p.step(CaptureDown{Stream: cam, Why: "no frames"})
	if got := p.numbers(cam); got < 52 {
		t.Errorf("the next capture goes on from segment %d, want 52", got)
	}
}
