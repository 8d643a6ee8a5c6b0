package follower

import (
	"log/slog"

	"weir/actors/act"
)

// lost is the event of a node that has been silent for too long and counts as dead.
func lost(kind, entry string, err error) act.Event {
	return act.Warn(kind+"_lost", "a node outside the group is silent", slog.String("server", entry), act.Err(err))
}

// failed is the event of a fetch that failed for another reason than the last one.
func failed(kind, entry string, err error) act.Event {
	return act.Warn(kind+"_failed", "a node outside the group does not tell its state", slog.String("server", entry), act.Err(err))
}

// found is the event of a node that has answered for the first time, or again after it was lost.
func found(kind, entry, node string) act.Event {
	return act.Info(kind+"_found", "a node outside the group tells its state", slog.String("server", entry), slog.String("node", node))
}
