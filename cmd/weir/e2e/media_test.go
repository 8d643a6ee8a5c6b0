//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/protocols/rtmp"
)

func TestSegmentsOfLinearChannelsAreTheSameOnNodesStartedAtDifferentTimes(t *testing.T) {
	// Streams without cluster_ingest are captured by every node.
	c := start(t, 2, func(_ int, ports []int) string {
		return peers(ports) + `
stream clip { input file://vod/bunny.mp4; }
stream ts   { input file://vod/bunny.ts; }
stream fake { input fake://fake?fps=30&rate=44100; }
`
	})
	names := []string{"clip", "ts", "fake"}
	first, second := c.nodes[0], c.nodes[1]
	second.signal(t, syscall.SIGKILL)
	eventually(t, 20*time.Second, "the first node has been on air for a while", func() error {
		_, err := owners(c.nodes[:1], names)
		if err == nil && watchedFor(first) < 5 {
			err = errors.New("too short")
		}
		return err
	})
	for _, name := range names { // its packagers run, so that its segments come from what was on air
		if _, err := variant("http://" + first.http + "/" + name + "/index.m3u8"); err != nil {
			t.Error(err)
		}
	}
	pause(6 * time.Second)
	second.run(t)
	eventually(t, 20*time.Second, "the second node runs too", func() error {
		for _, name := range names {
			if _, err := get("http://" + second.http + "/" + name + "/ts.m3u8"); err != nil {
				return err
			}
		}
		return nil
	})
	// The clips last 10.4 s, so a window of some 24 s holds the seam of the loop twice.
	for _, name := range names {
		for _, form := range []string{"ts.m3u8", "cmaf.m3u8"} {
			a, err := segments("http://" + first.http + "/" + name + "/" + form)
			if err != nil {
				t.Fatal(err)
			}
			b, err := segments("http://" + second.http + "/" + name + "/" + form)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s/%s: %d segments are on both nodes, byte for byte", name, form, same(t, name+"/"+form, a, b))
		}
	}
}

// watchedFor is for how many seconds a node has run, by its own word.
func watchedFor(n *node) float64 {
	entries := n.log.find("capture running", "", time.Time{})
	if len(entries) == 0 {
		return 0
	}
	return time.Since(entries[0].Time).Seconds()
}

// publish starts an ffmpeg that publishes a test picture until the test ends.
func publish(t *testing.T, url string) (done <-chan error, said func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "verbose", "-re",
		"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-pix_fmt", "yuv420p",
		"-c:a", "aac", "-f", "flv", url)
	log := &logFile{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	waited := make(chan struct{})
	go func() {
		ended <- cmd.Wait()
		close(waited)
	}()
	t.Cleanup(func() {
		cancel()
		<-waited
	})
	return ended, log.String
}

func TestPublisherAtOneNodeIsSeenAtAnotherAndASecondOneIsRefusedAtAThird(t *testing.T) {
	c := start(t, 3, func(_ int, ports []int) string {
		return peers(ports) + "stream live/show { input publish://; }\n"
	})
	eventually(t, 20*time.Second, "all nodes wait for a publisher", func() error {
		for _, n := range c.nodes {
			all, err := n.streams()
			if err != nil {
				return err
			}
			if s := all["live/show"]; s.State != "waiting" || s.Owner != "" {
				return fmt.Errorf("%s says that it is %s at %q", n.name, s.State, s.Owner)
			}
		}
		return nil
	})
	done, said := publish(t, "rtmp://"+c.nodes[0].rtmp+"/live/show?user=bob&pass=x")
	c.settle(20*time.Second, c.nodes, []string{"live/show"})
	for _, url := range []string{
		"rtmp://" + c.nodes[2].rtmp + "/live/show",
		"http://" + c.nodes[2].http + "/live/show/index.m3u8",
		"rtsp://" + c.nodes[1].rtsp + "/live/show",
		"http://" + c.nodes[1].http + "/live/show/mpegts",
	} {
		codecs, err := probe(t.Context(), url)
		if err != nil {
			t.Error(err)
		} else if len(codecs) != 2 {
			t.Errorf("%s: %v, want aac and h264", url, codecs)
		}
	}
	for _, n := range c.nodes {
		second, err := rtmp.Dial(t.Context(), "rtmp://"+n.rtmp+"/live/show", rtmp.ClientConfig{})
		if err == nil {
			err = second.Publish()
			_ = second.Close()
		}
		var status *rtmp.StatusError
		if !errors.As(err, &status) || status.Code != "NetStream.Publish.BadName" {
			t.Errorf("a second publisher at %s got %v, want NetStream.Publish.BadName", n.name, err)
		}
	}
	select {
	case err := <-done:
		t.Errorf("the first publisher was cut off: %v: %s", err, said())
	default:
	}
	if at, err := owners(c.nodes, []string{"live/show"}); err != nil || at["live/show"] != "n1" {
		t.Errorf("the stream is at %v (%v), want n1", at, err)
	}
}

func TestThreeNodesWithThreeFilesLeadEveryClientRight(t *testing.T) {
	c := start(t, 3, func(i int, ports []int) string {
		return peers(ports) + fmt.Sprintf("stream only%d { input file://vod/bunny.mp4; }\n", i+1)
	})
	names := []string{"only1", "only2", "only3"}
	at := c.settle(20*time.Second, c.nodes, names)
	for i, name := range names {
		if want := fmt.Sprintf("n%d", i+1); at[name] != want {
			t.Errorf("%s is at %s, want %s", name, at[name], want)
		}
		for _, n := range c.nodes {
			for _, url := range []string{
				"rtmp://" + n.rtmp + "/x/" + name,
				"http://" + n.http + "/" + name + "/index.m3u8",
				"rtsp://" + n.rtsp + "/" + name,
				"http://" + n.http + "/" + name + ".flv",
			} {
				if _, err := probe(t.Context(), url); err != nil {
					t.Errorf("%s asked for %s: %v", n.name, name, err)
				}
			}
			if _, err := get("http://" + n.http + "/only4/index.m3u8"); err == nil || !strings.Contains(err.Error(), "404") {
				t.Errorf("%s asked for what nobody has: %v, want 404", n.name, err)
			}
		}
	}
}

func TestPublicAddressIsAllThatClientsSee(t *testing.T) {
	// No viewer comes: the public names lead nowhere here.
	c := start(t, 2, func(_ int, ports []int) string {
		return strings.ReplaceAll(peers(ports), "stale_timeout 3000;", "stale_timeout 3000; public https://cdn.example.com;") +
			fmt.Sprintf("stream clip { input file://vod/bunny.mp4; cluster_ingest capture_at=127.0.0.1:%d; }\n", ports[0])
	})
	c.settle(20*time.Second, c.nodes, []string{"clip"})
	asked := c.nodes[1]
	stay := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, path := range []string{"/clip/mpegts?token=a%2Fb", "/clip.flv?token=a%2Fb"} {
		res, err := stay.Get("http://" + asked.http + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		to := res.Header.Get("Location")
		if res.StatusCode != http.StatusFound || !strings.HasPrefix(to, "https://cdn.example.com"+path) {
			t.Errorf("%s: %s to %q, want 302 to https://cdn.example.com%s…", path, res.Status, to, path)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: the redirect has no CORS header", path)
		}
	}
	media, err := get("http://" + asked.http + "/clip/ts.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(media), "https://cdn.example.com/clip/s") || strings.Contains(string(media), "127.0.0.1") {
		t.Errorf("the playlist does not lead to the public URL, or shows another:\n%s", media)
	}
	peersPage, err := get("http://" + asked.http + "/streamer/api/v3/cluster/peers")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", peersPage)
}

func TestWhatIsWrongAtTheStartIsSaidAndNothingRuns(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().String()
	_, port, _ := net.SplitHostPort(busy)
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"a port in use", []string{"--http", busy, "--rtmp", "off", "--rtsp", "off"}, 1, "port " + port},
		{"a remote port in use", []string{"--http", "off", "--rtmp", "off", "--rtsp", "off", "--cluster-key", "for-the-test-only-0123", "--remote", busy}, 1, port},
		{"an unknown input", []string{"--http", "off", "--stream", "a=fil://x"}, 2, "file"},
		{"peers without a key", []string{"--http", "off", "--peer", "b:8080"}, 2, "cluster_key"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out, err := exec.CommandContext(ctx, binary, append([]string{"node"}, tt.args...)...).CombinedOutput()
		cancel()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != tt.code || !strings.Contains(string(out), tt.says) {
			t.Errorf("%s: %v, want exit code %d and %q in: %s", tt.name, err, tt.code, tt.says, out)
		}
	}
}

func TestGarbageOnAnyPortAndAWrongKeyChangeNothing(t *testing.T) {
	c := start(t, 2, func(_ int, ports []int) string {
		return peers(ports) + "stream clock { input fake://fake; cluster_ingest; }\n"
	})
	at := c.settle(20*time.Second, c.nodes, []string{"clock"})
	n := c.nodes[0]
	for _, addr := range []string{n.http, n.rtmp, n.rtsp} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(conn, strings.Repeat("\x00\xffgarbage\r\n", 1000))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection was not closed: %v", addr, err)
		}
		_ = conn.Close()
	}
	res, err := http.Get("http://" + n.http + "/cluster/state")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("/cluster/state without a key: %s, want 401", res.Status)
	}

	// A node with another key, whose file lists both nodes as its peers.
	outsider := start(t, 1, func(_ int, own []int) string {
		return fmt.Sprintf("cluster_key another-key-altogether;\npeer %s { fetch_timeout 1000; stale_timeout 3000; }\npeer %s { fetch_timeout 1000; stale_timeout 3000; }\nstream clock { input fake://fake; cluster_ingest; }\n",
			c.nodes[0].http, c.nodes[1].http)
	})
	eventually(t, 20*time.Second, "the outsider knows that it is refused", func() error {
		body, err := get("http://" + outsider.nodes[0].http + "/streamer/api/v3/cluster/peers")
		if err == nil && strings.Count(string(body), `"unauthorised"`) != 2 {
			err = fmt.Errorf("%s", body)
		}
		return err
	})
	for _, m := range c.nodes {
		eventually(t, 20*time.Second, "the refusals are counted at "+m.name, func() error {
			body, err := get("http://" + m.http + "/metrics")
			if err == nil && strings.Contains(string(body), "weir_unauthorised_total 0\n") {
				err = errors.New("none is")
			}
			return err
		})
	}
	if now, err := owners(c.nodes, []string{"clock"}); err != nil || now["clock"] != at["clock"] {
		t.Errorf("the stream is at %v (%v), was at %v", now, err, at)
	}
	for _, m := range c.nodes {
		if n := len(m.log.find("a peer has another cluster key", "", time.Time{})); n != 1 {
			t.Errorf("%s warns of the outsider %d times, want once", m.name, n)
		}
	}
	body, err := get("http://" + n.http + "/streamer/api/v3/cluster/peers")
	if err != nil || strings.Contains(string(body), "n3") || strings.Count(string(body), `"hostname"`) != 2 {
		t.Errorf("peers = %s (%v), want the two of the file", body, err)
	}
}

func TestBrokenInputShowsItsErrorAndDisturbsNobody(t *testing.T) {
	c := start(t, 1, func(int, []int) string {
		return "stream gone { input file://vod/nothing.mp4; }\nstream text { input file://vod/README.md; }\nstream clock { input fake://fake; }\n"
	})
	n := c.nodes[0]
	eventually(t, 30*time.Second, "the broken inputs show why", func() error {
		all, err := n.streams()
		if err != nil {
			return err
		}
		if s := all["gone"]; s.State != "failed" || !strings.Contains(s.Error, "nothing.mp4") {
			return fmt.Errorf("gone is %s: %s", s.State, s.Error)
		}
		if s := all["text"]; s.State != "failed" || !strings.Contains(s.Error, "README.md") {
			return fmt.Errorf("text is %s: %s", s.State, s.Error)
		}
		if s := all["clock"]; s.State != "running" {
			return fmt.Errorf("clock is %s: %s", s.State, s.Error)
		}
		return nil
	})
	pause(3 * time.Second)
	for _, e := range n.log.find("stream failed", "clock", time.Time{}) {
		t.Errorf("the good stream failed too: %v", e.Err)
	}
	tries := len(n.log.find("stream failed", "gone", time.Time{}))
	if tries == 0 || tries > 6 {
		t.Errorf("the broken one was tried %d times, want a few with growing pauses", tries)
	}
	warnings := 0
	for line := range strings.Lines(n.log.String()) {
		if strings.Contains(line, "WARN") && strings.Contains(line, "nothing.mp4") {
			warnings++
		}
	}
	if warnings == 0 || warnings > tries {
		t.Errorf("%d warnings tell of %d failures of the broken one, want one each", warnings, tries)
	}
}
