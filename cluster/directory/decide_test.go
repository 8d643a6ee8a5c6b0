package directory_test

import (
	"net/url"
	"testing"

	"weir/cluster/directory"
	"weir/protocols"
	"weir/protocols/listen"
)

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const (
	private = "http://10.0.0.2:8081"
	token   = "token=a%2Fb&x=1"
)

// view knows the peers p, whose public URL is the given one, and q; cam runs at p.
func view(t *testing.T, public string, p directory.Policy, change func(*directory.View)) *directory.View {
	t.Helper()
	v := &directory.View{
		Self: "n", Warm: true,
		Nodes: map[string]directory.Node{
			"p": {Name: "p", Alive: true, Public: parse(t, public), Private: parse(t, private), Ports: protocols.Ports{RTMP: 1936, RTSP: 554}},
			"q": {Name: "q", Alive: true, Public: parse(t, "http://q.example.com"), Private: parse(t, "http://10.0.0.3"), Clients: 3},
		},
		Streams: map[string]directory.Stream{"cam": {Owner: "p", OwnerRunning: true, Configured: true, Policy: p}},
	}
	if change != nil {
		change(v)
	}
	return v
}

func ask(p protocols.Protocol, path string) listen.Request {
	return listen.Request{Protocol: p, Streams: []string{"cam"}, Path: path, Query: token, Host: "n.example.com"}
}

func only(ps ...protocols.Protocol) map[protocols.Protocol]bool {
	m := map[protocols.Protocol]bool{}
	for _, p := range ps {
		m[p] = true
	}
	return m
}

var elsewhereTests = []struct {
	name    string
	public  string
	given   bool
	ports   protocols.Ports // of the owner; zero stands for those of [view]
	policy  directory.Policy
	request func(listen.Request) listen.Request
	proto   protocols.Protocol
	path    string
	want    directory.Decision
}{
	{
		name: "HTTP MPEG-TS is redirected with path, query and token as they are", public: "http://cdn.example.com:8080", proto: protocols.TS, path: "/cam/mpegts",
		want: directory.Decision{Kind: directory.Redirect, Location: "http://cdn.example.com:8080/cam/mpegts?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "the public URL's scheme counts, not the client's", public: "https://cdn.example.com", proto: protocols.FLV, path: "/cam.flv",
		want: directory.Decision{Kind: directory.Redirect, Location: "https://cdn.example.com/cam.flv?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "RTSP takes the public host and the advertised port", public: "https://cdn.example.com:8443", proto: protocols.RTSP, path: "/cam",
		want: directory.Decision{Kind: directory.Redirect, Location: "rtsp://cdn.example.com/cam?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "an IPv6 host keeps its brackets", public: "http://[2001:db8::1]:80", proto: protocols.RTSP, path: "/cam",
		want: directory.Decision{Kind: directory.Redirect, Location: "rtsp://[2001:db8::1]/cam?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "a client that a balancer has sent here is not sent on", public: "http://cdn.example.com", proto: protocols.TS, path: "/cam/mpegts",
		request: func(r listen.Request) listen.Request { r.Here = true; return r },
		want:    directory.Decision{Kind: directory.Relay},
	},
	{
		name: "and gets segments from here too", public: "http://cdn.example.com", proto: protocols.HLS, path: "/cam/ts.m3u8",
		request: func(r listen.Request) listen.Request { r.Here, r.Hops = true, 9; return r },
		want:    directory.Decision{Kind: directory.Fetch, Upstream: private},
	},
	{
		name: "RTMP is relayed", public: "http://cdn.example.com", proto: protocols.RTMP, path: "/live/cam",
		want: directory.Decision{Kind: directory.Relay},
	},
	{
		name: "RTMP to a client that says it follows is redirected", public: "http://cdn.example.com", proto: protocols.RTMP, path: "/live/cam",
		request: func(r listen.Request) listen.Request { r.Redirects = true; return r },
		want:    directory.Decision{Kind: directory.Redirect, Location: "rtmp://cdn.example.com:1936/live/cam?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "redirect=rtmp", public: "http://cdn.example.com", policy: directory.Policy{Redirect: only(protocols.RTMP)}, proto: protocols.RTMP, path: "/live/cam",
		want: directory.Decision{Kind: directory.Redirect, Location: "rtmp://cdn.example.com:1936/live/cam?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "relay=mpegts", public: "http://cdn.example.com", policy: directory.Policy{Relay: only(protocols.TS)}, proto: protocols.TS, path: "/cam/mpegts",
		want: directory.Decision{Kind: directory.Relay},
	},
	{
		name: "an https viewer is not sent to plain http", public: "http://cdn.example.com", proto: protocols.TS, path: "/cam/mpegts",
		request: func(r listen.Request) listen.Request { r.Secure = true; return r },
		want:    directory.Decision{Kind: directory.Relay},
	},
	{
		name: "a client behind a proxy is not sent to an address that nobody says is public", public: "http://10.0.0.2", proto: protocols.FLV, path: "/cam.flv",
		request: func(r listen.Request) listen.Request { r.Proxied = true; return r },
		want:    directory.Decision{Kind: directory.Relay},
	},
	{
		name: "but to the public URL that the file gives", public: "http://cdn.example.com", given: true, proto: protocols.FLV, path: "/cam.flv",
		request: func(r listen.Request) listen.Request { r.Proxied = true; return r },
		want:    directory.Decision{Kind: directory.Redirect, Location: "http://cdn.example.com/cam.flv?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "unless TLS is known to end at the proxy", public: "http://cdn.example.com", given: true, proto: protocols.FLV, path: "/cam.flv",
		request: func(r listen.Request) listen.Request { r.Proxied, r.Secure = true, true; return r },
		want:    directory.Decision{Kind: directory.Relay},
	},
	{
		name: "a client behind a proxy may go wherever https leads", public: "https://cdn.example.com", proto: protocols.FLV, path: "/cam.flv",
		request: func(r listen.Request) listen.Request { r.Proxied, r.Secure = true, true; return r },
		want:    directory.Decision{Kind: directory.Redirect, Location: "https://cdn.example.com/cam.flv?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "segments for a client behind a proxy come through here", public: "http://10.0.0.2", proto: protocols.HLS, path: "/cam/ts.m3u8",
		request: func(r listen.Request) listen.Request { r.Proxied = true; return r },
		want:    directory.Decision{Kind: directory.Fetch, Upstream: private},
	},
	{
		name: "hls=redirect does not lead a client behind a proxy away either", public: "http://10.0.0.2", policy: directory.Policy{HLS: directory.RedirectAll}, proto: protocols.HLS, path: "/cam/index.m3u8",
		request: func(r listen.Request) listen.Request { r.Proxied = true; return r },
		want:    directory.Decision{Kind: directory.Fetch, Upstream: private},
	},
	{
		name: "RTSP within TLS goes to the port with TLS", public: "https://cdn.example.com:8443", ports: protocols.Ports{RTSP: 554, RTSPS: 8322}, proto: protocols.RTSP, path: "/cam",
		request: func(r listen.Request) listen.Request { r.Secure = true; return r },
		want:    directory.Decision{Kind: directory.Redirect, Location: "rtsps://cdn.example.com:8322/cam?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "the usual port of RTSPS is left out", public: "http://cdn.example.com", ports: protocols.Ports{RTSPS: 322}, proto: protocols.RTSP, path: "/cam",
		request: func(r listen.Request) listen.Request { r.Secure = true; return r },
		want:    directory.Decision{Kind: directory.Redirect, Location: "rtsps://cdn.example.com/cam?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "RTMP within TLS goes to the port with TLS, if it follows", public: "http://cdn.example.com", ports: protocols.Ports{RTMP: 1935, RTMPS: 1443}, policy: directory.Policy{Redirect: only(protocols.RTMP)},
		proto: protocols.RTMP, path: "/live/cam", request: func(r listen.Request) listen.Request { r.Secure = true; return r },
		want: directory.Decision{Kind: directory.Redirect, Location: "rtmps://cdn.example.com:1443/live/cam?token=a%2Fb&x=1&weir_hops=1"},
	},
	{
		name: "RTMP without TLS does not go to a node with RTMPS alone", public: "http://cdn.example.com", ports: protocols.Ports{RTMPS: 443}, policy: directory.Policy{Redirect: only(protocols.RTMP)},
		proto: protocols.RTMP, path: "/live/cam", want: directory.Decision{Kind: directory.Relay},
	},
	{
		name: "a port with TLS does not make plain HTTP fit for an https viewer", public: "http://cdn.example.com", ports: protocols.Ports{HTTPS: 443}, proto: protocols.TS, path: "/cam/mpegts",
		request: func(r listen.Request) listen.Request { r.Secure = true; return r },
		want:    directory.Decision{Kind: directory.Relay},
	},
	{
		name: "RTSP within TLS is relayed where the owner has none", public: "https://cdn.example.com", given: true, proto: protocols.RTSP, path: "/cam",
		request: func(r listen.Request) listen.Request { r.Secure = true; return r },
		want:    directory.Decision{Kind: directory.Relay},
	},
	{
		name: "RTSP through a proxy is relayed", public: "http://10.0.0.2", proto: protocols.RTSP, path: "/cam",
		request: func(r listen.Request) listen.Request { r.Proxied = true; return r },
		want:    directory.Decision{Kind: directory.Relay},
	},
	{
		name: "HLS: playlists from here, segments from the public URL", public: "http://cdn.example.com", proto: protocols.HLS, path: "/cam/index.m3u8",
		want: directory.Decision{Kind: directory.Fetch, Upstream: private, Public: "http://cdn.example.com"},
	},
	{
		name: "hls=relay", public: "http://cdn.example.com", policy: directory.Policy{HLS: directory.RelayAll}, proto: protocols.HLS, path: "/cam/index.m3u8",
		want: directory.Decision{Kind: directory.Fetch, Upstream: private},
	},
	{
		name: "HLS over https with a plain public URL: all through here", public: "http://cdn.example.com", proto: protocols.HLS, path: "/cam/index.m3u8",
		request: func(r listen.Request) listen.Request { r.Secure = true; return r },
		want:    directory.Decision{Kind: directory.Fetch, Upstream: private},
	},
	{
		name: "hls=redirect", public: "http://cdn.example.com", policy: directory.Policy{HLS: directory.RedirectAll}, proto: protocols.HLS, path: "/cam/index.m3u8",
		want: directory.Decision{Kind: directory.Redirect, Location: "http://cdn.example.com/cam/index.m3u8?token=a%2Fb&x=1&weir_hops=1", Upstream: private},
	},
	{
		name: "a client that has been sent on once may be sent on again", public: "http://cdn.example.com", proto: protocols.TS, path: "/cam/mpegts",
		request: func(r listen.Request) listen.Request { r.Hops, r.Query = 1, "weir_hops=1"; return r },
		want:    directory.Decision{Kind: directory.Redirect, Location: "http://cdn.example.com/cam/mpegts?weir_hops=2"},
	},
	{
		name: "but not a third time", public: "http://cdn.example.com", proto: protocols.TS, path: "/cam/mpegts",
		request: func(r listen.Request) listen.Request { r.Hops = 2; return r },
		want:    directory.Decision{Kind: directory.Loop},
	},
	{
		name: "another node takes its media from the owner, never from here", public: "http://cdn.example.com", proto: protocols.Relay, path: "/cluster/relay/cam",
		want: directory.Decision{Kind: directory.NotFound},
	},
}

func TestClientIsLedToTheStream(t *testing.T) {
	for _, tt := range elsewhereTests {
		t.Run(tt.name, func(t *testing.T) {
			r := ask(tt.proto, tt.path)
			if tt.request != nil {
				r = tt.request(r)
			}
			got := view(t, tt.public, tt.policy, func(v *directory.View) {
				p := v.Nodes["p"]
				p.PublicGiven = tt.given
				if tt.ports != (protocols.Ports{}) {
					p.Ports = tt.ports
				}
				v.Nodes["p"] = p
			}).Decide(r)
			if got.Kind != tt.want.Kind || got.Location != tt.want.Location || got.Upstream != tt.want.Upstream || got.Public != tt.want.Public {
				t.Errorf("Decide = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestWhereAStreamIs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*directory.View)
		kind   directory.Kind
		peer   string
	}{
		{"at a peer", nil, directory.Redirect, "p"},
		{"here", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Here: true, Running: true}
		}, directory.Here, ""},
		{"about to run here", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Here: true}
		}, directory.Here, ""},
		{"about to run here while a peer still has it", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Here: true, Owner: "p", OwnerRunning: true}
		}, directory.Redirect, "p"},
		{"configured, and nobody has it yet", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Configured: true}
		}, directory.Hold, ""},
		{"a name of which nobody knows, by a node that does not know much yet", func(v *directory.View) {
			v.Warm, v.Streams = false, nil
		}, directory.Hold, ""},
		{"a name of which nobody knows", func(v *directory.View) { v.Streams = nil }, directory.NotFound, ""},
		{"switched off", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Disabled: true}
		}, directory.Disabled, ""},
		{"not clustered, at several peers: the one with the fewest clients", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Owners: []string{"q", "p"}, Elsewhere: []string{"q"}}
		}, directory.Redirect, "p"},
		{"on demand, and nobody has it yet", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Configured: true, OnDemand: true}
		}, directory.Hold, ""},
		{"on demand on each node, and a peer has it", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Configured: true, OnDemand: true, Own: true, Owners: []string{"q"}}
		}, directory.Hold, ""},
		{"not clustered, in a peer's file only", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Elsewhere: []string{"q"}}
		}, directory.Redirect, "q"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := view(t, "http://cdn.example.com", directory.Policy{}, tt.change).Decide(ask(protocols.TS, "/cam/mpegts"))
			if got.Kind != tt.kind || got.Peer != tt.peer {
				t.Errorf("Decide = %+v, want kind %d at %q", got, tt.kind, tt.peer)
			}
		})
	}
}

func TestAnotherNodeIsServedByTheNodeThatCapturesUnlessItIsAnEdge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stream directory.Stream
		edge   bool
		want   directory.Decision
	}{
		{"a peer, captured here", directory.Stream{Here: true, Running: true}, false, directory.Decision{Kind: directory.Here}},
		{"a peer, captured elsewhere", directory.Stream{Owner: "p", OwnerRunning: true}, false, directory.Decision{Kind: directory.NotFound}},
		{"a peer, on demand for the clients of this node", directory.Stream{OnDemand: true, Own: true}, false, directory.Decision{Kind: directory.Hold, OnDemand: true}},
		{"an edge, captured here", directory.Stream{Here: true, Running: true}, true, directory.Decision{Kind: directory.Here}},
		{"an edge, captured elsewhere", directory.Stream{Owner: "p", OwnerRunning: true}, true, directory.Decision{Kind: directory.Relay}},
		{"an edge, on demand", directory.Stream{OnDemand: true}, true, directory.Decision{Kind: directory.Hold, OnDemand: true}},
	} {
		v := view(t, "http://cdn.example.com", directory.Policy{}, func(v *directory.View) { v.Streams["cam"] = tt.stream })
		r := ask(protocols.Relay, "/cluster/relay/cam")
		r.Hops, r.Edge = 1, tt.edge
		if got := v.Decide(r); got.Kind != tt.want.Kind || got.OnDemand != tt.want.OnDemand || got.Location != "" {
			t.Errorf("%s: Decide = %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestFirstNameThatTheViewListsIsMeant(t *testing.T) {
	v := view(t, "http://cdn.example.com", directory.Policy{}, func(v *directory.View) {
		v.Streams["live/cam"] = directory.Stream{Here: true, Running: true}
	})
	r := ask(protocols.RTMP, "/live/cam")
	r.Streams = []string{"live/cam", "cam"}
	if got := v.Decide(r); got.Stream != "live/cam" {
		t.Errorf("with both streams %q is meant, want live/cam", got.Stream)
	}
	delete(v.Streams, "live/cam")
	if got := v.Decide(r); got.Stream != "cam" {
		t.Errorf("with one stream %q is meant, want cam", got.Stream)
	}
}

func TestWaitingGoroutineIsWokenByANewView(t *testing.T) {
	d := directory.New("n")
	_, changed := d.View()
	got := make(chan [2]string, 1)
	go func() {
		<-changed
		v, _ := d.View()
		peer, url := v.Upstream("cam")
		got <- [2]string{peer, url}
	}()
	d.Publish(view(t, "http://cdn.example.com", directory.Policy{}, nil))
	if a, want := <-got, [2]string{"p", private}; a != want {
		t.Errorf("Upstream in the new view = %q, want %q", a, want)
	}
	ctx, cancel := d.While(t.Context(), "cam", "p", private)
	defer cancel()
	d.Publish(view(t, "http://cdn.example.com", directory.Policy{}, nil))
	if ctx.Err() != nil {
		t.Error("While ended although nothing has changed")
	}
	d.Publish(view(t, "http://cdn.example.com", directory.Policy{}, func(v *directory.View) {
		v.Streams["cam"] = directory.Stream{Owner: "q", OwnerRunning: true}
	}))
	<-ctx.Done()
}

func TestOwnerIsToldToOtherServersOnlyWhereItIsCertain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*directory.View)
		node   string // empty: not told
	}{
		{"at a peer", nil, "p"},
		{"here", func(v *directory.View) { v.Streams["cam"] = directory.Stream{Here: true, Running: true} }, "n"},
		{"about to run here", func(v *directory.View) { v.Streams["cam"] = directory.Stream{Here: true} }, ""},
		{"here and at a peer", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Here: true, Running: true, Owner: "p", OwnerRunning: true}
		}, ""},
		{"at a peer that has no media", func(v *directory.View) { v.Streams["cam"] = directory.Stream{Owner: "p"} }, ""},
		{"at a peer that drains", func(v *directory.View) {
			n := v.Nodes["p"]
			n.Draining = true
			v.Nodes["p"] = n
		}, ""},
		{"at every node", func(v *directory.View) { v.Streams["cam"] = directory.Stream{Owners: []string{"q"}} }, "q"},
		{"nowhere", func(v *directory.View) { v.Streams["cam"] = directory.Stream{Configured: true, Waiting: true} }, ""},
		{"unknown", func(v *directory.View) { v.Streams = nil }, ""},
		{"switched off", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Here: true, Running: true, Disabled: true}
		}, ""},
		{"nothing is certain yet", func(v *directory.View) { v.Warm = false }, ""},
	} {
		node, ok := view(t, "http://cdn.example.com", directory.Policy{}, tt.change).Owned("cam")
		if ok != (tt.node != "") || ok && node != tt.node {
			t.Errorf("%s: Owned = %q, %v, want %q", tt.name, node, ok, tt.node)
		}
	}
}

func TestWaitingForAPublisherIsVainOnlyWhereEveryPeerHasAnswered(t *testing.T) {
	for _, warm := range []bool{true, false} {
		v := view(t, "http://cdn.example.com", directory.Policy{}, func(v *directory.View) {
			v.Warm, v.Streams["cam"] = warm, directory.Stream{Configured: true, Waiting: true}
		})
		if got := v.Decide(ask(protocols.TS, "/cam/mpegts")); got.Kind != directory.Hold || got.Vain != warm {
			t.Errorf("warm %v: Decide = %+v, want to hold, vain %v", warm, got, warm)
		}
	}
}

func TestRelayEndsOnceTheStreamRunsHere(t *testing.T) {
	for _, tt := range []struct {
		running bool
		want    string
	}{{true, ""}, {false, "p"}} {
		v := view(t, "http://cdn.example.com", directory.Policy{}, func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Here: true, Running: tt.running, Owner: "p", OwnerRunning: true}
		})
		if peer, _ := v.Upstream("cam"); peer != tt.want {
			t.Errorf("a stream that a peer runs, and this node too (media: %v), is relayed from %q, want %q", tt.running, peer, tt.want)
		}
	}
}

func TestRelayGoesOnWhileNobodyIsKnownToHaveTheStream(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*directory.View)
		want   bool
	}{
		{"the peer captures it", nil, true},
		{"the peer has handed it over, and the new owner is not known", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Configured: true}
		}, true},
		{"the new owner is known", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Owner: "q", OwnerRunning: true}
		}, false},
		{"this node captures it", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Here: true, Running: true}
		}, false},
		{"the publisher has left", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Waiting: true}
		}, false},
		{"the peer is dead", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Configured: true}
			n := v.Nodes["p"]
			n.Alive = false
			v.Nodes["p"] = n
		}, false},
		{"the stream is switched off", func(v *directory.View) {
			v.Streams["cam"] = directory.Stream{Disabled: true}
		}, false},
		{"the stream is in no file any more", func(v *directory.View) { delete(v.Streams, "cam") }, false},
	} {
		if got := view(t, "http://cdn.example.com", directory.Policy{}, tt.change).Keeps("cam", "p", private); got != tt.want {
			t.Errorf("%s: Keeps = %v, want %v", tt.name, got, tt.want)
		}
	}
}
