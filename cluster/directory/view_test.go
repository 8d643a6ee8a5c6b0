package directory

import (
	"net/url"
	"reflect"
	"testing"

	"weir/cluster/control"
)

// seen is what n1 sees of a stream: n2 and n3 live, n4 drains, n5 is dead.
func seen(s control.StreamView) *control.View {
	s.Name = "cam"
	return &control.View{Self: "n1", Warm: true, Streams: []control.StreamView{s}, Peers: []control.PeerView{
		{Name: "n2", Entry: "n2:80", Alive: true, Status: control.Alive, Load: control.Load{Clients: 2}},
		{Name: "n3", Entry: "n3:80", Alive: true, Status: control.Alive},
		{Name: "n4", Entry: "n4:80", Alive: true, Status: control.Draining},
		{Name: "n5", Entry: "n5:80", Status: control.Stale},
	}}
}

var facts = Facts{
	Default: Policy{HLS: Playlist},
	Policy:  func(stream string) (Policy, bool) { return Policy{HLS: RelayAll}, stream == "other" },
	URLs: func(entry string) (public, private *url.URL, given bool) {
		return &url.URL{Scheme: "https", Host: entry}, &url.URL{Scheme: "http", Host: entry}, entry == "n2:80"
	},
}

func TestStreamIsWhereTheControlPlaneSaysAsFarAsClientsGetItThere(t *testing.T) {
	claim := func(node string, state control.ClaimState, solo bool) control.ClaimView {
		return control.ClaimView{Node: node, State: state, Solo: solo}
	}
	for _, tt := range []struct {
		name string
		view control.StreamView
		want Stream
	}{
		{"captured here", control.StreamView{Here: true, Clustered: true, Mine: control.Running, Owner: "n1"}, Stream{Here: true, Running: true, Configured: true}},
		{"starting here", control.StreamView{Here: true, Clustered: true, Mine: control.Starting, Owner: "n1"}, Stream{Here: true, Configured: true}},
		{"captured by a peer", control.StreamView{Clustered: true, Owner: "n2", OwnerState: control.ClaimRunning}, Stream{Owner: "n2", OwnerRunning: true}},
		{"by one that drains", control.StreamView{Clustered: true, Owner: "n4", OwnerState: control.ClaimDraining}, Stream{Owner: "n4", OwnerRunning: true}},
		{"by one that has no media yet", control.StreamView{Clustered: true, Owner: "n3", OwnerState: control.ClaimStarting}, Stream{Owner: "n3"}},
		{"by a dead one", control.StreamView{Clustered: true, Owner: "n5", OwnerState: control.ClaimRunning}, Stream{}},
		{"published nowhere", control.StreamView{Here: true, Kind: control.Published}, Stream{Configured: true, Waiting: true}},
		{"failed again and again", control.StreamView{Here: true, Clustered: true, Mine: control.Failed, State: control.StreamFailed, Lasting: true, Detail: "reading tshttp://h/***: dial tcp 10.0.0.9:80: connect: connection refused"}, Stream{Configured: true, Failed: "connection refused"}},
		{"failed, with nothing but the place", control.StreamView{Here: true, Clustered: true, Mine: control.Failed, State: control.StreamFailed, Lasting: true, Detail: "tshttp://h/x"}, Stream{Configured: true, Failed: "the source is not to be had"}},
		{"failed once", control.StreamView{Here: true, Clustered: true, Mine: control.Failed, State: control.StreamFailed, Detail: "refused"}, Stream{Configured: true}},
		{"disabled", control.StreamView{Here: true, Clustered: true, State: control.StreamDisabled}, Stream{Configured: true, Disabled: true}},
		{"captured by each node for itself", control.StreamView{
			Owner: "n2", OwnerState: control.ClaimRunning, Kind: control.Kept, Here: true, Claimants: []control.ClaimView{
				claim("n1", control.ClaimRunning, true), claim("n2", control.ClaimRunning, true), claim("n3", control.ClaimStarting, true), claim("n4", control.ClaimRunning, true),
			},
		}, Stream{Configured: true, Owners: []string{"n2"}}},
		{"in the files of others only", control.StreamView{Kind: control.Kept, On: []string{"n2", "n4", "n5"}}, Stream{Elsewhere: []string{"n2"}}},
		{"on demand, for this node", control.StreamView{Here: true, Kind: control.Kept, OnDemand: true}, Stream{Configured: true, OnDemand: true, Own: true}},
		{"on demand, for the group", control.StreamView{Here: true, Kind: control.Kept, OnDemand: true, Clustered: true}, Stream{Configured: true, OnDemand: true}},
	} {
		tt.want.Policy = facts.Default
		if got := ViewOf(seen(tt.view), facts).Streams["cam"]; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestViewHasTheNodesAndThePoliciesOfTheFile(t *testing.T) {
	v := seen(control.StreamView{})
	v.Streams = append(v.Streams, control.StreamView{Name: "other"})
	d := ViewOf(v, facts)
	if d.Self != "n1" || !d.Warm || d.Streams["cam"].Policy.HLS != Playlist || d.Streams["other"].Policy.HLS != RelayAll {
		t.Errorf("the view is %+v", d)
	}
	want := Node{Name: "n4", Alive: true, Draining: true, Public: &url.URL{Scheme: "https", Host: "n4:80"}, Private: &url.URL{Scheme: "http", Host: "n4:80"}}
	if got := d.Nodes["n4"]; !reflect.DeepEqual(got, want) {
		t.Errorf("n4 is %+v, want %+v", got, want)
	}
}

func TestOnlyTheNumbersOfClientsAreNew(t *testing.T) {
	v := seen(control.StreamView{})
	d := ViewOf(v, facts)
	if d.With(v) != d {
		t.Error("the same numbers give another view")
	}
	v.Peers[0].Load.Clients = 9
	newer := d.With(v)
	if newer.Nodes["n2"].Clients != 9 || d.Nodes["n2"].Clients != 2 || newer.Nodes["n3"].Clients != 0 {
		t.Errorf("clients %+v after %+v", newer.Nodes, d.Nodes)
	}
}
