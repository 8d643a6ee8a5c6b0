//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/cluster/conf"
	"weir/codecs/ffmpegtest"
	"weir/protocols"
)

// patience is how long a test waits for what must happen. Slow machines take their time; none takes that long.
const patience = 2 * time.Minute

// A demonstration is a running `weir demo` under test.
type demonstration struct {
	t     *testing.T
	ctx   context.Context
	cmd   *exec.Cmd
	lines chan string // of standard output; closed at its end
	errs  *bytes.Buffer
	temp  string // where it puts its directory
}

// demonstrate starts `weir demo` as a process. It is killed if it has not ended with the test.
func demonstrate(t *testing.T, args ...string) *demonstration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	d := &demonstration{
		t: t, ctx: ctx, cmd: exec.CommandContext(ctx, "weir", append([]string{"demo"}, args...)...),
		lines: make(chan string), errs: &bytes.Buffer{}, temp: t.TempDir(),
	}
	d.cmd.Env = append(os.Environ(), "TMPDIR="+d.temp)
	d.cmd.Stderr = d.errs
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case d.lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return d
}

// line gives the next line of standard output, and whether there is one.
func (d *demonstration) line() (string, bool) {
	d.t.Helper()
	select {
	case l, ok := <-d.lines:
		if ok {
			d.t.Log(l)
		}
		return l, ok
	case <-d.ctx.Done():
		d.t.Fatalf("no further line in time; standard error:\n%s", d.errs)
		return "", false
	}
}

// until reads lines up to one that matches, and gives all of them.
func (d *demonstration) until(pattern string) []string {
	d.t.Helper()
	re := regexp.MustCompile(pattern)
	var read []string
	for {
		l, ok := d.line()
		if !ok {
			d.t.Fatalf("the output ended before %q", pattern)
		}
		if read = append(read, l); re.MatchString(l) {
			return read
		}
	}
}

// interrupt ends the demonstration as Ctrl-C does and gives the lines that it still prints.
func (d *demonstration) interrupt() []string {
	d.t.Helper()
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		d.t.Fatal(err)
	}
	var rest []string
	for {
		l, ok := d.line()
		if !ok {
			break
		}
		rest = append(rest, l)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("weir demo: %v, want exit code 0; standard error:\n%s", err, d.errs)
	}
	if left, err := os.ReadDir(d.temp); err != nil || len(left) > 0 {
		d.t.Errorf("the temporary directory still holds %v (%v)", left, err)
	}
	return rest
}

// demoLine is the line of `weir demo --json`.
type demoLine struct {
	Nodes   []demoLineNode
	Config  string
	Streams []string
}

type demoLineNode struct {
	Name             string
	PID              int
	HTTP, RTMP, RTSP string
}

func (d *demonstration) json() demoLine {
	d.t.Helper()
	l, ok := d.line()
	if !ok {
		_ = d.cmd.Wait()
		d.t.Fatalf("weir demo has ended; standard error:\n%s", d.errs)
	}
	var found demoLine
	dec := json.NewDecoder(strings.NewReader(l))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&found); err != nil {
		d.t.Fatalf("%q: %v", l, err)
	}
	return found
}

func TestDemonstrationPlaysAndLeavesNothingBehind(t *testing.T) {
	d := demonstrate(t, "--json")
	found := d.json()
	if len(found.Nodes) != 3 || len(found.Streams) != 13 {
		t.Fatalf("%d nodes and %d streams, want 3 and 13", len(found.Nodes), len(found.Streams))
	}
	src, err := os.ReadFile(found.Config)
	if err != nil {
		t.Fatal(err)
	}
	if _, problems := conf.Parse(found.Config, src); problems.Failed() {
		t.Errorf("the configuration is refused:\n%s", problems)
	}
	for _, n := range found.Nodes {
		for _, addr := range []string{n.HTTP, n.RTMP, n.RTSP} {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Errorf("%s: %v", n.Name, err)
				continue
			}
			_ = conn.Close()
		}
	}
	t.Run("plays", func(t *testing.T) { probeElsewhere(t, found) })

	// A paused node is ended like the others.
	if err := syscall.Kill(found.Nodes[1].PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if rest := d.interrupt(); len(rest) > 0 {
		t.Errorf("after the line of JSON come %q, want nothing", rest)
	}
	for _, n := range found.Nodes {
		if err := syscall.Kill(n.PID, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d of %s: %v, want it gone", n.PID, n.Name, err)
		}
	}
}

// probeElsewhere plays a test pattern and a file in each form from a node that does not capture them.
func probeElsewhere(t *testing.T, found demoLine) {
	ffmpegtest.Path(t, "ffprobe")
	var nodes []demoNode
	for _, n := range found.Nodes {
		nodes = append(nodes, demoNode{name: n.Name, ports: protocols.Ports{HTTP: portOf(t, n.HTTP), RTMP: portOf(t, n.RTMP), RTSP: portOf(t, n.RTSP)}})
	}
	s, err := look(t.Context(), nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"cam01", "clip-mp4"} {
		owner := string(s.stream(stream).Owner)
		i := slices.IndexFunc(nodes, func(n demoNode) bool { return n.name != owner })
		for _, p := range played() {
			url := nodes[i].streamURL(p, stream)
			got, complaints, err := probe(t.Context(), url)
			// HLS lists its tracks again for the programme.
			if got = slices.Compact(got); err != nil || !slices.Equal(got, []string{"aac", "h264"}) {
				t.Errorf("%s of %s at %s, owned by %s: ffprobe %s finds %v, %v: %s", p.Title, stream, nodes[i].name, owner, url, got, err, complaints)
			}
		}
	}
}

func TestNodesDoNotOutliveAKilledDemonstration(t *testing.T) {
	d := demonstrate(t, "--json")
	found := d.json()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait() // it was killed
	// Nobody may have waited for the orphans yet, so their process ids say little; their ports are free when they end.
	err := poll(d.ctx, 50*time.Millisecond, func() bool {
		return !slices.ContainsFunc(found.Nodes, func(n demoLineNode) bool { return !portIsFree(portOf(t, n.HTTP)) })
	})
	if err != nil {
		t.Errorf("the nodes still listen: %v", err)
	}
}

func TestTwoDemonstrationsRunSideBySide(t *testing.T) {
	// They want the same ports, and each sees those of the other free for a moment.
	both := []*demonstration{demonstrate(t, "--json"), demonstrate(t, "--json")}
	taken := map[string]bool{}
	for _, d := range both {
		for _, n := range d.json().Nodes {
			for _, addr := range []string{n.HTTP, n.RTMP, n.RTSP} {
				if taken[addr] {
					t.Errorf("%s is said to belong to two", addr)
				}
				taken[addr] = true
			}
		}
	}
	for _, d := range both {
		d.interrupt()
	}
}

func TestPrintedCommandsKillAndRestartANode(t *testing.T) {
	d := demonstrate(t)
	table := strings.Join(d.until(`^WHAT CHANGES FROM NOW ON`), "\n")
	if strings.Contains(table, "\x1b") {
		t.Error("there are colours although nobody looks on")
	}
	owned := find(t, table, `(?m)^  n2  ((?:[a-z]+[-0-9a-z]+ ?)+)$`)
	streams := strings.Fields(owned)

	shell(t, find(t, table, `(?m)^  n2 .*(kill -9 \d+)`))
	d.until(` n2 ended \(pid \d+, signal: killed\)`)
	restart, _ := d.line()
	if !strings.Contains(table, "  n2  "+restart+"\n") {
		t.Errorf("the command for a restart is %q, and not in the table", restart)
	}
	d.until(` n2 silent$`)
	d.untilMoved(streams, `n2 → n[13] \(spill of n2\)`)

	node := exec.CommandContext(d.ctx, "sh", "-c", "exec "+restart)
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	d.until(` n2 back$`)
	d.untilMoved(streams, `n[13] → n2 \(home\)`)

	rest := strings.Join(d.interrupt(), "\n")
	if !strings.Contains(rest, "Ending n1, n3 …") || !strings.Contains(rest, "n2 was started by somebody else") {
		t.Errorf("at the end it says %q, want that n1 and n3 end and n2 goes on", rest)
	}
	if err := node.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("the restarted node: %v, want exit code 0", err)
	}
}

// untilMoved reads lines until each of the streams has made a move that matches.
func (d *demonstration) untilMoved(streams []string, move string) {
	d.t.Helper()
	left := slices.Clone(streams)
	for len(left) > 0 {
		read := d.until(`: ` + move + `$`)
		name := find(d.t, read[len(read)-1], ` ([^ ]+): `)
		i := slices.Index(left, name)
		if i < 0 {
			d.t.Fatalf("%s has moved, want only one of %q", name, left)
		}
		left = slices.Delete(left, i, i+1)
	}
}

// find gives the first group of a pattern.
func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing in the output matches %s", pattern)
	}
	return m[1]
}

// shell does what a person does who pastes a command.
func shell(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// startOne starts one node that has nothing to do but its configuration, and says why the cluster is not complete.
func startOne(t *testing.T, config string, http int) error {
	t.Helper()
	dir := t.TempDir()
	d := &demo{level: "info", dir: dir, config: filepath.Join(dir, "weir.conf"), log: newLogger(os.Stderr, "error")}
	var err error
	if d.program, err = exec.LookPath("weir"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	n := demoNode{name: "n1", ports: protocols.Ports{HTTP: http}, log: filepath.Join(dir, "n1.log")}
	c, err := startDemoProcess(d.program, d.config, d.level, n)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	d.nodes, d.children = []demoNode{n}, []*demoProcess{c}
	_, err = d.settle(t.Context())
	if err == nil {
		t.Fatal("the node runs, want it to fail")
	}
	return err
}

func TestNodeThatDoesNotStartIsExplained(t *testing.T) {
	err := startOne(t, "strem a;\n", 0)
	if text := err.Error(); !strings.Contains(text, "n1 has ended: exit status 2\nn1: ") || !strings.Contains(text, "did you mean `stream`") {
		t.Errorf("with a wrong configuration: %v, want the exit code and what the node said", err)
	}
	if errors.Is(err, errFailedEarly) {
		t.Errorf("with a wrong configuration: %v, and it would be tried again", err)
	}
	held := listenLoopback(t)
	err = startOne(t, "", held)
	if want := fmt.Sprintf("port %d", held); !errors.Is(err, errFailedEarly) || !strings.Contains(err.Error(), want) {
		t.Errorf("with a port in use: %v, want %v and %s", err, errFailedEarly, want)
	}
}
