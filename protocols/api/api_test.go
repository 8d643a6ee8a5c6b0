package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fake is a node as a test wants it.
type fake struct {
	streams []Stream
	peers   []Peer
	actors  []Actor

	balancers []Balancer
	sessions  []Session
	events    []Event
	minutes   []Minute

	live  error
	ready error
	slow  bool // Stream waits for its context
}

func (f *fake) Streams(context.Context) []Stream { return append([]Stream(nil), f.streams...) }

func (f *fake) Stream(ctx context.Context, name string) (Stream, error) {
	if f.slow {
		<-ctx.Done()
		return Stream{}, fmt.Errorf("asking the owner: %w", ctx.Err())
	}
	for _, s := range f.streams {
		if s.Name == name {
			return s, nil
		}
	}
	return Stream{}, fmt.Errorf("%w: %s", ErrNotFound, name)
}

func (f *fake) Peers(context.Context) []Peer { return append([]Peer(nil), f.peers...) }
func (f *fake) Pulse(minutes int) []Minute   { return f.minutes[max(0, len(f.minutes)-minutes):] }
func (f *fake) Sessions() []Session          { return append([]Session(nil), f.sessions...) }
func (f *fake) Balancers() []Balancer        { return append([]Balancer(nil), f.balancers...) }
func (f *fake) Actors() []Actor              { return append([]Actor(nil), f.actors...) }
func (f *fake) Live(context.Context) error   { return f.live }
func (f *fake) Ready() error                 { return f.ready }

func example() *fake {
	return &fake{
		streams: []Stream{
			{
				Name: "cam01", Title: "Gate <1>", Owner: "n1", State: "running", Reason: "pinned", Clients: 12,
				ClusterIngest: &ClusterIngest{CaptureAt: "n1"},
				Inputs:        []Input{{URL: "file://vod/bunny.mp4", State: "running", Active: true, Bytes: 1 << 20}},
				Stats: StreamStats{
					Alive: true, Uptime: 3600, BytesIn: 1 << 20, BytesOut: 12 << 20, Dropped: 3,
					MediaInfo: []Track{{Codec: "H264", Width: 1280, Height: 720}, {Codec: "AAC", SampleRate: 48000, Channels: 2}},
				},
			},
			{Name: "cam02", Owner: "n2", State: "running", Reason: "spill", SpillOf: "n3", Clients: 3, ClusterIngest: &ClusterIngest{}},
			{Name: "cam10", State: "failed", Error: "no such file", Inputs: []Input{{URL: "file://vod/none.ts", State: "failed", Error: "no such file", Restarts: 7}}},
			{Name: "live/studio", State: "waiting"},
			{Name: "test", State: "disabled", Disabled: true},
		},
		peers: []Peer{
			{
				Hostname: "10.0.0.2:8080", Name: "n2", Status: "alive", Since: 60, APIURL: "http://10.0.0.2:8080", FetchTimeout: 2000, StaleTimeout: 10000,
				Stats: PeerStats{ID: "b7", ServerVersion: "0.1", StreamerStatus: "running", Uptime: 61, RTT: 1.5, OnlineStreams: 1, TotalStreams: 5, TotalClients: 3},
			},
			{Hostname: "10.0.0.1:8080", Name: "n1", Self: true, Status: "alive", Stats: PeerStats{OnlineStreams: 1, TotalStreams: 5, TotalClients: 12}},
			{Hostname: "10.0.0.3:8080", Status: "never seen", Error: "connection refused"},
		},
		balancers: []Balancer{
			{Name: "global", Mode: "clients", Chosen: 31, Refused: 2, Servers: []BalancedServer{
				{Server: "10.0.0.1", Name: "n1", Self: true, Clients: 12, Bitrate: 24e6, Streams: 1, Share: 80, Chosen: 21, Countries: []string{"RU"}},
				{Server: "10.0.0.9", Clients: 3, Bitrate: 6e6, InFlight: 3, Share: 20, MaxBitrate: 40e6, Usage: 15, CountriesDefault: true, Chosen: 10, Excluded: "dead", Error: "connection refused"},
			}},
			{Name: "empty <1>", Mode: "usage", Servers: []BalancedServer{}},
		},
		sessions: []Session{
			{ID: "n1-7", Name: "cam01", Type: "play", Protocol: "hls", IP: "192.0.2.7", Country: "RU", Node: "n1", Duration: 61, Bytes: 1 << 20},
			{ID: "n1-8", Type: "play", Protocol: "rtmp", IP: "192.0.2.8", Node: "n1"},
		},
		events: []Event{
			{ID: 4, Time: time.Unix(1_700_000_000, 0).UTC(), Kind: "peer stale", Level: "warning", Node: "n1", Peer: "n3", Text: "peer stale: no node has heard it"},
			{ID: 5, Time: time.Unix(1_700_000_001, 0).UTC(), Kind: "moved", Level: "info", Node: "n1", Stream: "cam02", From: "n3", To: "n2", Reason: "spill", Text: "stream moved"},
		},
		minutes: []Minute{
			{Time: time.Unix(1_700_000_000, 0).UTC(), Node: "n1", Clients: 11, Captures: 2, OutputBits: 22e6, CPUUsage: 12.5},
			{Time: time.Unix(1_700_000_060, 0).UTC(), Node: "n1", Clients: 12, Captures: 2, OutputBits: 24e6, CPUUsage: 13},
		},
		actors: []Actor{
			{ID: "node", Kind: "node", RunningMS: 3600000},
			{ID: "node/control", Kind: "control", RunningMS: 3600000},
			{ID: "node/streams/cam01", Kind: "stream", RunningMS: 3600000},
			{ID: "node/streams/cam01/core", Kind: "core", RunningMS: 1000, Restarts: 2, Failure: "panic: x"},
			{ID: "node/streams/cam01/inputs/0", Kind: "input", RunningMS: 3600000, Note: "file://vod/bunny.mp4"},
			{ID: "node/streams/cam010", Kind: "stream", RunningMS: 3600000},
			{ID: "node/streams/cam01-hd", Kind: "stream", RunningMS: 3600000, Note: "two\nlines\x1b[2J"},
		},
	}
}

func (f *fake) Events(after uint64) ([]Event, <-chan struct{}) {
	var list []Event
	for _, e := range f.events {
		if e.ID > after {
			list = append(list, e)
		}
	}
	return list, nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func get(h http.Handler, method, path string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// contextOf is the context of a request, and what ends it.
func contextOf(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithCancel(r.Context())
}

// pretty indents JSON.
func pretty(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return b.Bytes()
}

// golden compares got with a file of testdata, or rewrites that.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

var goldenTests = []struct {
	file, path string
	status     int
}{
	{"streams.json", "/streamer/api/v3/streams", 200},
	{"streams_selected.json", "/streamer/api/v3/streams?select=owner,stats.alive,stats.uptime,no.such&limit=2&sort=-clients", 200},
	{"stream.json", "/streamer/api/v3/streams/cam01", 200},
	{"stream_slash.json", "/streamer/api/v3/streams/live/studio", 200},
	{"stream_missing.json", "/streamer/api/v3/streams/none", 404},
	{"peers.json", "/streamer/api/v3/cluster/peers", 200},
	{"peer.json", "/streamer/api/v3/cluster/peers/n2", 200},
	{"balancers.json", "/streamer/api/v3/cluster/balancers?sort=name", 200},
	{"balancer.json", "/streamer/api/v3/cluster/balancers/global", 200},
	{"balancer_missing.json", "/streamer/api/v3/cluster/balancers/none", 404},
	{"sessions.json", "/streamer/api/v3/sessions", 200},
	{"session.json", "/streamer/api/v3/sessions/n1-7", 200},
	{"events.json", "/streamer/api/v3/events", 200},
	{"stats.json", "/streamer/api/v3/config/stats", 200},
	{"pulse.json", "/streamer/api/v3/pulse?minutes=1", 200},
	{"pulse_bad.json", "/streamer/api/v3/pulse?minutes=0", 400},
	{"liveness.json", "/streamer/api/v3/monitoring/liveness", 200},
	{"readiness.json", "/streamer/api/v3/monitoring/readiness", 200},
	{"tree.json", "/api/tree", 200},
	{"tree.txt", "/api/tree?format=text", 200},
	{"bad_filter.json", "/streamer/api/v3/streams?colour=red", 400},
}

func TestAnswersAreThoseOfTheGoldenFiles(t *testing.T) {
	h := Handler(example(), Options{Log: quiet()})
	for _, tt := range goldenTests {
		res := get(h, "GET", tt.path)
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != tt.status {
			t.Errorf("%s: status %d, want %d", tt.path, res.StatusCode, tt.status)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: no CORS header", tt.path)
		}
		if strings.HasSuffix(tt.file, ".json") {
			body = pretty(t, body)
		}
		golden(t, tt.file, body)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	h := Handler(example(), Options{Log: quiet()})
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/streamer/api/v3/streams/live%2Fstudio", 200},
		{"HEAD", "/streamer/api/v3/streams", 200},
		{"OPTIONS", "/streamer/api/v3/streams", 204},
		{"POST", "/streamer/api/v3/streams", 405},
		{"GET", "/streamer/api/v3/streams/", 400},
		{"GET", "/streamer/api/v3", 404},
		{"GET", "/streamer/api/v2/streams", 404},
		{"GET", "/streamer/api/v3/cluster/peers/10.0.0.3:8080", 200},
		{"GET", "/streamer/api/v3/cluster/peers/n9", 404},
		{"GET", "/api/tree?format=xml", 400},
		{"GET", "/metrics", 404}, // without metrics
		{"GET", "/api/other", 404},
	} {
		res := get(h, tt.method, tt.path)
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != tt.status {
			t.Errorf("%s %s: status %d, want %d", tt.method, tt.path, res.StatusCode, tt.status)
		}
		if res.StatusCode >= 400 && !strings.HasPrefix(string(body), `{"error":"`) {
			t.Errorf("%s %s: body %q, want an error in JSON", tt.method, tt.path, body)
		}
		if cors := res.Header.Get("Access-Control-Allow-Origin"); cors != "*" {
			t.Errorf("%s %s: Access-Control-Allow-Origin %q, want *", tt.method, tt.path, cors)
		}
	}
}

func TestUnhealthyNodeSaysWhy(t *testing.T) {
	f := example()
	f.live, f.ready = errors.New("control does not answer"), errors.New("draining")
	h := Handler(f, Options{Log: quiet()})
	for path, want := range map[string]string{"liveness": "control does not answer", "readiness": "draining"} {
		res := get(h, "GET", base+"/monitoring/"+path)
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 503 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %s, want 503 and %q", path, res.StatusCode, body, want)
		}
	}
}

func TestSilentOwnerDoesNotHoldTheAskerLongerThanHeWaits(t *testing.T) {
	h := Handler(&fake{slow: true}, Options{Log: quiet()})
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", base+"/streams/x", nil).WithContext(ctx))
	if w.Code != http.StatusGatewayTimeout {
		t.Errorf("status %d, want %d", w.Code, http.StatusGatewayTimeout)
	}
}

func TestFigureThatIsNoNumberIsAnErrorNotAHalfAnswer(t *testing.T) {
	h := Handler(&fake{peers: []Peer{{Hostname: "n1", Stats: PeerStats{CPUUsage: math.NaN()}}}}, Options{Log: quiet()})
	res := get(h, "GET", base+"/cluster/peers/n1")
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 500 || !json.Valid(body) {
		t.Errorf("status %d, body %s, want 500 and JSON", res.StatusCode, body)
	}
}

func TestEmptyClusterHasEmptyLists(t *testing.T) {
	h := Handler(&fake{}, Options{Log: quiet()})
	for path, want := range map[string]string{
		base + "/streams":       `"streams":[]`,
		base + "/cluster/peers": `"peers":[]`,
		"/api/tree":             `"actors":[]`,
	} {
		if body, _ := io.ReadAll(get(h, "GET", path).Body); !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
}
