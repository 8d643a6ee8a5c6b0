package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/protocols/api"
)

func TestStatusIsShownAsTables(t *testing.T) {
	s := &clusterStatus{
		Asked:  "n1",
		Alarms: []api.Alarm{{Kind: "all full", Since: 75, Text: "no node may take cam09"}},
		Peers: []api.Peer{
			{Hostname: "n1:80", Name: "n1", Self: true, Status: "alive", Since: 7300, Stats: api.PeerStats{OnlineStreams: 3, TotalClients: 120, OutputKbit: 240_500, CPUUsage: 12.4, MemoryUsage: 30.6, InterfaceLoad: 24, Uptime: 700_000}},
			{Hostname: "n2:80", Status: "stale", Since: 130, Error: "no route"},
		},
		States:  map[string]int{"failed": 1, "waiting": 24, "running": 3},
		Streams: []api.Stream{{Name: "cam09", State: "failed", Since: 5, Owner: "n1", Error: "404"}, {Name: "live", State: "waiting", Since: 9, Inputs: []api.Input{{Reason: "no publisher"}}}},
	}
	want := `2 nodes, as n1 sees it

  FOR   ALARM     
  75 s  all full  no node may take cam09

  NODE   STATUS  FOR    STREAMS  CLIENTS  OUTPUT        CPU   MEMORY  INTERFACE  ROUND TRIP  UP FOR  
  n1     alive   2 h    3        120      240.5 Mbit/s  12 %  31 %    24 %       0.0 ms      8 days  
  n2:80  stale   2 min  -        -        -             -     -       -          -           -       no route

streams: 1 failed, 24 waiting, 3 running

  STREAM  STATE    FOR  NODE  WHY
  cam09   failed   5 s  n1    404
  live    waiting  9 s  -     no publisher
  and 23 more
`
	if got := s.text(painter{}); got != want {
		t.Errorf("the status is\n%s\nwant\n%s", got, want)
	}
}

func TestStatusEndsWithACodeThatSaysWhetherAllIsWell(t *testing.T) {
	for name, tt := range map[string]struct {
		alarms, peers, failed string
		code                  int
	}{
		"well":                   {"", `{"hostname":"n1","self":true,"status":"alive"},{"hostname":"n2","status":"draining"}`, "0", exitOK},
		"an alarm":               {`{"kind":"all full"}`, "", "0", exitTrouble},
		"a node that is down":    {"", `{"hostname":"n2","status":"down"}`, "0", exitTrouble},
		"a stream that failed":   {"", "", "1", exitTrouble},
		"one that is not a node": {"]", "", "0", exitFailure},
	} {
		answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := `{"estimated_count":0,"streams":[]}`
			switch {
			case strings.HasSuffix(r.URL.Path, "/cluster/alarms"):
				body = `{"alarms":[` + tt.alarms + `]}`
			case strings.HasSuffix(r.URL.Path, "/cluster/peers"):
				body = `{"peers":[` + tt.peers + `]}`
			case r.URL.Query().Get("state") == "failed":
				body = `{"estimated_count":` + tt.failed + `,"streams":[]}`
			}
			_, _ = w.Write([]byte(body))
		}))
		out, read := tempFile(t)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := (&StatusCmd{NodeAddr: NodeAddr{Node: answers.URL}}).Run(ctx, stdio{out: out, err: out})
		if got := code(stdio{err: out}, err); got != tt.code {
			t.Errorf("%s: the code is %d, want %d:\n%s", name, got, tt.code, read())
		}
		cancel()
		answers.Close()
	}
}
