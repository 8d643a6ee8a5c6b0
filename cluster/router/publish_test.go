package router

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/actors/session"
	"weir/cluster/control"
	"weir/cluster/directory"
	"weir/cluster/srs"
	"weir/protocols"
	"weir/protocols/listen"
)

var errInput = errors.New("the input failed")

func TestPublisherGetsTheFirstNameThatCanBePublished(t *testing.T) {
	configured := directory.Stream{Configured: true}
	for _, tt := range []struct {
		name       string
		names      []string
		stream     directory.Stream // cam
		claim, pub error
		want       error // nil: published
		told       []string
	}{
		{"configured", []string{"live/cam", "cam"}, configured, nil, nil, nil, []string{"claim cam", "publish cam"}},
		{"disabled", []string{"cam"}, directory.Stream{Configured: true, Disabled: true}, nil, nil, listen.ErrDenied, nil},
		{"of no file", []string{"live/x", "x"}, configured, nil, nil, listen.ErrNotFound, nil},
		{"of another node's file", []string{"live/cam", "cam"}, directory.Stream{}, nil, nil, listen.ErrNotFound, nil},
		{"reserved", []string{"live/mpegts"}, configured, nil, nil, listen.ErrReserved, nil},
		{"of a template", []string{"talk/x", "x"}, configured, nil, nil, nil, []string{"claim talk/x", "publish talk/x"}},
		{"configured rather than of a template", []string{"talk/x", "cam"}, configured, nil, nil, nil, []string{"claim cam", "publish cam"}},
		{"taken elsewhere", []string{"cam"}, configured, listen.ErrBusy, nil, listen.ErrBusy, []string{"claim cam"}},
		{"taken here meanwhile", []string{"cam"}, configured, nil, listen.ErrBusy, listen.ErrBusy, []string{"claim cam", "publish cam"}},
		{"failing", []string{"cam"}, configured, nil, errInput, errInput, []string{"claim cam", "publish cam", "unclaim cam"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(tt.stream)
			f.claim, f.pub = tt.claim, tt.pub
			q := ask(protocols.RTMP, "/live/cam")
			q.Streams = tt.names
			p, err := f.Publish(t.Context(), q)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || (p == nil) != (err != nil) {
				t.Errorf("Publish = %v, %v, want %v", p, err, tt.want)
			}
			if !slices.Equal(f.told, tt.told) {
				t.Errorf("told %q, want %q", f.told, tt.told)
			}
		})
	}
}

func TestOnDemandStreamsAreWantedByThoseWhoWatchAndWait(t *testing.T) {
	f := newFake(directory.Stream{})
	v := &control.View{Streams: []control.StreamView{
		{Name: "always"}, {Name: "cam", OnDemand: true, Clustered: true}, {Name: "own", OnDemand: true}, {Name: "waited", OnDemand: true},
	}}
	watches := func(stream string, p protocols.Protocol, publisher, edge bool) session.Info {
		return session.Info{ClientStats: listen.ClientStats{Stream: stream, Protocol: p, Publisher: publisher, Edge: edge}}
	}
	enough := f.want("waited", time.Second)
	f.want("unknown", 0)
	for _, tt := range []struct {
		name     string
		sessions []session.Info
		want     []string
	}{
		{"requests that wait", nil, []string{"waited"}},
		{"a viewer", []session.Info{watches("cam", protocols.TS, false, false)}, []string{"cam", "waited"}},
		{"a viewer of one that always runs", []session.Info{watches("always", protocols.TS, false, false)}, []string{"waited"}},
		{"a peer, for its own viewers", []session.Info{watches("cam", protocols.Relay, false, false)}, []string{"waited"}},
		{"a peer, of a stream that each node captures", []session.Info{watches("own", protocols.Relay, false, false)}, []string{"own", "waited"}},
		{"a node outside the group", []session.Info{watches("cam", protocols.Relay, false, true)}, []string{"cam", "waited"}},
		{"a publisher", []session.Info{watches("cam", protocols.RTMP, true, false)}, []string{"waited"}},
	} {
		if got := f.Wanted(v, tt.sessions); !slices.Equal(got, tt.want) {
			t.Errorf("%s: wanted %q, want %q", tt.name, got, tt.want)
		}
	}
	enough()
	if got := f.Wanted(v, nil); len(got) > 0 {
		t.Errorf("wanted %q after the last request", got)
	}
}

func TestNameIsGivenBackToCoworkersWhereTheStreamRefuses(t *testing.T) {
	f := newFake(directory.Stream{Configured: true}, srs.Vhost{Name: srs.DefaultVhost, OriginCluster: true})
	q := ask(protocols.RTMP, "/live/cam")
	q.Streams, q.App, q.Name = []string{"live/cam", "cam"}, "live", "cam"
	f.pub = listen.ErrBusy
	if _, err := f.Publish(t.Context(), q); !errors.Is(err, listen.ErrBusy) {
		t.Fatalf("Publish: error = %v, want %v", err, listen.ErrBusy)
	}
	w := httptest.NewRecorder()
	f.cfg.SRS.ServeHTTP(w, httptest.NewRequest(http.MethodPost, srs.ClaimPath, strings.NewReader(`{"action":"on_publish","app":"live","stream":"cam"}`)))
	if got := strings.TrimSpace(w.Body.String()); got != "0" {
		t.Errorf("a server that asks for the name then is told %s, want 0", got)
	}
}

func TestNameIsGivenBackWhereACoworkerHasIt(t *testing.T) {
	coworker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"code":0,"data":{"origin":{"ip":"10.0.0.9","port":19350}}}`))
	}))
	defer coworker.Close()
	f := newFake(directory.Stream{Configured: true}, srs.Vhost{
		Name: srs.DefaultVhost, OriginCluster: true, Coworkers: []string{strings.TrimPrefix(coworker.URL, "http://")},
	})
	q := ask(protocols.RTMP, "/live/cam")
	q.Streams, q.App, q.Name = []string{"live/cam", "cam"}, "live", "cam"
	if _, err := f.Publish(t.Context(), q); !errors.Is(err, listen.ErrBusy) {
		t.Errorf("Publish: error = %v, want %v", err, listen.ErrBusy)
	}
	if want := []string{"claim cam", "unclaim cam"}; !slices.Equal(f.told, want) {
		t.Errorf("told %q, want %q", f.told, want)
	}
}
