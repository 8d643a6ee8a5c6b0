package pages

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"weir/protocols/listen"
)

func TestPlayerUsesItsOwnScriptAndStyleAlone(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/a%20%3Cb%3E/embed.html", nil)
	Player{}.ServeStream(w, r, listen.Request{Streams: []string{"a <b>"}}, "embed.html")
	body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	if w.Code != 200 || !strings.Contains(body, "<title>a &lt;b&gt;</title>") || strings.Contains(body, "src=") {
		t.Errorf("status %d, page\n%.400s", w.Code, body)
	}
	for _, tag := range []string{"style", "script"} {
		parts := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(body, -1)
		if len(parts) != 1 || !strings.Contains(policy, tag+"-src 'sha256-"+digest(parts[0][1])+"'") {
			t.Errorf("the policy %s does not let the page's %s be used", policy, tag)
		}
	}
	if leads := leading.FindAllString(playerScript+playerStyle, -1); len(leads) > 0 || strings.Contains(playerScript, "http:") || strings.Contains(playerScript, "https:") {
		t.Errorf("the player leads elsewhere: %q", leads)
	}
	w = httptest.NewRecorder()
	Player{}.ServeStream(w, httptest.NewRequest("POST", "/cam/embed.html", nil), listen.Request{Streams: []string{"cam"}}, "embed.html")
	if w.Code != 405 {
		t.Errorf("POST: status %d, want 405", w.Code)
	}
}
