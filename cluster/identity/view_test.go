package identity

import (
	"reflect"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"
	"github.com/asynkron/protoactor-go/remote"

	"weir/cluster/control"
)

func TestStreamIDHoldsNoSlashOfTheName(t *testing.T) {
	for in, want := range map[string]string{
		"cam01":    "node/streams/cam01",
		"live/a b": "node/streams/live%2Fa%20b",
		"видео":    "node/streams/%D0%B2%D0%B8%D0%B4%D0%B5%D0%BE",
		"a%2Fb":    "node/streams/a%252Fb",
	} {
		if got := StreamID(in); got != want || !isStream(got) {
			t.Errorf("StreamID(%q) = %q, want %q", in, got, want)
		}
	}
}

// unbooted is a cluster whose remote never listens, as the simulator has it.
func unbooted(t *testing.T) (*cluster.Cluster, *Provider) {
	t.Helper()
	sys := actor.NewActorSystem(actor.WithLoggerFactory(quiet))
	p := NewProvider()
	rc := remote.Configure("127.0.0.1", 0)
	c := cluster.New(sys, cluster.Configure("weir", p, Lookup{p}, rc))
	c.Remote, c.IdentityLookup = remote.NewRemote(sys, rc), Lookup{p}
	p.Bind(c)
	return c, p
}

var two = View{
	Self:    "n1",
	Members: []Member{{Name: "n1", Addr: "10.0.0.1:8090", SysID: "A"}, {Name: "n2", Addr: "10.0.0.2:8090", SysID: "B"}, {Name: "n3", SysID: "C"}},
	Owner:   map[string]string{"cam01": "n1", "live/x": "n2", "lost": "n9", "mute": "n3"},
}

func TestLookupAnswersFromTheLastView(t *testing.T) {
	c, p := unbooted(t)
	if pid := c.Get("cam01", Kind); pid != nil {
		t.Errorf("before the first view: Get = %v, want nil", pid)
	}
	p.Publish(&two)
	for stream, want := range map[string]string{
		"cam01":   "10.0.0.1:8090/node/streams/cam01",
		"live/x":  "10.0.0.2:8090/node/streams/live%2Fx",
		"lost":    "", // its owner is no member
		"mute":    "", // its owner has no address yet
		"unknown": "",
	} {
		got := ""
		if pid := c.Get(stream, Kind); pid != nil {
			got = pid.GetAddress() + "/" + pid.GetId()
		}
		if got != want {
			t.Errorf("Get(%q) = %q, want %q", stream, got, want)
		}
	}
	if pid := c.Get("cam01", "topic"); pid != nil {
		t.Errorf("Get of another kind = %v, want nil", pid)
	}
}

func TestPublishTellsMembersByGeneration(t *testing.T) {
	c, p := unbooted(t)
	var topologies []string
	c.ActorSystem.EventStream.Subscribe(func(e any) {
		if m, ok := e.(*cluster.ClusterTopology); ok {
			var ids []string
			for _, m := range m.GetMembers() {
				ids = append(ids, m.GetId())
			}
			topologies = append(topologies, strings.Join(ids, ","))
		}
	})
	alone := View{Self: "n1", Members: two.Members[:1]}
	again := View{Self: "n1", Members: []Member{two.Members[0], {Name: "n2", Addr: "10.0.0.2:8090", SysID: "B", Gen: 1}}}
	for _, v := range []*View{&two, &two, &alone, &again} {
		p.Publish(v)
	}
	if got, want := strings.Join(topologies, " "), "A,B#0 A A,B#1"; got != want {
		t.Errorf("topologies = %q, want %q: a view that changes no member tells nothing", got, want)
	}
	p.Publish(&alone)
	p.Publish(&again)
	if got := c.MemberList.Length(); got != 1 {
		t.Errorf("a member that returns under the generation with which it left: %d members, want 1, as it is blocked", got)
	}
}

func TestPublishForgetsWhereStreamsWere(t *testing.T) {
	c, p := unbooted(t)
	p.Publish(&two)
	for _, s := range []string{"cam01", "live/x"} {
		c.PidCache.Set(s, Kind, c.Get(s, Kind))
	}
	p.Publish(&View{Self: "n1", Members: two.Members, Owner: map[string]string{"cam01": "n2", "live/x": "n2"}})
	if _, ok := c.PidCache.Get("cam01", Kind); ok {
		t.Error("a stream that moved is still cached")
	}
	if _, ok := c.PidCache.Get("live/x", Kind); !ok {
		t.Error("a stream that stayed is no longer cached")
	}
}

var addressTests = []struct {
	name, listen, advertise string
	want                    string // empty means an error
}{
	{"own host", "127.0.0.1:8090", "", "127.0.0.1:8090"},
	{"IPv6", "[::1]:8090", "", "[::1]:8090"},
	{"host", "0.0.0.0:8090", "n1.example", "n1.example:8090"},
	{"host and port", ":8090", "n1.example:18090", "n1.example:18090"},
	{"IPv6 host", "[::]:8090", "2001:db8::1", "[2001:db8::1]:8090"},
	{"IPv6 host and port", "[::]:8090", "[2001:db8::1]:18090", "[2001:db8::1]:18090"},
	{"every address", "0.0.0.0:8090", "", ""},
	{"every address, short", ":8090", "", ""},
	{"no port to reach", ":8090", "n1.example:0", ""},
	{"no host to reach", ":8090", ":8090", ""},
}

func TestAdvertised(t *testing.T) {
	for _, tt := range addressTests {
		o := Options{Listen: tt.listen, Advertise: tt.advertise}
		host := tt.listen[:strings.LastIndexByte(tt.listen, ':')]
		got, err := o.advertised(strings.Trim(host, "[]"), 8090)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: advertised = %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestViewOfTheControlPlaneHasTheLiveNodesAndTheOwners(t *testing.T) {
	v := ViewOf(&control.View{
		Self: "n1", Peers: []control.PeerView{
			{Name: "n2", Alive: true, Generation: 3, Advert: control.Advert{Remote: "10.0.0.2:7000", SysID: "s2"}},
			{Name: "n3", Advert: control.Advert{Remote: "10.0.0.3:7000", SysID: "s3"}},
		},
		Streams: []control.StreamView{{Name: "cam", Owner: "n2"}, {Name: "none"}},
	}, Member{Addr: "10.0.0.1:7000", SysID: "s1"})
	want := &View{
		Self: "n1", Owner: map[string]string{"cam": "n2"},
		Members: []Member{{Name: "n1", Addr: "10.0.0.1:7000", SysID: "s1"}, {Name: "n2", Addr: "10.0.0.2:7000", SysID: "s2", Gen: 3}},
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("the view is %+v, want %+v", v, want)
	}
}
