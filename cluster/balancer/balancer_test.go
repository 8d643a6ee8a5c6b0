package balancer

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"weir/cluster/balance"
	"weir/cluster/control"
	"weir/cluster/follower"
	"weir/protocols/hls"
	"weir/protocols/listen"
)

const stale = 10 * time.Second

// A fake is a node n with the peer p; both, and the server s that is no peer, are in the balancer b.
type fake struct {
	*Balancers
	view *control.View
	load control.Load
	now  time.Duration
}

func newFake(change func(*fake)) *fake {
	f := &fake{now: time.Minute, view: &control.View{
		Self: "n", Instance: "i", Entries: []string{"10.0.0.1:80"}, Warm: true,
		Peers: []control.PeerView{{
			Entry: "10.0.0.2:80", Name: "p", Met: true, Alive: true, Status: control.Alive, LoadAt: control.Instant(time.Minute),
		}},
		Streams: []control.StreamView{{Name: "cam", On: []string{"n"}}},
	}}
	f.Balancers = New(Config{
		View: func() *control.View { return f.view }, Now: func() time.Duration { return f.now },
		Load: func() (control.Load, time.Duration) { return f.load, f.now },
		Rate: func(string) int64 { return 0 }, Country: func(netip.Addr) string { return "" },
	})
	f.Configure([]Balancer{{Name: "b", Mode: balance.Clients, Servers: []Server{
		{Entry: balance.Entry{Name: "10.0.0.1"}, Key: "10.0.0.1:80", Peer: true, Public: "http://n.example.com", Private: "http://10.0.0.1"},
		{Entry: balance.Entry{Name: "10.0.0.2"}, Key: "10.0.0.2:80", Peer: true, Public: "https://p.example.com", Private: "http://10.0.0.2"},
		{Entry: balance.Entry{Name: "s.example.com"}, Key: "s.example.com:80", Public: "http://s.example.com", Private: "http://s.example.com"},
	}}})
	f.Seen(answered(nil))
	if change != nil {
		change(f)
	}
	return f
}

// answered is what the server s has said.
func answered(change func(*follower.State)) follower.State {
	s := follower.State{Entry: "s.example.com:80", Name: "s", Instance: "j", Met: true, Stale: stale, Answered: time.Minute, Warm: true, LoadAt: time.Minute}
	if change != nil {
		change(&s)
	}
	return s
}

func client(stream string) Request {
	return Request{Request: listen.Request{Streams: []string{stream}, Remote: netip.MustParseAddrPort("192.0.2.1:4000"), Agent: "vlc"}}
}

// all chooses until no server is left.
func (f *fake) all(r Request) (keys []string) {
	for {
		c, ok := f.Choose("b", r, keys)
		if !ok {
			slices.Sort(keys)
			return keys
		}
		keys = append(keys, c.Server)
	}
}

const self, other, server = "10.0.0.1:80", "10.0.0.2:80", "s.example.com:80"

var candidateTests = []struct {
	name   string
	change func(*fake)
	client func(*Request)
	want   []string // the servers that can be chosen
}{
	{"all are ready", nil, nil, []string{self, other, server}},
	{"the peer is dead", func(f *fake) { f.view.Peers[0].Alive = false }, nil, []string{self, server}},
	{"the peer has another key", func(f *fake) { f.view.Peers[0].Status = control.Refused }, nil, []string{self, server}},
	{"the peer drains", func(f *fake) { f.view.Peers[0].Status = control.Draining }, nil, []string{self, server}},
	{"this node drains", func(f *fake) { f.view.Draining = true }, nil, []string{other, server}},
	{"the peer is known by another entry", func(f *fake) {
		f.view.Peers[0].Entry, f.view.Peers[0].Aliases = "p:80", []string{other}
	}, nil, []string{self, other, server}},
	{"the server has not answered", func(f *fake) { f.Seen(follower.State{Entry: server}) }, nil, []string{self, other}},
	{"the server is silent", func(f *fake) { f.now += stale }, nil, []string{self, other}},
	{"the server drains", func(f *fake) { f.Seen(answered(func(s *follower.State) { s.Draining = true })) }, nil, []string{self, other}},
	{"the server has another key", func(f *fake) {
		f.Seen(answered(func(s *follower.State) { s.Why = control.Unauthorised }))
	}, nil, []string{self, other}},
	{"the server does not have the stream", func(f *fake) {
		f.Seen(answered(func(s *follower.State) { s.Listed = map[string]control.Listed{"x": {}} }))
	}, nil, []string{self, other}},
	{"nobody has the stream", func(f *fake) {
		f.view.Streams = nil
		f.Seen(answered(func(s *follower.State) { s.Listed = map[string]control.Listed{} }))
	}, nil, []string{self, other, server}},
	{"a publisher goes where the file has the stream", func(f *fake) {
		f.Seen(answered(func(s *follower.State) { s.Listed = map[string]control.Listed{} }))
	}, func(r *Request) { r.Publish = true }, []string{self}},
	{"the server has failed a client", func(f *fake) { f.now++; f.Failed(server) }, nil, []string{self, other}},
	{"the server has failed a client and answered since", func(f *fake) {
		f.now++
		f.Failed(server)
		f.Seen(answered(func(s *follower.State) { s.LoadAt = f.now }))
	}, nil, []string{self, other, server}},
	{"a client that came by https is not sent to http", nil, func(r *Request) { r.Secure, r.Redirected = true, true }, []string{self, other}},
	{"a viewer by https whose playlists come from here", nil, func(r *Request) { r.Secure = true }, []string{self, other, server}},
	{"nothing is known yet", func(f *fake) { f.view = nil }, nil, []string{server}},
}

func TestServersThatCanTakeAClientAreChosen(t *testing.T) {
	for _, tt := range candidateTests {
		t.Run(tt.name, func(t *testing.T) {
			r := client("cam")
			if tt.client != nil {
				tt.client(&r)
			}
			if got := newFake(tt.change).all(r); !slices.Equal(got, tt.want) {
				t.Errorf("%v can be chosen, want %v", got, tt.want)
			}
		})
	}
}

func TestClientLearnsWhereItsServerIs(t *testing.T) {
	f := newFake(nil)
	want := map[string]hls.Target{
		self:   {Server: self, Here: true},
		other:  {Server: other, Public: "https://p.example.com", Upstream: "http://10.0.0.2"},
		server: {Server: server, Public: "http://s.example.com", Upstream: "http://s.example.com"},
	}
	for key, choice := range want {
		if got, ok := f.Usable("b", key, client("cam")); got != choice || !ok {
			t.Errorf("Usable(%s) = %+v, %t, want %+v", key, got, ok, choice)
		}
	}
	f.Seen(answered(func(s *follower.State) { s.Instance = "i" })) // it is this node, by another name
	if got, _ := f.Usable("b", server, client("cam")); !got.Here || got.Public != "" {
		t.Errorf("Usable of this node = %+v", got)
	}
	f.view.Peers[0].Alive = false
	if _, ok := f.Usable("b", other, client("cam")); ok {
		t.Error("a dead server may go on serving its viewers")
	}
	if _, ok := f.Choose("none", client("cam"), nil); ok || f.Has("none") || !f.Has("b") {
		t.Error("there is a balancer that was not configured")
	}
}

func TestChoicesOfOtherNodesWeighOnTheirServers(t *testing.T) {
	f := newFake(func(f *fake) { f.PerSecond(f.now) })
	for range 20 {
		f.Choose("b", client("cam"), nil)
	}
	f.now += 2 * time.Second
	if got := f.PerSecond(f.now); got != 10 {
		t.Errorf("PerSecond = %d, want 10", got)
	}
	f.now += time.Second
	weight := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.weight(f.now)
	}
	if got := weight(); got != 1000 {
		t.Errorf("weight = %d while only this node chooses, want 1000", got)
	}
	f.view.Peers[0].Load.Chosen = 5
	if got := weight(); got != 1500 {
		t.Errorf("weight = %d beside a node that chooses half as often, want 1500", got)
	}
	f.Seen(answered(func(s *follower.State) { s.Load.Chosen = 100 }))
	if got := weight(); got != 3000 {
		t.Errorf("weight = %d, want 3000: at most as if all nodes chose as often as this one", got)
	}
}

func TestBalancerThatGoesLeavesItsServers(t *testing.T) {
	f := newFake(nil)
	f.Configure(nil)
	if f.Has("b") || len(f.servers) > 0 || len(f.Report()) > 0 {
		t.Errorf("there is still %v, %v", f.Report(), f.servers)
	}
}

func TestReportTellsWhyAServerIsNotChosen(t *testing.T) {
	f := newFake(func(f *fake) {
		f.view.Peers[0].Alive = false
		f.load = control.Load{Clients: 7}
		f.Seen(follower.State{Entry: server, Detail: "connection refused"})
	})
	r := f.Report()
	if len(r) != 1 || r[0].Name != "b" || len(r[0].Servers) != 3 {
		t.Fatalf("Report = %+v", r)
	}
	by := map[string]int{}
	for i, s := range r[0].Servers {
		by[s.Server] = i
	}
	me, p, s := r[0].Servers[by["10.0.0.1"]], r[0].Servers[by["10.0.0.2"]], r[0].Servers[by["s.example.com"]]
	if !me.Self || me.Clients != 7 || me.Excluded != "" {
		t.Errorf("this node: %+v", me)
	}
	if !p.Peer || p.Name != "p" || p.Excluded != "dead" {
		t.Errorf("the dead peer: %+v", p)
	}
	if s.Peer || s.Excluded != "dead" || s.Error != "connection refused" {
		t.Errorf("the server that is no peer: %+v", s)
	}
}
