package srs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir/cluster/srs"
	"weir/cluster/srs/srstest"
	"weir/protocols"
	"weir/protocols/listen"
)

// among makes a cluster with one virtual host, the default one, of these coworkers.
func among(t *testing.T, owner func(string) (srs.Owner, bool), coworkers ...string) (*srs.Cluster, *srs.Vhost) {
	t.Helper()
	if owner == nil {
		owner = func(string) (srs.Owner, bool) { return srs.Owner{}, false }
	}
	c := srs.New(srs.Config{
		Vhosts: []srs.Vhost{{Name: srs.DefaultVhost, OriginCluster: true, Coworkers: coworkers}},
		Owner:  owner,
		Own:    func(host, port string) bool { return host == "192.0.2.1" && port == "1935" },
		Node:   func() string { return "n1" }, Instance: "i1",
		Wall: func() int64 { return 0 }, Log: slog.New(slog.DiscardHandler),
	})
	_, vh := c.Resolve(listen.Request{})
	return c, vh
}

// wants is an RTMP player's request.
func wants(app, name string) listen.Request {
	name, query, _ := strings.Cut(name, "?")
	return listen.Request{
		Protocol: protocols.RTMP, Streams: []string{app + "/" + name}, App: app, Name: name, Query: query, Host: "127.0.0.1:1935",
		Remote: netip.MustParseAddrPort("127.0.0.1:4000"),
	}
}

// says runs an API that answers everything with the same.
func says(t *testing.T, status int, body string) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestQuestionIsAskedInTheFormOfSRS(t *testing.T) {
	o := srstest.Start(t, srstest.Config{})
	c, vh := among(t, nil, o.API)
	if _, ok := c.Find(t.Context(), vh, wants("live", "caf\xc3\xa9?k=1")); ok {
		t.Error("found where there is nothing")
	}
	asked := o.Asked()
	want := "POST /api/v1/clusters?vhost=__defaultVhost__&ip=127.0.0.1&app=live&stream=caf\xc3\xa9&coworker=" + o.API + " HTTP/1.1\r\n"
	if len(asked) != 1 || !strings.HasPrefix(asked[0], want) || !strings.Contains(asked[0], "\r\nContent-Length: 0\r\n") ||
		!strings.Contains(asked[0], "\r\nHost: "+o.API+"\r\n") || !strings.Contains(asked[0], "\r\nContent-Type: application/json\r\n") {
		t.Errorf("asked %q, want it to begin with %q", asked, want)
	}
}

// answers are what coworkers may say, and whether SRS takes it for a place.
var answers = []struct {
	name   string
	status int
	body   string
	ok     bool
}{
	{"the least that SRS accepts", 200, `{"code":0,"data":{"origin":{"ip":"10.0.0.9","port":19350}}}`, true},
	{"status 201", 201, `{"code":0,"data":{"origin":{"ip":"10.0.0.9","port":19350}}}`, true},
	{"what SRS says", 200, `{"code":0,"data":{"query":{"ip":"127.0.0.1","vhost":"__defaultVhost__","app":"live","stream":"x"},"origin":{"ip":"10.0.0.9","port":19350,"vhost":"__defaultVhost__","api":"a","routers":["a"]}}}`, true},
	{"nowhere", 200, `{"code":0,"data":{"origin":null}}`, false},
	{"no origin", 200, `{"code":0,"data":{}}`, false},
	{"origin beside data", 200, `{"code":0,"origin":{"ip":"10.0.0.9","port":19350}}`, false},
	{"an error", 200, `{"code":100,"data":{"origin":{"ip":"10.0.0.9","port":19350}}}`, false},
	{"no code", 200, `{"data":{"origin":{"ip":"10.0.0.9","port":19350}}}`, false},
	{"a code that is no number", 200, `{"code":"0.5","data":{"origin":{"ip":"10.0.0.9","port":19350}}}`, false},
	{"another status", 500, `{"code":0,"data":{"origin":{"ip":"10.0.0.9","port":19350}}}`, false},
	{"nothing", 200, ``, false},
	{"no JSON", 200, `<html>`, false},
	{"data is no object", 200, `{"code":0,"data":[]}`, false},
	{"no ip", 200, `{"code":0,"data":{"origin":{"port":19350}}}`, false},
	{"empty ip", 200, `{"code":0,"data":{"origin":{"ip":"","port":19350}}}`, false},
	{"ip is a number", 200, `{"code":0,"data":{"origin":{"ip":1,"port":19350}}}`, false},
	{"an ip that would change the URL", 200, `{"code":0,"data":{"origin":{"ip":"a/b?c","port":19350}}}`, false},
	{"port 0", 200, `{"code":0,"data":{"origin":{"ip":"10.0.0.9","port":0}}}`, false},
	{"port is a text", 200, `{"code":0,"data":{"origin":{"ip":"10.0.0.9","port":"x"}}}`, false},
	{"half a port", 200, `{"code":0,"data":{"origin":{"ip":"10.0.0.9","port":1.5}}}`, false},
	{"port beyond all", 200, `{"code":0,"data":{"origin":{"ip":"10.0.0.9","port":65536}}}`, false},
	{"this node itself", 200, `{"code":0,"data":{"origin":{"ip":"192.0.2.1","port":1935}}}`, false},
}

func TestAnswersAreTakenAsSRSTakesThem(t *testing.T) {
	for _, tt := range answers {
		c, vh := among(t, nil, says(t, tt.status, tt.body))
		found, ok := c.Find(t.Context(), vh, wants("live", "x"))
		if ok != tt.ok || ok && found.Addr != "10.0.0.9:19350" {
			t.Errorf("%s: %+v, %v, want %v", tt.name, found, ok, tt.ok)
		}
	}
}

func TestFailuresOfSomeCoworkersDoNotHideTheOthers(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	list := []string{hole.Addr().String(), "127.0.0.1:1"}
	for _, tt := range answers {
		if !tt.ok {
			list = append(list, says(t, tt.status, tt.body))
		}
	}
	c, vh := among(t, nil, append(list, says(t, 200, answers[0].body))...)
	if found, ok := c.Find(t.Context(), vh, wants("live", "x")); !ok {
		t.Errorf("not found: %+v", found)
	}
}

// SRS asks ten coworkers one after the other: each must have answered before the next is asked.
func TestTenCoworkersAreAskedAtOnce(t *testing.T) {
	const n = 10
	all := make(chan struct{})
	var asked atomic.Int32
	list := make([]string, n)
	for i := range list {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == n {
				close(all)
			}
			select {
			case <-all: // nobody answers before all have been asked
			case <-r.Context().Done():
				return
			}
			says := answers[3] // nowhere
			if i == n-1 {
				says = answers[0]
			}
			_, _ = io.WriteString(w, says.body)
		}))
		t.Cleanup(s.Close)
		list[i] = strings.TrimPrefix(s.URL, "http://")
	}
	c, vh := among(t, nil, list...)
	if _, ok := c.Find(t.Context(), vh, wants("live", "x")); !ok {
		t.Errorf("not found; %d of %d coworkers were asked at one time", asked.Load(), n)
	}
}

func TestManyViewersAskOnce(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-release
		_, _ = io.WriteString(w, answers[0].body)
	}))
	defer s.Close()
	c, vh := among(t, nil, strings.TrimPrefix(s.URL, "http://"))
	var viewers sync.WaitGroup
	for range 50 {
		viewers.Go(func() {
			if _, ok := c.Find(t.Context(), vh, wants("live", "x")); !ok {
				t.Error("not found")
			}
		})
	}
	close(release)
	viewers.Wait()
	if _, ok := c.Find(t.Context(), vh, wants("live", "x")); !ok || asked.Load() != 1 {
		t.Errorf("%d questions for one stream, want one", asked.Load())
	}
	if _, err := c.Free(t.Context(), vh, wants("live", "x")); err == nil || asked.Load() != 2 {
		t.Errorf("a publisher was told %v by %d questions, want a new one, and that the name is taken", err, asked.Load())
	}
}

func TestOneQuestionEndsWithItsAsker(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	c, vh := among(t, nil, strings.TrimPrefix(s.URL, "http://"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := c.Find(ctx, vh, wants("live", "x")); ok {
		t.Error("found by nobody")
	}
}

func TestRawNameIsAskedForAndThenTheDecodedOne(t *testing.T) {
	for name, want := range map[string][]string{
		"x": {"x"}, "a%20b": {"a%20b"}, "a%2Bb": {"a%2Bb", "a+b"}, "50%": {"50%"}, "a&b": nil, "a b": nil, "a#b": nil, "a\x01": nil, "": nil,
	} {
		o := srstest.Start(t, srstest.Config{})
		c, vh := among(t, nil, o.API)
		r := wants("live", "x")
		r.Name = name
		c.Find(t.Context(), vh, r)
		got := map[string]bool{}
		for _, a := range o.Asked() {
			_, rest, _ := strings.Cut(a, "&stream=")
			stream, _, _ := strings.Cut(rest, "&coworker=")
			got[stream] = true
		}
		if len(got) != len(want) {
			t.Errorf("%q is asked for as %v, want %v", name, got, want)
		}
		for _, w := range want {
			if !got[w] {
				t.Errorf("%q is not asked for as %q", name, w)
			}
		}
	}
}

func TestNodeThatListsItselfKnowsIt(t *testing.T) {
	var self *srs.Cluster
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		self.ServeHTTP(w, r)
	}))
	defer s.Close()
	owner := func(string) (srs.Owner, bool) { return srs.Owner{Name: "n2", Host: "10.0.0.9", Port: 1935}, true }
	self, vh := among(t, owner, strings.TrimPrefix(s.URL, "http://"))
	for _, stream := range []string{"x", "y", "z"} {
		if found, ok := self.Find(t.Context(), vh, wants("live", stream)); ok {
			t.Errorf("the node believes itself: %+v", found)
		}
	}
	if asked != 1 {
		t.Errorf("the node asked itself %d times, want once", asked)
	}
}

func TestServersThatSendHeartbeatsAreCoworkers(t *testing.T) {
	o := srstest.Start(t, srstest.Config{Says: func(string) string { return answers[0].body }})
	c, _ := among(t, nil)
	heartbeat := fmt.Sprintf(`{"device_id":"dev-c","ip":"127.0.0.1","server":"vid-3s0d6es","service":"2b8u6e8t","pid":"31453","rtmp":["127.0.0.1:19352"],"http":["127.0.0.1:18362"],"api":[%q]}`,
		strings.Replace(o.API, "127.0.0.1", "0.0.0.0", 1))
	send := func(body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequest(http.MethodPost, srs.RegisterPath, strings.NewReader(body)))
		return w
	}
	if w := send(heartbeat); w.Code != http.StatusForbidden {
		t.Errorf("a heartbeat that no vhost wants: %d %s", w.Code, w.Body)
	}
	c.Configure([]srs.Vhost{{Name: srs.DefaultVhost, OriginCluster: true, Register: true}})
	_, vh := c.Resolve(listen.Request{})
	for _, bad := range []string{"", "[]", `{"ip":"127.0.0.1"}`} {
		if w := send(bad); w.Code != http.StatusBadRequest {
			t.Errorf("heartbeat %q: %d, want 400", bad, w.Code)
		}
	}
	if _, ok := c.Find(t.Context(), vh, wants("live", "x")); ok {
		t.Error("found before anybody had registered")
	}
	if w := send(heartbeat); w.Code != http.StatusOK || w.Body.String() != `{"code":0,"pid":"31453"}` {
		t.Errorf("heartbeat: %d %s", w.Code, w.Body)
	}
	if _, ok := c.Find(t.Context(), vh, wants("live", "y")); !ok {
		t.Error("the server that sends heartbeats is not asked")
	}
}

func TestCoworkerIsAnsweredInTheFormOfSRS(t *testing.T) {
	owner := func(stream string) (srs.Owner, bool) {
		switch stream {
		case "live/livestream":
			return srs.Owner{Name: "n1", Port: 19350}, true // here, and nobody has said under which address
		case "live/there", "short", "live/a b", "v/live/x":
			return srs.Owner{Name: "n2", Host: "10.0.0.2", Port: 1935}, true
		case "live/mute":
			return srs.Owner{Name: "n3", Host: "10.0.0.3"}, true // it does not speak RTMP
		}
		return srs.Owner{}, false
	}
	c, _ := among(t, owner)
	c.Configure([]srs.Vhost{{Name: srs.DefaultVhost, OriginCluster: true}, {Name: "v", OriginCluster: true}, {Name: "off"}})
	s := httptest.NewServer(c)
	defer s.Close()
	at := strings.TrimPrefix(s.URL, "http://")
	body := func(app, stream, origin string) string {
		return `{"code":0,"data":{"query":{"ip":"127.0.0.1","vhost":"__defaultVhost__","app":"` + app + `","stream":"` + stream + `"},"origin":` + origin + `}}`
	}
	for _, tt := range []struct{ app, stream, want string }{
		{"live", "livestream", body("live", "livestream", `{"ip":"10.1.2.3","port":19350,"vhost":"__defaultVhost__","api":"10.1.2.3:9090","routers":["10.1.2.3:9090"]}`)},
		{"live", "there", body("live", "there", `{"ip":"10.0.0.2","port":1935,"vhost":"__defaultVhost__","api":"10.1.2.3:9090","routers":["10.1.2.3:9090"]}`)},
		{"live", "short", body("live", "short", `{"ip":"10.0.0.2","port":1935,"vhost":"__defaultVhost__","api":"10.1.2.3:9090","routers":["10.1.2.3:9090"]}`)},
		{"live", "a%20b", body("live", "a%20b", `{"ip":"10.0.0.2","port":1935,"vhost":"__defaultVhost__","api":"10.1.2.3:9090","routers":["10.1.2.3:9090"]}`)},
		{"live", "nothing", body("live", "nothing", "null")},
		{"live", "mute", body("live", "mute", "null")},
	} {
		request := strings.Replace(srstest.Request("10.1.2.3:9090", "__defaultVhost__", "127.0.0.1", tt.app, tt.stream), "Host: 10.1.2.3:9090", "Host: "+at, 1)
		for _, method := range []string{"POST", "GET"} {
			got, err := srstest.AskRaw(at, strings.Replace(request, "POST", method, 1))
			if err != nil || got != tt.want {
				t.Errorf("%s %s: %s, %v, want %s", method, tt.stream, got, err, tt.want)
			}
		}
	}
	for vhost, want := range map[string]string{"v": "10.0.0.2:1935", "off": "", "unknown": "", "__defaultVhost__": ""} {
		if got, _ := srstest.Ask(at, vhost, "x", "live", "x"); got != want {
			t.Errorf("in vhost %s: %q, want %q", vhost, got, want)
		}
	}
	// A node of the same cluster that asks is not told of itself.
	req, _ := http.NewRequest(http.MethodPost, s.URL+srs.ClustersPath+"?vhost=__defaultVhost__&app=live&stream=there&coworker="+at, nil)
	req.Header.Set(srs.NodeHeader, "n2")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); !strings.HasSuffix(string(text), `"origin":null}}`) {
		t.Errorf("n2 is told that its own stream is at itself: %s", text)
	}
}

func TestNoNameIsPromisedTwice(t *testing.T) {
	c, vh := among(t, nil, "127.0.0.1:1") // from whose machine the hooks come
	s := httptest.NewServer(c)
	defer s.Close()
	say := func(action, server string) string {
		res, err := http.Post(s.URL+srs.ClaimPath, "application/json", strings.NewReader(fmt.Sprintf(
			`{"server_id":%q,"service_id":"x","action":%q,"client_id":"c1","ip":"127.0.0.1","vhost":"__defaultVhost__","app":"live","tcUrl":"rtmp://127.0.0.1/live","stream":"onc","param":"?key=v1","stream_url":"/live/onc","stream_id":"vid-7h855l2"}`,
			server, action)))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.Status + " " + string(text)
	}
	const yes, no = "200 OK 0", "200 OK 1"
	for i, step := range []struct{ action, server, want string }{
		{"on_publish", "vid-1", yes},
		{"on_publish", "vid-2", no},
		{"on_publish", "vid-1", yes}, // which tells its own publishers apart
		{"on_unpublish", "vid-2", yes},
		{"on_publish", "vid-2", no}, // what it does not have it cannot give back
		{"on_unpublish", "vid-1", yes},
		{"on_publish", "vid-2", yes},
	} {
		if got := say(step.action, step.server); got != step.want {
			t.Errorf("step %d, %s of %s: %s, want %s", i, step.action, step.server, got, step.want)
		}
	}
	if _, err := c.Free(t.Context(), vh, wants("live", "onc")); !errors.Is(err, listen.ErrBusy) {
		t.Errorf("a publisher here of a name that is promised: %v", err)
	}
	release, err := c.Free(t.Context(), vh, wants("live", "other"))
	if err != nil {
		t.Errorf("a free name: %v", err)
	}
	claim := func() string {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, srs.ClaimPath, strings.NewReader(`{"server_id":"vid-1","action":"on_publish","app":"live","stream":"other"}`))
		r.RemoteAddr = "127.0.0.1:4000"
		c.ServeHTTP(w, r)
		return w.Body.String()
	}
	if got := claim(); got != "1" {
		t.Errorf("SRS is told %s about a name whose publisher has just come here", got)
	}
	release()
	if got := claim(); got != "0" {
		t.Errorf("SRS is told %s about a name whose publisher has left", got)
	}

	// A host that is no coworker is told the truth and promised nothing.
	c.Configure([]srs.Vhost{{Name: srs.DefaultVhost, OriginCluster: true, Coworkers: []string{"192.0.2.7:1985"}}})
	if first, second := say("on_publish", "vid-8"), say("on_publish", "vid-9"); first != no || second != no { // vid-2 has it
		t.Errorf("other hosts are told %s and %s", first, second)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest(http.MethodPost, srs.ClaimPath, strings.NewReader(`{"server_id":"vid-8","action":"on_publish","app":"live","stream":"free"}`)))
	if _, err := c.Free(t.Context(), vh, wants("live", "free")); err != nil || w.Body.String() != "0" {
		t.Errorf("another host, told %s, keeps a publisher away: %v", w.Body, err)
	}
}
