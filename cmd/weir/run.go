package main

import (
	"context"
	"log/slog"
	"os"

	"weir/cluster/conf"
	"weir/cluster/node"
)

// runNode runs a node until ctx ends or the node cannot go on.
func runNode(ctx context.Context, file *conf.File, log *slog.Logger) error {
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
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return nil
	case err := <-n.Failed():
		return err
	}
}
