package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"weir/cluster/conf"
)

// runNode runs a node until ctx ends.
func runNode(context.Context, *conf.File, *slog.Logger) error {
	return errors.New("node assembly missing")
}

// runDemo runs the demonstration until ctx ends.
func runDemo(context.Context, *DemoCmd, io.Writer, *slog.Logger) error {
	return errors.New("node assembly missing")
}
