package status

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"weir/actors/act"
	"weir/actors/session"
	"weir/actors/stream"
	"weir/cluster/control"
	"weir/cluster/geo"
	"weir/cluster/wire"
	"weir/protocols/api"
	"weir/protocols/listen"
)

var view = control.View{
	Self: "n1", Instance: "i1", Warm: true, Entries: []string{"10.0.0.1:80"}, Since: control.Second,
	Load: control.Load{CPU: 125, Memory: 500, OutBits: 4000, Captures: 1, Clients: 2, Uptime: 60},
	Peers: []control.PeerView{
		{
			Entry: "10.0.0.2:80", Name: "n2", Met: true, Alive: true, Status: control.Alive, Instance: "i2", Hash: "h2",
			RTT: 3 * control.Millisecond / 2, Since: 10 * control.Second,
		},
		{Entry: "10.0.0.3:80", Name: "10.0.0.3", Status: control.Stale, Why: control.Unreachable, Detail: "dial http://10.0.0.3: no route"},
		{Entry: "10.0.0.4:80", Name: "10.0.0.4", Status: control.Stale, Why: control.Unreachable, Detail: "dial http://10.0.0.4: no route"},
		{Entry: "n1:80", Name: "n1"},
	},
	Streams: []control.StreamView{
		{Name: "cam", Here: true, On: []string{"n1", "n2"}, Owner: "n1", State: control.StreamRunning},
		{Name: "far", On: []string{"n2"}, Owner: "n2", State: control.StreamMoving, Reason: "home", OnDemand: true},
	},
	Alarms: []control.Alarm{{Kind: "all full", Node: "n2", Since: 4 * control.Second, Text: "mend it"}},
}

func of(change func(*Config, *control.View)) *Status {
	v := view
	c := Config{
		View: func() *control.View { return &v }, Now: func() time.Duration { return time.Minute },
		Sessions: session.NewRegistry(), Streams: stream.NewRegistry(), Captures: func() int { return 1 }, Tree: act.NewTree(),
		File: func() File {
			return File{
				Hash: "h1",
				Stream: func(name string) (Stream, bool) {
					return Stream{Title: "Camera", Inputs: []string{"rtsp://c/1"}, Clustered: true, CaptureAt: "n1"}, name == "cam"
				},
				Peers: map[string]Peer{
					"10.0.0.1:80": {Hostname: "one", API: "http://10.0.0.1", Public: "http://10.0.0.1", Fetch: 2 * time.Second, Stale: 10 * time.Second},
					"10.0.0.2:80": {Hostname: "two", API: "http://10.0.0.2", Public: "https://two.example.com", Given: true, Channels: 5},
					"10.0.0.4:80": {API: "http://10.0.0.4", Public: "https://four.example.com", Given: true},
				},
			}
		},
		Ask: func(context.Context, string, proto.Message) (proto.Message, error) {
			return &wire.Description{
				Publisher: "obs", Tracks: []*wire.Track{{Codec: "H.264", Width: 640}}, Inputs: []*wire.Input{{Url: "x", Active: true}},
			}, nil
		},
		Countries: &geo.Database{}, Balancers: func() []api.Balancer { return nil }, Limits: (*listen.Limiter)(nil).Counts,
		Refused: func() (string, time.Duration) { return "", 0 }, Certificates: func() []api.Alarm { return nil },
		History: func(string, time.Duration) (uint64, time.Duration) { return 3, time.Second },
		Rate:    func(string) int64 { return 0 }, Since: func(string) (time.Duration, bool) { return 50 * time.Second, true },
		Go: func(run func(context.Context) error) { go func() { _ = run(context.Background()) }() },
		Others: func(context.Context) map[string]map[string]Figures {
			return map[string]map[string]Figures{"n2": {
				"far": {Captured: true, Clients: 7, Uptime: 9, Bytes: 100, BytesIn: 110, BytesOut: 700, InputKbit: 3, Restarts: 2, Publisher: "obs"},
				"cam": {Clients: 2, BytesOut: 5},
			}}
		},
	}
	if change != nil {
		change(&c, &v)
	}
	return New(c)
}

func TestStreamIsShownAsFarAsTheNodeKnowsIt(t *testing.T) {
	s := of(nil)
	list := s.Streams(t.Context())
	if len(list) != 2 {
		t.Fatalf("%d streams, want 2", len(list))
	}
	if got := list[0]; got.Title != "Camera" || got.ClusterIngest.CaptureAt != "n1" || got.Owner != "n1" || !got.Stats.Alive ||
		!reflect.DeepEqual(got.Inputs, []api.Input{{URL: "rtsp://c/1", State: "running", TracksLeftOut: []api.LeftOut{}}}) {
		t.Errorf("cam is shown as %+v", got)
	}
	if got := list[0]; got.Clients != 2 || got.Stats.BytesOut != 5 || got.Since != 10 {
		t.Errorf("clients of cam at another node: %+v", got)
	}
	if got := list[1]; got.Clients != 7 || got.Restarts != 2 ||
		!reflect.DeepEqual(got.Stats, api.StreamStats{Alive: true, Publisher: "obs", Uptime: 9, Bytes: 100, BytesIn: 110, BytesOut: 700, InputKbit: 3}) {
		t.Errorf("the figures of far are %+v", got)
	}
	if got := list[1]; got.Title != "" || got.Owner != "n2" || !got.OnDemand || got.Reason != "home" || !got.Stats.Alive || got.Inputs != nil {
		t.Errorf("far is shown as %+v", got)
	}
	one, err := s.Stream(t.Context(), "far")
	if err != nil || one.Clients != 7 || one.Stats.Publisher != "obs" || len(one.Stats.MediaInfo) != 1 || one.Inputs[0].State != "running" {
		t.Errorf("with what its owner says far is %+v, %v", one, err)
	}
	silent := of(func(c *Config, _ *control.View) {
		c.Ask = func(context.Context, string, proto.Message) (proto.Message, error) { return nil, errors.New("silent") }
		c.Others = func(context.Context) map[string]map[string]Figures { return nil }
	})
	if one, err := silent.Stream(t.Context(), "far"); err != nil || one.Clients != 0 || one.Owner != "n2" {
		t.Errorf("without its owner's answer far is %+v, %v", one, err)
	}
	if _, err := s.Stream(t.Context(), "none"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("a stream that nobody has: %v, want %v", err, api.ErrNotFound)
	}
}

func TestPeersAreShownWithoutInternalURLsWherePublicOnesAreGiven(t *testing.T) {
	peers := of(nil).Peers(t.Context())
	if len(peers) != 4 {
		t.Fatalf("%d peers, want this node and three others", len(peers))
	}
	one, two, three, four := peers[0], peers[1], peers[2], peers[3]
	if !one.Self || one.Hostname != "one" || one.Name != "n1" || one.Status != "alive" || one.APIURL != "http://10.0.0.1" ||
		one.Since != 59 || one.StaleTimeout != 10_000 || one.Stats.CPUUsage != 12.5 || one.Stats.TotalStreams != 1 || one.Stats.ConfigVersion != "h1" {
		t.Errorf("this node is shown as %+v", one)
	}
	if two.Hostname != "two" || two.Name != "n2" || two.APIURL != "" || two.PublicPayloadURL != "https://two.example.com" ||
		two.Stats.RTT != 1.5 || two.Stats.TotalStreams != 2 || two.ChannelLimit != 5 || two.Stats.InputKbit != 3 || two.Stats.StreamerStatus != "running" {
		t.Errorf("n2 is shown as %+v", two)
	}
	if three.Hostname != "10.0.0.3" || three.Name != "" || three.Error != "dial http://10.0.0.3: no route" || three.Stats.StreamerStatus != "" {
		t.Errorf("a silent peer is shown as %+v", three)
	}
	if four.Error != string(control.Unreachable) {
		t.Errorf("the error of a peer with a public URL is %q", four.Error)
	}
}

func TestNodeIsReadyOnceItIsWarmAndUntilItDrains(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config, *control.View)
		ready  error
		status string
	}{
		{"warm", nil, nil, "alive"},
		{"cold", func(_ *Config, v *control.View) { v.Warm = false }, errNotWarm, string(control.Booting)},
		{"draining", func(_ *Config, v *control.View) { v.Draining = true }, errDraining, "draining"},
	} {
		s := of(tt.change)
		if err := s.Ready(); !errors.Is(err, tt.ready) {
			t.Errorf("%s: ready %v, want %v", tt.name, err, tt.ready)
		}
		if got := s.Peers(t.Context())[0].Status; got != tt.status {
			t.Errorf("%s: status %s, want %s", tt.name, got, tt.status)
		}
	}
	before := of(func(c *Config, _ *control.View) { c.View = func() *control.View { return nil } })
	if before.Ready() == nil || before.Streams(t.Context()) != nil || before.Peers(t.Context()) != nil || before.Alarms() != nil {
		t.Error("before the first view something is shown")
	}
}

func TestAlarmsAndTotals(t *testing.T) {
	s := of(nil)
	if got := s.Alarms(); !slices.Equal(got, []api.Alarm{
		{Kind: "all full", Node: "n2", Since: 56, Text: "mend it"},
		{Kind: "node stale", Node: "10.0.0.3", Since: 60, Text: "10.0.0.3 has not answered for 60 s (dial http://10.0.0.3: no route); no stream has moved for that"},
		{Kind: "node stale", Node: "10.0.0.4", Since: 60, Text: "10.0.0.4 has not answered for 60 s (unreachable); no stream has moved for that"},
	}) {
		t.Errorf("alarms %+v", got)
	}
	if got := s.Totals(); len(got.Streams) != 0 {
		t.Errorf("streams have series that are off: %+v", got.Streams)
	}
	if got := s.Totals(); got.Captures != 1 || len(got.Peers) != 4 || got.Peers[0] != (api.PeerTotals{Name: "n2", Alive: true, RTT: 1500 * time.Microsecond}) {
		t.Errorf("totals %+v", got)
	}
}

func TestStreamsHaveSeriesUpToALimit(t *testing.T) {
	figures := map[string]Figures{"cam": {Clients: 1, BytesIn: 7}, "far": {}}
	var got api.Totals
	of(nil).series(&got, figures)
	want := []api.StreamTotals{{Name: "cam", Up: true, BytesIn: 7, Clients: 1, Moves: 3, Gap: time.Second}, {Name: "far", Up: true, Moves: 3, Gap: time.Second}}
	if !slices.Equal(got.Streams, want) || got.OtherStreams != 0 {
		t.Errorf("series %+v and %d more, want %+v", got.Streams, got.OtherStreams, want)
	}
	for i := range maxSeries {
		figures[fmt.Sprintf("s%d", i)] = Figures{}
	}
	got = api.Totals{}
	of(nil).series(&got, figures)
	if len(got.Streams) != maxSeries || got.OtherStreams != 2 || got.Streams[0].Name != "cam" || got.Streams[5].Up {
		t.Errorf("%d series and %d more, want %d and 2", len(got.Streams), got.OtherStreams, maxSeries)
	}
}
