package node

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestStreamsOfOneNameInTwoVhostsShareNothing watches two streams over HLS whose URLs differ in the host alone.
func TestStreamsOfOneNameInTwoVhostsShareNothing(t *testing.T) {
	t.Parallel()
	n := lone(t, "vhost a.example.com { }\nvhost b.example.com { }\n")
	widths := map[string]int{"a.example.com": 256, "b.example.com": 320}
	for host, width := range widths {
		mustPublish(t, n.rtmpAddr(), "live", "x?vhost="+host, width)
	}
	for range 2 { // the second time with what is remembered of the first
		for host, width := range widths {
			within(t, fmt.Sprintf("the viewer at %s sees pictures %d wide", host, width), func() error {
				text, err := atHost(n.httpAddr(), host, "/live/x/index.m3u8")
				if err == nil && !strings.Contains(text, fmt.Sprintf("RESOLUTION=%dx", width)) {
					err = fmt.Errorf("the playlist is %s", text)
				}
				if err != nil {
					return err
				}
				if text, err = atHost(n.httpAddr(), host, "/live/x/ts.m3u8"); err != nil {
					return err
				}
				lines := strings.Fields(text)
				_, err = atHost(n.httpAddr(), host, "/live/x/"+lines[len(lines)-1])
				return err
			})
		}
	}
	seen := map[string]bool{}
	for _, s := range n.sessions.List() {
		if s.Protocol == "hls" {
			seen[s.Stream] = true
		}
	}
	if len(seen) != 2 {
		t.Errorf("viewers of HLS are of the streams %v, want two", seen)
	}
}

// atHost asks a node for a path under another host.
func atHost(addr, host, path string) (string, error) {
	r, err := http.NewRequest(http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return "", err
	}
	r.Host = host
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is answered with %s: %s", path, res.Status, body)
	}
	return string(body), err
}
