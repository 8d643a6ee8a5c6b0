//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/protocols/listen/listentest"
)

// binary is the program under test; empty until TestMain has built it.
var binary string

// raceDetector says that these tests run under it; the program then does too.
var raceDetector bool

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	for _, tool := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(os.Stderr, "the end-to-end tests need %s: %v\n", tool, err)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "weir-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "weir")
	args := []string{"build", "-o", binary}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "weir/cmd/weir")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// eventually waits until ok returns nil, and fails the test with its last error after limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() error) {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var err error
	for time.Since(start) < limit {
		if err = ok(); err == nil {
			t.Logf("%s: after %.1f s", what, time.Since(start).Seconds())
			return
		}
		<-tick.C
	}
	t.Fatalf("%s: not within %v: %v", what, limit, err)
}

// pause lets the cluster run for a while: to give something a chance that must not happen.
func pause(d time.Duration) { <-time.After(d) }

// A node is one process of the cluster under test.
type node struct {
	name             string
	http, rtmp, rtsp string // host:port
	args             []string
	log              *logFile

	cmd  *exec.Cmd
	done chan struct{}
}

// A cluster is some nodes with one configuration, or one each.
type cluster struct {
	t     *testing.T
	nodes []*node
}

// start runs so many nodes, named n1, n2 and so on. config makes the file of each from the HTTP ports of all.
func start(t *testing.T, count int, config func(i int, ports []int) string) *cluster {
	t.Helper()
	dir := t.TempDir()
	vod, err := filepath.Abs("../../../testdata/vod")
	if err != nil {
		t.Fatal(err)
	}
	ports := listentest.Ports(t, 3*count)
	c := &cluster{t: t}
	for i := range count {
		file := filepath.Join(dir, fmt.Sprintf("n%d.conf", i+1))
		if err := os.WriteFile(file, []byte(config(i, ports[:count])), 0o600); err != nil {
			t.Fatal(err)
		}
		n := &node{
			name: fmt.Sprintf("n%d", i+1),
			http: fmt.Sprintf("127.0.0.1:%d", ports[i]),
			rtmp: fmt.Sprintf("127.0.0.1:%d", ports[count+i]),
			rtsp: fmt.Sprintf("127.0.0.1:%d", ports[2*count+i]),
			log:  &logFile{},
		}
		n.args = []string{
			"node", "--config", file, "--name", n.name, "--http", n.http, "--rtmp", n.rtmp, "--rtsp", n.rtsp,
			"--remote", "127.0.0.1:0", "--vod", vod, "--log", "debug",
		}
		c.nodes = append(c.nodes, n)
	}
	c.run(t)
	return c
}

// run starts the process.
func (n *node) run(t *testing.T) {
	t.Helper()
	n.cmd = exec.Command(binary, n.args...)
	n.cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	n.cmd.Stderr = n.log
	n.cmd.Stdout = n.log
	if err := n.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", n.name, err)
	}
	n.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(n.cmd, n.done)
}

// end stops the process, in order if it can.
func (n *node) end() {
	if n.cmd == nil || n.cmd.Process == nil {
		return
	}
	_ = n.cmd.Process.Signal(syscall.SIGCONT)
	_ = n.cmd.Process.Signal(syscall.SIGINT) // SIGTERM would wait for viewers
	select {
	case <-n.done:
	case <-time.After(10 * time.Second):
		_ = n.cmd.Process.Kill()
		<-n.done
	}
}

func (n *node) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%v for %s: %v", s, n.name, err)
	}
	if s == syscall.SIGKILL {
		<-n.done
	}
}

// A logFile is the JSON log of one node.
type logFile struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Most lines of a failed test's logs that are shown, so that what failed is not buried under them.
const (
	alarmLines  = 10 // warnings and worse, of a node
	recentLines = 15 // of a node
	reportLines = 60 // of a data race or a panic
	playerLines = 10
)

// report is the beginning of what the Go runtime has to say of a data race or a panic; empty if there was neither.
func (l *logFile) report() string {
	lines := strings.Split(l.String(), "\n")
	for i, line := range lines {
		if strings.Contains(line, "DATA RACE") || strings.Contains(line, "panic:") {
			return strings.Join(lines[i:min(i+reportLines, len(lines))], "\n")
		}
	}
	return ""
}

// digest is what a person looks at first: the last warnings and errors, and the last lines but those for debugging.
func (l *logFile) digest() (alarms, recent string) {
	var loud, all []string
	for line := range strings.Lines(l.String()) {
		var e entry
		if json.Unmarshal([]byte(line), &e) != nil || e.Level != "DEBUG" {
			all = append(all, line)
		}
		if e.Level == "WARN" || e.Level == "ERROR" {
			loud = append(loud, line)
		}
	}
	return tail(loud, alarmLines), tail(all, recentLines)
}

// tail are the last lines, each shortened.
func tail(lines []string, most int) string {
	var b strings.Builder
	for _, l := range lines[max(0, len(lines)-most):] {
		fmt.Fprintf(&b, "  %.400s\n", strings.TrimSuffix(l, "\n"))
	}
	return b.String()
}

// keepLog shows the end of a node's log, and leaves all of it among the test's artifacts.
func (n *node) keepLog(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.ArtifactDir(), n.name+".log")
	if err := os.WriteFile(file, []byte(n.log.String()), 0o600); err != nil {
		t.Logf("the log of %s cannot be kept: %v", n.name, err)
	}
	alarms, recent := n.log.digest()
	t.Logf("%s, whole log in %s (with -artifacts it stays); its last warnings:\n%sits last lines:\n%s", n.name, file, alarms, recent)
}

// An entry is one line of it.
type entry struct {
	Time           time.Time
	Msg            string
	Stream, Peer   string
	Err            any
	Level, Session string
}

// find returns the entries whose message begins with msg and that are of that stream, or of any if it is empty.
func (l *logFile) find(msg, stream string, since time.Time) (out []entry) {
	s := bufio.NewScanner(strings.NewReader(l.String()))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var e entry
		if json.Unmarshal(s.Bytes(), &e) == nil && strings.HasPrefix(e.Msg, msg) &&
			(stream == "" || e.Stream == stream) && e.Time.After(since) {
			out = append(out, e)
		}
	}
	return out
}

// A streamState is what the API says of a stream.
type streamState struct {
	Name   string
	Owner  string
	State  string
	Reason string
	Error  string
	Inputs []struct {
		URL, State, Error string
		Active            bool
	}
	Clients int
}

var client = &http.Client{Timeout: 5 * time.Second}

// get reads a URL; a status other than 200 is an error.
func get(url string) ([]byte, error) {
	res, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %.200s", url, res.StatusCode, body)
	}
	return body, err
}

// streams are all streams as node n sees them.
func (n *node) streams() (map[string]streamState, error) {
	body, err := get("http://" + n.http + "/streamer/api/v3/streams?limit=1000")
	if err != nil {
		return nil, err
	}
	var list struct{ Streams []streamState }
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	m := map[string]streamState{}
	for _, s := range list.Streams {
		m[s.Name] = s
	}
	return m, nil
}

// owners are the running streams by owner, as all of the given nodes agree; an error says where they do not, or what
// does not run.
func owners(nodes []*node, names []string) (map[string]string, error) {
	var agreed map[string]string
	for _, n := range nodes {
		all, err := n.streams()
		if err != nil {
			return nil, err
		}
		seen := map[string]string{}
		for _, name := range names {
			s := all[name]
			if s.State != "running" || s.Owner == "" {
				return nil, fmt.Errorf("%s says that %s is %s at %q: %s", n.name, name, s.State, s.Owner, s.Error)
			}
			seen[name] = s.Owner
		}
		for name, owner := range seen {
			if agreed != nil && agreed[name] != owner {
				return nil, fmt.Errorf("%s says that %s is at %s, another says %s", n.name, name, owner, agreed[name])
			}
		}
		agreed = seen
	}
	if agreed == nil {
		return nil, errors.New("nobody was asked")
	}
	return agreed, nil
}

// settle waits until all nodes agree who owns the streams.
func (c *cluster) settle(limit time.Duration, nodes []*node, names []string) (at map[string]string) {
	c.t.Helper()
	eventually(c.t, limit, fmt.Sprintf("%d streams run and %d nodes agree where", len(names), len(nodes)), func() (err error) {
		at, err = owners(nodes, names)
		return err
	})
	return at
}

// by returns the node of that name and the others.
func (c *cluster) by(name string) (n *node, others []*node) {
	for _, m := range c.nodes {
		if m.name == name {
			n = m
		} else {
			others = append(others, m)
		}
	}
	return n, others
}

// peers are the peer lines of a file for three nodes with F = 1 s and S = 3 s.
func peers(ports []int) string {
	var b strings.Builder
	b.WriteString("cluster_key for-the-test-only-0123;\nreturn_holddown 1000;\n")
	for _, p := range ports {
		fmt.Fprintf(&b, "peer 127.0.0.1:%d { fetch_timeout 1000; stale_timeout 3000; }\n", p)
	}
	return b.String()
}
