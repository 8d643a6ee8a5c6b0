package load

import (
	"slices"
	"testing"
	"time"

	"weir/cluster/control"
)

func TestOverlapsAndMistakesAreMeasured(t *testing.T) {
	claim := func(node string, s control.ClaimState) control.ClaimView {
		return control.ClaimView{Node: node, State: s}
	}
	const run, start, drain = control.ClaimRunning, control.ClaimStarting, control.ClaimDraining
	peer := func(s control.Status, process string) []control.PeerView {
		return []control.PeerView{{Name: "n2", Status: s, Alive: s != control.Stale && s != control.Down, Instance: process}}
	}
	for _, tt := range []struct {
		name  string
		views []*control.View // one a second
		over  []time.Duration
		lived []string
	}{
		{
			name: "two run it for two seconds",
			views: []*control.View{
				{Streams: []control.StreamView{{Name: "a", Claimants: []control.ClaimView{claim("n1", run)}}}},
				{Streams: []control.StreamView{{Name: "a", Claimants: []control.ClaimView{claim("n1", run), claim("n2", run)}}}},
				{Streams: []control.StreamView{{Name: "a", Claimants: []control.ClaimView{claim("n1", run), claim("n2", run), claim("n3", start)}}}},
				{Streams: []control.StreamView{{Name: "a", Claimants: []control.ClaimView{claim("n2", run)}}}},
			},
			over: []time.Duration{2 * time.Second},
		},
		{
			name: "a hand-over is none",
			views: []*control.View{
				{Streams: []control.StreamView{{Name: "a", Claimants: []control.ClaimView{claim("n1", drain), claim("n2", run)}}}},
				{Streams: []control.StreamView{{Name: "a", Claimants: []control.ClaimView{claim("n2", run)}}}},
			},
		},
		{
			name: "a stream that goes away",
			views: []*control.View{
				{Streams: []control.StreamView{{Name: "a", Claimants: []control.ClaimView{claim("n1", run), claim("n2", run)}}}},
				{Streams: []control.StreamView{{Name: "b"}}},
			},
			over: []time.Duration{time.Second},
		},
		{name: "a process that was only silent", views: []*control.View{{Peers: peer(control.Alive, "x")}, {Peers: peer(control.Stale, "x")}, {Peers: peer(control.Alive, "x")}}, lived: []string{"n2"}},
		{name: "one that was started anew", views: []*control.View{{Peers: peer(control.Stale, "x")}, {Peers: peer(control.Booting, "y")}, {Peers: peer(control.Alive, "y")}}},
		{name: "one whose machine said that it has ended", views: []*control.View{{Peers: peer(control.Down, "x")}, {Peers: peer(control.Alive, "x")}}},
	} {
		var o Overlaps
		var over []time.Duration
		var lived []string
		for i, v := range tt.views {
			o.Changed(v, time.Duration(i)*time.Second, func(d time.Duration) { over = append(over, d) }, func(p string) { lived = append(lived, p) })
		}
		if !slices.Equal(over, tt.over) || !slices.Equal(lived, tt.lived) {
			t.Errorf("%s: overlaps %v, mistaken %v; want %v, %v", tt.name, over, lived, tt.over, tt.lived)
		}
	}
}
