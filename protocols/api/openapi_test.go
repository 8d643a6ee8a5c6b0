package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// exercised has a request for every operation of the document. A row without an operation would be of no use, and an operation
// without a row is an error of the test.
var exercised = map[string]struct {
	path   string // below the base, unless it starts with //
	body   string
	status int
}{
	"listStreams":   {path: "/streams?sort=-clients&state_ne=disabled", status: 200},
	"getStream":     {path: "/streams/cam01", status: 200},
	"listSessions":  {path: "/sessions", status: 200},
	"getSession":    {path: "/sessions/n1-7", status: 200},
	"kickSession":   {path: "/sessions/n1-7", status: 200},
	"listPeers":     {path: "/cluster/peers", status: 200},
	"getPeer":       {path: "/cluster/peers/n2", status: 200},
	"listBalancers": {path: "/cluster/balancers", status: 200},
	"getBalancer":   {path: "/cluster/balancers/global", status: 200},
	"listAlarms":    {path: "/cluster/alarms", status: 200},
	"explainStream": {path: "/cluster/explain?stream=a/b", status: 200},
	"planWithout":   {path: "/cluster/plan?without=n1&without=n2", status: 200},
	"listEvents":    {path: "/events?level=warning", status: 200},
	"followEvents":  {path: "/events/stream", status: 200},
	"listMinutes":   {path: "/pulse?minutes=2", status: 200},
	"liveness":      {path: "/monitoring/liveness", status: 200},
	"readiness":     {path: "/monitoring/readiness", status: 200},
	"drain":         {path: "/drain?deadline=5s", status: 200},
	"listActors":    {path: "//api/tree", status: 200},
	"metrics":       {path: "//metrics", status: 200},
	"reloadConfig":  {path: "/config/reload", status: 200},
	"getStats":      {path: "/config/stats", status: 200},
	"openapi":       {path: "/openapi.json", status: 200},

	"putStream":      {path: "/streams/live/new", body: `{"inputs":[{"url":"publish://"}]}`, status: 200},
	"deleteStream":   {path: "/streams/live/new?scope=cluster", status: 200},
	"stopStream":     {path: "/streams/cam01/stop", status: 200},
	"restartStream":  {path: "/streams/cam01/restart", status: 200},
	"moveStream":     {path: "/streams/cam01/move?to=n2", status: 200},
	"listTemplates":  {path: "/templates?name_like=t", status: 200},
	"getTemplate":    {path: "/templates/tv", status: 200},
	"putTemplate":    {path: "/templates/tv", body: `{"prefix":null}`, status: 200},
	"deleteTemplate": {path: "/templates/tv", status: 200},
	"putPeer":        {path: "/cluster/peers/n2", body: `{}`, status: 200},
	"deletePeer":     {path: "/cluster/peers/n2", status: 200},
	"putBalancer":    {path: "/cluster/balancers/lb", body: `{}`, status: 200},
	"deleteBalancer": {path: "/cluster/balancers/lb", status: 200},
	"listSources":    {path: "/cluster/sources", status: 200},
	"getSource":      {path: "/cluster/sources/tv", status: 200},
	"putSource":      {path: "/cluster/sources/http://o/x", body: `{}`, status: 200},
	"deleteSource":   {path: "/cluster/sources/o", status: 200},
	"getConfigText":  {path: "/config/text", status: 200},
	"getConfig":      {path: "/config", status: 200},
	"putConfig":      {path: "/config", body: `stream a { input fake://a; }`, status: 200},
	"validateConfig": {path: "/config/validate", body: `stream a { input fish://a; }`, status: 200},
	"getDrift":       {path: "/cluster/drift", status: 200},
}

// A reference is the document as a client reads it.
type reference struct {
	Paths map[string]map[string]struct {
		ID        string `json:"operationId"`
		Responses map[string]struct {
			Content map[string]struct{ Schema json.RawMessage }
		}
	}
	Components struct {
		Schemas map[string]json.RawMessage
	}
}

// readReference gets the document of a handler.
func readReference(t *testing.T, h http.Handler) (d reference) {
	t.Helper()
	if err := json.NewDecoder(get(h, "GET", base+"/openapi.json").Body).Decode(&d); err != nil {
		t.Fatalf("the document: %v", err)
	}
	return d
}

// resolve makes a schema of the document ready to check values. Members that it does not name are errors here.
func (d *reference) resolve(t *testing.T, text json.RawMessage) *jsonschema.Resolved {
	t.Helper()
	local := func(text json.RawMessage) *jsonschema.Schema {
		s := &jsonschema.Schema{}
		if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), componentRef, "#/$defs/")), s); err != nil {
			t.Fatalf("schema %s: %v", text, err)
		}
		if s.Type == "object" && s.Properties != nil && s.AdditionalProperties == nil {
			s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}}
		}
		return s
	}
	root := local(text)
	root.Defs = map[string]*jsonschema.Schema{}
	for name, c := range d.Components.Schemas {
		root.Defs[name] = local(c)
	}
	r, err := root.Resolve(nil)
	if err != nil {
		t.Fatalf("schema %s: %v", text, err)
	}
	return r
}

func TestEveryOperationAnswersAsTheDocumentSays(t *testing.T) {
	f := example()
	h := Handler(f, Options{Control: &drainer{}, Settings: &editor{}, Metrics: NewMetrics("1", func() Totals { return Totals{} }), Log: quiet()})
	d := readReference(t, h)
	done := map[string]bool{}
	for path, methods := range d.Paths {
		for method, o := range methods {
			e, ok := exercised[o.ID]
			if !ok {
				t.Errorf("%s %s: no request of this test is for %s", method, path, o.ID)
				continue
			}
			done[o.ID] = true
			for _, bare := range []bool{false, true} { // with all that there is, and with nothing
				what := h
				if bare {
					what = Handler(&fake{}, Options{Control: &drainer{}, Log: quiet()})
				}
				w := exercise(what, strings.ToUpper(method), e.path, e.body)
				if !bare && w.Code != e.status {
					t.Errorf("%s: status %d, want %d: %s", o.ID, w.Code, e.status, w.Body)
				}
				status := "200"
				if w.Code != 200 {
					status = "default"
				}
				media, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
				c, ok := o.Responses[status].Content[media]
				if !ok {
					t.Errorf("%s: the answer with status %d is of %q, which is not in the document", o.ID, w.Code, media)
					continue
				}
				d.check(t, o.ID, media, c.Schema, w.Body.String())
			}
		}
	}
	for id := range exercised {
		if !done[id] {
			t.Errorf("%s is no operation of the document", id)
		}
	}
}

// exercise makes a request of this machine. Its client has gone already, so that answers without end end at once.
func exercise(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	full, outside := strings.CutPrefix(path, "//")
	if full = "/" + full; !outside {
		full = base + path
	}
	r := httptest.NewRequest(method, full, strings.NewReader(body))
	if strings.HasSuffix(path, "/stream") {
		ctx, leave := contextOf(r)
		leave()
		r = r.WithContext(ctx)
	}
	r.RemoteAddr, r.Host = "127.0.0.1:4000", "127.0.0.1"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// check compares an answer with its schema.
func (d *reference) check(t *testing.T, id, media string, schema json.RawMessage, body string) {
	t.Helper()
	var values []string
	switch media {
	case jsonMedia:
		values = []string{body}
	case "application/x-ndjson":
		values = strings.Split(strings.TrimSpace(body), "\n")
	default:
		return // text
	}
	r := d.resolve(t, schema)
	for _, text := range values {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if err := r.Validate(v); err != nil {
			t.Errorf("%s: %v in\n%s", id, err, text)
		}
	}
}

// TestWrongAnswersAreFound proves that the check above has teeth.
func TestWrongAnswersAreFound(t *testing.T) {
	d := readReference(t, Handler(&fake{}, Options{Log: quiet()}))
	r := d.resolve(t, json.RawMessage(`{"$ref":"`+componentRef+`Alarms"}`))
	for _, tt := range []struct {
		answer string
		ok     bool
	}{
		{`{"alarms":[{"kind":"a","since":1,"text":"b"}]}`, true},
		{`{"alarms":null}`, false},
		{`{"alarms":[{"kind":"a","since":"1","text":"b"}]}`, false},
		{`{"alarms":[{"kind":"a","text":"b"}]}`, false},
		{`{"alarms":[],"more":1}`, false},
	} {
		var v any
		_ = json.Unmarshal([]byte(tt.answer), &v)
		if err := r.Validate(v); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want it right: %t", tt.answer, err, tt.ok)
		}
	}
}

func TestOperationsAreThoseOfTheGoldenFile(t *testing.T) {
	var b strings.Builder
	for _, o := range operations {
		fmt.Fprintf(&b, "%-6s %s (%s)\n       %s\n", o.method, o.path, [...]string{"free", "see", "change"}[o.needs], o.summary)
	}
	golden(t, "operations.txt", []byte(b.String()))
	for i := range operations {
		o := &operations[i]
		same := slices.IndexFunc(operations, func(p operation) bool { return p.id == o.id || p.method == o.method && p.path == o.path })
		if same != i {
			t.Errorf("%s stands twice", o.id)
		}
		if o.method != "GET" && o.needs != change {
			t.Errorf("%s: %s without edit_auth", o.id, o.method)
		}
	}
}

func TestEventsFollowTheOneThatTheClientHasSeen(t *testing.T) {
	h := Handler(example(), Options{Log: quiet()})
	for _, tt := range []struct{ last, want string }{
		{"", ""}, {"4", "id: 5"}, {"5", ""}, {"9", ""}, // 9 is of another run of the process
	} {
		r := httptest.NewRequest("GET", base+"/events/stream", nil)
		ctx, leave := contextOf(r)
		leave()
		if tt.last != "" {
			r.Header.Set("Last-Event-ID", tt.last)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(ctx))
		if first, _, _ := strings.Cut(w.Body.String(), "\n"); first != tt.want {
			t.Errorf("after event %q comes %q, want %q", tt.last, w.Body, tt.want)
		}
	}
}

func TestSettingsAreReadOnlyByPagesOfTheNode(t *testing.T) {
	h := Handler(example(), Options{Control: &drainer{}, Edit: &Credentials{"root", "x"}, Log: quiet()})
	for _, origin := range []string{"", "http://evil.example"} {
		r := httptest.NewRequest("DELETE", base+"/sessions/n1-7", nil)
		r.SetBasicAuth("root", "x")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if want := map[string]int{"": 200}[origin]; want == 0 && w.Code != 403 || want == 200 && w.Code != 200 {
			t.Errorf("origin %q: %d %s", origin, w.Code, w.Body)
		}
		if o := w.Header().Get("Access-Control-Allow-Origin"); w.Code == 200 && o != "" {
			t.Errorf("what needs edit_auth may be read by %q", o)
		}
	}
}
