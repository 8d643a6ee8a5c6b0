//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// GStreamer drops the query of a URL when it resolves what is relative to it (RFC 3986), and counts pictures and sounds that it has
// decoded. It plays over TCP and UDP, with a token and without, at the node that has the stream and at one that sends it there.
func TestGStreamerPlaysRTSP(t *testing.T) {
	if _, err := exec.LookPath("gst-launch-1.0"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("GStreamer is not installed")
		}
		t.Skip("GStreamer is not installed")
	}
	c := start(t, 2, func(_ int, ports []int) string {
		return fmt.Sprintf(`cluster_key a-key-that-is-long-enough-for-this;
peer 127.0.0.1:%d { name n1; }
peer 127.0.0.1:%d { name n2; }
stream cam { input fake://; cluster_ingest capture_at=n1; }
`, ports[0], ports[1])
	})
	// The first program of GStreamer on a machine loads every plugin to make a list of them, which may take longer than playing.
	if out, err := exec.Command("gst-inspect-1.0", "rtspsrc").CombinedOutput(); err != nil {
		t.Fatalf("gst-inspect-1.0 rtspsrc: %v\n%s", err, out)
	}
	eventually(t, 30*time.Second, "the stream runs at n1", func() error {
		by, err := owners(c.nodes, []string{"cam"})
		if err == nil && by["cam"] != "n1" {
			err = fmt.Errorf("cam is at %s", by["cam"])
		}
		return err
	})
	for _, n := range c.nodes {
		for _, query := range []string{"", "?token=a%20b", "?token=x&weir_hops=1"} {
			for _, transport := range []string{"tcp", "udp"} {
				t.Run(n.name+query+" over "+transport, func(t *testing.T) {
					t.Parallel()
					gstreamer(t, "rtsp://"+n.rtsp+"/cam"+query, transport)
				})
			}
		}
	}
}

// gstreamer fails the test unless GStreamer decodes pictures and sounds from a URL.
func gstreamer(t *testing.T, url, transport string) {
	t.Helper()
	const want = 25
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "gst-launch-1.0", "-v", "rtspsrc", "location="+url, "protocols="+transport, "name=src",
		"src.", "!", "application/x-rtp,media=video", "!", "rtph264depay", "!", "h264parse", "!", "avdec_h264", "!", "fakesink", "sync=false", "silent=false", "name=pictures",
		"src.", "!", "application/x-rtp,media=audio", "!", "rtpmp4gdepay", "!", "aacparse", "!", "avdec_aac", "!", "fakesink", "sync=false", "silent=false", "name=sounds")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pictures, sounds := 0, 0
	lines := bufio.NewScanner(out)
	for lines.Scan() && (pictures < want || sounds < want) {
		switch line := lines.Text(); {
		case !strings.Contains(line, "last-message = chain"):
		case strings.Contains(line, "GstFakeSink:pictures"):
			pictures++
		case strings.Contains(line, "GstFakeSink:sounds"):
			sounds++
		}
	}
	cancel()
	_ = cmd.Wait()
	if pictures < want || sounds < want || complaints.Len() > 0 {
		t.Errorf("GStreamer decodes %d pictures and %d sounds of %s over %s, want %d; it says\n%s", pictures, sounds, url, transport, want, complaints.String())
	}
}
