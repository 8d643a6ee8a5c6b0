package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
)

// Run starts a node and returns when it has ended.
func (c *NodeCmd) Run(ctx context.Context, std stdio) error {
	started := mustEnd(ctx, starting)
	defer started()
	given := &configuration{path: c.Config, flags: c.flags()}
	file, problems, err := given.load(std.in)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	if problems.Failed() {
		printProblems(std, problems)
		return &exitError{code: exitConfig}
	}
	log := newLogger(std.err, file.LogLevel)
	for _, p := range problems {
		log.Warn("configuration", slog.String("err", p.Pos.String()+": "+p.Text))
	}
	if len(file.Streams) == 0 && len(file.Peers) == 0 {
		log.Warn("neither streams nor peers are configured; see `weir node --help`")
	}
	var abandoned <-chan struct{}
	if c.ParentPipe {
		open, cancel := untilClosed(context.Background(), std.in, func() { os.Exit(exitFailure) })
		defer cancel()
		abandoned = open.Done()
	}
	n, cfg, err := startNode(file, given, log)
	started()
	if err != nil {
		return err
	}
	return runNode(ctx, abandoned, n, cfg, given, log)
}

// maxConfig is the number of bytes that are read of a file at most. The limit of package conf is lower.
const maxConfig = 16 << 20

// readConfig reads a configuration file, or standard input for "-".
func readConfig(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := openConfig(name)
		if err != nil {
			return nil, fmt.Errorf("opening the configuration: %w", err)
		}
		defer func() { _ = f.Close() }() // nothing was written
		in = f
	}
	src, err := io.ReadAll(io.LimitReader(in, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration %s: %w", configName(name), err)
	}
	if len(src) > maxConfig {
		return nil, errors.New("reading the configuration " + configName(name) + ": it is longer than any configuration can be")
	}
	return src, nil
}

// openConfig opens a configuration file. It does not wait for anything, as a pipe would make it do. Pipes that a shell makes of
// commands are read.
func openConfig(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() && !strings.HasPrefix(name, "/dev/") {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// configName is the name of a configuration file in messages.
func configName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}
