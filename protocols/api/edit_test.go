package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// drainer is a node that drains in two steps.
type drainer struct {
	limit time.Duration
	bad   error

	kicked string
}

func (d *drainer) Drain(_ context.Context, limit time.Duration, report func(Drain)) {
	d.limit = limit
	report(Drain{State: "handing over", Streams: 3})
	report(Drain{State: DrainDone, Closed: 2})
}

func (d *drainer) Reload(context.Context) ([]string, error) { return []string{"http"}, d.bad }

func TestReloadSaysWhatNeedsARestart(t *testing.T) {
	for _, tt := range []struct {
		bad    error
		status int
		want   string
	}{
		{nil, 200, `{"needs_restart":["http"]}`},
		{errors.New("weir.conf:3:1: found a fish"), 409, `{"error":"weir.conf:3:1: found a fish"}`},
	} {
		r := httptest.NewRequest("POST", base+"/config/reload", nil)
		r.RemoteAddr, r.Host = "127.0.0.1:4000", "127.0.0.1"
		w := httptest.NewRecorder()
		Handler(&fake{}, Options{Control: &drainer{bad: tt.bad}}).ServeHTTP(w, r)
		if body := strings.TrimSpace(w.Body.String()); w.Code != tt.status || body != tt.want {
			t.Errorf("reload = %d %s, want %d %s", w.Code, body, tt.status, tt.want)
		}
	}
}

func (d *drainer) Explain(_ context.Context, stream string) (any, error) {
	if stream != "a/b" {
		return nil, ErrNotFound
	}
	return map[string]string{"stream": stream}, nil
}

func (d *drainer) Plan(_ context.Context, without []string) (any, error) {
	return map[string][]string{"without": without}, nil
}

func (d *drainer) Restart(_ context.Context, stream string) error {
	if stream != "cam01" {
		return fmt.Errorf("%w: %s", ErrNotFound, stream)
	}
	return nil
}

func (d *drainer) Kick(_ context.Context, session string) error {
	if session != "n1-7" {
		return fmt.Errorf("%w: %s", ErrNotFound, session)
	}
	d.kicked = session
	return nil
}

func (d *drainer) Alarms() []Alarm { return []Alarm{{Kind: "all full", Text: "mend it"}} }

var askTests = []struct {
	path   string
	status int
	want   string
}{
	{"/cluster/explain?stream=a/b", 200, `{"stream":"a/b"}`},
	{"/cluster/explain?stream=c", 404, `{"error":"no such stream"}`},
	{"/cluster/explain", 400, `{"error":"stream: missing: the name of the stream","problems":[{"path":"stream","severity":"error","error":"missing: the name of the stream"}]}`},
	{"/cluster/explain?stream=a/b&more=1", 400, `{"error":"more: no such parameter, expected stream","problems":[{"path":"more","severity":"error","error":"no such parameter, expected stream"}]}`},
	{"/cluster/plan", 200, `{"without":null}`},
	{"/cluster/plan?without=n1&without=n2", 200, `{"without":["n1","n2"]}`},
	{"/cluster/alarms", 200, `{"alarms":[{"kind":"all full","since":0,"text":"mend it"}]}`},
}

func TestControlPlaneIsAsked(t *testing.T) {
	for _, tt := range askTests {
		res := httptest.NewRecorder()
		Handler(&fake{}, Options{Control: &drainer{}}).ServeHTTP(res, httptest.NewRequest("GET", base+tt.path, nil))
		if body := strings.TrimSpace(res.Body.String()); res.Code != tt.status || body != tt.want {
			t.Errorf("GET %s = %d %s, want %d %s", tt.path, res.Code, body, tt.status, tt.want)
		}
	}
}

var mayEditTests = []struct {
	name   string
	auth   *Credentials
	change func(*http.Request)
	status int
}{
	{"from this machine", nil, nil, 200},
	{"from this machine, IPv6", nil, func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:4000", "[::1]:80" }, 200},
	{"from this machine by name", nil, func(r *http.Request) { r.Host = "localhost:8080" }, 200},
	{"from elsewhere", nil, func(r *http.Request) { r.RemoteAddr = "192.0.2.7:4000" }, 403},
	{"through a proxy on this machine", nil, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.7") }, 403},
	{"through nginx as it is by default", nil, func(r *http.Request) { r.ProtoMinor = 0 }, 403},
	{"a proxy that tells the host", nil, func(r *http.Request) { r.Header.Set("X-Forwarded-Host", "tv.example.com") }, 403},
	{"a proxy that tells the scheme", nil, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "http") }, 403},
	{"a proxy that tells its name", nil, func(r *http.Request) { r.Header.Set("X-Forwarded-Server", "www") }, 403},
	{"a proxy that leaves a header empty", nil, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "") }, 403},
	{"a forwarder from another port", nil, func(r *http.Request) { *r = *arrived(r, 8080) }, 403},
	{"at the port that is meant", nil, func(r *http.Request) { *r = *arrived(r, 80) }, 200},
	{"over TLS at the usual port", nil, func(r *http.Request) { *r, r.Host, r.TLS = *arrived(r, 443), "localhost", &tls.ConnectionState{} }, 200},
	{"a name that was bent to this machine", nil, func(r *http.Request) { r.Host = "evil.example" }, 403},
	{"a page in a browser on this machine", nil, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
	{"a page, as newer browsers say it", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
	{"with credentials", &Credentials{"admin", "geheim"}, func(r *http.Request) {
		r.RemoteAddr = "192.0.2.7:4000"
		r.SetBasicAuth("admin", "geheim")
	}, 200},
	{"with a wrong password", &Credentials{"admin", "geheim"}, func(r *http.Request) { r.SetBasicAuth("admin", "geheiM") }, 401},
	{"without the credentials that are set, from this machine", &Credentials{"admin", "geheim"}, nil, 401},
}

// arrived is a request that came in at a port.
func arrived(r *http.Request, port int) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{Port: port})))
}

func TestOnlyWhoMayChangesANode(t *testing.T) {
	for _, tt := range mayEditTests {
		d := &drainer{}
		r := httptest.NewRequest("POST", base+"/drain?deadline=5s", nil)
		r.RemoteAddr, r.Host = "127.0.0.1:4000", "127.0.0.1:80"
		if tt.change != nil {
			tt.change(r)
		}
		w := httptest.NewRecorder()
		Handler(&fake{}, Options{Control: d, Edit: tt.auth}).ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s: status %d, want %d: %s", tt.name, w.Code, tt.status, w.Body)
		}
		if drained := d.limit != 0; drained != (tt.status == 200) {
			t.Errorf("%s: drained = %v with status %d", tt.name, drained, w.Code)
		}
	}
}

func TestDrainTellsEachStepInALine(t *testing.T) {
	d := &drainer{}
	h := Handler(&fake{}, Options{Control: d})
	post := func(query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", base+"/drain"+query, nil)
		r.RemoteAddr, r.Host = "127.0.0.1:4000", "127.0.0.1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := post("?deadline=1m30s")
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if d.limit != 90*time.Second || len(lines) != 2 || !strings.Contains(lines[1], `"state":"done"`) || !strings.Contains(lines[1], `"closed":2`) {
		t.Errorf("drain with %v says %q, want 1m30s and two lines", d.limit, lines)
	}
	for _, q := range []string{"?deadline=-1s", "?deadline=soon", "?deadline=1000h"} {
		if w := post(q); w.Code != http.StatusBadRequest {
			t.Errorf("drain%s: status %d, want 400", q, w.Code)
		}
	}
}

func TestWhoMaySeeWhat(t *testing.T) {
	edit, view := &Credentials{"root", "s3cret"}, &Credentials{"guest", "look"}
	for _, tt := range []struct {
		name       string
		edit, view *Credentials
		who        string // the Authorization header
		path       string
		status     int
	}{
		{"nobody asks", nil, nil, "", base + "/streams", 200},
		{"edit_auth is asked for", edit, nil, "", base + "/streams", 401},
		{"edit_auth", edit, nil, "Basic cm9vdDpzM2NyZXQ=", base + "/streams", 200},
		{"as a bearer", edit, nil, "Bearer cm9vdDpzM2NyZXQ=", base + "/streams", 200},
		{"a wrong password", edit, nil, "Basic cm9vdDpzM2NyZXQx", base + "/streams", 401},
		{"a bearer of nothing", edit, nil, "Bearer !", base + "/streams", 401},
		{"view_auth is asked for", nil, view, "", "/metrics", 401},
		{"view_auth", nil, view, "Basic Z3Vlc3Q6bG9vaw==", "/api/tree", 200},
		{"edit_auth sees too", edit, view, "Basic cm9vdDpzM2NyZXQ=", base + "/cluster/peers", 200},
		{"view_auth beside edit_auth", edit, view, "Basic Z3Vlc3Q6bG9vaw==", base + "/cluster/balancers", 200},
		{"liveness", edit, view, "", base + "/monitoring/liveness", 200},
		{"readiness", edit, view, "", base + "/monitoring/readiness", 200},
		{"what is not there", edit, view, "", base + "/none", 401},
	} {
		r := httptest.NewRequest("GET", tt.path, nil)
		if tt.who != "" {
			r.Header.Set("Authorization", tt.who)
		}
		w := httptest.NewRecorder()
		Handler(&fake{}, Options{Edit: tt.edit, View: tt.view, Metrics: NewMetrics("1", func() Totals { return Totals{} })}).ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("%s: GET %s is %d, want %d", tt.name, tt.path, w.Code, tt.status)
		}
		if asks := w.Header().Get("WWW-Authenticate") != ""; asks != (w.Code == 401) {
			t.Errorf("%s: WWW-Authenticate %t with status %d", tt.name, asks, w.Code)
		}
	}
	r := httptest.NewRequest("POST", base+"/config/reload", nil)
	r.Header.Set("Authorization", "Basic Z3Vlc3Q6bG9vaw==")
	w := httptest.NewRecorder()
	Handler(&fake{}, Options{Edit: edit, View: view, Control: &drainer{}}).ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("a change with view_auth is %d, want 401", w.Code)
	}
}
