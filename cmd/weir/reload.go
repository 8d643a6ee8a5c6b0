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

	mu     sync.Mutex
	read   [sha256.Size]byte // the hash of the text that was read last
	text   []byte            // of the file in effect
	effect *conf.File
}

// load reads the file. Standard input can be read once only. `weir check`, a start and a reload all use load, so they refuse the same
// files.
func (c *configuration) load(stdin io.Reader) (*conf.File, conf.Problems, error) {
	return c.take(stdin, false)
}

// reload reads the file again. The problems are warnings. If nobody has asked for it, a file that seems to have been cut short is
// refused.
func (c *configuration) reload(asked bool) (*conf.File, conf.Problems, error) {
	file, problems, err := c.take(nil, !asked)
	if err == nil && problems.Failed() {
		return nil, nil, errors.New(oneLine(problems))
	}
	return file, problems, err
}

// take reads the file, and keeps it as the one in effect unless it has errors.
func (c *configuration) take(stdin io.Reader, careful bool) (*conf.File, conf.Problems, error) {
	var src []byte
	if c.path != "" {
		var err error
		if src, err = readConfig(c.path, stdin); err != nil {
			return nil, nil, err
		}
	}
	file, problems := node.Load(configName(c.path), src, c.flags)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = sha256.Sum256(src)
	if problems.Failed() {
		return file, problems, nil
	}
	if careful {
		if err := file.Lost(c.effect, src, c.text); err != nil {
			return nil, nil, fmt.Errorf("%w; SIGHUP or a reload by the API puts it into effect all the same", err)
		}
	}
	c.effect, c.text = file, src
	return file, problems, nil
}

// Path implements [node.Source].
func (c *configuration) Path() string { return c.path }

// Text implements [node.Source].
func (c *configuration) Text() ([]byte, error) { return readConfig(c.path, nil) }

// Check implements [node.Source].
func (c *configuration) Check(text []byte) (*conf.File, conf.Problems) {
	return node.Load(configName(c.path), text, c.flags)
}

// Parse implements [node.Source].
func (c *configuration) Parse(text []byte) (*conf.File, conf.Problems) {
	return conf.Load(configName(c.path), text, c.flags)
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
