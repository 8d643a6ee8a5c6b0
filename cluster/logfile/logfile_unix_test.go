//go:build unix

package logfile

import (
	"path/filepath"
	"syscall"
	"testing"
)

func TestWhatIsNoFileIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(Config{Path: dir, Mode: 0o600}); err == nil {
		t.Error("a directory is taken for a file")
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := Open(Config{Path: pipe, Mode: 0o600}); err == nil {
		t.Error("a pipe is taken for a file")
	}
}
