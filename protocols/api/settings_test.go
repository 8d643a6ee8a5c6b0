package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// An editor has a file, and keeps the last edit.
type editor struct {
	last   Edit
	wrong  error
	broken error // of the file, which cannot be read
}

func (e *editor) Text() (Text, error) {
	return Text{Path: "/etc/weir.conf", Version: "v1", Text: "cluster_key geheim; stream a { input http://u:p@x; }"}, nil
}

func (e *editor) Whole() (map[string]any, error) {
	return map[string]any{"cluster_key": "****", "streams": []any{}}, nil
}

func (e *editor) Entries(kind string) ([]map[string]any, error) {
	return []map[string]any{{"name": "tv", "url": "tv", "prefix": kind}}, nil
}

func (e *editor) Entry(kind, name string) (map[string]any, error) {
	if name != "tv" || e.broken != nil {
		return nil, e.broken
	}
	return map[string]any{"name": name, "prefix": kind}, nil
}

func (e *editor) Validate(d Edit) ([]Problem, error) {
	e.last = d
	return []Problem{{Path: "streams[0].inputs[0].url", Line: 1, Column: 20, Severity: "error", Text: "found fish"}}, nil
}

func (e *editor) Edit(_ context.Context, d Edit) (Edited, error) {
	e.last = d
	return Edited{
		Version: "v2", NeedsRestart: []string{}, Diff: []string{"@@ line 1", "+x"}, Warnings: []Problem{},
		Nodes: []EditedNode{{Node: "n1", Status: "applied"}},
	}, e.wrong
}

func (e *editor) Drift(context.Context) ([]Drift, error) {
	return []Drift{{Node: "n2", Status: "different", Version: "v0", Diff: []string{"@@ line 1", "-a"}}}, nil
}

func (e *editor) Schemas() map[string]json.RawMessage { return nil }

func TestRequestsBecomeEdits(t *testing.T) {
	for _, tt := range []struct {
		method, path, media, body string
		want                      Edit
	}{
		{"PUT", "/streams/live/a%2Fb", "", `{"title":null,"latency":100}`, Edit{Kind: "stream", Name: "live/a/b", Patch: map[string]any{"title": nil, "latency": json.Number("100")}}},
		{"DELETE", "/streams/stop", "", "", Edit{Kind: "stream", Name: "stop", Delete: true}},
		{"POST", "/streams/a/b/stop?scope=node", "", "", Edit{Kind: "stream", Name: "a/b", Patch: map[string]any{"disabled": true}, Scope: "node"}},
		{"POST", "/streams/a/move", "", "", Edit{Kind: "stream", Name: "a", Patch: map[string]any{"cluster_ingest": map[string]any{"capture_at": nil}}}},
		{"POST", "/streams/a/move?to=n2", "", "", Edit{Kind: "stream", Name: "a", Patch: map[string]any{"cluster_ingest": map[string]any{"capture_at": "n2"}}}},
		{"PUT", "/cluster/peers/n2:8080", "", `{}`, Edit{Kind: "peer", Name: "n2:8080", Patch: map[string]any{}}},
		{"PUT", "/cluster/sources/http://o/x", "", `{}`, Edit{Kind: "source", Name: "http://o/x", Patch: map[string]any{}}},
		{"PUT", "/config", "text/plain; charset=utf-8", "stream a;", Edit{Kind: EditText, Text: "stream a;"}},
		{"PUT", "/config?shorten=true", "", "stream a;", Edit{Kind: EditText, Text: "stream a;", Shorten: true}},
		{"PUT", "/config?shorten=false", "", "stream a;", Edit{Kind: EditText, Text: "stream a;"}},
		{"POST", "/streams/tv/stop", "", "", Edit{Kind: "stream", Name: "tv", Patch: map[string]any{"disabled": true}}},
		{"PUT", "/config?scope=cluster", "application/json", `{"return_holddown":null}`, Edit{Kind: EditWhole, Patch: map[string]any{"return_holddown": nil}, Scope: "cluster"}},
		{"POST", "/config/validate", "", "x", Edit{Kind: EditText, Text: "x"}},
	} {
		s := &editor{}
		r := httptest.NewRequest(tt.method, base+tt.path, strings.NewReader(tt.body))
		r.RemoteAddr, r.Host = "127.0.0.1:4000", "127.0.0.1"
		if tt.media != "" {
			r.Header.Set("Content-Type", tt.media)
		}
		if strings.HasPrefix(tt.path, "/cluster/peers") {
			r.Header.Set("If-Match", `"v7"`)
			tt.want.Base = "v7"
		}
		w := httptest.NewRecorder()
		Handler(&fake{streams: []Stream{{Name: "a"}, {Name: "a/b"}}}, Options{Settings: s, Log: quiet()}).ServeHTTP(w, r)
		if w.Code != 200 || !reflect.DeepEqual(s.last, tt.want) {
			t.Errorf("%s %s: %d %s, edit %+v, want %+v", tt.method, tt.path, w.Code, w.Body, s.last, tt.want)
		}
		if tag := w.Header().Get("ETag"); tt.path != "/config/validate" && tag != `"v2"` {
			t.Errorf("%s %s: ETag %s", tt.method, tt.path, tag)
		}
	}
}

func TestEditsThatCannotBeMeant(t *testing.T) {
	for _, tt := range []struct {
		method, path, media, body string
		settings                  Settings
		status                    int
		says                      string
	}{
		{"PUT", "/streams/a", "", `{"a":`, &editor{}, 400, "the body"},
		{"PUT", "/streams/a", "", `[]`, &editor{}, 400, "expected a JSON object"},
		{"PUT", "/streams/a", "", `null`, &editor{}, 400, "expected a JSON object"},
		{"PUT", "/streams/a?scope=all", "", `{}`, &editor{}, 400, "expected cluster or node"},
		{"PUT", "/streams/a?force=1", "", `{}`, &editor{}, 400, "no such parameter"},
		{"PUT", "/config", "text/html", ``, &editor{}, 415, "text/html"},
		{"PUT", "/config", "", ``, &editor{}, 400, "the body is blank"},
		{"PUT", "/config?shorten=true", "text/plain", " \n", &editor{}, 400, "the body is blank"},
		{"PUT", "/config?shorten=yes", "text/plain", "stream a;", &editor{}, 400, "expected true or false"},
		{"PUT", "/streams/a?shorten=true", "", `{}`, &editor{}, 400, "no such parameter"},
		{"POST", "/streams/typo/stop", "", ``, &editor{}, 404, "typo"},
		{"POST", "/streams/typo/move?to=n2", "", ``, &editor{}, 404, "typo"},
		{"PUT", "/streams/a", "", `{}`, nil, 409, "without a configuration file"},
		{"PUT", "/streams/a", "", `{}`, &editor{wrong: &EditError{412, Failure{Error: "stale", Diff: []string{"+x"}, Version: "v3"}}}, 412, `"diff":["+x"],"version":"v3"`},
		{"PATCH", "/streams/a", "", `{}`, &editor{}, 405, "expected DELETE, GET, HEAD, OPTIONS, PUT here"},
		{"GET", "/templates/none", "", ``, &editor{}, 404, "no such template in the file: none"},
	} {
		r := httptest.NewRequest(tt.method, base+tt.path, strings.NewReader(tt.body))
		r.RemoteAddr, r.Host = "127.0.0.1:4000", "127.0.0.1"
		if tt.media != "" {
			r.Header.Set("Content-Type", tt.media)
		}
		w := httptest.NewRecorder()
		Handler(&fake{}, Options{Settings: tt.settings, Log: quiet()}).ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s %s: %d %s, want %d with %q", tt.method, tt.path, w.Code, w.Body, tt.status, tt.says)
		}
	}
}

// TestFileThatCannotBeReadKeepsNothingElseFromBeingSeen asks a node that runs well by its former file.
func TestFileThatCannotBeReadKeepsNothingElseFromBeingSeen(t *testing.T) {
	n := &fake{streams: []Stream{{Name: "tv"}}, peers: []Peer{{Hostname: "tv"}}, balancers: []Balancer{{Name: "tv"}}}
	for _, tt := range []struct {
		path   string
		broken error
		status int
		config bool
	}{
		{"/streams/tv", nil, 200, true},
		{"/streams/tv", errors.New("weir.conf:3:1: found a fish"), 200, false},
		{"/cluster/peers/tv", nil, 200, true},
		{"/cluster/peers/tv", errors.New("weir.conf:3:1: found a fish"), 200, false},
		{"/cluster/balancers/tv", nil, 200, true},
		{"/cluster/balancers/tv", errors.New("weir.conf:3:1: found a fish"), 200, false},
		{"/templates/tv", errors.New("weir.conf:3:1: found a fish"), 503, false}, // only the file knows templates
	} {
		w := httptest.NewRecorder()
		Handler(n, Options{Settings: &editor{broken: tt.broken}, Log: quiet()}).ServeHTTP(w, httptest.NewRequest("GET", base+tt.path, nil))
		if w.Code != tt.status || strings.Contains(w.Body.String(), `"config":`) != tt.config {
			t.Errorf("GET %s with a file of which %v: %d %s, want %d, config %t", tt.path, tt.broken, w.Code, w.Body, tt.status, tt.config)
		}
	}
}

// TestSecretsOfTheFileNeedThePermissionToChangeIt reads the file as whoever may only look, and as a page of another origin.
func TestSecretsOfTheFileNeedThePermissionToChangeIt(t *testing.T) {
	h := Handler(&fake{}, Options{Settings: &editor{}, Edit: &Credentials{"root", "x"}, View: &Credentials{"guest", "y"}, Log: quiet()})
	for _, tt := range []struct {
		path, user, password, origin string
		status                       int
	}{
		{"/config/text", "root", "x", "", 200},
		{"/config", "root", "x", "", 200},
		{"/config/text", "guest", "y", "", 401},
		{"/config", "guest", "y", "", 401},
		{"/config/text", "root", "x", "http://evil.example", 403},
	} {
		r := httptest.NewRequest("GET", base+tt.path, nil)
		r.SetBasicAuth(tt.user, tt.password)
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || w.Header().Get("Access-Control-Allow-Origin") == "*" && w.Code == 200 {
			t.Errorf("GET %s by %s of %q: %d with CORS %q", tt.path, tt.user, tt.origin, w.Code, w.Header().Get("Access-Control-Allow-Origin"))
		}
		if secret := strings.Contains(w.Body.String(), "geheim") && strings.Contains(w.Body.String(), "u:p@"); secret != (w.Code == 200 && tt.path == "/config/text") {
			t.Errorf("GET %s by %s: %s", tt.path, tt.user, w.Body)
		}
	}
	r := httptest.NewRequest("GET", base+"/config", nil)
	r.SetBasicAuth("root", "x")
	r.Header.Set("Accept", "text/plain")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if text, _ := (&editor{}).Text(); w.Body.String() != text.Text || w.Header().Get("ETag") != `"v1"` {
		t.Errorf("as text: %s, %v", w.Body, w.Header())
	}
}
