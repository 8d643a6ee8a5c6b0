package main

import (
	"strings"
	"testing"

	"weir/cluster/control"
)

func TestExplanationIsShownAsSentencesAndATable(t *testing.T) {
	got := explained(&control.Explanation{
		Stream: "cam01", Asked: "n1", State: control.StreamRunning, Owner: "n2", Reason: control.Spill, Pin: "n3", Home: "n3",
		Why: []string{"n2 has it (running)", "its home n3 is dead"},
		Order: []control.Candidate{
			{Node: "n3", Status: control.Stale, Age: 12340, Lists: true},
			{Node: "n2", Status: control.Alive, Alive: true, Direct: true, Age: 700, Lists: true, Claim: control.ClaimRunning, Since: 9000},
			{Node: "n1", Status: control.Alive, Alive: true, Direct: true, Detail: "no route"},
		},
	})
	want := `cam01: running on n2 (spill), as n1 sees it
  - n2 has it (running)
  - its home n3 is dead

     NODE  IS     HEARD       CLAIM            REMARKS
  1  n3    stale  12.3 s ago  -                pin, home
  2  n2    alive  0.7 s ago   running for 9 s  
  3  n1    alive  itself      -                not in its file, no route
`
	if got != want {
		t.Errorf("explained = \n%s\nwant\n%s", got, want)
	}
}

func TestForecastWithoutAMoveSaysSo(t *testing.T) {
	f := &control.Forecast{Asked: "n1", Nodes: []control.Share{{Node: "n1", Now: 1, Then: 1}}}
	if got, want := planned(f), "every stream is where it belongs, as n1 sees it\n"; !strings.HasPrefix(got, want) {
		t.Errorf("planned = \n%s\nwant it to begin with %q", got, want)
	}
	f.Moves = []control.Transfer{{Stream: "a", From: "n2", To: "n1"}}
	if got, want := planned(f), "1 stream is not where it belongs, as n1 sees it\n"; !strings.HasPrefix(got, want) {
		t.Errorf("planned = \n%s\nwant it to begin with %q", got, want)
	}
}

func TestForecastIsShownAsTables(t *testing.T) {
	got := planned(&control.Forecast{
		Asked: "n1", Without: []string{"n2"}, Over: 1,
		Nodes: []control.Share{{Node: "n1", Now: 1, Then: 2, Limit: 1}, {Node: "n2", Now: 2}},
		Moves: []control.Transfer{{Stream: "a", From: "n2", To: "n1"}, {Stream: "b", From: "n2"}},
	})
	for _, want := range []string{
		"2 streams would move without n2, as n1 sees it\n", "1 stream would be beyond a node's limits",
		"  n1    1    2     1\n", "  a       n2    n1\n", "  b       n2    nowhere: no live node",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("planned = \n%s\nwant it to contain %q", got, want)
		}
	}
}
