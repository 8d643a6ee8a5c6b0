package main

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"weir/cluster/drain"
	"weir/cluster/node"
)

// tellSystemd tells the service manager how the node goes, by the protocol of sd_notify(3). Nobody is told where no NOTIFY_SOCKET is in
// the environment.
func tellSystemd(log *slog.Logger, states ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(states, "\n")); err != nil {
		log.Warn("the service manager cannot be told how the node goes", slog.Any("err", err))
	}
}

func tellReady(log *slog.Logger) { tellSystemd(log, daemon.SdNotifyReady, "STATUS=running") }

func tellReloading(log *slog.Logger) {
	tellSystemd(log, daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec(), "STATUS=reading the configuration again")
}

// tellDraining asks for the time that a drain may take, so that the service manager does not kill the node before.
func tellDraining(log *slog.Logger) {
	more := (drain.Limit + stopPatience).Microseconds()
	tellSystemd(log, daemon.SdNotifyStopping, "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(more, 10), "STATUS=handing streams over")
}

func tellStopping(log *slog.Logger) { tellSystemd(log, daemon.SdNotifyStopping, "STATUS=stopping") }

// keepWatchdog tells the service manager twice in each of its intervals (WatchdogSec=) that the node lives, until ctx ends: if its
// control actor answers. A node that does not answer is ended by the service manager, and started anew.
func keepWatchdog(ctx context.Context, n *node.Node, log *slog.Logger) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog of the service manager is not kept", slog.Any("err", err))
	}
	if err != nil || interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if answers(ctx, n, interval/2) {
			tellSystemd(log, daemon.SdNotifyWatchdog)
		}
	}
}

func answers(ctx context.Context, n *node.Node, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return n.Control().Ping(ctx) == nil
}
