package status

import (
	"testing"
	"time"

	"weir/cluster/control"
)

func TestAlarmsSayWhatIsWrongAndWhatHasBecomeOfTheStreams(t *testing.T) {
	const second = control.Second
	running := func(name, home, owner string) control.StreamView {
		return control.StreamView{Name: name, Home: home, Owner: owner, OwnerState: control.ClaimRunning, State: control.StreamRunning}
	}
	failed := func(name, home, why string) control.StreamView {
		return control.StreamView{Name: name, Home: home, State: control.StreamFailed, Detail: why}
	}
	stale := control.PeerView{Name: "n2", Status: control.Stale, Since: 90 * second, LoadAt: 88 * second, Detail: "no route"}
	down := control.PeerView{Name: "n3", Status: control.Down, Since: 99 * second}
	well := control.PeerView{Name: "n4", Status: control.Alive}
	for _, tt := range []struct {
		name    string
		peers   []control.PeerView
		streams []control.StreamView
		want    []string
	}{
		{"all is well", []control.PeerView{well, {Name: "n5", Status: control.Draining}, {Name: "n6", Status: control.Booting}}, []control.StreamView{running("a", "n4", "n4")}, nil},
		{
			"a silent node whose streams have moved",
			[]control.PeerView{stale, well},
			[]control.StreamView{running("a", "n2", "n4"), running("b", "n2", "n1"), running("c", "n2", "n4"), running("d", "n4", "n4")},
			[]string{"node stale n2 10 s: n2 has not answered for 12 s (no route); its 3 streams run on n4 (2) and n1 (1); they go back 30 s after it returns"},
		},
		{
			"a process that has ended",
			[]control.PeerView{down},
			[]control.StreamView{running("a", "n3", "n1"), {Name: "b", Home: "n3", Owner: "n1", OwnerState: control.ClaimStarting, State: control.StreamStarting}},
			[]string{"node down n3 1 s: the process of n3 has ended 1 s ago; its stream runs on n1; one of its streams runs nowhere; it goes back 30 s after it returns"},
		},
		{
			"a node without streams",
			[]control.PeerView{{Name: "n2", Status: control.NeverSeen, Detail: "no route"}},
			nil,
			[]string{"node never seen n2 100 s: n2 has not been heard since this node started 100 s ago (no route): look whether it runs, and at its address in the file; no stream has moved for that"},
		},
		{"a start", []control.PeerView{{Name: "n2", Status: control.NeverSeen, Detail: "no route"}}, nil, nil},
		{
			"another key",
			[]control.PeerView{{Name: "n2", Status: control.Refused, Since: 40 * second}},
			[]control.StreamView{{Name: "p", Home: "n2", State: control.StreamWaiting}},
			[]string{"node unauthorised n2 60 s: n2 and this node have refused each other for 60 s: write the same cluster_key into both files; no stream has moved for that"},
		},
		{
			"one that fails", nil,
			[]control.StreamView{failed("a", "n1", "404"), running("b", "n1", "n1")},
			[]string{"streams failed  60 s: one stream does not run: a (404)"},
		},
		{
			"many that fail", nil,
			[]control.StreamView{failed("a", "", "404"), failed("b", "", ""), failed("c", "", "410"), failed("d", "", "500"), failed("e", "", "500")},
			[]string{"streams failed  60 s: 5 streams do not run: a (404), b (no reason is known), c (410) and 2 more"},
		},
	} {
		v := &control.View{Self: "n1", Warm: tt.name != "a start", Peers: tt.peers, Streams: tt.streams}
		now := 100 * second
		var got []string
		for _, a := range append(absences(v, now, File{ReturnHolddown: 30 * time.Second}), failures(v, now, func(string) (time.Duration, bool) { return 40 * time.Second, true })...) {
			got = append(got, a.Kind+" "+a.Node+" "+InWords(a.Since)+": "+a.Text)
		}
		if len(got) != len(tt.want) {
			t.Errorf("%s: the alarms are %q, want %q", tt.name, got, tt.want)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%s: alarm %d is\n%s\nwant\n%s", tt.name, i, got[i], tt.want[i])
			}
		}
	}
}
