package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"weir/cluster/conf"
	"weir/cluster/node"
)

// settle is how long a file must stay unchanged before it is read again. Editors write a file in several steps.
const settle = 300 * time.Millisecond

// A configuration is a configuration file that can be read again, and the flags that override it.
type configuration struct {
	path  string // "-" is standard input; empty if there is no file
	flags conf.Flags

	mu   sync.Mutex
	read [sha256.Size]byte // the hash of the text that was read last
}

// load reads the file. Standard input can be read once only. `weir check`, a start and a reload all use load, so they refuse the same
// files.
func (c *configuration) load(stdin io.Reader) (*conf.File, conf.Problems, error) {
	var src []byte
	if c.path != "" {
		var err error
		if src, err = readConfig(c.path, stdin); err != nil {
			return nil, nil, err
		}
	}
	c.mu.Lock()
	c.read = sha256.Sum256(src)
	c.mu.Unlock()
	file, problems := node.Load(configName(c.path), src, c.flags)
	return file, problems, nil
}

// reload reads the file again. The problems are warnings.
func (c *configuration) reload() (*conf.File, conf.Problems, error) {
	file, problems, err := c.load(nil)
	if err == nil && problems.Failed() {
		return nil, nil, errors.New(oneLine(problems))
	}
	return file, problems, err
}

// oneLine joins the errors among problems to one line, for the log.
func oneLine(problems conf.Problems) string {
	var b bytes.Buffer
	for _, p := range problems {
		if p.Severity == conf.Warning {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s", p.Pos, p.Text)
	}
	return b.String()
}

// differs says whether the file has changed since it was read last; false if it cannot be read.
func (c *configuration) differs() bool {
	src, err := readConfig(c.path, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	return err == nil && sha256.Sum256(src) != c.read
}

// changes gives a channel that gets a value after each change of the file, until ctx ends. It watches the folder, because editors and
// orchestrators replace the file by another one.
func (c *configuration) changes(ctx context.Context, log *slog.Logger) <-chan struct{} {
	if c.path == "" || c.path == "-" {
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(filepath.Dir(c.path))
	}
	if err != nil {
		log.Warn("the configuration file is not watched; SIGHUP reloads it", slog.Any("err", err))
		return nil
	}
	out := make(chan struct{})
	go func() {
		defer func() { _ = w.Close() }()
		quiet := time.NewTimer(settle)
		quiet.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case _, ok := <-w.Events:
				if !ok {
					return
				}
				quiet.Reset(settle)
			case err, ok := <-w.Errors:
				if !ok {
					return
				}
				log.Warn("watching the configuration file", slog.Any("err", err))
			case <-quiet.C:
				if !c.differs() {
					continue
				}
				select {
				case out <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out
}
