package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"weir/cluster/conf"
	"weir/cluster/node"
)

// runNode runs a node until ctx ends, the node has drained, or it cannot go on. A context that ended by SIGTERM makes the
// node drain first; then abandoned ends that too.
func runNode(ctx context.Context, abandoned <-chan struct{}, file *conf.File, log *slog.Logger) error {
	host := file.Name
	if host == "" {
		var err error
		if host, err = os.Hostname(); err != nil || host == "" {
			host = "localhost"
		}
	}
	n, err := node.Start(node.Config{File: file, Hostname: host, Build: version(), Log: log})
	if err != nil {
		return err
	}
	defer n.Stop()
	for kind, addrs := range n.Addresses() {
		for _, a := range addrs {
			log.Info("listening", slog.String("proto", kind), slog.String("addr", a))
		}
	}
	done := ctx.Done()
	for {
		select {
		case <-done:
			if !errors.Is(context.Cause(ctx), errTerminated) {
				log.Info("stopping")
				return nil
			}
			done = nil
			n.Drain(0)
		case <-abandoned:
			return nil
		case <-n.Drained():
			return nil
		case err := <-n.Failed():
			return err
		}
	}
}
