//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A tab is a page in a browser of the test's own, which is told what to do by the protocol of its developer tools.
type tab struct {
	t    *testing.T
	conn *websocket.Conn
	last int
	said []string // errors on the page's console
}

// openTab opens a URL in a new browser, with a window of that width.
func openTab(t *testing.T, url string, width int) *tab {
	t.Helper()
	if _, err := exec.LookPath(chromium); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed", chromium)
		}
		t.Skipf("%s is not installed", chromium)
	}
	log := &logFile{}
	cmd := exec.Command(chromium, "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio", "--ignore-certificate-errors",
		"--autoplay-policy=no-user-gesture-required", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", "about:blank")
	cmd.Env, cmd.Stderr, cmd.WaitDelay = append(os.Environ(), "HOME="+t.TempDir()), log, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Debian's program is a script around the browser
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	var target struct {
		URL string `json:"webSocketDebuggerUrl"`
	}
	eventually(t, 30*time.Second, "the browser has started", func() error {
		m := regexp.MustCompile(`ws://([^/\s]+)/`).FindStringSubmatch(log.String())
		if m == nil {
			return errors.New("it has not said where it listens")
		}
		request, err := http.NewRequest(http.MethodPut, "http://"+m[1]+"/json/new?about:blank", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(request)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		return json.NewDecoder(res.Body).Decode(&target)
	})
	conn, res, err := websocket.DefaultDialer.Dial(target.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	b := &tab{t: t, conn: conn}
	b.call("Runtime.enable", nil)
	b.call("Log.enable", nil)
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
	b.call("Page.navigate", map[string]any{"url": url})
	return b
}

// call gives the browser an order and waits for the result.
func (b *tab) call(method string, params map[string]any) json.RawMessage {
	b.t.Helper()
	b.last++
	_ = b.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if err := b.conn.WriteJSON(map[string]any{"id": b.last, "method": method, "params": params}); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  json.RawMessage
		}
		if err := b.conn.ReadJSON(&m); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		switch {
		case m.Method == "Runtime.exceptionThrown", m.Method == "Log.entryAdded" && strings.Contains(string(m.Params), "Security"):
			b.said = append(b.said, string(m.Params))
		case m.ID == b.last && m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error)
		case m.ID == b.last:
			return m.Result
		}
	}
}

// value is that of an expression in the page, as text.
func (b *tab) value(expression string) string {
	b.t.Helper()
	var r struct{ Result struct{ Value any } }
	if err := json.Unmarshal(b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true}), &r); err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprint(r.Result.Value)
}

// shows waits until the page has a text.
func (b *tab) shows(limit time.Duration, pattern string) {
	b.t.Helper()
	text := regexp.MustCompile(pattern)
	eventually(b.t, limit, "the page shows "+pattern, func() error {
		if got := b.value("document.body.innerText"); !text.MatchString(got) {
			return fmt.Errorf("it shows %.800q", got)
		}
		return nil
	})
}

// calm fails if a script of the page has failed, or has been forbidden something.
func (b *tab) calm() {
	b.t.Helper()
	for _, s := range b.said {
		b.t.Errorf("the page complains: %.400s", s)
	}
}

// keep leaves a picture of the page among the test's artifacts.
func (b *tab) keep(name string) {
	b.t.Helper()
	var shot struct{ Data []byte }
	if err := json.Unmarshal(b.call("Page.captureScreenshot", map[string]any{"format": "png"}), &shot); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), shot.Data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// picture is a digest of what the player shows; empty as long as it shows nothing.
const picture = `(() => {
	const v = document.querySelector("video");
	if (!v || v.readyState < 2) return "";
	const c = document.createElement("canvas");
	c.width = 64; c.height = 36;
	c.getContext("2d").drawImage(v, 0, 0, 64, 36);
	return c.toDataURL();
})()`

// moves waits until the player has shown so many different pictures.
func (b *tab) moves(limit time.Duration, pictures int) {
	b.t.Helper()
	seen := map[string]bool{}
	eventually(b.t, limit, fmt.Sprintf("%d different pictures", pictures), func() error {
		if p := b.value(picture); p != "" {
			seen[p] = true
		}
		if len(seen) < pictures {
			return fmt.Errorf("there were %d; the page says %q", len(seen), b.value("document.body.innerText"))
		}
		return nil
	})
}

// The player of a page plays at a node that is not the owner, and goes on without a click when the owner is killed.
func TestPageWithAPlayerGoesOnWhenTheOwnerIsKilled(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			s := startSecure(t, "stream cam { input fake://fake?size=320x180; cluster_ingest; }\nstream dead { input tshttp://127.0.0.1:9/x; }\n")
			at := s.settle(30*time.Second, s.nodes, []string{"cam"})
			owner, others := s.by(at["cam"])
			url := "http://" + others[0].http
			if scheme == "https" {
				url = "https://" + s.https[map[string]int{"n1": 0, "n2": 1}[others[0].name]]
			}
			b := openTab(t, url+"/cam/embed.html?muted=1", 1280)
			b.moves(30*time.Second, 10)
			owner.signal(t, syscall.SIGKILL)
			killed := time.Now()
			eventually(t, 30*time.Second, "another node has the stream", func() error {
				_, err := owners(others, []string{"cam"})
				return err
			})
			pause(25*time.Second - time.Since(killed)) // what was buffered has been shown
			b.moves(30*time.Second, 20)
			b.calm()
			b.call("Page.navigate", map[string]any{"url": url + "/dead/embed.html"})
			b.shows(40*time.Second, "(?i)the stream has no media now: its input fails: connection refused")
		})
	}
}

// The pages tell of a node that is killed, in words, in both widths.
func TestPagesTellWhatIsWrong(t *testing.T) {
	c := start(t, 3, func(_ int, ports []int) string {
		text := peers(ports) + "stream dead { input tshttp://127.0.0.1:9/x; title Studio; cluster_ingest; }\nbalancer global { mode clients; server 127.0.0.1:" + fmt.Sprint(ports[0]) + " max_bitrate=60M; }\n"
		for i := range 9 {
			text += fmt.Sprintf("stream cam%d { input fake://fake?size=256x144; cluster_ingest; }\n", i)
		}
		return text
	})
	names := []string{}
	for i := range 9 {
		names = append(names, fmt.Sprintf("cam%d", i))
	}
	at := c.settle(30*time.Second, c.nodes, names)
	gone := c.nodes[1]
	had := 0
	for _, o := range at {
		if o == gone.name {
			had++
		}
	}
	gone.signal(t, syscall.SIGKILL)
	for _, width := range []int{1280, 390} {
		b := openTab(t, "http://"+c.nodes[0].http+"/", width)
		b.shows(20*time.Second, fmt.Sprintf(`(The process of %[1]s has ended|%[1]s has not answered).*; its %[2]d streams run on n1 \(\d+\) and n3 \(\d+\);.* they go back 1 s after it returns`, gone.name, had))
		b.shows(20*time.Second, `1 stream has no media, because the inputs fail: dead \(.*connection refused`)
		b.shows(20*time.Second, `(?s)Balancer global.*60\.0 Mbit/s`)
		if over := b.value("document.documentElement.scrollWidth - innerWidth"); over != "0" {
			t.Errorf("with a width of %d, the page is %s wider", width, over)
		}
		b.keep(fmt.Sprintf("overview-%d", width))
		b.call("Page.navigate", map[string]any{"url": "http://" + c.nodes[0].http + "/streamer/pages/streams?name=cam"})
		b.shows(20*time.Second, `(?s)9 streams.*cam0.*running.*in place of `+gone.name)
		b.keep(fmt.Sprintf("streams-%d", width))
		b.call("Page.navigate", map[string]any{"url": "http://" + c.nodes[0].http + "/streamer/pages/stream?name=dead"})
		b.shows(20*time.Second, `(?s)dead.*failed.*Studio.*rtsp://127\.0\.0\.1:\d+/dead.*tshttp://127\.0\.0\.1:9/x`)
		b.keep(fmt.Sprintf("stream-%d", width))
		b.calm()
	}
}

// The types in the modules of the pages are right.
func TestModulesOfThePagesHaveTheTypesThatTheySay(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil && os.Getenv("CI") == "" {
		t.Skip("npm is not installed")
	}
	dir := t.TempDir()
	install := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "typescript@5.9.3")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	modules, err := filepath.Glob("../../../protocols/pages/assets/*.js")
	if err != nil || len(modules) < 4 {
		t.Fatalf("%d modules, %v", len(modules), err)
	}
	check := exec.Command(filepath.Join(dir, "node_modules", ".bin", "tsc"), "--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022", "--module", "es2022",
		"--lib", "es2023,dom,dom.iterable")
	check.Args = append(append(check.Args, modules...), "../../../protocols/pages/embed.js")
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
