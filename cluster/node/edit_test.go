package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"weir/protocols/api"
	"weir/protocols/listen/listentest"
)

const apiBase = "/streamer/api/v3"

// editable starts nodes of one file, which the API can edit. It returns the paths of their files too.
func editable(t *testing.T, count int, streams string) (nodes []*proc, files []string) {
	t.Helper()
	entry := make([]string, count)
	for i, port := range listentest.Ports(t, count) {
		entry[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	text := fileOf(entry, streams)
	for i := range count {
		p := launch(t, fmt.Sprintf("n%d", i+1))
		path := filepath.Join(t.TempDir(), "weir.conf")
		if err := os.WriteFile(path, []byte(fmt.Sprintf("# the file of n%d\n", i+1)+text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := p.must(t, order{Do: "start", Config: text, HTTP: entry[i], Path: path}).Addresses
		p.http, p.rtmp, p.rtsp = at["http"][0], at["rtmp"][0], at["rtsp"][0]
		nodes, files = append(nodes, p), append(files, path)
	}
	return nodes, files
}

// request makes a request for a path of the API, or outside of it for one with two slashes.
func (p *proc) request(t *testing.T, method, path, body, ifMatch string) (status int, text string) {
	t.Helper()
	full, outside := strings.CutPrefix(path, "//") // outside of the API's base
	if full = "/" + full; !outside {
		full = apiBase + path
	}
	req, err := http.NewRequest(method, "http://"+p.http+full, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(body, "{") {
		req.Header.Set("Content-Type", "application/json")
	}
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func contents(t *testing.T, files []string) (texts []string) {
	t.Helper()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	return texts
}

func TestEditThroughTheAPIReachesTheWholeGroup(t *testing.T) {
	t.Parallel()
	nodes, files := editable(t, 3, "stream a { input fake://a; cluster_ingest; } # stays\n")
	within(t, "all nodes know each other", func() error {
		for _, n := range nodes {
			for _, p := range answered[listed](t, n.http, "cluster/peers").Peers {
				if p.Status != "alive" {
					return fmt.Errorf("%s: %s is %s", n.http, p.Hostname, p.Status)
				}
			}
		}
		return nil
	})

	// A stream of the group is made at one node and runs at another one.
	status, said := nodes[0].request(t, "PUT", "/streams/live/new", `{"inputs":["fake://new"],"cluster_ingest":{"capture_at":"`+nodes[2].http+`"}}`, "")
	if status != 200 {
		t.Fatalf("PUT: %d %s", status, said)
	}
	var done api.Edited
	if err := json.Unmarshal([]byte(said), &done); err != nil || len(done.Nodes) != 3 || slices.ContainsFunc(done.Nodes, func(n api.EditedNode) bool { return n.Status != "applied" }) {
		t.Fatalf("PUT: %s, %v", said, err)
	}
	for i, text := range contents(t, files) {
		if !strings.HasPrefix(text, fmt.Sprintf("# the file of n%d\n", i+1)) || !strings.Contains(text, "# stays\n\nstream live/new {\n    input fake://new;\n") {
			t.Errorf("the file of n%d:\n%s", i+1, text)
		}
	}
	within(t, "the stream runs at n3, and n2 knows", func() error {
		if s := answered[listed](t, nodes[1].http, "streams").stream("live/new"); s.State != "running" || s.Owner != "n3" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})

	// A stream of one node alone is no drift; another setting of a common one is, with its lines.
	nodes[1].mustEdit(t, "PUT", "/streams/own", `{"inputs":["fake://own"]}`)
	nodes[1].mustEdit(t, "PUT", "/streams/a?scope=node", `{"cluster_ingest":{"handover":"break"}}`)
	within(t, "the drift is an alarm, and told by line", func() error {
		alarms := answered[api.Alarms](t, nodes[0].http, "cluster/alarms").Alarms
		drift := answered[api.Drifts](t, nodes[0].http, "cluster/drift").Nodes
		if len(alarms) != 1 || alarms[0].Node != "n2" || len(drift) != 2 || drift[1].Status != "same" || strings.Join(drift[0].Diff, "|") !=
			"@@ line 4|-    cluster_ingest;|+    cluster_ingest handover=break;" {
			return fmt.Errorf("%+v, %+v", alarms, drift)
		}
		return nil
	})
	nodes[1].mustEdit(t, "PUT", "/streams/a?scope=node", `{"cluster_ingest":{"handover":null}}`)

	// An edit that n3 cannot write is made nowhere.
	before := contents(t, files)
	if err := os.Remove(files[2] + ".bak"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(files[2]+".bak", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if status, said = nodes[0].request(t, "POST", "/streams/a/stop", "", ""); status != 409 || !strings.Contains(said, "undone at all nodes: n3 answers: writing") {
		t.Errorf("an edit that n3 cannot write: %d %s", status, said)
	}
	if after := contents(t, files); !slices.Equal(before, after) {
		t.Errorf("files after an edit that was undone: %s", after)
	}
	within(t, "the edit that was undone is not in effect", func() error {
		if s := answered[listed](t, nodes[0].http, "streams").stream("a"); s.State == "disabled" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if err := os.RemoveAll(files[2] + ".bak"); err != nil {
		t.Fatal(err)
	}

	// What is wrong is told by its path, and a stale edit is refused with the lines.
	if status, said = nodes[0].request(t, "PUT", "/streams/a", `{"inputs":["fake://a",{"url":"rtsq://x"}]}`, ""); status != 400 || !strings.Contains(said, `"path":"inputs[1].url"`) ||
		!strings.Contains(said, "expected") {
		t.Errorf("a wrong input: %d %s", status, said)
	}
	text := answered[api.Text](t, nodes[0].http, "config/text")
	nodes[0].mustEdit(t, "PUT", "/streams/a?scope=node", `{"title":"A"}`)
	if status, said = nodes[0].request(t, "PUT", "/config", text.Text, `"`+text.Version+`"`); status != 412 || !strings.Contains(said, "title A;") {
		t.Errorf("a stale edit: %d %s", status, said)
	}
	nodes[0].mustEdit(t, "DELETE", "/streams/live/new", "")
	within(t, "the stream is gone everywhere", func() error {
		for _, n := range nodes {
			if s := answered[listed](t, n.http, "streams").stream("live/new"); s.Name != "" {
				return fmt.Errorf("%s: %+v", n.http, s)
			}
		}
		return nil
	})
}

// TestFilesAreComparedWithoutALookAtTheMachine compares a file that would not start on this machine.
func TestFilesAreComparedWithoutALookAtTheMachine(t *testing.T) {
	src := onDisk{"weir.conf", flags("n1", "127.0.0.1:0", "off", "off")}
	text := []byte("cluster_key for-the-test-only-0123; geoip /none.mmdb; balancer b { server 127.0.0.1:9 countries=CN countries_default=true; } stream a { input fake://a; cluster_ingest; }")
	if _, problems := src.Check(text); !problems.Failed() {
		t.Fatal("the file would start")
	}
	if lines, err := sharedLines(src, text); err != nil || !slices.Contains(lines, "stream a {") {
		t.Errorf("%q, %v", lines, err)
	}
	if _, err := sharedLines(src, []byte("fish;")); err == nil {
		t.Error("a file with an error is compared")
	}
}

func TestEditByAPartOfTheFileHasToBeMeant(t *testing.T) {
	const key = "cluster_key 0123456789abcdef;\n"
	streams := "stream a { input fake://a; }\nstream b { input fake://b; }\nstream c { input fake://c; }\n"
	text, src := key+streams, onDisk{"weir.conf", flags("n1", "127.0.0.1:0", "off", "off")}
	for _, tt := range []struct {
		text    string
		shorten bool
		lost    string
	}{
		{text + "# more", false, ""},
		{streams, false, "the file has lost its cluster_key"},
		{streams, true, ""},
		{key, false, "the file has lost 3 of 3 streams"},
		{key, true, ""},
		{"\n", false, "the file has become empty"},
		{"stream a {", false, ""}, // its own problems say what is wrong
	} {
		next, err := edited(src, []byte(text), api.Edit{Kind: api.EditText, Text: tt.text, Shorten: tt.shorten})
		var refused *api.EditError
		switch {
		case tt.lost == "":
			if err != nil || string(next) != tt.text {
				t.Errorf("%q: %q, %v", tt.text, next, err)
			}
		case !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(err.Error(), tt.lost) || !strings.Contains(err.Error(), "shorten=true"):
			t.Errorf("%q: %v, want a refusal with %q", tt.text, err, tt.lost)
		}
	}
}

// mustEdit makes an edit.
func (p *proc) mustEdit(t *testing.T, method, path, body string) {
	t.Helper()
	if status, said := p.request(t, method, path, body, ""); status != 200 {
		t.Fatalf("%s %s: %d %s", method, path, status, said)
	}
}

// requests has one for every operation of the OpenAPI document, in an order in which each succeeds.
var requests = []struct{ id, method, path, body string }{
	{"putStream", "PUT", "/streams/live/x", `{"inputs":[{"url":"fake://x","priority":1}],"title":"X","cluster_ingest":{},"latency":100,"hls":"relay"}`},
	{"getStream", "GET", "/streams/live/x", ""},
	{"listStreams", "GET", "/streams?sort=-clients,name&name_like=x", ""},
	{"restartStream", "POST", "/streams/a/restart", ""},
	{"stopStream", "POST", "/streams/live/x/stop", ""},
	{"moveStream", "POST", "/streams/live/x/move", ""},
	{"deleteStream", "DELETE", "/streams/live/x", ""},
	{"putTemplate", "PUT", "/templates/tv", `{"prefix":"tv","inputs":[{"url":"publish://"}]}`},
	{"getTemplate", "GET", "/templates/tv", ""},
	{"listTemplates", "GET", "/templates", ""},
	{"deleteTemplate", "DELETE", "/templates/tv", ""},
	{"listSessions", "GET", "/sessions", ""},
	{"getSession", "GET", "/sessions/SESSION", ""},
	{"kickSession", "DELETE", "/sessions/SESSION", ""},
	{"putPeer", "PUT", "/cluster/peers/127.0.0.9:1", `{"stale_timeout":20000,"public_payload_url":"http://cdn.example.com","cpu_limit":90}`},
	{"getPeer", "GET", "/cluster/peers/127.0.0.9:1", ""},
	{"listPeers", "GET", "/cluster/peers?select=name,stats.cpu_usage", ""},
	{"deletePeer", "DELETE", "/cluster/peers/127.0.0.9:1", ""},
	{"putBalancer", "PUT", "/cluster/balancers/lb", `{"mode":"bitrate","servers":[{"hostname":"127.0.0.8","max_bitrate":1000000000}]}`},
	{"getBalancer", "GET", "/cluster/balancers/lb", ""},
	{"listBalancers", "GET", "/cluster/balancers", ""},
	{"deleteBalancer", "DELETE", "/cluster/balancers/lb", ""},
	{"putSource", "PUT", "/cluster/sources/127.0.0.7:1", `{"only":["a"]}`},
	{"getSource", "GET", "/cluster/sources/127.0.0.7:1", ""},
	{"listSources", "GET", "/cluster/sources", ""},
	{"deleteSource", "DELETE", "/cluster/sources/127.0.0.7:1", ""},
	{"listAlarms", "GET", "/cluster/alarms", ""},
	{"explainStream", "GET", "/cluster/explain?stream=a", ""},
	{"planWithout", "GET", "/cluster/plan?without=n1", ""},
	{"getDrift", "GET", "/cluster/drift", ""},
	{"listEvents", "GET", "/events", ""},
	{"listMinutes", "GET", "/pulse", ""},
	{"liveness", "GET", "/monitoring/liveness", ""},
	{"readiness", "GET", "/monitoring/readiness", ""},
	{"listActors", "GET", "//api/tree", ""},
	{"metrics", "GET", "//metrics", ""},
	{"getConfigText", "GET", "/config/text", ""},
	{"getConfig", "GET", "/config", ""},
	{"putConfig", "PUT", "/config", `{"return_holddown":2000}`},
	{"validateConfig", "POST", "/config/validate", `{"return_holddown":0,"peers":null}`},
	{"reloadConfig", "POST", "/config/reload", ""},
	{"getStats", "GET", "/config/stats", ""},
	{"openapi", "GET", "/openapi.json", ""},
	{"drain", "POST", "/drain?deadline=1s", ""}, // the last one: the node ends
}

// elsewhere are the operations that are tried by other tests.
var elsewhere = []string{"followEvents"}

// TestEveryOperationOfARunningNodeAnswersAsItsDocumentSays sends requests as the document has them, and checks bodies and answers by
// its schemas. Members that they do not have are errors.
func TestEveryOperationOfARunningNodeAnswersAsItsDocumentSays(t *testing.T) {
	t.Parallel()
	nodes, _ := editable(t, 1, "stream a { input fake://a; cluster_ingest; }\n")
	n := nodes[0]
	var viewer io.Closer
	within(t, "a viewer", func() error {
		res, err := http.Get("http://" + n.http + "/a/mpegts")
		if err != nil || res.StatusCode != 200 {
			return fmt.Errorf("%v, %v", res, err)
		}
		viewer = res.Body
		return nil
	})
	defer viewer.Close()
	_, text := n.request(t, "GET", "/openapi.json", "", "")
	d := readDocument(t, text)
	seen := map[string]bool{}
	for _, r := range requests {
		seen[r.id] = true
		o, ok := d.operation(r.id)
		if !ok {
			t.Errorf("%s is no operation of the document", r.id)
			continue
		}
		path := r.path
		if strings.Contains(path, "SESSION") {
			list := answered[listed](t, n.http, "sessions").Sessions
			if len(list) == 0 {
				t.Fatalf("%s: no session is left", r.id)
			}
			path = strings.ReplaceAll(path, "SESSION", list[0].ID)
		}
		if schema := o.Body.Content["application/json"].Schema; r.body != "" {
			d.check(t, r.id+", the body", schema, r.body)
		}
		status, said := n.request(t, r.method, path, r.body, "")
		if status != 200 {
			t.Errorf("%s: %d %s", r.id, status, said)
			continue
		}
		c := o.Responses["200"].Content
		if schema := c["application/json"].Schema; len(schema) > 0 {
			d.check(t, r.id, schema, said)
		} else if schema := c["application/x-ndjson"].Schema; len(schema) > 0 {
			for line := range strings.Lines(said) {
				d.check(t, r.id, schema, line)
			}
		}
	}
	for _, methods := range d.Paths {
		for _, o := range methods {
			if !seen[o.ID] && !slices.Contains(elsewhere, o.ID) {
				t.Errorf("%s was not exercised", o.ID)
			}
		}
	}
}

// A document is an OpenAPI document, as far as this test reads it.
type document struct {
	Paths      map[string]map[string]documentOperation
	Components struct {
		Schemas map[string]json.RawMessage
	}
}

type (
	documentOperation struct {
		ID        string         `json:"operationId"`
		Body      documentBody   `json:"requestBody"`
		Responses documentBodies `json:"responses"`
	}
	documentBodies map[string]documentBody
	documentBody   struct {
		Content map[string]struct{ Schema json.RawMessage }
	}
)

func readDocument(t *testing.T, text string) (d document) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *document) operation(id string) (documentOperation, bool) {
	for _, methods := range d.Paths {
		for _, o := range methods {
			if o.ID == id {
				return o, true
			}
		}
	}
	return documentOperation{}, false
}

// check compares a value with a schema of the document.
func (d *document) check(t *testing.T, what string, schema json.RawMessage, value string) {
	t.Helper()
	root := strict(t, schema)
	root.Defs = map[string]*jsonschema.Schema{}
	for name, c := range d.Components.Schemas {
		root.Defs[name] = strict(t, c)
	}
	r, err := root.Resolve(nil)
	if err != nil {
		t.Fatalf("%s: schema %s: %v", what, schema, err)
	}
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		t.Errorf("%s: %v in %s", what, err, value)
		return
	}
	if err := r.Validate(v); err != nil {
		t.Errorf("%s: %v in\n%s", what, err, value)
	}
}

// strict reads a schema that is to name all members.
func strict(t *testing.T, text json.RawMessage) *jsonschema.Schema {
	t.Helper()
	s := &jsonschema.Schema{}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "#/components/schemas/", "#/$defs/")), s); err != nil {
		t.Fatalf("schema %s: %v", text, err)
	}
	if s.Type == "object" && s.Properties != nil && s.AdditionalProperties == nil {
		s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}}
	}
	return s
}
