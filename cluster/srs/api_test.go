package srs_test

import (
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/cluster/load"
	"weir/cluster/srs"
	"weir/codecs"
	"weir/protocols"
	"weir/protocols/listen"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// newAPI is the API of a node with one publisher, one player and one stream of another virtual host. Its clock began at
// midnight of 1 January 2000.
func newAPI(t *testing.T, mayEdit func(*http.Request) (int, error)) (a *srs.API, closed *[]string) {
	t.Helper()
	return newAPIOf(t, srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler)), mayEdit)
}

// newAPIOf is newAPI with hooks that are given, and with more sessions.
func newAPIOf(t *testing.T, hooks *srs.Hooks, mayEdit func(*http.Request) (int, error), more ...srs.Session) (a *srs.API, closed *[]string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cluster := srs.New(srs.Config{
		Vhosts: []srs.Vhost{{Name: srs.DefaultVhost}, {Name: "v.example.com"}},
		Node:   func() string { return "n1" }, Log: log,
	})
	publisher, player := wants("live", "onc"), wants("live", "onc?token=1")
	publisher.TCURL = "rtmp://127.0.0.1/live"
	player.PageURL, player.Remote = "http://page/", netip.MustParseAddrPort("127.0.0.1:4001")
	if err := errors.Join(hooks.Publish(t.Context(), nil, publisher), hooks.Play(t.Context(), nil, player)); err != nil {
		t.Fatal(err)
	}
	sessions := []srs.Session{
		{ID: "10", ClientStats: listen.ClientStats{Protocol: protocols.RTMP, Remote: player.Remote, Stream: "live/onc", BytesOut: 3000, BytesIn: 100}},
		{ID: "9", ClientStats: listen.ClientStats{Protocol: protocols.RTMP, Remote: publisher.Remote, Stream: "live/onc", BytesIn: 4000, Publisher: true}},
		{ID: "11", ClientStats: listen.ClientStats{Protocol: protocols.TS, Remote: netip.MustParseAddrPort("192.0.2.1:5"), Stream: "v.example.com/live/<b>"}},
		{ID: "12", ClientStats: listen.ClientStats{Protocol: protocols.Relay, Stream: "live/onc", BytesOut: 3000}}, // of another node
		{ID: "13", ClientStats: listen.ClientStats{Protocol: protocols.RTMP}},                                      // has not said what it wants
	}
	sessions = append(sessions, more...)
	closed = new([]string)
	a = srs.NewAPI(srs.APIConfig{
		Cluster: cluster, Hooks: hooks, Build: "test", PID: 4711, MayEdit: mayEdit,
		Streams: func() []srs.Live {
			return []srs.Live{
				{Name: "live/onc", Active: true, Frames: 100, Tracks: codecs.Tracks{
					{Codec: codecs.H264, Config: []byte{1, 100, 0, 32}, Width: 768, Height: 320},
					{Codec: codecs.AAC, Config: []byte{0x12, 0x10}, SampleRate: 44100, Channels: 2},
				}},
				{Name: "v.example.com/live/<b>", Frames: 1},
			}
		},
		Sessions: func() []srs.Session { return slices.Clone(sessions) },
		Close:    func(session string) { *closed = append(*closed, session) },
		MaySee:   func(*http.Request) (int, error) { return 200, nil },
		Figures: func() load.Figures {
			return load.Figures{
				ParentPID: 1, Args: "weir", Dir: "/", Own: load.Usage{User: 9 * time.Second, Memory: 2 << 20}, Uptime: time.Hour, Idle: time.Minute,
				CPU: 0.25, CPUs: 2, Load1: 0.5, RAM: 8 << 20, RAMUsed: 0.5, Received: 7, Sent: 8, TCP: 3, Established: 2, TimeWait: 1, UDP: 4,
			}
		},
		Uptime: func() time.Duration { return 90 * time.Second },
		Wall:   time.Now,
	})
	a.Measure(0)
	sessions[0].BytesOut += 30_000 // 120 kbit/s
	a.Measure(2 * time.Second)
	time.Sleep(3060 * time.Millisecond)
	return a, closed
}

func TestAPIHasTheFormsOfSRS(t *testing.T) {
	synctest.Test(t, testAPI)
}

func testAPI(t *testing.T) {
	allowed := true
	a, closed := newAPI(t, func(*http.Request) (int, error) {
		if allowed {
			return 200, nil
		}
		return http.StatusUnauthorized, errors.New("edit_auth is required")
	})
	var all strings.Builder
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		all.WriteString(method + " " + path + "\n" + http.StatusText(w.Code) + " " + w.Header().Get("Location") + "\n" + w.Body.String() + "\n\n")
		return w
	}
	for _, path := range []string{
		"versions", "summaries", "streams", "streams?start=0&count=10", "streams/", "streams/?start=1&count=10", "streams/?start=0&count=1", "streams/?start=9",
		"streams/" + srs.StreamID("/live/onc"), "streams/unknown", "clients/", "clients/11", "clients/unknown", "vhosts/", "vhosts/unknown", "raw?rpc=raw",
		"rusages", "authors", "features",
	} {
		ask(http.MethodGet, srs.Prefix+path)
	}
	ask(http.MethodGet, srs.Prefix)
	ask(http.MethodDelete, srs.Prefix+"clients/11")
	ask(http.MethodDelete, srs.Prefix+"clients/10")
	ask(http.MethodPost, srs.Prefix+"clients/11")
	allowed = false
	if w := ask(http.MethodDelete, srs.Prefix+"clients/11"); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("kicking without permission: %d", w.Code)
	}
	if !slices.Equal(*closed, []string{"11"}) {
		t.Errorf("closed %v, want the viewer: the player is known by another id", *closed)
	}
	const file = "testdata/api.golden"
	if *update {
		if err := os.WriteFile(file, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("answers:\n%s\nwant\n%s", all.String(), want)
	}
}
