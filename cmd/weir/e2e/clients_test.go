//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the tables that these tests print into testdata")

// clientsPage is where the table of clients is kept.
const clientsPage = "../../../testdata/clients/README.md"

// shownPictures is how many pictures a client has to decode, and clientPatience how long it may take.
const (
	shownPictures  = 50
	clientPatience = 90 * time.Second
)

// A realClient is a program that people play streams with.
type realClient struct {
	name    string
	program string
	version []string // its arguments
	forms   map[string]func(ctx context.Context, url string) error
}

var realClients = []realClient{
	{"ffmpeg", "ffmpeg", []string{"-version"}, map[string]func(context.Context, string) error{
		"HLS": ffmpegPlays(), "HLS, fMP4": ffmpegPlays(), "HTTP-FLV": ffmpegPlays(), "HTTP-TS": ffmpegPlays(), "RTMP": ffmpegPlays(),
		"RTSP, TCP": ffmpegPlays("-rtsp_transport", "tcp"), "RTSP, UDP": ffmpegPlays("-rtsp_transport", "udp"),
	}},
	{"GStreamer", "gst-launch-1.0", []string{"--version"}, map[string]func(context.Context, string) error{
		"HLS": gstreamerPlays("souphttpsrc location=URL ! hlsdemux ! tsdemux"), "HTTP-FLV": gstreamerPlays("souphttpsrc location=URL ! flvdemux"),
		"HTTP-TS": gstreamerPlays("souphttpsrc location=URL ! tsdemux"), "RTMP": gstreamerPlays("rtmp2src location=URL ! flvdemux"),
		"RTSP, TCP": gstreamerPlays("rtspsrc protocols=tcp location=URL ! rtph264depay"), "RTSP, UDP": gstreamerPlays("rtspsrc protocols=udp location=URL ! rtph264depay"),
	}},
	// Debian builds VLC without live555, the library that it plays RTSP with.
	{"VLC", "cvlc", []string{"--version"}, map[string]func(context.Context, string) error{
		"HLS": vlcPlays, "HLS, fMP4": vlcPlays, "HTTP-FLV": vlcPlays, "HTTP-TS": vlcPlays, "RTMP": vlcPlays,
	}},
	{"mpv", "mpv", []string{"--version"}, map[string]func(context.Context, string) error{
		"HLS": mpvPlays, "HLS, fMP4": mpvPlays, "HTTP-FLV": mpvPlays, "HTTP-TS": mpvPlays, "RTMP": mpvPlays, "RTSP, TCP": mpvPlays,
	}},
}

var clientForms = []string{"HLS", "HLS, fMP4", "HTTP-FLV", "HTTP-TS", "RTMP", "RTSP, TCP", "RTSP, UDP"}

// urlOf is the URL of the stream in a form at a node, with a token that has to survive redirects.
func (n *node) urlOf(form string) string {
	switch form {
	case "HLS":
		return "http://" + n.http + "/cam/index.m3u8?token=a%20b"
	case "HLS, fMP4":
		return "http://" + n.http + "/cam/index.fmp4.m3u8?token=a%20b"
	case "HTTP-FLV":
		return "http://" + n.http + "/cam.flv?token=a%20b"
	case "HTTP-TS":
		return "http://" + n.http + "/cam/mpegts?token=a%20b"
	case "RTMP":
		return "rtmp://" + n.rtmp + "/live/cam?token=ab"
	}
	return "rtsp://" + n.rtsp + "/cam?token=a%20b"
}

// TestRealClientsPlay plays a stream with the clients that people use, in the forms that each of them plays, at the node that has it and
// at another one. Each cell of the table that is printed is a run.
func TestRealClientsPlay(t *testing.T) {
	lack := ""
	for _, program := range []string{"gst-launch-1.0", "cvlc", "mpv", chromium, "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			lack += " " + program
		}
	}
	if lack != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("not installed:%s", lack)
		}
		t.Skipf("not installed:%s", lack)
	}
	c := start(t, 2, func(_ int, ports []int) string {
		return fmt.Sprintf(`cluster_key a-key-that-is-long-enough-for-this;
peer 127.0.0.1:%d { name n1; }
peer 127.0.0.1:%d { name n2; }
stream cam { input fake://fake?size=256x144; cluster_ingest capture_at=n1; }
`, ports[0], ports[1])
	})
	b := newBrowser(t)
	eventually(t, 30*time.Second, "the stream runs at n1", func() error {
		by, err := owners(c.nodes, []string{"cam"})
		if err == nil && by["cam"] != "n1" {
			err = fmt.Errorf("cam is at %s", by["cam"])
		}
		return err
	})
	table := &clientTable{results: map[string][2]string{}}
	var running sync.WaitGroup
	for _, f := range browserForms {
		for i, n := range c.nodes {
			result := b.add(f.player, f.kind, n.name+"@"+n.http, f.path+"?token=a%20b")
			running.Go(func() { table.set(f.player, f.form, i, await(result)) })
		}
	}
	b.run()
	running.Wait()
	loadAgain(b, table, c.nodes)

	// The first program of GStreamer on a machine loads every plugin to make a list of them, which may take longer than playing.
	_ = exec.Command("gst-inspect-1.0", "rtspsrc").Run()
	places := make(chan struct{}, 6)
	for _, client := range realClients {
		for _, form := range clientForms {
			play := client.forms[form]
			if play == nil {
				continue
			}
			for i, n := range c.nodes {
				places <- struct{}{}
				running.Go(func() {
					defer func() { <-places }()
					ctx, cancel := context.WithTimeout(t.Context(), clientPatience)
					defer cancel()
					text := ""
					if err := play(ctx, n.urlOf(form)); err != nil {
						text = err.Error()
					}
					table.set(client.name, form, i, text)
				})
			}
		}
	}
	running.Wait()
	page := table.page(t)
	t.Log("\n" + page)
	if *update {
		if err := os.MkdirAll(strings.TrimSuffix(clientsPage, "/README.md"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(clientsPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// loadAgain opens the pages that have not played once more, without the others beside them, as a person at a busy machine does: shaka-player
// makes fragments of transport streams by itself, and does not go on once it had to wait for the processor.
func loadAgain(b *browser, table *clientTable, nodes []*node) {
	var running sync.WaitGroup
	for _, f := range browserForms {
		for i, first := range table.at(f.player, f.form) {
			if first == "plays" {
				continue
			}
			n := nodes[i]
			result := b.add(f.player, f.kind, n.name+"@"+n.http, f.path+"?token=a%20b")
			running.Go(func() {
				text := await(result)
				b.t.Logf("%s, %s, at %s %s; loaded again: %q", f.player, f.form, n.name, first, text)
				table.set(f.player, f.form, i, text)
			})
		}
	}
	b.run()
	running.Wait()
}

// A clientTable is the result of each client in each form at the two nodes: empty where it has played.
type clientTable struct {
	mu      sync.Mutex
	results map[string][2]string // by client and form
}

func (c *clientTable) at(client, form string) [2]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.results[client+"|"+form]
}

func (c *clientTable) set(client, form string, node int, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.results[client+"|"+form]
	if r[node] = "plays"; text != "" {
		r[node] = "fails: " + text
	}
	c.results[client+"|"+form] = r
}

// page is the table in Markdown. It fails the test for each cell that does not play.
func (c *clientTable) page(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# Clients\n\nWhat real clients made of a stream of H.264 and AAC on %s: each cell is a run, with a token in the URL. Browsers' pages come from\n"+
		"another origin than the stream. At the node that does not have the stream, HTTP-FLV, HTTP-TS and RTSP are redirected, RTMP is\n"+
		"relayed, and playlists of HLS name segments at the other node. Made by\n"+
		"`go test -tags e2e ./cmd/weir/e2e -run RealClientsPlay -update`.\n\n| client | version |\n|---|---|\n", time.Now().UTC().Format(time.DateOnly))
	for _, client := range realClients {
		fmt.Fprintf(&b, "| %s | %s |\n", client.name, versionOf(client.program, client.version...))
	}
	fmt.Fprintf(&b, "| Chromium | %s |\n", versionOf(chromium, "--version"))
	for _, p := range browserPlayers {
		fmt.Fprintf(&b, "| %s | %s |\n", p.name, p.version)
	}
	b.WriteString("\n| client | form | owner here | owner elsewhere |\n|---|---|---|---|\n")
	row := func(client, form string) {
		r, ok := c.results[client+"|"+form]
		if !ok {
			return
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", client, form, r[0], r[1])
		for i, text := range r {
			if text != "plays" {
				t.Errorf("%s, %s, at n%d: %s", client, form, i+1, text)
			}
		}
	}
	for _, client := range realClients {
		for _, form := range clientForms {
			row(client.name, form)
		}
	}
	for _, f := range browserForms {
		row(f.player, f.form)
	}
	return b.String()
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+){2,}[^\s,]*`)

func versionOf(program string, args ...string) string {
	out, _ := asPerson(exec.Command(program, args...)).Output()
	if v := versionNumber.Find(out); v != nil {
		return string(v)
	}
	return "unknown"
}

// asPerson makes a command run as nobody where the test is root: VLC refuses to run as root.
func asPerson(cmd *exec.Cmd) *exec.Cmd {
	const nobody = 65534
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Env = append(os.Environ(), "HOME=/nonexistent", "DBUS_SESSION_BUS_ADDRESS=disabled:")
		cmd.Dir = "/"
	}
	return cmd
}

// ran is the error of a program that should have ended by itself, with the end of what it said.
func ran(out []byte, err error) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return fmt.Errorf("%w: %s", err, strings.Join(lines[max(0, len(lines)-3):], "; "))
}

func ffmpegPlays(args ...string) func(context.Context, string) error {
	return func(ctx context.Context, url string) error {
		args := append([]string{"-nostdin", "-v", "error"}, args...)
		args = append(args, "-i", url, "-map", "0:v", "-map", "0:a", "-frames:v", strconv.Itoa(shownPictures), "-f", "null", "-")
		return ran(exec.CommandContext(ctx, "ffmpeg", args...).CombinedOutput())
	}
}

func mpvPlays(ctx context.Context, url string) error {
	return ran(exec.CommandContext(ctx, "mpv", "--no-config", "--no-terminal", "--vo=null", "--ao=null", "--frames="+strconv.Itoa(shownPictures), url).CombinedOutput())
}

// gstreamerPlays decodes the pictures of what a pipeline brings.
func gstreamerPlays(pipeline string) func(context.Context, string) error {
	return func(ctx context.Context, url string) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		args := strings.Fields("-v " + strings.ReplaceAll(pipeline, "URL", url) + " ! h264parse ! avdec_h264 ! fakesink sync=false silent=false")
		cmd := exec.CommandContext(ctx, "gst-launch-1.0", args...)
		pictures, out, err := 0, io.ReadCloser(nil), error(nil)
		if out, err = cmd.StdoutPipe(); err != nil {
			return err
		}
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		if err := cmd.Start(); err != nil {
			return err
		}
		for lines := bufio.NewScanner(out); pictures < shownPictures && lines.Scan(); {
			if strings.Contains(lines.Text(), "last-message = chain") {
				pictures++
			}
		}
		cancel()
		_ = cmd.Wait()
		if pictures < shownPictures {
			return ran(complaints.Bytes(), fmt.Errorf("%d pictures", pictures))
		}
		return nil
	}
}

var decodedByVLC = regexp.MustCompile(`video decoded\s*:\s*(\d+)`)

// vlcPlays asks VLC for its statistics until it has decoded enough.
func vlcPlays(ctx context.Context, url string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := asPerson(exec.CommandContext(ctx, "cvlc", "-I", "oldrc", "--rc-fake-tty", "--vout", "dummy", "--aout", "dummy", url))
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		for tick := time.Tick(time.Second); ctx.Err() == nil; <-tick {
			_, _ = io.WriteString(in, "stats\n")
		}
	}()
	decoded := 0
	for lines := bufio.NewScanner(out); decoded < shownPictures && lines.Scan(); {
		if m := decodedByVLC.FindStringSubmatch(lines.Text()); m != nil {
			decoded, _ = strconv.Atoi(m[1])
		}
	}
	cancel()
	_ = cmd.Wait()
	if decoded < shownPictures {
		return ran(complaints.Bytes(), errors.New("it has decoded "+strconv.Itoa(decoded)+" pictures"))
	}
	return nil
}
