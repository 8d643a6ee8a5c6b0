package node

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestStreamIsFoundBehindAnApp asks for a stream by the URLs that players have from SRS.
func TestStreamIsFoundBehindAnApp(t *testing.T) {
	t.Parallel()
	n := lone(t, "stream cam { input fake://pattern; }")
	base := "http://" + n.httpAddr()
	for _, path := range []string{"/live/cam.flv", "/a/b/cam.flv", "/live/cam.ts", "/cam.ts", "/live/cam/mpegts", "/live/cam.m3u8", "/cam.m3u8", "/live/cam/index.m3u8"} {
		res, err := http.Head(base + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s is answered with %s", path, res.Status)
		}
	}
	for _, path := range []string{"/live/other.flv", "/live/other.m3u8", "/live/cam/x.m3u8"} {
		res, err := http.Head(base + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered with %s, want 404", path, res.Status)
		}
	}
	at := base + "/live/cam.m3u8?token=x"
	for _, what := range []string{"variant", "segment", ""} {
		res, err := http.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Request.URL.Path, "/cam/") && what != "variant" {
			t.Fatalf("%s is answered with %s, %v", at, res.Status, err)
		}
		for line := range strings.Lines(string(body)) {
			if ref, err := url.Parse(strings.TrimSpace(line)); what != "" && line[0] != '#' && err == nil {
				at = res.Request.URL.ResolveReference(ref).String()
			}
		}
	}

	conn, err := net.Dial("tcp", n.Addresses()["rtsp"][0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "DESCRIBE rtsp://%s/live/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", conn.RemoteAddr())
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("DESCRIBE is answered with %q, %v", line, err)
	}
}
