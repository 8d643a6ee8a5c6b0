package srs_test

import (
	"net/url"
	"testing"

	"weir/cluster/directory"
	"weir/cluster/srs"
	"weir/protocols"
)

func TestOwnerIsToldWhereRTMPClientsReachIt(t *testing.T) {
	running := directory.Stream{Here: true, Running: true}
	for _, tt := range []struct {
		name    string
		stream  directory.Stream
		own     srs.Address
		leaving bool
		want    srs.Owner
		ok      bool
	}{
		{"the file says it", running, srs.Address{Host: "a.example.com", Port: 1936, Public: "b", Ports: []int{1935}}, false, srs.Owner{Name: "n", Host: "a.example.com", Port: 1936}, true},
		{"the file says the host", running, srs.Address{Host: "a.example.com", Ports: []int{1935, 1936}}, false, srs.Owner{Name: "n", Host: "a.example.com", Port: 1935}, true},
		{"the public URL", running, srs.Address{Public: "b", Listener: "192.0.2.1", Ports: []int{1935}}, false, srs.Owner{Name: "n", Host: "b", Port: 1935}, true},
		{"the listener", running, srs.Address{Listener: "192.0.2.1", Ports: []int{1935}}, false, srs.Owner{Name: "n", Host: "192.0.2.1", Port: 1935}, true},
		{"a listener for this machine only", running, srs.Address{Listener: "127.0.0.1", Ports: []int{1935}}, false, srs.Owner{Name: "n", Port: 1935}, true},
		{"a listener at all addresses", running, srs.Address{Listener: "::", Ports: []int{1935}}, false, srs.Owner{Name: "n", Port: 1935}, true},
		{"this node is leaving", running, srs.Address{Ports: []int{1935}}, true, srs.Owner{}, false},
		{"about to run here", directory.Stream{Here: true}, srs.Address{}, false, srs.Owner{}, false},
		{"a peer", directory.Stream{Owner: "p", OwnerRunning: true}, srs.Address{}, true, srs.Owner{Name: "p", Host: "p.example.com", Port: 1937}, true},
		{"a peer without an address", directory.Stream{Owner: "q", OwnerRunning: true}, srs.Address{}, false, srs.Owner{}, false},
	} {
		v := &directory.View{Self: "n", Warm: true, Streams: map[string]directory.Stream{"live/x": tt.stream}, Nodes: map[string]directory.Node{
			"p": {Name: "p", Alive: true, Public: &url.URL{Scheme: "http", Host: "p.example.com:8080"}, Ports: protocols.Ports{RTMP: 1937}},
			"q": {Name: "q", Alive: true},
		}}
		got, ok := srs.OwnerOf(v, "live/x", tt.own, tt.leaving)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%s: %+v, %t, want %+v, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestOwnAddressIsRecognised(t *testing.T) {
	a := srs.Address{Host: "a.example.com", Port: 1999, Ports: []int{1935, 1936}}
	for _, tt := range []struct {
		host, port string
		want       bool
	}{
		{"a.example.com", "1999", true},
		{"a.example.com", "1936", true},
		{"localhost", "1935", true},
		{"127.0.0.1", "1936", true},
		{"127.0.0.1", "1999", false}, // only by the name that is advertised
		{"192.0.2.1", "1935", false},
		{"b.example.com", "1935", false},
		{"127.0.0.1", "rtmp", false},
	} {
		if got := a.Own(tt.host, tt.port); got != tt.want {
			t.Errorf("Own(%s, %s) = %t, want %t", tt.host, tt.port, got, tt.want)
		}
	}
}
