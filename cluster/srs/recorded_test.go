package srs_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/cluster/srs"
	"weir/protocols"
	"weir/protocols/listen"
)

// recorded reads the recordings: the fields of each answer and hook that weir has too, in their order, and whether each is SRS's.
func recorded(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/recorded.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, text2, _ := strings.Cut(string(text), "\n\n")
	out := map[string][]string{}
	for part := range strings.SplitSeq(strings.TrimSpace(text2), "\n\n") {
		lines := strings.Split(part, "\n")
		fields := []string{}
		for _, line := range lines[1:] {
			line = strings.TrimSpace(line)
			if own, ok := strings.CutPrefix(line, "+ "); ok {
				line = own
			}
			if !strings.HasPrefix(line, "- ") {
				fields = append(fields, line)
			}
		}
		out[lines[0]] = fields
	}
	return out
}

// fields are those of a JSON text, with their types, as the recordings have them.
func fields(t *testing.T, text string) (out []string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var value func(at string, add bool)
	value = func(at string, add bool) {
		kind := ""
		x, err := d.Token()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		switch x := x.(type) {
		case json.Delim:
			for n := 0; d.More(); n++ {
				if x == '[' {
					value(at+"[]", add && n == 0)
					continue
				}
				key, _ := d.Token()
				value(strings.TrimPrefix(fmt.Sprintf("%s.%s", at, key), "."), add)
			}
			_, _ = d.Token()
			return
		case nil:
			kind = "null"
		case bool:
			kind = "boolean"
		case string:
			kind = "string"
		case json.Number:
			if kind = "integer"; strings.Contains(x.String(), ".") {
				kind = "decimal"
			}
		}
		if add {
			out = append(out, at+" "+kind)
		}
	}
	value("", true)
	return out
}

func TestFieldsAreThoseOfSRS(t *testing.T) {
	want := recorded(t)
	compare := func(what, text string) {
		t.Helper()
		expected, ok := want[what]
		if !ok {
			t.Fatalf("%s was not recorded", what)
		}
		delete(want, what)
		got := fields(t, text)
		if what == "GET /api/v1/streams/?start=9" {
			got = append(got, "streams[] empty")
		}
		for i := range max(len(got), len(expected)) {
			var a, b string
			if i < len(got) {
				a = got[i]
			}
			if i < len(expected) {
				b = expected[i]
			}
			if a != b {
				t.Errorf("%s: field %d is %q, in SRS %q\n%s", what, i, a, b, text)
				return
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		a, _ := newAPI(t, func(*http.Request) (int, error) { return 200, nil })
		ask := func(method, path string) string {
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Header().Get("Content-Type"))
			}
			return w.Body.String()
		}
		known := strings.NewReplacer("VHOST", srs.StreamID(srs.DefaultVhost), "STREAM", srs.StreamID("/live/onc"), "CLIENT", "11")
		for what := range maps.Clone(want) {
			if method, path, ok := strings.Cut(what, " "); ok && strings.HasPrefix(path, srs.Prefix) && !strings.Contains(path, "clusters") {
				compare(what, ask(method, known.Replace(path)))
			}
		}
	})
	compareHooks(t, compare)
	c, _ := among(t, func(stream string) (srs.Owner, bool) { return srs.Owner{Name: "n1", Port: 1935}, stream == "live/onc" })
	c.Configure([]srs.Vhost{{Name: srs.DefaultVhost, OriginCluster: true}})
	for stream, what := range map[string]string{"onc": "STREAM", "nothing": "unknown"} {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, srs.ClustersPath+"?vhost=__defaultVhost__&ip=127.0.0.1&app=live&stream="+stream+"&coworker=10.1.2.3:9090", nil))
		compare("GET /api/v1/clusters?"+what, w.Body.String())
	}
	for what := range want {
		t.Errorf("%s was recorded and is not compared", what)
	}
}

func compareHooks(t *testing.T, compare func(what, text string)) {
	k := newSink(t)
	vh := &srs.Vhost{Name: srs.DefaultVhost, Hooks: map[string][]string{}}
	for _, action := range []string{"on_connect", "on_close", "on_publish", "on_unpublish", "on_play", "on_stop"} {
		vh.Hooks[action] = []string{k.url}
	}
	h := srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler))
	r := wants("live", "onc?key=v1")
	if err := h.Publish(t.Context(), vh, r); err != nil {
		t.Fatal(err)
	}
	compare("on_connect", k.next(t))
	compare("on_publish", k.next(t))
	h.Published(r.Remote, "live/onc")()
	compare("on_unpublish", k.next(t))
	if err := h.Play(t.Context(), vh, r); err != nil {
		t.Fatal(err)
	}
	compare("on_play", k.next(t))
	h.Left(r.Remote, 1, 2)
	compare("on_stop", k.next(t))
	compare("on_close", k.next(t))

	r.Protocol, r.Path, r.Host, r.PageURL = protocols.HLS, "/live/onc.m3u8", "cdn.example.com:8080", "http://page/"
	if err := h.Watch(t.Context(), vh, r); err != nil {
		t.Fatal(err)
	}
	text := k.next(t)
	compare("on_play of a playlist", text)
	for _, part := range []string{`"stream":"onc.m3u8"`, `"tcUrl":"http://cdn.example.com/live"`, `"stream_url":"/live/onc"`, `"pageUrl":"http://page/"`} {
		if !strings.Contains(text, part) {
			t.Errorf("on_play of a playlist is %s, in SRS it has %s", text, part)
		}
	}
}

// TestErrorsAreThoseOfSRS has the codes and statuses that SRS 7.0.18 gave for requests that it does not fulfil.
func TestErrorsAreThoseOfSRS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, closed := newAPI(t, func(*http.Request) (int, error) { return 200, nil })
		known := strings.NewReplacer("VHOST", srs.StreamID(srs.DefaultVhost), "STREAM", srs.StreamID("/live/onc"), "CLIENT", "11")
		for _, tt := range []struct {
			methods, path string
			status        int
			body          string // of an error of the method only its status
		}{
			{"GET DELETE POST PUT", "vhosts/unknown", 200, `{"code":2014}`},
			{"GET DELETE POST PUT", "streams/unknown", 200, `{"code":2048}`},
			{"GET DELETE POST PUT", "clients/unknown", 200, `{"code":2049}`},
			{"DELETE", "clients/", 200, `{"code":2049}`},
			{"DELETE POST PUT", "vhosts/", 405, ""},
			{"DELETE POST PUT", "streams/", 405, ""},
			{"POST PUT", "clients/", 405, ""},
			{"DELETE", "vhosts/VHOST", 405, ""},
			{"DELETE", "streams/STREAM", 405, ""},
			{"POST PUT", "clients/CLIENT", 405, ""},
		} {
			for method := range strings.FieldsSeq(tt.methods) {
				w := httptest.NewRecorder()
				a.ServeHTTP(w, httptest.NewRequest(method, srs.Prefix+known.Replace(tt.path), nil))
				if body := w.Body.String(); w.Code != tt.status || tt.body != "" && body != tt.body {
					t.Errorf("%s %s: %d %s, in SRS %d %s", method, tt.path, w.Code, body, tt.status, tt.body)
				}
			}
		}
		for _, path := range []string{"/api/v1", "/api/v1/vhosts", "/api/v1/streams", "/api/v1/clients"} {
			w := httptest.NewRecorder()
			if a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil)); w.Code != http.StatusFound || w.Header().Get("Location") != path+"/" {
				t.Errorf("GET %s: %d to %q, in SRS 302 to %s/", path, w.Code, w.Header().Get("Location"), path)
			}
		}
		if len(*closed) > 0 {
			t.Errorf("%v were ended", *closed)
		}
	})
}

// TestViewerOfPlaylistsIsOneClient has two viewers of a playlist behind one address: the API knows each by the identifier that the hooks
// have told, and ends the right one.
func TestViewerOfPlaylistsIsOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := srs.NewHooks("n1", "i1", slog.New(slog.DiscardHandler))
		told := make(chan string, 8)
		h.Over(transport(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			_, id, _ := strings.Cut(string(body), `"client_id":"`)
			id, _, _ = strings.Cut(id, `"`)
			told <- id
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("0")), Header: http.Header{}}, nil
		}))
		vh := &srs.Vhost{Name: srs.DefaultVhost, Hooks: map[string][]string{"on_play": {"http://h"}}}
		at := netip.MustParseAddrPort("192.0.2.7:5000")
		session := srs.Session{ID: "14", ClientStats: listen.ClientStats{Protocol: protocols.HLS, Remote: at, Stream: "live/onc"}}
		second := session
		second.ID = "15"
		a, closed := newAPIOf(t, h, func(*http.Request) (int, error) { return 200, nil }, session, second)
		r := wants("live", "onc")
		r.Protocol, r.Path, r.Host = protocols.HLS, "/live/onc.m3u8", "cdn.example.com"
		var ids []string
		for _, r.Query = range []string{"t=1", "t=2"} {
			r.Remote = at
			if err := h.Watch(t.Context(), vh, r); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, <-told)
			time.Sleep(time.Second)
		}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, srs.Prefix+"clients/?count=100", nil))
		for i, want := range []string{`"alive":2.00`, `"alive":1.00`} {
			_, client, _ := strings.Cut(w.Body.String(), `{"id":"`+ids[i]+`"`)
			client, _, _ = strings.Cut(client, "}")
			for _, part := range []string{want, `"name":"onc.m3u8"`, `"tcUrl":"http://cdn.example.com/live"`, `"type":"hls-play"`} {
				if !strings.Contains(client, part) {
					t.Errorf("viewer %d is %s, want %s", i+1, client, part)
				}
			}
		}
		w = httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, srs.Prefix+"clients/"+ids[1], nil))
		if !slices.Equal(*closed, []string{"15"}) {
			t.Errorf("ended %v, want the session of the second viewer", *closed)
		}
	})
}
