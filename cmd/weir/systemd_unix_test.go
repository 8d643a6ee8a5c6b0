//go:build unix

package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNodeTellsSystemdHowItGoes: a node that is ready, that reads its file again, that lives and that drains says so, so that
// `systemctl start`, `reload` and `restart` wait for what they are meant to wait for.
func TestNodeTellsSystemdHowItGoes(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "100000")
	const lives = "WATCHDOG=1"
	// says reads what the node says until it has said something that has all of some words.
	says := func(words ...string) {
		t.Helper()
		if err := l.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		for {
			n, err := l.Read(b)
			if err != nil {
				t.Fatalf("waiting for %q: %v", words, err)
			}
			said, has := string(b[:n]), true
			for _, w := range words {
				has = has && strings.Contains(said, w)
			}
			if has {
				return
			}
			if said != lives {
				t.Fatalf("the node says %q, want %q", said, words)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "weir.conf")
	if err := os.WriteFile(file, []byte("http 127.0.0.1:0; rtmp off; rtsp off;\nstream a { input fake://a; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, nil, "--config", file, "--name", "n1")
	go func() { _, _ = io.Copy(io.Discard, p.errors) }()
	says("READY=1")
	says(lives)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	says("RELOADING=1", "MONOTONIC_USEC=")
	says("READY=1")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	says("STOPPING=1", "EXTEND_TIMEOUT_USEC=45000000")
	says("STOPPING=1", "STATUS=stopping")
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}
