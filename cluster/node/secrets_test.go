package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/cluster/srs"
	"weir/protocols/rtmp"
)

// A textLog keeps what is logged.
type textLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *textLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *textLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// fetch gives the body of an answer of the node to somebody with a password, or without one if it is empty.
func (n *Node) fetch(t *testing.T, method, path, password string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.httpAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		r.SetBasicAuth("viewer", password)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// shownPaths are all that a node shows of itself.
var shownPaths = []string{
	srs.Prefix + "clients/", srs.Prefix + "streams/", srs.Prefix + "vhosts/", srs.Prefix + "summaries", srs.Prefix + "versions",
	srs.Prefix + "rusages", srs.Prefix + "authors", srs.Prefix + "features",
	"/streamer/api/v3/streams", "/streamer/api/v3/streams/pulled0", "/streamer/api/v3/streams/pulled1", "/streamer/api/v3/streams/pulled2",
	"/streamer/api/v3/pulse", "/streamer/api/v3/cluster/peers", "/streamer/api/v3/cluster/alarms",
	"/streamer/api/v3/cluster/explain?stream=pulled0", "/api/tree", "/metrics",
}

// mark is a secret that must not be shown anywhere.
const mark = "s3cretMark"

func TestSecretsAreShownNowhere(t *testing.T) {
	dir := t.TempDir()
	text := "journal " + filepath.Join(dir, "journal") + ";\nsession_log " + dir + ";\nview_auth viewer geheim;\nedit_auth editor " + mark + ";\n" +
		"vhost __defaultVhost__ { http_hooks { enabled on; on_stop http://127.0.0.1:1/h?key=" + mark + "; on_close http://u:" + mark + "@127.0.0.1:1/h; } }\n"
	for i, url := range []string{
		"rtsp://u:" + mark + "@127.0.0.1:1/x?token=" + mark, "rtmp://127.0.0.1:1/live/x?k=" + mark, "hls://127.0.0.1:1/token=" + mark + "/x.m3u8?Policy=" + mark,
		"tshttp://" + mark + "@127.0.0.1:1/x.ts;sid=" + mark,
	} {
		text += fmt.Sprintf("stream pulled%d { input \"%s\"; }\n", i, url)
	}
	log := &textLog{}
	n, err := Start(Config{File: parseFile(t, text), Hostname: "n1", Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			n.Stop()
		}
	}()
	within(t, "the node knows what there is", func() error { return n.reporter.status.Ready() })
	stop := mustPublish(t, n.rtmpAddr(), "live", "onc?token="+mark, 256)
	c, err := rtmp.Dial(t.Context(), "rtmp://"+n.rtmpAddr()+"/live/onc?Sig="+mark+"&vhost=__defaultVhost__", rtmp.ClientConfig{ConnectQuery: true})
	if err == nil {
		err = c.Play()
	}
	if err != nil {
		t.Fatal(err)
	}
	if width, err := playFLV(t.Context(), "http://"+n.httpAddr()+"/live/onc.flv?auth="+mark); width != 256 {
		t.Fatal(err)
	}
	if _, err := publish(t, n.rtmpAddr(), "live", "onc?token="+mark, 256); err == nil {
		t.Error("a second publisher is let in")
	}
	_, _ = n.fetch(t, http.MethodGet, "/live/onc/index.m3u8?token="+mark, "")
	within(t, "the inputs have failed", func() error {
		if strings.Count(log.String(), "refused") < 4 {
			return errors.New("not yet")
		}
		return nil
	})
	for _, path := range shownPaths {
		status, body := n.fetch(t, http.MethodGet, path, "geheim")
		if status != http.StatusOK || strings.Contains(body, mark) {
			t.Errorf("GET %s = %d %s", path, status, body)
		}
		if status, _ := n.fetch(t, http.MethodGet, path, ""); status != http.StatusUnauthorized {
			t.Errorf("GET %s without a password = %d, want 401", path, status)
		}
	}
	if _, body := n.fetch(t, http.MethodGet, srs.Prefix+"clients/", "geheim"); !strings.Contains(body, "Sig=****") {
		t.Errorf("the player's tcUrl is not shown: %s", body)
	}
	for _, path := range []string{srs.ClustersPath + "?vhost=&ip=1&app=live&stream=x&coworker=y:1", "/streamer/api/v3/monitoring/liveness"} {
		if status, body := n.fetch(t, http.MethodGet, path, ""); status != http.StatusOK {
			t.Errorf("GET %s without a password = %d %s", path, status, body)
		}
	}
	_ = c.Close()
	stop()
	within(t, "the hooks have failed", func() error {
		if !strings.Contains(log.String(), "a hook was not taken") {
			return errors.New("not yet")
		}
		return nil
	})
	n.Stop()
	stopped = true
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil || len(text) == 0 || bytes.Contains(text, []byte(mark)) {
			t.Errorf("%s, %d bytes, %v, holds the secret: %v", f.Name(), len(text), err, bytes.Contains(text, []byte(mark)))
		}
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, mark) {
			t.Errorf("logged: %s", line)
		}
	}
}

func TestWrongPasswordsAreSlowedDownOnAllPaths(t *testing.T) {
	n := lone(t, "view_auth viewer geheim;\n")
	tooMany := 0
	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	for i := range 60 {
		all.Go(func() {
			path := shownPaths[i%len(shownPaths)]
			if status, _ := n.fetch(t, http.MethodGet, path, "wrong"); status == http.StatusTooManyRequests {
				mu.Lock()
				tooMany++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if tooMany < 40 {
		t.Errorf("of 60 wrong passwords %d were not looked at after %v, want 40 or more", tooMany, time.Since(began))
	}
	if status, _ := n.fetch(t, http.MethodGet, "/streamer/api/v3/monitoring/liveness", ""); status != http.StatusOK {
		t.Errorf("liveness is asked from the same address: %d", status)
	}
}
