//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is a node in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	errors *bufio.Reader // its standard error, which blocks it unless somebody reads
	ended  chan error
}

// launch starts `weir node`.
func launch(t *testing.T, stdin io.Reader, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), "weir", append([]string{"node"}, args...)...), ended: make(chan error, 1)}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.errors = bufio.NewReader(r)
	p.cmd.Stdin, p.cmd.Stderr = stdin, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = r.Close() })
	return p
}

// listens reads the log until the node says where it listens for a protocol.
func (p *process) listens(proto string) (addr string) {
	p.t.Helper()
	for {
		line, err := p.errors.ReadBytes('\n')
		if err != nil {
			p.t.Fatal(err)
		}
		var l struct{ Msg, Proto, Addr string }
		if json.Unmarshal(line, &l) == nil && l.Msg == "listening" && l.Proto == proto {
			return l.Addr
		}
	}
}

// ends waits for the end of the process, after a signal.
func (p *process) ends(s syscall.Signal, within time.Duration) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(within):
		p.t.Errorf("the process goes on %v after a signal (%v)", within, s)
	}
}

func TestSignalEndsANodeThatWaitsForItsFile(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	p := launch(t, r, "--config", "-")
	// More than a pipe holds, so that the node reads when all of it is written.
	if _, err := w.Write(bytes.Repeat([]byte("# and more\n"), 20_000)); err != nil {
		t.Fatal(err)
	}
	p.ends(syscall.SIGTERM, 20*startPatience)
}

func TestSignalEndsANodeWhoseLogNobodyReads(t *testing.T) {
	t.Parallel()
	p := launch(t, nil, "--http", "127.0.0.1:0", "--rtmp", "off", "--rtsp", "off", "--name", "n1", "--log", "debug")
	addr := p.listens("http")
	for range 3000 { // each leaves a line, until the pipe is full
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GARBAGE\r\n\r\n")
		_ = c.Close()
	}
	p.ends(syscall.SIGINT, 3*stopPatience)
}

func TestFileThatWasCutShortIsRefusedUntilItIsAskedFor(t *testing.T) {
	t.Parallel()
	const head, first, second = "http 127.0.0.1:0; rtmp off; rtsp off;\n", "stream a { input fake://a; }\nstream b { input fake://b; }\n",
		"stream c { input fake://c; }\nstream d { input fake://d; }\n"
	path := filepath.Join(t.TempDir(), "weir.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(head + first + second)
	p := launch(t, nil, "--config", path, "--name", "n1")
	addr := p.listens("http")
	go func() { _, _ = io.Copy(io.Discard, p.errors) }()
	// says waits until what the API says at a path holds a text, or does not.
	says := func(path, text string, want bool) {
		t.Helper()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		limit := time.After(30 * time.Second)
		for body := ""; ; {
			if res, err := http.Get("http://" + addr + "/streamer/api/v3/" + path); err == nil {
				b, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if body = string(b); res.StatusCode == http.StatusOK && strings.Contains(body, text) == want {
					return
				}
			}
			select {
			case <-tick.C:
			case <-limit:
				t.Fatalf("%s has %q: want %t; it is %s", path, text, want, body)
			}
		}
	}
	const alarms, streams = "cluster/alarms", "streams"
	says(streams, `"name":"d"`, true)
	for text, alarm := range map[string]string{
		"":           "the file has become empty",
		head + first: "the file has lost 2 of 4 streams",
	} {
		write(text)
		says(alarms, alarm, true)
		says(streams, `"name":"d"`, true)
		write(head + first + second)
		says(alarms, "configuration file", false)
	}
	write(head + first)
	says(alarms, "the file has lost 2 of 4 streams", true)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	says(alarms, "configuration file", false)
	says(streams, `"name":"d"`, false)
	says(streams, `"name":"b"`, true)
	write("stream {")
	says(alarms, "the configuration file is not in effect", true)
	write(head + second)
	says(alarms, "configuration file", false)
	says(streams, `"name":"d"`, true)
	if res, err := http.Post(fmt.Sprintf("http://%s/streamer/api/v3/config/reload", addr), "", nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("a reload by the API: %v, %v", res, err)
	}
	p.ends(syscall.SIGINT, 3*stopPatience)
}
