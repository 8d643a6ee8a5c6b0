package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Run starts a node and returns when it has ended.
func (c *NodeCmd) Run(ctx context.Context, std stdio) error {
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
	return runNode(ctx, abandoned, file, given, log)
}

// maxConfig is the number of bytes that are read of a file at most. The limit of package conf is lower.
const maxConfig = 16 << 20

// readConfig reads a configuration file, or standard input for "-".
func readConfig(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
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

// configName is the name of a configuration file in messages.
func configName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}
