package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"

	"weir/cluster/conf"
	"weir/cluster/node"
)

// runNode runs a node until ctx ends, the node has drained, or it cannot go on. A context that ended by SIGTERM makes the
// node drain first; then abandoned ends that too.
func runNode(ctx context.Context, abandoned <-chan struct{}, file *conf.File, again *configuration, log *slog.Logger) error {
	host := file.Name
	if host == "" {
		var err error
		if host, err = os.Hostname(); err != nil || host == "" {
			host = "localhost"
		}
	}
	cfg := node.Config{File: file, Hostname: host, Build: version(), Log: log}
	if again.path != "" && again.path != "-" {
		cfg.Reload = func() (*conf.File, error) {
			f, problems, err := again.reload()
			for _, p := range problems {
				log.Warn("configuration", slog.String("err", p.Pos.String()+": "+p.Text))
			}
			return f, err
		}
	}
	n, err := node.Start(cfg)
	if err != nil {
		return err
	}
	defer n.Stop()
	reload := func() {
		if cfg.Reload == nil {
			log.Warn("there is no configuration file to read again")
			return
		}
		f, err := cfg.Reload()
		if err == nil {
			_, err = n.Reload(f)
		}
		if err != nil {
			log.Error("the configuration was not reloaded; the node goes on with the former one", slog.Any("err", err))
		}
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, reloadSignals...)
	defer signal.Stop(hangup)
	watching, unwatch := context.WithCancel(context.Background())
	defer unwatch()
	changed := again.changes(watching, log)
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
		case <-hangup:
			reload()
		case <-changed:
			reload()
		case <-abandoned:
			return nil
		case <-n.Drained():
			return nil
		case err := <-n.Failed():
			return err
		}
	}
}
