package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"

	"weir/cluster/conf"
	"weir/cluster/node"
)

// startNode starts a node by a file that can be read again.
func startNode(file *conf.File, again *configuration, log *slog.Logger) (*node.Node, node.Config, error) {
	host := file.Name
	if host == "" {
		var err error
		if host, err = os.Hostname(); err != nil || host == "" {
			host = "localhost"
		}
	}
	cfg := node.Config{File: file, Hostname: host, Build: version(), Log: log}
	if again.path != "" && again.path != "-" {
		cfg.Reload = func() (*conf.File, error) { return readAgain(again, true, log) }
		cfg.Source = again
	}
	n, err := node.Start(cfg)
	return n, cfg, err
}

// runNode runs a node until ctx ends, the node has drained, or it cannot go on. A context that ended by SIGTERM makes the
// node drain first; then abandoned ends that too.
func runNode(ctx context.Context, abandoned <-chan struct{}, n *node.Node, cfg node.Config, again *configuration, log *slog.Logger) error {
	ended := mustEnd(ctx, running)
	defer func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		stopped := mustEnd(over, stopping)
		n.Stop()
		stopped()
		ended()
	}()
	var reloading sync.Mutex // a disk that hangs must not keep signals waiting
	reload := func(asked bool) {
		if cfg.Reload == nil {
			log.Warn("there is no configuration file to read again")
			return
		}
		go func() {
			reloading.Lock()
			defer reloading.Unlock()
			tellReloading(log)
			defer tellReady(log)
			f, err := readAgain(again, asked, log)
			if err == nil {
				_, err = n.Reload(f)
			}
			if err != nil {
				n.Refuse(err)
			}
		}()
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
	go keepWatchdog(watching, n, log)
	tellReady(log)
	defer tellStopping(log)
	done := ctx.Done()
	for {
		select {
		case <-done:
			if !errors.Is(context.Cause(ctx), errTerminated) {
				log.Info("stopping")
				return nil
			}
			done = nil
			tellDraining(log)
			n.Drain(0)
		case <-hangup:
			reload(true)
		case <-changed:
			reload(false)
		case <-abandoned:
			return nil
		case <-n.Drained():
			return nil
		case err := <-n.Failed():
			return err
		}
	}
}

// readAgain reads the configuration file again, and logs its warnings.
func readAgain(again *configuration, asked bool, log *slog.Logger) (*conf.File, error) {
	f, problems, err := again.reload(asked)
	for _, p := range problems {
		log.Warn("configuration", slog.String("err", p.Pos.String()+": "+p.Text))
	}
	return f, err
}
