package srs

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzJSON gives texts of any kind to all that reads what SRS servers and hooks say: answers of hooks and of coworkers, claims,
// heartbeats and look-ups.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		"0", `{"code":0}`, `{"code":0,"data":{"origin":{"ip":"127.0.0.1","port":19350}}}`, `{"code":0,"data":{"origin":null}}`,
		`{"action":"on_publish","server_id":"vid-1","vhost":"__defaultVhost__","app":"live","stream":"x"}`,
		`{"ip":"192.0.2.2","server":"vid-1","service":"2","pid":"3","rtmp":["127.0.0.1:19352"],"api":["9092",":1","[::1]:2"]}`,
		"vhost=__defaultVhost__&ip=127.0.0.1&app=live&stream=livestream&coworker=127.0.0.1:9090", `{"code":1e999}`, `[[[[[[`,
	} {
		f.Add(seed)
	}
	c := New(Config{
		Vhosts: []Vhost{{Name: DefaultVhost, OriginCluster: true, Register: true}}, Node: func() string { return "n1" }, Log: slog.New(slog.DiscardHandler),
		Owner: func(string) (Owner, bool) { return Owner{}, false }, Own: func(string, string) bool { return false },
	})
	f.Fuzz(func(t *testing.T, text string) {
		_ = accepted([]byte(text))
		if addr, err := readAnswer([]byte(text)); err == nil {
			if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" || strings.ContainsAny(host, "/?#@ ") {
				t.Errorf("readAnswer(%q) = %q", text, addr)
			}
		}
		q := readQuestion(text)
		if b := compact(answerTo(q, "192.0.2.1", 1935)); !json.Valid(b) {
			t.Errorf("the answer to %q is %s", text, b)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, RegisterPath, strings.NewReader(text))
		c.serveHeartbeat(w, r)
		if w.Code == http.StatusOK && !json.Valid(w.Body.Bytes()) || len(c.servers) > maxHeartbeat {
			t.Errorf("the answer to the heartbeat %q is %d %s; %d servers", text, w.Code, w.Body, len(c.servers))
		}
		c.servers = map[string]server{} // else claims would ask them
		w = httptest.NewRecorder()
		c.serveClaim(w, httptest.NewRequest(http.MethodPost, "/api/v1/srs/claim", strings.NewReader(text)))
		if w.Code == http.StatusOK && !json.Valid(w.Body.Bytes()) || len(c.promises.of) > maxPromises {
			t.Errorf("the answer to the claim %q is %d %s", text, w.Code, w.Body)
		}
	})
}
