package node

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestStreamThatHasFailedIsAnsweredWithTheReason asks for a stream whose source refuses connections. Only an
// answer before the hold limit has the reason.
func TestStreamThatHasFailedIsAnsweredWithTheReason(t *testing.T) {
	t.Parallel()
	n := lone(t, "stream cam { input tshttp://"+dead(t)+"/secret; }")
	for _, path := range []string{"/cam.flv", "/cam/mpegts", "/cam/index.m3u8"} {
		res, err := http.Get("http://" + n.httpAddr() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "its input fails: connection refused") {
			t.Errorf("%s is answered with %s %q", path, res.Status, body)
		}
		if strings.Contains(string(body), "secret") || strings.Contains(string(body), "127.0.0.1") {
			t.Errorf("%s is answered with the place of the source: %q", path, body)
		}
	}
	conn, err := net.Dial("tcp", n.Addresses()["rtsp"][0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "DESCRIBE rtsp://%s/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n", conn.RemoteAddr())
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "503") {
		t.Errorf("DESCRIBE is answered with %q, %v", line, err)
	}
}
