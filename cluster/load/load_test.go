package load

import (
	"slices"
	"testing"
	"time"

	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/control"
)

func TestLoadIsRememberedAsItWasMeasured(t *testing.T) {
	sent := uint64(0)
	m := New(Config{
		Sessions: session.NewRegistry(), Streams: stream.NewRegistry(),
		Burden:   func() Burden { return Burden{CPU: 1, Memory: 2, Interface: 3} },
		Captures: func() int { return 4 }, Playlists: func() uint64 { return sent },
		Chosen: func(now time.Duration) int { return int(now.Seconds()) },
	})
	m.Measure(5 * time.Second)
	sent = 1000
	want := control.Load{Uptime: 7, CPU: 1, Memory: 2, Interface: 3, Captures: 4, Chosen: 7, OutBits: 800}
	if got := m.Measure(7 * time.Second); got != want {
		t.Errorf("measured %+v, want %+v", got, want)
	}
	if got, at := m.Load(); got != want || at != 7*time.Second {
		t.Errorf("remembered %+v of %v, want %+v", got, at, want)
	}
	if m.Rate("none") != 0 {
		t.Error("a stream that is not here has a rate")
	}
}

func TestOutageIsReportedWhereTheStreamRunsAgain(t *testing.T) {
	type outage struct {
		cause string
		d     time.Duration
	}
	// view is a view of n1 with the stream cam, which n2 owned before.
	view := func(owner string, state control.ClaimState, alive bool) *control.View {
		return &control.View{
			Self: "n1", Peers: []control.PeerView{{Name: "n2", Alive: alive}},
			Streams: []control.StreamView{{Name: "cam", Kind: control.Kept, Owner: owner, OwnerState: state}},
		}
	}
	for _, tt := range []struct {
		name  string
		views []*control.View // a second apart
		want  []outage
	}{
		{"its owner dies and it comes here", []*control.View{
			view("n2", control.ClaimRunning, true), view("", "", false), view("n1", control.ClaimStarting, false), view("n1", control.ClaimRunning, false),
		}, []outage{{"crash", 5 * time.Second}}},
		{"its owner lets go of it", []*control.View{
			view("n2", control.ClaimRunning, true), view("", "", true), view("n1", control.ClaimRunning, true),
		}, []outage{{"release", time.Second}}},
		{"another node takes it over", []*control.View{
			view("n3", control.ClaimRunning, true), view("", "", true), view("n2", control.ClaimRunning, true),
		}, nil},
		{"it goes over without an outage", []*control.View{
			view("n2", control.ClaimRunning, true), view("n1", control.ClaimRunning, true),
		}, nil},
		{"it is gone from the file", []*control.View{
			view("n2", control.ClaimRunning, true), view("", "", true), {Self: "n1"}, view("n1", control.ClaimRunning, true),
		}, nil},
	} {
		var o Outages
		var got []outage
		o.Noted(control.Note{Kind: control.NoteStale, Node: "n2", Age: 3 * control.Second})
		for i, v := range tt.views {
			o.Changed(v, time.Duration(i)*time.Second, func(cause string, d time.Duration) { got = append(got, outage{cause, d}) })
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: outages %v, want %v", tt.name, got, tt.want)
		}
	}
}
