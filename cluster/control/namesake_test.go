package control

import (
	"slices"
	"strings"
	"testing"
)

// The node of these tests is n1, of the instance i1.
var namesakeTests = []struct {
	name     string
	peers    []string // hosts of the entries
	self     string   // the entry behind which the node finds itself; empty: it does not
	other    string   // the entry behind which another process announces n1
	instance string   // of the other process
	aside    bool
}{
	{"the other is behind an entry of another name", []string{"n1", "n2", "n3"}, "n1", "n2", "i0", false},
	{"the other is behind the entry of the name", []string{"n1", "n2", "n3"}, "n3", "n1", "i9", true},
	{"the other is behind the entry of the name, and this node has not found itself", []string{"n1", "n2", "n3"}, "", "n1", "i9", true},
	{"this node may be behind the entry of the name", []string{"n1", "n2", "n3"}, "", "n2", "i0", false},
	{"no entry has the name, and the other is the lower instance", []string{"n2", "n3"}, "", "n2", "i0", true},
	{"no entry has the name, and the other is the higher instance", []string{"n2", "n3"}, "", "n2", "i9", false},
	{"both are behind other entries, and the other is the lower instance", []string{"n2", "n3"}, "n3", "n2", "i0", true},
	{"both are behind other entries, and the other is the higher instance", []string{"n2", "n3"}, "n3", "n2", "i9", false},
}

func TestOfTwoProcessesWithOneNameTheOneBehindTheEntryOfTheNameHasIt(t *testing.T) {
	for _, tt := range namesakeTests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProbe(t, tt.peers, camNames...)
			if tt.self != "" {
				p.say(tt.self, State{Node: "n1", Instance: "i1", Seq: 1})
			}
			p.say(tt.other, State{Node: "n1", Instance: tt.instance, Seq: 1})
			if !p.noted(NoteNameTaken) {
				t.Error("nobody is told that two processes announce one name")
			}
			v := p.n.View()
			if v.Aside != tt.aside {
				t.Errorf("stands aside: %t, want %t", v.Aside, tt.aside)
			}
			i := slices.IndexFunc(v.Alarms, func(a Alarm) bool { return a.Kind == AlarmNameTaken })
			if i < 0 {
				t.Fatalf("alarms %v, want one of two processes with one name", v.Alarms)
			}
			if a := v.Alarms[i]; a.Node != "n1" || !strings.Contains(a.Text, tt.other+":80") || strings.Contains(a.Text, "takes no stream") != tt.aside {
				t.Errorf("alarm %q of %q, want one of n1 that names the entry, and says whether this node takes no stream: %t", a.Text, a.Node, tt.aside)
			}
			if q := v.Peer("n1"); q != nil && q.Met {
				t.Error("the other process counts as a peer")
			}

			for seq := uint64(2); !p.n.warm; seq++ {
				p.pass(3 * Second)
				p.say(tt.other, State{Node: "n1", Instance: tt.instance, Seq: seq})
			}
			p.pass(3 * Second)
			if got := p.n.captures(); (got == 0) != tt.aside {
				t.Errorf("%d captures, want none only where it stands aside", got)
			}
		})
	}
}

func TestOfTwoProcessesBehindEntriesOfOneNameTheLowerInstanceHasIt(t *testing.T) {
	for instance, lower := range map[string]bool{"i0": false, "i9": true} {
		p := newProbe(t, []string{"n1", "n2", "n3"}, camNames...)
		cfg := p.n.cfg
		cfg.Peers = slices.Clone(cfg.Peers)
		cfg.Peers[1].Name = "n1"
		p.step(ConfigChanged{cfg})
		p.say("n1", State{Instance: "i1", Seq: 1})
		p.say("n2", State{Node: "n1", Instance: instance, Seq: 1})
		if p.n.standsAside() == lower {
			t.Errorf("beside %s this node, i1, stands aside: %t, want %t", instance, !lower, lower)
		}
	}
}

// aside returns a node that is warm and stands aside for the process behind n1:80, which has its name.
func aside(t *testing.T) *probe {
	p := newProbe(t, []string{"n1", "n2", "n3"}, camNames...)
	p.say("n3", State{Node: "n1", Instance: "i1", Seq: 1})
	p.say("n1", State{Instance: "i9", Seq: 1})
	p.say("n2", State{Seq: 1})
	p.pass(3 * Second)
	p.say("n1", State{Instance: "i9", Seq: 2})
	p.say("n2", State{Seq: 2})
	if !p.n.aside || !p.n.warm {
		t.Fatalf("stands aside %t, warm %t, want both", p.n.aside, p.n.warm)
	}
	return p
}

func TestNodeThatStandsAsideTakesNothingEvenIfTheOtherIsGone(t *testing.T) {
	p := aside(t)
	p.pass(5 * probeStale)
	if !p.n.aside || p.n.captures() > 0 {
		t.Errorf("stands aside %t with %d captures after the process of its name fell silent, want it to be nobody else", p.n.aside, p.n.captures())
	}
}

func TestNodeThatStandsAsideForALowerInstanceTakesPartOnceThatIsSilent(t *testing.T) {
	p := newProbe(t, []string{"n2", "n3"}, camNames...)
	p.say("n3", State{Node: "n1", Instance: "i1", Seq: 1})
	p.say("n2", State{Node: "n1", Instance: "i0", Seq: 1})
	p.pass(probeStale - 1)
	if !p.n.aside {
		t.Fatal("takes part before S")
	}
	p.pass(2 * Second)
	if p.n.aside || p.n.captures() != len(camNames) {
		t.Errorf("stands aside %t with %d captures after S, want it to take all that nobody has", p.n.aside, p.n.captures())
	}
}

func TestNodeThatStandsAsideLetsGoOfAStreamOnlyOnceTheOtherProcessRunsIt(t *testing.T) {
	p := newProbe(t, []string{"n1", "n2", "n3"}, camNames...)
	p.say("n3", State{Node: "n1", Instance: "i1", Seq: 1})
	p.n.start(p.n.stream("a"), Home, "") // as if before
	p.step(CaptureUp{Stream: "a"})
	claim := claimOf("a", ClaimStarting, p)
	p.say("n1", State{Instance: "i9", Seq: 1, Claims: []Claim{claim}})
	if got := p.stopped(); len(got) > 0 {
		t.Errorf("stops %v while the other process only starts it", got)
	}
	p.pass(3 * Second)
	claim.State = ClaimRunning
	p.say("n1", State{Instance: "i9", Seq: 2, Claims: []Claim{claim}})
	if got := p.stopped(); !slices.Equal(got, []string{"a>"}) {
		t.Errorf("stops %v, want a, which the other process runs", got)
	}
}

func TestNodeThatStandsAsideIsNobodyToItsPeers(t *testing.T) {
	p := newProbe(t, []string{"n1", "n2", "n3"}, camNames...)
	p.say("n1", State{Instance: "i1", Seq: 1})
	p.say("n3", State{Node: "n2", Instance: "i8", Seq: 1, Aside: true, Claims: []Claim{claimOf("a", ClaimRunning, p)}})
	if q := p.n.peer("n2"); q == nil || q.Met {
		t.Errorf("the peer n2 is %+v, want one that has not been met", q)
	}
	if v := p.n.View().Stream("a"); v.Owner != "" {
		t.Errorf("%s has a, want nobody: what stands aside does not count", v.Owner)
	}
}

func TestNameThatAnotherProcessHasAnnouncedGoesToTheOneBehindItsEntry(t *testing.T) {
	for _, tt := range []struct {
		name          string
		first, second string // entries behind which n9, or n2, is announced, one after the other
		announced     string
		has           string // the entry whose process has the name in the end
	}{
		{"the second is behind the entry of the name", "n3", "n2", "n2", "n2"},
		{"the first is behind the entry of the name", "n2", "n3", "n2", "n2"},
		{"neither is", "n2", "n3", "n9", "n2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProbe(t, []string{"n1", "n2", "n3"}, camNames...)
			p.say("n1", State{Instance: "i1", Seq: 1})
			p.say(tt.first, State{Node: tt.announced, Instance: "i" + tt.first, Seq: 1})
			p.pass(2 * Second)
			p.say(tt.second, State{Node: tt.announced, Instance: "i" + tt.second, Seq: 1})
			q := p.n.peer(tt.announced)
			if q == nil || q.Said.Instance != "i"+tt.has {
				t.Fatalf("the peer %s is %+v, want the process behind %s", tt.announced, q, tt.has)
			}
			for _, l := range p.n.links {
				if l.Why == NameTaken && l.peer.Name != l.cfg.Name {
					t.Errorf("%s leads to %s, whose name its process has not", l.cfg.Entry, l.peer.Name)
				}
				if taken := l.Why == NameTaken; taken != (l.cfg.Host != tt.has && l.cfg.Host != "n1") {
					t.Errorf("the name of the process behind %s is taken: %t", l.cfg.Entry, taken)
				}
			}
			if !p.noted(NoteNameTaken) {
				t.Error("nobody is told that two processes announce one name")
			}
		})
	}
}

func TestNameIsFreeOnceItsProcessAnnouncesAnother(t *testing.T) {
	p := newProbe(t, []string{"n1", "n2", "n3"}, camNames...)
	p.say("n1", State{Instance: "i1", Seq: 1})
	p.say("n2", State{Node: "n9", Instance: "i8", Seq: 1})
	p.pass(2 * Second)
	p.say("n3", State{Node: "n9", Instance: "i7", Seq: 1})
	p.pass(2 * Second)
	p.say("n2", State{Instance: "i6", Seq: 1}) // it has been restarted under its own name
	p.pass(2 * Second)
	p.say("n3", State{Node: "n9", Instance: "i7", Seq: 2})
	if q := p.n.peer("n9"); q == nil || q.Said.Instance != "i7" {
		t.Errorf("the peer n9 is %+v, want the process behind n3", q)
	}
	if q := p.n.peer("n2"); q == nil || q.Said.Instance != "i6" {
		t.Errorf("the peer n2 is %+v, want the process behind n2", q)
	}
	if v := p.n.View(); slices.ContainsFunc(v.Alarms, func(a Alarm) bool { return a.Kind == AlarmNameTaken }) {
		t.Errorf("alarms %v although every process has its own name", v.Alarms)
	}
}

// TestNodeThatStandsAsideHasNoPublisher: the others lead viewers to the process that has the name by right.
func TestNodeThatStandsAsideHasNoPublisher(t *testing.T) {
	p := probeOf(t, []string{"n1", "n2"}, Stream{Name: "live", Kind: Published}, Stream{Name: "show", Kind: Published})
	p.say("n2", State{Seq: 1})
	p.pass(probeStale)
	if a, ok := p.granted("live", 1); !ok || a.Verdict != Granted {
		t.Fatalf("before the other process has shown itself: %+v, want granted", a)
	}
	p.step(CaptureUp{Stream: "live"})
	p.say("n1", State{Node: "n1", Instance: "i9", Seq: 1})
	if !p.n.View().Aside {
		t.Fatal("it does not stand aside")
	}
	if got := p.stopped(); !slices.Equal(got, []string{"live>"}) {
		t.Errorf("%v are stopped, want live, whose publisher nobody hears", got)
	}
	if a, ok := p.answered(PublishWanted{Stream: "show", Token: 2}); !ok || a.Verdict == Granted || a.Verdict == Busy {
		t.Errorf("a publisher of another stream: %+v, want one that is not granted", a)
	}
}
