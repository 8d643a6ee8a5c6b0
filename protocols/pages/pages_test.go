package pages

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"weir/protocols"
)

func get(t *testing.T, h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func open(status int, err error) http.Handler {
	return Handler(Config{
		MaySee: func(*http.Request) (int, error) { return status, err },
		Ports:  func() protocols.Ports { return protocols.Ports{HTTP: 8080, HTTPS: 8443, RTMP: 1935, RTMPS: 1443} },
	})
}

// leading finds what a page, a style sheet or a module leads to.
var leading = regexp.MustCompile(`(?:href|src)="([^"]+)"|from "([^"]+)"|url\(([^)]+)\)`)

func TestPagesLeadToNothingThatTheNodeDoesNotServe(t *testing.T) {
	h := open(200, nil)
	seen := map[string]bool{}
	var follow func(at string)
	follow = func(at string) {
		if seen[at] {
			return
		}
		seen[at] = true
		w := get(t, h, "GET", at)
		if w.Code != 200 || w.Header().Get("Content-Security-Policy") != policy || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: status %d, header %v", at, w.Code, w.Header())
			return
		}
		for _, m := range leading.FindAllStringSubmatch(w.Body.String(), -1) {
			to := m[1] + m[2] + m[3]
			switch {
			case strings.HasPrefix(to, "./"):
				follow(path.Join(path.Dir(at), to))
			case strings.HasPrefix(to, "/streamer/api/"), strings.HasPrefix(to, "#"), to == "data:,":
			case strings.HasPrefix(to, "/"):
				follow(to)
			default:
				t.Errorf("%s leads to %s", at, to)
			}
		}
		for _, bad := range []string{"<style", "style=", "onclick=", "javascript:"} {
			if strings.Contains(w.Body.String(), bad) && path.Ext(at) != ".js" {
				t.Errorf("%s has %s in it, which the policy forbids", at, bad)
			}
		}
	}
	for _, p := range append(listed, others...) {
		follow(p.Path)
		if body := get(t, h, "GET", p.Path).Body.String(); !strings.Contains(body, "<h1>") {
			t.Errorf("%s is\n%s", p.Path, body)
		}
	}
	assets, err := files.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range assets {
		at := Prefix + "assets/" + a.Name()
		if !seen[at] {
			t.Errorf("no page leads to %s", at)
		}
		if text := get(t, h, "GET", at).Body.String(); path.Ext(at) == ".js" && !strings.HasPrefix(text, "// @ts-check\n") {
			t.Errorf("the types in %s are not checked", at)
		}
	}
}

func TestPageIsNotSentTwice(t *testing.T) {
	h := open(200, nil)
	first := get(t, h, "GET", "/")
	if again := get(t, h, "GET", "/", "If-None-Match", first.Header().Get("ETag")); again.Code != 304 || again.Body.Len() > 0 {
		t.Errorf("a page that the browser has is answered with %d and %d bytes, want 304", again.Code, again.Body.Len())
	}
}

func TestWhoMayNotSeeTheNodeGetsNoPage(t *testing.T) {
	for status, asks := range map[int]bool{401: true, 429: false} {
		h := open(status, errors.New("view_auth is required"))
		for _, at := range []string{"/", Prefix + "assets/style.css"} {
			w := get(t, h, "GET", at)
			if w.Code != status || (w.Header().Get("WWW-Authenticate") != "") != asks || strings.Contains(w.Body.String(), "<h1>") {
				t.Errorf("%s: status %d, header %v", at, w.Code, w.Header())
			}
		}
	}
	h := open(200, nil)
	for at, want := range map[string]int{Prefix: 404, Prefix + "assets/nothing.js": 404, Prefix + "assets/": 404, Prefix + "assets/../page.html": 404} {
		if w := get(t, h, "GET", at); w.Code != want {
			t.Errorf("%s: status %d, want %d", at, w.Code, want)
		}
	}
	if w := get(t, h, "POST", "/"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d, header %v", w.Code, w.Header())
	}
}

func TestStreamIsShownWithItsURLs(t *testing.T) {
	for at, want := range map[string]string{
		"http://n1.example.com:8080": `HLS http://n1.example.com:8080/a%20%3Cb%3E/index.m3u8
RTMP rtmp://n1.example.com/static/a%20%3Cb%3E
HTTP-TS http://n1.example.com:8080/a%20%3Cb%3E/mpegts
HTTP-FLV http://n1.example.com:8080/a%20%3Cb%3E.flv`,
		"https://[::1]:8443": `HLS https://[::1]:8443/a%20%3Cb%3E/index.m3u8
RTMP rtmps://[::1]:1443/static/a%20%3Cb%3E
HTTP-TS https://[::1]:8443/a%20%3Cb%3E/mpegts
HTTP-FLV https://[::1]:8443/a%20%3Cb%3E.flv`,
	} {
		w := get(t, open(200, nil), "GET", at+streamPage+"?name=a+%3Cb%3E")
		var got []string
		for _, m := range regexp.MustCompile(`<dt>(.*?)</dt><dd data-copy="(.*?)">`).FindAllStringSubmatch(w.Body.String(), -1) {
			got = append(got, m[1]+" "+m[2])
		}
		if strings.Join(got, "\n") != want || !strings.Contains(w.Body.String(), "<h1>a &lt;b&gt;</h1>") {
			t.Errorf("%s shows\n%s\nwant\n%s", at, strings.Join(got, "\n"), want)
		}
	}
}
