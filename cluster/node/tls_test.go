package node

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/cluster/certificate/certificatetest"
)

func TestCertificatesOfTheFileAreShownAndReplacedByAReload(t *testing.T) {
	t.Parallel()
	a := certificatetest.New(t)
	directive := func(base string, names ...string) string {
		c, k := a.Issue(t, base, 1000*time.Hour, names...)
		return fmt.Sprintf("certificate %s %s;\n", c, k)
	}
	const listeners = "https 127.0.0.1:0; rtmps 127.0.0.1:0; rtsps 127.0.0.1:0;\n"
	one, two := directive("one", "a.example.com", "127.0.0.1"), directive("two", "b.example.com")
	n := lone(t, listeners+one)
	shows := func(listener, name string) string {
		t.Helper()
		c, err := tls.Dial("tcp", n.Addresses()[listener][0], &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	for _, l := range []string{"https", "rtmps", "rtsps"} {
		if got := shows(l, "b.example.com"); got != "a.example.com" {
			t.Errorf("%s shows %s", l, got)
		}
	}
	n.reload(t, listeners+one+two)
	for _, l := range []string{"https", "rtmps", "rtsps"} {
		if got := shows(l, "b.example.com") + " " + shows(l, "a.example.com"); got != "b.example.com a.example.com" {
			t.Errorf("%s shows, after the reload, %s", l, got)
		}
	}

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool}, ForceAttemptHTTP2: true}}
	for path, want := range map[string]string{
		"/streamer/api/v3/streams": "HTTP/2.0 200", "/.well-known/acme-challenge/x": "HTTP/2.0 403", "/nothing": "HTTP/2.0 404", "/": "HTTP/2.0 200", "/streamer/pages/assets/parts.js": "HTTP/2.0 200",
	} {
		res, err := client.Get("https://" + n.Addresses()["https"][0] + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if got := res.Proto + " " + res.Status; !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	client.CloseIdleConnections()
}
