//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The players that run in a browser, with the versions that are installed from npm for the time of the test.
var browserPlayers = []struct{ name, version string }{
	{"hls.js", "1.7.4"},
	{"video.js", "8.24.1"},
	{"shaka-player", "5.2.12"},
	{"mpegts.js", "1.8.2"},
}

// browserForms are what each of them plays: the path of a stream's URL, and the type that mpegts.js wants to be told.
var browserForms = []struct{ player, form, path, kind string }{
	{"hls.js", "HLS", "/cam/index.m3u8", ""},
	{"hls.js", "HLS, fMP4", "/cam/index.fmp4.m3u8", ""},
	{"video.js", "HLS", "/cam/index.m3u8", ""},
	{"video.js", "HLS, fMP4", "/cam/index.fmp4.m3u8", ""},
	{"shaka-player", "HLS", "/cam/index.m3u8", ""},
	{"shaka-player", "HLS, fMP4", "/cam/index.fmp4.m3u8", ""},
	{"mpegts.js", "HTTP-FLV", "/cam.flv", "flv"},
	{"mpegts.js", "HTTP-TS", "/cam/mpegts", "mpegts"},
}

const chromium = "chromium-headless-shell"

// A browser runs the pages of a test, whose origin is none of the nodes'. Its names below .test are this machine: pages that came from
// 127.0.0.1 would count as trusted, and nodes would take the browser for one that uses TLS.
type browser struct {
	t    *testing.T
	page *httptest.Server

	mu      sync.Mutex
	results map[string]chan string // by cell
	made    int                    // cells in all
	cells   []string               // URLs of the pages that run opens next
	opened  []string               // URLs of the pages that it has opened
	end     func()                 // of the program that runs, if one does
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	dir := t.TempDir()
	install := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--omit=peer")
	for _, p := range browserPlayers {
		install.Args = append(install.Args, p.name+"@"+p.version)
	}
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	b := &browser{t: t, results: map[string]chan string{}}
	mux := http.NewServeMux()
	mux.Handle("/node_modules/", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("/player.html", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/player.html") })
	mux.HandleFunc("/all.html", func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		w.Header().Set("Content-Type", "text/html")
		for _, cell := range b.opened {
			_, _ = fmt.Fprintf(w, "<iframe width=300 height=180 allow=autoplay src=\"%s\"></iframe>\n", strings.ReplaceAll(cell, "&", "&amp;"))
		}
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if c := b.results[r.FormValue("cell")]; c != nil {
			c <- r.FormValue("result")
			delete(b.results, r.FormValue("cell"))
		}
	})
	b.page = httptest.NewServer(mux)
	t.Cleanup(b.page.Close)
	return b
}

// add makes a cell: the result is empty once the player has shown pictures of the stream at a node.
func (b *browser) add(player, kind, node, path string) (result <-chan string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made++
	id := fmt.Sprint(b.made)
	_, port, _ := strings.Cut(b.nodeAddr(node), ":")
	q := url.Values{"cell": {id}, "player": {player}, "type": {kind}, "source": {"http://" + node[:strings.IndexByte(node, '@')] + ".test:" + port + path}}
	b.cells = append(b.cells, "/player.html?"+q.Encode())
	c := make(chan string, 1)
	b.results[id] = c
	return c
}

func (b *browser) nodeAddr(node string) string { return node[strings.IndexByte(node, '@')+1:] }

// run opens the cells that were added since it was called before, all at once, in place of those of before. The browser ends with the test.
func (b *browser) run() {
	b.t.Helper()
	if b.end != nil {
		b.end()
	}
	b.mu.Lock()
	b.opened, b.cells = b.cells, nil
	b.mu.Unlock()
	if len(b.opened) == 0 {
		return
	}
	_, port, _ := strings.Cut(b.page.Listener.Addr().String(), ":")
	cmd := exec.Command(chromium, "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run", "--disable-dev-shm-usage",
		"--autoplay-policy=no-user-gesture-required", "--disable-renderer-backgrounding", "--disable-background-timer-throttling",
		"--host-resolver-rules=MAP *.test 127.0.0.1", "--user-data-dir="+b.t.TempDir(), "--remote-debugging-port=0",
		"--window-size=1300,1000", "http://page.test:"+port+"/all.html")
	var log bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &log, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Debian's program is a script around the browser
	cmd.Env = append(os.Environ(), "HOME="+b.t.TempDir())
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.end = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if b.t.Failed() {
			b.t.Logf("the browser says\n%.3000s", log.String())
		}
	})
	b.t.Cleanup(b.end)
}

// await is what a cell reports, or that it reports nothing.
func await(result <-chan string) string {
	select {
	case r := <-result:
		return r
	case <-time.After(100 * time.Second):
		return "no report"
	}
}
