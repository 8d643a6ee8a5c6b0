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
