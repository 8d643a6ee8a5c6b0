package sim

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestARunThatEndsTooEarlyIsUnknown(t *testing.T) {
	for _, tt := range []struct {
		name  string
		until time.Duration
		step  Step
		want  bool
	}{
		{"long enough", 130 * time.Second, Step{}, false},
		{"amid a take-over", 121 * time.Second, Step{}, true},
		{"before the expectation", 130 * time.Second, Step{At: 140 * time.Second, Expect: Agreement{}, Line: 3}, true},
	} {
		s := group(t, 3, 6, "")
		s.Steps = []Step{{At: 120 * time.Second, Action: PowerOff{[]string{"n2"}}}}
		if tt.step.Expect != nil {
			s.Steps = append(s.Steps, tt.step)
		}
		s.Until = tt.until
		r := Run(s, Options{})
		report(t, r)
		if r.Unknown != tt.want || r.Unknown != (r.Why != "") {
			t.Errorf("%s: unknown = %t (%s), want %t", tt.name, r.Unknown, r.Why, tt.want)
		}
	}
}

func TestAMachineThatCrashesAtTheBeginningNeverBoots(t *testing.T) {
	s := group(t, 3, 6, "")
	s.Steps = []Step{{Action: Crash{[]string{"n3"}}}}
	s.Until = 10 * time.Second
	r := Run(s, Options{})
	report(t, r)
	for _, h := range r.Holds {
		if h.Node == "n3" {
			t.Fatalf("n3 captures %s at %v", h.Stream, h.From)
		}
		if h.From < 3*time.Second-100*time.Millisecond {
			t.Fatalf("%s captures %s at %v, before it can know that n3 is not there", h.Node, h.Stream, h.From)
		}
	}
}

func TestAKilledActorFailsAndIsRestarted(t *testing.T) {
	s := group(t, 2, 2, "")
	s.Fidelity = Actors
	for i, id := range []string{"control", "peers/n2:8080", "streams/cam001/core", "streams/cam001/inputs/1", "streams/cam002/core"} {
		for _, n := range s.Nodes {
			s.Steps = append(s.Steps, Step{At: time.Duration(20+i) * time.Second, Action: KillActor{n, id}})
		}
	}
	s.Until = 40 * time.Second
	r := Run(s, Options{Keep: true})
	report(t, r)
	failed := map[string]bool{}
	for _, l := range r.Trace {
		for _, st := range s.Steps {
			id := st.Action.(KillActor).ID
			if slices.Contains(strings.Fields(l.Text), "actor=node/"+id) && slices.Contains(strings.Fields(l.Text), "failed") {
				failed[id] = true
			}
		}
	}
	if len(failed) != 5 {
		t.Errorf("only %v failed", failed)
	}
}

func TestAFileForATimeGivesWayToTheOneBeforeIt(t *testing.T) {
	s := group(t, 3, 6, "")
	short, other := *s.Files[""], *s.Files[""]
	short.Streams = short.Streams[:4]
	other.Streams = other.Streams[:5]
	const sec = time.Second
	s.Steps = []Step{
		{At: 20 * sec, To: 40 * sec, Action: Edit{[]string{"n1"}, &short}},
		{At: 30 * sec, To: 50 * sec, Action: Edit{[]string{"n1"}, &other}}, // ends later, and comes back to what was before both
		{At: 20 * sec, To: 30 * sec, Action: Edit{[]string{"n2"}, &short}},
		{At: 19 * sec, To: 29 * sec, Action: Pause{[]string{"n2"}}}, // sees the file only when it goes on
		{At: 25 * sec, To: 60 * sec, Action: Pause{[]string{"n3"}}},
		{At: 26 * sec, Action: Edit{[]string{"n3"}, &short}},
		{At: 27 * sec, Action: Crash{[]string{"n3"}}},
		{At: 28 * sec, Action: Restart{Nodes: []string{"n3"}}},
	}
	s.Until = 70 * sec
	w := newWorld(s, Options{})
	at := func(d time.Duration, node int, want int) {
		w.queue.push(item{at: d, do: func() {
			if got := len(w.machines[node].file.Streams); got != want {
				t.Errorf("at %v n%d has a file of %d streams, want %d", d, node+1, got, want)
			}
		}})
	}
	at(25*sec, 0, 4)
	at(35*sec, 0, 5)
	at(45*sec, 0, 5)
	at(55*sec, 0, 6)
	at(25*sec, 1, 6)
	at(29*sec+1, 1, 4)
	at(35*sec, 1, 6)
	at(26*sec+1, 2, 6)
	at(29*sec, 2, 4)
	w.run()
	report(t, w.finish())
}
