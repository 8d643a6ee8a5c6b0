package srs_test

import (
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"weir/cluster/srs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// shownNode is a node with one publisher and one player.
type shownNode struct{ kicked *[]string }

func (shownNode) Streams() []srs.Stream {
	return []srs.Stream{
		{
			Vhost: srs.DefaultVhost, App: "live", Name: "onc", TCURL: "rtmp://127.0.0.1/live", Publisher: "c1", Active: true, Now: time.UnixMilli(1700000000000),
			Clients: 2, Frames: 100, Sent: 3000, Received: 4000, Rate: srs.Rate{Received: 500, Sent: 600},
			Video: &srs.Video{Codec: "H264", Profile: "High", Level: "3.2", Width: 768, Height: 320},
			Audio: &srs.Audio{Codec: "AAC", SampleRate: 44100, Channel: 2, Profile: "LC"},
		},
		{Vhost: "v.example.com", App: "live", Name: "<b>", Now: time.UnixMilli(1700000000000)},
	}
}

func (shownNode) Clients() []srs.Client {
	return []srs.Client{
		{
			ID: "c1", Vhost: srs.DefaultVhost, Stream: srs.StreamID("/live/onc"), IP: "127.0.0.1", TCURL: "rtmp://127.0.0.1/live", URL: "/live/onc", Name: "onc",
			Type: "fmle-publish", Publish: true, Alive: 3.06, Sent: 1, Received: 2,
		},
		{ID: "c2", Vhost: srs.DefaultVhost, Type: "rtmp-play", PageURL: "http://page/"},
	}
}

func (shownNode) Vhosts() []srs.VhostInfo {
	return []srs.VhostInfo{{Name: srs.DefaultVhost, Clients: 2, Streams: 1, Sent: 3000, Received: 4000, Rate: srs.Rate{Received: 500, Sent: 600}}}
}

func (shownNode) Machine() srs.Machine {
	return srs.Machine{PID: 4711, Uptime: 90 * time.Second, MemoryKB: 2048, CPUPart: 0.25, Now: time.UnixMilli(1700000000000), Connections: 2}
}

func (n shownNode) Kick(id string) bool {
	*n.kicked = append(*n.kicked, id)
	return id == "c1"
}

func TestAPIHasTheFormsOfSRS(t *testing.T) {
	var kicked []string
	allowed := true
	a := &srs.API{
		Node: shownNode{&kicked}, Server: "vid-1", Service: "x", PID: 4711, Build: "test", Other: http.NotFoundHandler(),
		MayEdit: func(*http.Request) (int, error) {
			if allowed {
				return 200, nil
			}
			return http.StatusUnauthorized, errors.New("edit_auth is required")
		},
	}
	var all strings.Builder
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		all.WriteString(method + " " + path + "\n" + http.StatusText(w.Code) + " " + w.Header().Get("Location") + "\n" + w.Body.String() + "\n\n")
		return w
	}
	for _, path := range []string{
		"versions", "summaries", "streams", "streams?start=0&count=10", "streams/", "streams/?start=1&count=10", "streams/?start=0&count=1", "streams/?start=9",
		"streams/" + srs.StreamID("/live/onc"), "streams/unknown", "clients/", "clients/c2", "vhosts/", "raw?rpc=raw",
	} {
		ask(http.MethodGet, srs.Prefix+path)
	}
	ask(http.MethodDelete, srs.Prefix+"clients/c1")
	ask(http.MethodDelete, srs.Prefix+"clients/c9")
	ask(http.MethodPost, srs.Prefix+"clients/c1")
	allowed = false
	if w := ask(http.MethodDelete, srs.Prefix+"clients/c1"); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("kicking without permission: %d", w.Code)
	}
	if len(kicked) != 2 {
		t.Errorf("kicked %v, want two attempts", kicked)
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
